"""What people and devices write at the edges: settings, AE titles, templates. Wrong is told, never worse."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid_node.delivery.template import PathTemplate
from deid_node.dimse.association import AssociationRejection
from deid_node.dimse.proposal import ProposalRejected, acceptable_ae_title
from deid_node.errors import ConfigurationError
from deid_node.settings.load import load_settings
from tests.fuzzing import SECONDS, mutant, numbers

pytestmark = pytest.mark.timeout(120 + SECONDS)

_SETTINGS = settings(
    max_examples=max(int(SECONDS * 20), 100),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
_NODE = b"""
ae_title = "DEIDNODE"
port = 11112
profile = "research"
[limits]
depth = 32
object_bytes = 8589934592
[peers.ct]
ae_title = "CT1"
address = ["10.0.0.7", "10.1.0.0/16"]
[destinations.out]
kind = "folder"
path = "/srv/out"
template = "{PatientID}/{SOPInstanceUID}.dcm"
[destinations.pacs]
kind = "ae"
host = "pacs.example"
port = 104
ae_title = "PACS"
hours = "20:00-06:00"
[routes.research]
called = "RESEARCH"
profile = "basic"
destinations = ["out", "pacs"]
peers = ["ct"]
"""
_WORDS = (
    *(b'"', b"[", b"]", b"=", b"\n", b"-1", b"true", b"1e999", b"nan", b'""', b"{}", b"[[", b"0x", b"\xff"),
    *(b"../../etc", b"0.0.0.0/0", b"[routes.x]\n", b"99999999999999999999", b"'''", b"#", b"\\u0000"),
)


def _spoiled(number: int) -> bytes:
    choose = random.Random(number)
    if number % 3 == 0:
        return mutant(_NODE, choose)
    text = bytearray(_NODE)
    for _ in range(choose.randrange(1, 4)):
        at = choose.randrange(len(text))
        text[at : at + choose.choice((0, 0, 1, 5))] = choose.choice(_WORDS)
    return bytes(text)


def test_settings_that_are_spoiled_are_taken_or_told_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    told = taken = 0
    for number in numbers(0.1):
        file.write_bytes(_spoiled(number))
        try:
            load_settings(file, environment={})
            taken += 1
        except ConfigurationError as error:
            told += 1
            assert error.problems and all(problem.strip() for problem in error.problems), number

    assert told and taken


@_SETTINGS
@given(raw=st.one_of(st.binary(max_size=16), st.text(max_size=16).map(lambda text: text.encode()[:16])))
def test_an_ae_title_from_the_wire_is_plain_or_rejected(raw: bytes) -> None:
    try:
        title = acceptable_ae_title(raw, AssociationRejection.CALLING_AE_NOT_RECOGNIZED)
    except ProposalRejected:
        return

    assert 0 < len(title) <= 16
    assert all(char.isascii() and (char.isalnum() or char in "_. -") for char in title)


_VALUES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["..", ".", "/", "\\", "../../etc/passwd", "con", "\0", "a/../..", "-rf", "x" * 5000, "．．／"]
    ),
)
_TAGS = {"PatientID": 0x00100020, "StudyDescription": 0x00081030, "SOPInstanceUID": 0x00080018}


@_SETTINGS
@given(
    template=st.lists(
        st.sampled_from([f"{{{name}}}" for name in _TAGS] + ["a", "_", "/"]), min_size=1, max_size=6
    ),
    values=st.fixed_dictionaries(dict.fromkeys(_TAGS.values(), _VALUES)),
)
def test_no_value_leads_out_of_the_folder(template: list[str], values: dict[int, str]) -> None:
    try:
        parsed = PathTemplate.parse("".join(template))
    except ConfigurationError:
        return
    root = Path("/srv/store")

    path = parsed.render(values)

    assert path
    whole = os.path.normpath(root.joinpath(*path))
    assert whole.startswith(f"{root}/") and Path(whole).parts[3:] == path
    for name in path:
        assert name and len(name.encode()) <= 255
        assert not set(name) & set('/\\\0:*?"<>|') and name[0] not in ".-" and name.isprintable()
