"""Single checks of the quality of de-identification, in categories, and their summary in percent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.library import load
from tests.engine.identifiers import Planter, dataset_bytes, leaks
from tests.rewriting import Rewritten, pseudonyms, rewrite


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its answer; `what` names the place, never a value."""

    category: str
    what: str
    passed: bool


@cache
def deidentifier(profile: str) -> Deidentifier:
    """Return a shipped profile, ready for objects."""
    return Deidentifier(load(profile), pseudonyms())


def file_of(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """Return a dataset as a file."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def deidentified(
    deid: Deidentifier, ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian
) -> Rewritten:
    """Put a dataset through the engine."""
    return rewrite(deid, file_of(ds, transfer_syntax_uid))


def read(result: Rewritten) -> Dataset:
    """Read a de-identified file back."""
    return pydicom.dcmread(BytesIO(result.file))


def planted_checks(category: str, result: Rewritten, planter: Planter, where: str) -> list[Check]:
    """Return one check for every place: nothing of it is left in any byte of the output."""
    data = dataset_bytes(result.file, result.transfer_syntax_uid, result.dataset_start)
    leaked = set(leaks(data, planter.plants))
    return [Check(category, f"{where}: {plant.place}", plant.place not in leaked) for plant in planter.plants]


def summary(checks: Iterable[Check]) -> str:
    """Return the percentages by category, over all checks and as a mean over categories."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for check in checks:
        counts[check.category][0] += check.passed
        counts[check.category][1] += 1
    lines = [
        f"{category:32} {passed:6} of {total:6}  {100 * passed / total:6.2f} %"
        for category, (passed, total) in sorted(counts.items())
    ]
    passed, total = (sum(count[at] for count in counts.values()) for at in (0, 1))
    mean = sum(good / all_ for good, all_ in counts.values()) / len(counts)
    lines.append(f"{'all checks':32} {passed:6} of {total:6}  {100 * passed / total:6.2f} %")
    lines.append(f"{'mean over categories':32} {'':16}  {100 * mean:6.2f} %")
    return "\n".join(lines)
