"""De-identifying files without a network: one DICOM file in, one out, or a reason.

The same engine as on the wire. A result is complete under its name or not there: it is written
beside its place and then linked to it, and it never replaces another object.
"""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import secrets as random_source
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from deid_node.delivery.names import alternatives
from deid_node.engine.deidentified import Deidentified, Summary
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import Excluded, ObjectRefused, Rejected
from deid_node.node.key_file import default_key
from deid_node.node.named_secrets import account_secrets
from deid_node.node.part10 import NotDicom, read_part10
from deid_node.node.procedures import load_procedure
from deid_node.profile import library
from deid_node.profile.procedure import Procedure

READ_BYTES: Final = 1 << 20
_NO_LINK: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_MAX_BUFFERS: Final = min(os.sysconf("SC_IOV_MAX"), 512)


class Outcome(StrEnum):
    """What became of one file. Every file has exactly one."""

    DEIDENTIFIED = "deidentified"
    EXCLUDED = "excluded"
    """a rule of the profile leaves the object out"""
    REJECTED = "rejected"
    """a rule of the procedure rejects the object"""
    HELD = "held"
    """a lookup table lacks a row; the object goes on when the row is there"""
    FAILED = "failed"
    """it could not be read, de-identified or written"""
    SKIPPED = "skipped"
    """no DICOM file, or a DICOMDIR"""


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcome for one file.

    `target` is None unless the outcome is DEIDENTIFIED. `code` is a short fixed word, `reason` a text
    without values, `path` the attribute it is about. `notes` are oddities that did no harm.
    """

    source: Path
    outcome: Outcome
    target: Path | None = None
    code: str = ""
    reason: str = ""
    path: str = ""
    sop_class_uid: str = ""
    notes: tuple[str, ...] = ()


def deidentify(
    source: str | Path,
    target: str | Path,
    *,
    profile: str | Path | Procedure = "basic",
    key: Key | None = None,
) -> FileResult:
    """De-identify one DICOM file.

    Args:
        source: the file to read.
        target: the file to write; one that is there and differs is never replaced.
        profile: name of a built-in profile, path of a profile file, or a compiled procedure.
        key: the project key; None takes the one of this account, made on first use.

    Returns:
        What became of it. Nothing is written unless the outcome is DEIDENTIFIED.

    Raises:
        ConfigurationError: the profile or the key is wrong.
    """
    if not isinstance(profile, Procedure):
        profile = load_procedure(profile) if isinstance(profile, str) else library.load(profile)
    secrets = account_secrets(profile.secrets)
    deidentifier = Deidentifier(profile, Pseudonyms(key or default_key()), secrets=secrets)
    return deidentify_file(deidentifier, Path(source), lambda _: Path(target), Path(target).parent)


def deidentify_file(
    deidentifier: Deidentifier,
    source: Path,
    name: Callable[[Summary], Path],
    folder: Path,
    *,
    may_rename: bool = False,
) -> FileResult:
    """De-identify one file into the place that `name` chooses.

    Args:
        deidentifier: the engine, compiled once for many files.
        source: the file to read.
        name: the path to write, from what is known of the de-identified object.
        folder: where the file lies until it is complete; on the file system of the result.
        may_rename: when another object has the name, the result gets one of its own.
    """
    draft = _FileDraft(folder)
    try:
        with source.open("rb") as stream:
            summary, notes = _rewrite(deidentifier, stream, draft)
        target = draft.place(name(summary), summary.heading.sop_instance_uid if may_rename else None)
    except ObjectRefused as refusal:
        return _refused(source, refusal)
    except _NameTakenError as error:
        reason = f"another object is called {error} already; it is not replaced"
        return FileResult(source, Outcome.FAILED, code="exists", reason=reason)
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__}"
        return FileResult(source, Outcome.FAILED, code="file-system", reason=reason)
    finally:
        draft.discard()
    uid = summary.heading.sop_class_uid
    return FileResult(
        source, Outcome.DEIDENTIFIED, target, sop_class_uid=uid, notes=(*notes, *summary.warnings)
    )


def _rewrite(
    deidentifier: Deidentifier, stream: BinaryIO, draft: _FileDraft
) -> tuple[Summary, tuple[str, ...]]:
    part10 = read_part10(stream)
    stream.seek(part10.offset)
    rewrite = deidentifier.begin(transfer_syntax_uid=part10.transfer_syntax_uid, today=date.today())
    buffer = bytearray(READ_BYTES)
    view = memoryview(buffer)
    while count := stream.readinto(buffer):  # type: ignore[attr-defined]  # a file opened in binary has it
        part = rewrite.feed(view[:count])
        if part is not None:
            if rewrite.heading is not None:
                draft.begin(rewrite.heading.meta)
            draft.write(part)
    last, summary = rewrite.finish()
    draft.begin(summary.heading.meta)
    draft.write(last)
    return summary, part10.oddities


def _refused(source: Path, refusal: ObjectRefused) -> FileResult:
    if isinstance(refusal, NotDicom):
        outcome = Outcome.SKIPPED
    elif isinstance(refusal, Excluded):
        outcome = Outcome.EXCLUDED
    elif isinstance(refusal, Rejected):
        outcome = Outcome.HELD if refusal.code == "held" else Outcome.REJECTED
    else:
        outcome = Outcome.FAILED
    return FileResult(source, outcome, code=refusal.code, reason=refusal.reason, path=refusal.path)


class _NameTakenError(Exception):
    """Another object has the name that was asked for."""


class _FileDraft:
    """A file that is being written under a temporary name."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".deid-node-{random_source.token_hex(8)}.part"
        self._descriptor: int | None = None

    def begin(self, meta: bytes) -> None:
        """Write the file meta information, once, before the first bytes of the dataset."""
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o666)  # as the umask of the person allows
            self._write_all([memoryview(meta)])

    def write(self, part: Deidentified) -> None:
        """Write bytes of the dataset."""
        views = [memoryview(buffer).cast("B") for buffer in part.buffers if len(buffer)]
        for start in range(0, len(views), _MAX_BUFFERS):
            self._write_all(views[start : start + _MAX_BUFFERS])

    def _write_all(self, views: list[memoryview]) -> None:
        if self._descriptor is None:
            raise AssertionError("written before it was begun")
        while views:
            written = os.writev(self._descriptor, views)
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views and written:
                views[0] = views[0][written:]

    def place(self, target: Path, sop_instance_uid: str | None) -> Path:
        """Give the complete file its name, and return it.

        Args:
            target: the name.
            sop_instance_uid: makes other names when another object has this one; None makes none.

        Raises:
            _NameTakenError: a different file has the name.
        """
        self._close()
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._is_placed(target):
            return target
        if sop_instance_uid is not None:
            with self._path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").digest()
            for other in alternatives(target.name, sop_instance_uid, sha256)[1:]:
                if self._is_placed(target.with_name(other)):
                    return target.with_name(other)
        raise _NameTakenError(target)

    def _is_placed(self, target: Path) -> bool:
        """Link the file to a name; False when a different file has it."""
        try:
            os.link(self._path, target)  # not rename, which would replace
        except FileExistsError:
            # The same input, profile and key give the same bytes: a second run finds its own result.
            is_file = target.is_file() and not target.is_symlink()
            return is_file and filecmp.cmp(self._path, target, shallow=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            # No hard links on this file system: take the name first, then replace what we just made.
            try:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
            except FileExistsError:
                return target.is_file() and filecmp.cmp(self._path, target, shallow=False)
            os.rename(self._path, target)
        return True

    def discard(self) -> None:
        """Remove the temporary name, whatever happened before."""
        self._close()
        with suppress(OSError):
            self._path.unlink()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
