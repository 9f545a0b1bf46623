"""The quality of de-identification in figures: `python -m tests.engine.leak_report [--failures]`.

For each profile that de-identifies: identifiers planted in every place, rows of the standard, texts, and
what has to survive; percentages by category.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.engine import places, places_content
from tests.engine.checks import Check, deidentified, deidentifier, planted_checks, read, summary
from tests.engine.checks_rows import row_checks
from tests.engine.checks_texts import text_checks
from tests.engine.identifiers import Planter
from tests.engine.objects import SAMPLES

# Columns of Table E.1-1 whose attributes a profile keeps or cleans on purpose.
ON_PURPOSE: dict[str, tuple[str, ...]] = {
    "basic": (),
    "research": ("retain_patient_chars", "retain_long_modified", "clean_desc", "clean_struct_cont"),
}
_ENCODINGS = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}


def values(ds: Dataset, keyword: str) -> list[object]:
    """Return every value below a dotted keyword, in all items."""
    first, _, rest = keyword.partition(".")
    if first not in ds:
        return []
    if not rest:
        return [ds[first].value]
    return [value for item in ds[first].value for value in values(item, rest)]


def place_checks(profile: str) -> Iterator[Check]:
    """Yield one check for every identifier planted anywhere."""
    deid, columns = deidentifier(profile), ON_PURPOSE[profile]
    plantings = [
        ("attributes of E.1-1", lambda ds, planter: places.confidential(ds, planter, columns)),
        ("items of sequences", lambda ds, planter: places.nested(ds, planter, columns)),
        *((place.__name__.replace("_", " "), place) for place in places.ANYWHERE),
        *((place.__name__, place) for place in places_content.CONTENT),
    ]
    for kind, make in SAMPLES.items():
        of_class = places.OF_CLASS.get(kind)
        own = [(f"content of {kind}", of_class)] if of_class is not None else []
        for category, plant in (*plantings, *own):
            sample, planter = make(), Planter()
            places.patient(sample.ds, planter)
            plant(sample.ds, planter)
            yield from planted_checks(category, deidentified(deid, sample.ds), planter, kind)


def survivor_checks(profile: str) -> Iterator[Check]:
    """Yield one check for every attribute that has to come out unchanged."""
    deid = deidentifier(profile)
    for kind, make in SAMPLES.items():
        sample, planter = make(), Planter()
        places.patient(sample.ds, planter)
        before = {keyword: values(sample.ds, keyword) for keyword in sample.survivors}
        out = read(deidentified(deid, sample.ds))
        for keyword, value in before.items():
            yield Check("must survive", f"{kind}: {keyword}", values(out, keyword) == value)


def private_checks(profile: str) -> Iterator[Check]:
    """Yield one check for every safe private attribute: it survives exactly where the option is on."""
    for name, transfer_syntax_uid in _ENCODINGS.items():
        sample = SAMPLES["mr"]()
        places_content.safe_private(sample.ds, Planter())
        out = read(deidentified(deidentifier(profile), sample.ds, transfer_syntax_uid))
        for group, creator, element, _, value in places_content.SAFE:
            tag = Tag(group, 0x1000 | element)
            same = tag in out and str(out[tag].value).replace("'", "") == str(value).replace("'", "")
            kept = same if profile == "research" else tag not in out
            yield Check("safe private", f"{name}: {creator} {element:02X}", kept)


def checks(profile: str) -> Iterator[Check]:
    """Yield all checks of a profile."""
    yield from place_checks(profile)
    yield from survivor_checks(profile)
    yield from private_checks(profile)
    if profile == "research":
        yield from text_checks(deidentifier(profile))


def main() -> None:
    """Print the figures; with --failures also the places that failed."""
    warnings.filterwarnings("ignore")
    for name, found in (
        *((profile, list(checks(profile))) for profile in ON_PURPOSE),
        ("each option alone", list(row_checks())),
    ):
        print(f"{name}\n{summary(found)}\n")
        if "--failures" in sys.argv:
            print("\n".join(f"  {check.category}: {check.what}" for check in found if not check.passed))


if __name__ == "__main__":
    main()
