"""The list of private attributes has what the result has, and the result is the one without a list."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from deid_node.engine.deidentified import PrivateElement
from deid_node.engine.private_list import listing_plans
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ObjectRefused
from deid_node.node.part10 import read_part10
from deid_node.profile.procedure import Procedure
from tests.rewriting import part10_of, pseudonyms, real_files
from tests.rewriting import rewrite as rewritten
from tests.seeds.objects import encoded, item, items, made, procedure

_KEEPS = 'extends = ["research"]\n[unlisted]\nsop_class = "catch-all"\nprivate = "K"\n'
_WINDOWS = (None, Limits(window_bytes=512))


def listing(profile: Procedure, limits: Limits | None = None) -> Deidentifier:
    """Return an engine that lists private attributes."""
    return Deidentifier(profile, pseudonyms(), limits=limits, plans=listing_plans(profile))


def listed(deidentifier: Deidentifier, content: bytes, piece_bytes: int = 4000) -> list[PrivateElement]:
    """Put a file through the engine and return its list."""
    part10 = read_part10(BytesIO(content))
    rewriting = deidentifier.begin(transfer_syntax_uid=part10.transfer_syntax_uid)
    for start in range(part10.offset, len(content), piece_bytes):
        rewriting.feed(content[start : start + piece_bytes])
    rewriting.finish()
    return list(rewriting.private_elements())


def private_in(ds: Dataset, path: str = "", *, inside: bool = False) -> Iterator[str]:
    """Yield the paths of the private attributes of a dataset as pydicom reads it."""
    for elem in ds:
        here = f"{path}{elem.keyword or f'({elem.tag.group:04X},{elem.tag.element:04X})'}"
        is_private = inside or elem.tag.is_private
        if is_private:
            yield here
        for number, one in enumerate(elem.value or () if elem.VR == "SQ" else ()):
            yield from private_in(one, f"{here}[{number}].", inside=is_private)


@pytest.mark.parametrize("limits", _WINDOWS, ids=["usual window", "small window"])
@pytest.mark.parametrize("path", list(real_files()))
def test_the_list_has_every_private_attribute_of_the_result_and_no_other(
    path: Path, limits: Limits | None
) -> None:
    content = path.read_bytes()
    profile = procedure(_KEEPS)
    part10 = part10_of(content)
    try:
        plain = rewritten(Deidentifier(profile, pseudonyms(), limits=limits), content, part10=part10)
    except ObjectRefused:
        pytest.skip("the object is refused")
    watched = rewritten(listing(profile, limits), content, part10=part10)

    paths = [one.path for one in listed(listing(profile, limits), content)]

    assert watched.file == plain.file
    result = pydicom.dcmread(BytesIO(plain.file), force=True)
    assert sorted(paths) == sorted(private_in(result))


def test_an_object_whose_sequence_was_seen_before_is_listed_again() -> None:
    ds = made(ReferencedPatientSequence=items(item(PatientID="1")))
    block = ds.ReferencedPatientSequence[0].private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "LO", "value")
    deidentifier = listing(procedure(_KEEPS + '[attributes]\nReferencedPatientSequence = "K"\n'))

    first, second = (listed(deidentifier, encoded(ds)) for _ in range(2))

    assert first == second
    assert len(first) == 2


def test_an_entry_says_creator_vr_length_and_value() -> None:
    ds = made()
    ds.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "value")

    creator, element = listed(listing(procedure(_KEEPS)), encoded(ds))

    assert creator == PrivateElement("(0009,0010)", "", "LO", 4, "ACME")
    assert element == PrivateElement("(0009,1001)", "ACME", "LO", 6, "value")
    assert "value" not in repr(element).replace("value=", "")


def test_a_long_attribute_after_the_pixels_is_listed_by_its_length() -> None:
    ds = made()
    ds.private_block(0x7FE1, "ACME", create=True).add_new(0x01, "OB", bytes(3000))

    small = listed(listing(procedure(_KEEPS), Limits(window_bytes=512)), encoded(ds), piece_bytes=64)

    assert small[1] == PrivateElement("(7FE1,1001)", "ACME", "OB", 3000, "3000 bytes")


def test_a_profile_that_keeps_nothing_private_lists_nothing() -> None:
    ds = made()
    ds.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "value")

    assert not listed(listing(procedure("basic")), encoded(ds))


def test_without_listing_plans_nothing_is_listed() -> None:
    ds = made()
    ds.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "value")

    assert not listed(Deidentifier(procedure(_KEEPS), pseudonyms()), encoded(ds))
