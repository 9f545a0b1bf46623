"""Every column of PS3.15 Table E.1-1 in several IODs, on top and in items, against the object without it.

What a column keeps is the same, what it cleans keeps its clinical words and loses the third person, and
without the option neither is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.basic import basic_procedure
from deid_node.profile.options import Option
from deid_node.standard.confidentiality import Confidentiality
from tests.engine.checks import deidentified, read
from tests.engine.checks_rows import OPTIONS, rows
from tests.engine.objects import SAMPLES, code
from tests.rewriting import pseudonyms

_TEXTS = frozenset("LO SH ST LT UT UC".split())
_VALUES: dict[str, object] = {
    "PN": "Wuttkowski^Ada", "SH": "CT Dr Wuttkow", "CS": "WUTTKOWSKI", "AE": "WUTTKOWAE", "AS": "055Y",
    "UI": "1.2.826.0.1.3680043.9.77123", "UR": "http://wuttkow.example.org/x", "AT": 0x00100010,
    "DA": "20230517", "DT": "20230517101112.000000", "TM": "101112.5", "DS": "72.5", "IS": "77",
    "US": 3, "UL": 7, "SS": 1, "SL": 1, "FL": 2.5, "FD": 2.5, "SV": 5, "UV": 5,
    "OB": b"WUTTKOWS", "OW": b"WUTTKOWS", "UN": b"WUTTKOWS",
    "OD": bytes(8), "OF": bytes(4), "OL": bytes(4), "OV": bytes(8),
}  # fmt: skip


def _value(vr: str) -> object:
    if vr == "SQ":
        return Sequence([code("113100", "DCM", "Basic")])
    return _VALUES.get(vr, "CT HEAD Dr Wuttkowski, 12.03.2024")


def _planted(kind: str, column: str) -> tuple[Dataset, dict[int, Confidentiality]]:
    ds, item = SAMPLES[kind]().ds, Dataset()
    listed = {tag: row for tag, row in rows().items() if row.options.get(column)}
    for tag, row in listed.items():
        if tag not in ds or row.vr != "SQ":
            ds.add(DataElement(tag, row.vr, _value(row.vr), validation_mode=0))
        if row.vr != "SQ":
            item.add(DataElement(tag, row.vr, _value(row.vr), validation_mode=0))
    ds.SharedFunctionalGroupsSequence = Sequence([item])
    return ds, listed


def _in_item(ds: Dataset) -> Dataset:
    items: Sequence = ds.get("SharedFunctionalGroupsSequence") or Sequence([Dataset()])
    return items[0]


def _wrong(
    before: Dataset, applied: Dataset, basic: Dataset, listed: dict[int, Confidentiality], column: str
) -> Iterator[str]:
    for tag, row in listed.items():
        if tag not in before or row.vr == "SQ":
            continue
        old, new, off = before[tag].value, applied.get(tag), basic.get(tag)
        if off is not None and off.value == old:
            yield f"{row.keyword}: the same without the option"
        if row.options[column] == "K":
            if new is None or new.value != old:
                yield f"{row.keyword}: not kept"
        elif row.vr in _TEXTS:
            if new is None or "CT" not in str(new.value) or "Wuttkow" in str(new.value):
                yield f"{row.keyword}: not cleaned"
        elif row.vr == "TM":
            if new is None or new.value != old:
                yield f"{row.keyword}: no time of day"
        elif row.vr in ("DA", "DT") and (new is None or not new.value or new.value == old):
            yield f"{row.keyword}: not moved"
        elif new is not None and new.value == old and row.vr not in ("DS", "IS", "US", "FL", "AS"):
            yield f"{row.keyword}: left as it was"


@pytest.mark.parametrize("kind", ["mr", "us", "rtstruct", "presentation_state", "sr"])
@pytest.mark.parametrize("option", [option for option in OPTIONS if option is not None], ids=str)
def test_an_option_does_in_every_iod_and_in_items_what_its_column_says(option: Option, kind: str) -> None:
    assert option.column is not None
    ds, listed = _planted(kind, option.column)
    with_option, without = (
        read(deidentified(Deidentifier(basic_procedure(options), pseudonyms()), ds))
        for options in (frozenset([option]), frozenset[Option]())
    )

    assert list(_wrong(ds, with_option, without, listed, option.column)) == []
    nested = _in_item(ds), _in_item(with_option), _in_item(without)
    assert list(_wrong(*nested, listed, option.column)) == []
