"""Makes the tables under deid_node/standard/data from transcriptions of the DICOM standard.

Run by hand when an edition changes; the package itself never does. Inputs are the tab-separated
tables of ../shared/standard (or --source) and the JSON of the highdicom package. The output depends
on nothing else, so a test can compare it byte for byte.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY.parent / "shared" / "standard"
TARGET = REPOSITORY / "deid_node" / "standard" / "data"

Row = Mapping[str, str]

# PS3.6 values that the transcription of E.1-1 does not hold: the VM of the attributes pydicom lacks.
_VM_OTHER_THAN_1 = {"EthnicGroups": "1-n", "SexParametersForClinicalUseCategoryReference": "1-n"}


def read(source: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of one table of the transcription."""
    with (source / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def table(notice: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the text of one packaged table."""
    body = ("\t".join(row) for row in rows)
    return "\n".join([f"# {line}" for line in notice.splitlines()] + ["\t".join(columns), *body]) + "\n"


def confidentiality(source: Path) -> str:
    """PS3.15 Table E.1-1; the column that speaks of a pydicom release stays behind."""
    rows = read(source, "e1_1.tsv")
    columns = [name for name in rows[0] if name != "in_pydicom_3_0_2"]
    notice = "DICOM PS3.15 2026d, © NEMA: Table E.1-1, de-identification profile attributes."
    return table(notice, columns, ([row[name] for name in columns] for row in rows))


def safe_private(source: Path) -> str:
    """PS3.15 Table E.3.10-1, tags as gggg,ee in upper case."""
    rows = read(source, "e3_10_1.tsv")
    notice = "DICOM PS3.15 2026d, © NEMA: Table E.3.10-1, safe private attributes."
    columns = ["group", "element", "private_creator", "vr", "vm", "meaning"]
    return table(
        notice,
        columns,
        (
            [
                row["tag"][1:5].upper(),
                row["tag"][8:10].upper(),
                row["private_creator"],
                row["vr"],
                row["vm"],
                row["meaning"],
            ]
            for row in rows
        ),
    )


def method_codes(source: Path) -> str:
    """PS3.16 CID 7050."""
    rows = read(source, "cid_7050.tsv")
    notice = "DICOM PS3.16 2026d, © NEMA: CID 7050, de-identification methods."
    return table(notice, list(rows[0]), (list(row.values()) for row in rows))


def sop_classes(source: Path) -> str:
    """PS3.4 Table B.5-1 and the other classes that a receiver may meet."""
    rows = read(source, "sop_classes.tsv")
    notice = "DICOM PS3.4 2026d, © NEMA: Table B.5-1, and classes that are retired or of other bodies."
    columns = ["uid", "name", "keyword", "iod", "group", "retired"]
    return table(
        notice,
        [*columns, "iod_key"],
        ([*(row[name] for name in columns), _iod_key(row)] for row in rows),
    )


# highdicom lacks the three CT classes for processing; the other classes have no IOD in the standard
# any more (or never had), so the nearest one speaks for them.
_NEAREST_IOD = {
    "CTImageStorageForProcessing": "ct-image",
    "EnhancedCTImageStorageForProcessing": "enhanced-ct-image",
    "LegacyConvertedEnhancedCTImageStorageForProcessing": "legacy-converted-enhanced-ct-image",
    "UltrasoundMultiFrameImageStorageRetired": "ultrasound-multi-frame-image",
    "UltrasoundImageStorageRetired": "ultrasound-image",
    "NuclearMedicineImageStorageRetired": "nuclear-medicine-image",
    "XRayAngiographicBiPlaneImageStorage": "x-ray-angiographic-image",
    "VLImageStorageTrial": "vl-photographic-image",
    "VLMultiFrameImageStorageTrial": "video-photographic-image",
    "TextSRStorageTrial": "basic-text-sr",
    "AudioSRStorageTrial": "comprehensive-sr",
    "DetailSRStorageTrial": "comprehensive-sr",
    "ComprehensiveSRStorageTrial": "comprehensive-sr",
    "WaveformStorageTrial": "general-ecg",
    "RTBeamsDeliveryInstructionStorageTrial": "rt-beams-delivery-instruction",
    "DICOSCTImageStorage": "ct-image",
    "DICOSDigitalXRayImageStorageForPresentation": "digital-x-ray-image",
    "DICOSDigitalXRayImageStorageForProcessing": "digital-x-ray-image",
    "EddyCurrentMultiFrameImageStorage": "multi-frame-grayscale-word-secondary-capture-image",
}
_ANY_OTHER_IOD = "secondary-capture-image"


def _iod_key(row: Row) -> str:
    return row["highdicom_iod_key"] or _NEAREST_IOD.get(row["keyword"], _ANY_OTHER_IOD)


def newer_attributes(source: Path) -> str:
    """The attributes of PS3.6 that pydicom 3.0.2 lacks or does not know to be retired."""
    notice = "DICOM PS3.6 2026d, © NEMA: attributes that pydicom 3.0.2 lacks or shows otherwise."
    rows = [
        [_hex(row), row["keyword"], row["name"], row["vr"], _VM_OTHER_THAN_1.get(row["keyword"], "1"), "N"]
        for row in read(source, "e1_1.tsv")
        if row["in_pydicom_3_0_2"] == "N"
    ]
    rows.append(["00102160", "EthnicGroup", "Ethnic Group", "SH", "1", "Y"])
    return table(notice, ["tag", "keyword", "name", "vr", "vm", "retired"], sorted(rows))


def _hex(row: Row) -> str:
    return row["tag"][1:5] + row["tag"][6:10]


@cache
def _highdicom(name: str) -> Any:
    return json.loads((files("highdicom") / "_standard" / f"{name}.json").read_text("utf-8"))


@cache
def _tags() -> Mapping[str, int]:
    """Return keyword to tag; of a repeating group the first tag."""
    tags = {keyword: tag for tag, (*_, keyword) in DicomDictionary.items()}
    for mask, (*_, keyword) in RepeatersDictionary.items():
        tags.setdefault(keyword, int(mask.replace("x", "0"), 16))
    return tags


Tree = dict[int, tuple[str, "Tree"]]


class ItemKinds:
    """Numbers the distinct sets of attributes; macros come back as one set in hundreds of places."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def number(self, tree: Tree) -> int:
        """Return the number of a set: its line, from 1; children are numbered before parents."""
        cells = []
        for tag, (type_, children) in sorted(tree.items()):
            child = f">{self.number(children)}" if children else ""
            cells.append(f"{tag:08X}{type_}{child}")
        return self.lines.setdefault("\t".join(cells), len(self.lines) + 1)


def _tree(attributes: Iterable[Mapping[str, Any]]) -> Tree:
    root: Tree = {}
    for attribute in attributes:
        node = root
        for keyword in attribute["path"]:
            node = node.setdefault(_tags()[keyword], ("", {}))[1]
        tag = _tags()[attribute["keyword"]]
        node[tag] = (attribute["type"], node.get(tag, ("", {}))[1])
    return root


@cache
def _iods() -> tuple[str, str, str]:
    """Return the texts of IODs (modules with usage), modules (number of their set) and sets."""
    kinds = ItemKinds()
    iods = _highdicom("iod_module_map")
    used = sorted(set(_highdicom("sop_class_iod_map").values()))
    modules = sorted({module["key"] for iod in used for module in iods[iod]})
    numbers = {key: kinds.number(_tree(_highdicom("module_attribute_map").get(key, ()))) for key in modules}
    edition = "DICOM PS3.3 2026b, © NEMA"
    return (
        table(
            f"{edition}: modules of each IOD with usage (M mandatory, C conditional, U user optional).",
            ["iod", "modules"],
            ([iod, " ".join(f"{m['key']}:{m['usage']}" for m in iods[iod])] for iod in used),
        ),
        table(
            f"{edition}: attributes of each module, as the line of their set in item_kinds.txt.",
            ["module", "kind"],
            ([key, str(number)] for key, number in numbers.items()),
        ),
        "".join(
            [
                f"# {edition}: sets of attributes, one a line: tag, Type, > the line of the items.\n",
                *(f"{line}\n" for line in kinds.lines),
            ]
        ),
    )


MAKERS: Mapping[str, Callable[[Path], str]] = {
    "confidentiality.tsv": confidentiality,
    "safe_private.tsv": safe_private,
    "method_codes.tsv": method_codes,
    "sop_classes.tsv": sop_classes,
    "newer_attributes.tsv": newer_attributes,
    "iods.tsv": lambda _: _iods()[0],
    "modules.tsv": lambda _: _iods()[1],
    "item_kinds.txt": lambda _: _iods()[2],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every table; print what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    options.target.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        text = make(options.source)
        (options.target / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{name}: {len(text.encode())} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
