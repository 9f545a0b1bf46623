"""Which transfer syntaxes are taken."""

from __future__ import annotations

import pytest
from pydicom.uid import AllTransferSyntaxes

from deid_node.dimse.syntaxes import is_supported

_NO_COMPLETE_OBJECT = ("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.7.")


@pytest.mark.parametrize("uid", AllTransferSyntaxes, ids=str)
def test_every_transfer_syntax_that_encodes_an_object_is_supported(uid: str) -> None:
    expected = not str(uid).startswith((*_NO_COMPLETE_OBJECT, "1.2.840.10008.1.2.4.20")) or uid in (
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.4.203",
    )

    assert is_supported(str(uid)) == expected


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840.10008.1.2.4.999", True),
        ("1.2.840.10008.1.2.8.1", True),
        ("1.2.840.10008.1.20", False),
        ("1.2.840.10008.1.2.", False),
        ("1.2.840.10008.1.2.6.1", False),
        ("1.2.840.113619.5.2", False),
        ("1.2.840.10008.1.2.4" + ".1" * 40, False),
        ("", False),
    ],
)
def test_a_syntax_nobody_knows_is_supported_when_it_is_dicoms(uid: str, expected: bool) -> None:
    assert is_supported(uid) == expected
