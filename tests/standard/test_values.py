"""AE titles and UIDs are valid or do not exist (PS3.5 6.2 and 9.1)."""

from __future__ import annotations

import pytest

from deid_node.errors import ConfigurationError
from deid_node.standard.values import AETitle, is_uid


@pytest.mark.parametrize("text", ["A", "STORE-SCP", "A" * 16, "two words", "  padded ", "[~]"])
def test_an_ae_title_has_one_to_sixteen_characters(text: str) -> None:
    title = AETitle(text)

    assert title == text.strip()
    assert isinstance(title, str)


@pytest.mark.parametrize("text", ["", "   ", "A" * 17, "A\\B", "A\tB", "A\nB", "Ä", "\x7f"])
def test_no_other_text_is_an_ae_title(text: str) -> None:
    with pytest.raises(ConfigurationError):
        AETitle(text)


@pytest.mark.parametrize("text", ["1.2", "2.25.0", "1.2.840.10008.1.1", "0.0", "1." + "2" * 62])
def test_a_uid_is_recognized(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1..2", "1.02", "1.2a", "1.2\0", "1.2 ", "1." + "2" * 63]
)
def test_no_other_text_is_a_uid(text: str) -> None:
    assert not is_uid(text)
