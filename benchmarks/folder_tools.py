"""Tools that are libraries, as the program of a few lines that their documentation shows.

`python -m benchmarks.folder_tools TOOL IN OUT`
"""

from __future__ import annotations

import sys
from pathlib import Path


def _deid(source: Path, target: Path) -> None:
    """pydicom/deid with the recipe that comes with it."""
    from deid.config import DeidRecipe
    from deid.dicom import get_identifiers, replace_identifiers

    files = [str(path) for path in sorted(source.iterdir())]
    found = get_identifiers(files)
    for number, fields in enumerate(found.values()):
        fields |= {"entity_id": "P1", "item_id": str(number)}
        fields |= {"entity_timestamp": "20000101", "item_timestamp": "20000101"}
    options = {"save": True, "remove_private": True, "output_folder": str(target)}
    replace_identifiers(files, deid=DeidRecipe(), ids=found, **options)


def _grand_challenge(source: Path, target: Path) -> None:
    """Grand-Challenge's with the procedure that it publishes."""
    from grand_challenge_dicom_de_identifier.deidentifier import DicomDeidentifier

    deidentifier = DicomDeidentifier()
    for path in sorted(source.iterdir()):
        deidentifier.deidentify_file(str(path), output=str(target / path.name))


if __name__ == "__main__":
    {"deid": _deid, "grand-challenge": _grand_challenge}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
