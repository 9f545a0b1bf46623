"""What became of one object that was to be de-identified outside of the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deid_node.engine.deidentified import Finding, PrivateElement
from deid_node.errors import Excluded, ObjectRefused, Rejected
from deid_node.node.part10 import NotDicom
from deid_node.standard.repairs import Repair


class Outcome(StrEnum):
    """What became of one object. Every object has exactly one."""

    DEIDENTIFIED = "deidentified"
    UNCHANGED = "unchanged"
    """the index of an earlier run says that input and result are as they were"""
    EXCLUDED = "excluded"
    """a rule of the profile leaves the object out"""
    REJECTED = "rejected"
    """a rule of the procedure rejects the object"""
    HELD = "held"
    """a lookup table lacks a row, or a word is not judged yet; the object goes on when that is there"""
    FAILED = "failed"
    """it could not be read, de-identified or written"""
    SKIPPED = "skipped"
    """no DICOM file, or a DICOMDIR"""


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcome for one object.

    `source` is the path of a file, else a URL without its query, or the words "object in memory". `target` is
    where the result is, None unless the outcome is DEIDENTIFIED or UNCHANGED. `code` is a short fixed word,
    `reason` a text without values, `path` the attribute it is about. `notes` are oddities that did no harm,
    `repairs` names those that were put right, `findings` those of validations and checks. Sizes are bytes;
    hashes are SHA-256 in hexadecimal, "" where none was asked for. `private` are the private attributes of
    the result, where they were asked for: they identify patients.
    `content` is the result itself, a DICOM file, where no target was named; else it is None.
    """

    source: Path | str
    outcome: Outcome
    target: Path | str | None = None
    code: str = ""
    reason: str = ""
    path: str = ""
    sop_class_uid: str = ""
    notes: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    findings: tuple[Finding, ...] = ()
    source_size: int = field(default=0, compare=False)
    source_changed_ns: int = field(default=0, compare=False, repr=False)
    target_size: int = field(default=0, compare=False)
    source_sha256: str = field(default="", compare=False)
    target_sha256: str = field(default="", compare=False)
    private: tuple[PrivateElement, ...] = field(default=(), compare=False, repr=False)
    content: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def is_done(self) -> bool:
        """There is a de-identified result."""
        return self.outcome in (Outcome.DEIDENTIFIED, Outcome.UNCHANGED)


def refused(source: Path | str, refusal: ObjectRefused) -> FileResult:
    """Return the result for an object that was refused."""
    if isinstance(refusal, NotDicom):
        outcome = Outcome.SKIPPED
    elif isinstance(refusal, Excluded):
        outcome = Outcome.EXCLUDED
    elif isinstance(refusal, Rejected):
        outcome = Outcome.HELD if refusal.code == "held" else Outcome.REJECTED
    else:
        outcome = Outcome.FAILED
    return FileResult(source, outcome, code=refusal.code, reason=refusal.reason, path=refusal.path)
