"""Every row of PS3.15 Table E.1-1 under every option column, on encoded objects."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.basic import basic_procedure
from deid_node.profile.options import Option, problems
from deid_node.standard import confidentiality
from deid_node.standard.confidentiality import Confidentiality
from tests.engine.checks import Check, deidentified, read
from tests.engine.identifiers import Planter
from tests.engine.objects import SAMPLES, code
from tests.rewriting import pseudonyms

OPTIONS = [None, *(option for option in Option if option.column and not problems([option]))]
_CLINICAL = dict.fromkeys(("LO", "ST", "LT", "UT", "UC"), "CT ABDOMEN") | {"SH": "BRAIN"}
_NUMBERS: dict[str, object] = {
    "AS": "045Y", "CS": "ABC", "DS": "71.5", "IS": "77", "US": 3, "UL": 5, "FL": 3.5, "FD": 3.5,
}  # fmt: skip
# What an object needs, or what the tests of stamps look at.
_HELD = {"PatientName", "PatientID", "SOPInstanceUID", "DeidentificationMethod", "ContentSequence"}
_HELD |= {"PatientIdentityRemoved"}


def _value(row: Confidentiality, planter: Planter) -> object:
    if row.vr == "SQ":
        item = code("113100", "DCM", "Basic")
        item.PatientName = planter.value("PN", row.keyword)
        item.ReferencedSOPInstanceUID = planter.value("UI", row.keyword)
        return Sequence([item])
    if row.vr in _NUMBERS:
        return _NUMBERS[row.vr]
    if row.vr in _CLINICAL and "C" in row.options.values():
        return f"{_CLINICAL[row.vr]} Kowalski"
    value = planter.value(row.vr, row.keyword)
    return value[:10] if row.vr == "SH" and isinstance(value, str) else value


def rows() -> dict[int, Confidentiality]:
    """Return the rows that name one attribute of a dataset."""
    return {
        tag: row
        for tag, row in confidentiality.by_tag().items()
        if 0x0008 <= tag >> 16 < 0xFFFA and row.keyword and row.keyword not in _HELD
    }


def row_checks() -> Iterator[Check]:
    """Yield one check for every row and option."""
    for option in OPTIONS:
        options = frozenset([option] if option is not None else [])
        deid = Deidentifier(basic_procedure(options), pseudonyms())
        ds, planter = SAMPLES["ct"]().ds, Planter()
        ds.PatientName, ds.PatientID = "Fernsbyx^Alowen", "QX771203"
        for tag, row in rows().items():
            ds.add_new(tag, row.vr, _value(row, planter))
        out = read(deidentified(deid, ds))
        category = f"E.1-1 {option or 'basic'}"
        for tag, row in rows().items():
            printed = row.options.get(option.column) if option is not None else None
            yield Check(category, row.keyword, _as_printed(ds, out, tag, row, printed or row.basic))
        yield Check(category, "codes of what was applied", _codes_are_true(out, option))


def _codes_are_true(out: Dataset, option: Option | None) -> bool:
    codes = [item.CodeValue for item in out.DeidentificationMethodCodeSequence]
    dates = {Option.RETAIN_LONGITUDINAL_FULL: "UNMODIFIED", Option.RETAIN_LONGITUDINAL_MODIFIED: "MODIFIED"}
    said = dates.get(option, "REMOVED") if option is not None else "REMOVED"
    wanted = ["113100", *([option.code] if option is not None else [])]
    return bool(codes == wanted and out.LongitudinalTemporalInformationModified == said)


def _as_printed(ds: Dataset, out: Dataset, tag: int, row: Confidentiality, printed: str) -> bool:
    """Tell whether an attribute came out as a code of the table says."""
    there = tag in out
    value = out[tag].value if there else None
    same = there and row.vr != "SQ" and value == ds[tag].value
    if printed == "X":
        return not there
    if printed == "K":
        return bool(value) if row.vr == "SQ" else same
    if printed == "C":
        return there and _cleaned(row, value, same=same)
    if printed == "U":
        return there and (row.vr == "SQ" or (not same and str(value).startswith("2.25.")))
    if printed == "D":
        return not same and value not in (None, "", b"")
    return not same and (there or "X" in printed)


def _cleaned(row: Confidentiality, value: object, *, same: bool) -> bool:
    if row.vr == "SQ":
        return bool(value)
    if row.vr in _CLINICAL:
        return str(value) == _CLINICAL[row.vr]
    if row.vr in ("TM", "CS"):
        return same  # time of day and defined terms stay
    return not same
