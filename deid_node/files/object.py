"""One object from an input through the engine to a target."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from typing import Final

from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Deidentifier, Rewrite
from deid_node.errors import Malformed, ObjectRefused
from deid_node.files.draft import About, Draft, Names, NameTakenError, Target
from deid_node.files.index import Known
from deid_node.files.input import Input, Stream
from deid_node.files.result import FileResult, Outcome, refused
from deid_node.files.web import WebError
from deid_node.node.part10 import Part10, read_part10

# Enough to find the dataset in without going back in a stream that cannot.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_READ_BYTES: Final = (1 << 20) + 1024
_USUAL_META_BYTES: Final = 4096
_FIRST_ELEMENT: Final = 16  # bytes behind the file meta information that are looked at

Name = Callable[[Summary, Callable[[str], str]], Names]
"""Names a result, given a function that veils names of inputs (see `Rewrite.veiled`)."""


@dataclass(slots=True)
class _Read:
    """What was read of one input."""

    size: int = 0
    hash: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to every object: the engine, and where results go.

    `hashes`: whether the hashes of inputs are wanted.
    """

    deidentifier: Deidentifier
    target: Target
    tell_times: bool = False
    hashes: bool = True
    # New memory costs the kernel ten times what reading into memory costs that is there already.
    _own: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def run(self, source: Input, name: Name, known: Known | None = None) -> FileResult:
        """De-identify one object into the place that `name` chooses.

        Args:
            name: from what is known of the de-identified object to its name; raises nothing.
            known: what an earlier run noted of this input.
        """
        read = _Read()
        draft: Draft | None = None
        changed_ns = 0
        try:
            size, changed_ns = source.stamp
            if known is not None and self._is_unchanged(known, size, changed_ns):
                return _unchanged(source, known)
            draft = self.target.begin()
            with closing(source.open()) as stream:
                rewrite, summary = self._rewrite(stream, draft, read)
            about = self._about(summary, read, changed_ns, known)
            placed = draft.place(name(summary, rewrite.veiled), about)
        except ObjectRefused as refusal:
            result = refused(source.shown, refusal)
            return replace(result, source_size=read.size)
        except NameTakenError as error:
            reason = f"another object is called {error} already; it is not replaced"
            return FileResult(source.shown, Outcome.FAILED, code="exists", reason=reason)
        except OSError as error:
            code = "server" if isinstance(error, WebError) else "file-system"
            return FileResult(source.shown, Outcome.FAILED, code=code, reason=_told(error, source))
        finally:
            if draft is not None:
                draft.discard()
        return FileResult(
            source.shown,
            Outcome.DEIDENTIFIED,
            placed,
            sop_class_uid=summary.heading.sop_class_uid,
            notes=(*read.notes, *summary.notes),
            repairs=summary.repairs,
            findings=summary.findings,
            source_size=read.size,
            source_changed_ns=changed_ns,
            target_size=draft.size,
            source_sha256=read.hash,
            target_sha256=draft.sha256,
            private=rewrite.private_elements(),
        )

    def _is_unchanged(self, known: Known, size: int, changed_ns: int) -> bool:
        same = bool(changed_ns) and (known.size, known.changed_ns) == (size, changed_ns)
        return same and self.target.has(known.target, known.target_size)

    def _about(self, summary: Summary, read: _Read, changed_ns: int, known: Known | None) -> About:
        digest = ""
        if read.hash:
            digest = self.deidentifier.pseudonyms.digest("source", bytes.fromhex(read.hash)).hex()
        return About(
            summary.heading.sop_instance_uid,
            read.size,
            changed_ns if self.tell_times else 0,
            digest,
            known.target_sha256 if known is not None else "",
        )

    def _rewrite(self, stream: Stream, draft: Draft, read: _Read) -> tuple[Rewrite, Summary]:
        buffer = self._buffer()
        count = _filled(stream, buffer)
        part10 = _beginning(buffer[:count])
        read.notes = part10.oddities
        now = datetime.now()
        rewrite = self.deidentifier.begin(
            transfer_syntax_uid=part10.transfer_syntax_uid, today=now.date(), time_of_day=now.time()
        )
        sha256 = hashlib.sha256() if self.hashes else None
        start, ended = part10.offset, count < len(buffer)
        while count:
            read.size += count
            if sha256 is not None:
                sha256.update(buffer[:count])
            part = rewrite.feed(buffer[start:count])
            if part is not None:
                if rewrite.heading is not None:
                    draft.begin(rewrite.heading.meta)
                draft.write(part)
            start, count = 0, 0 if ended else stream.readinto(buffer) or 0
        last, summary = rewrite.finish()
        draft.begin(summary.heading.meta)
        draft.write(last)
        read.hash = sha256.hexdigest() if sha256 is not None else ""
        return rewrite, summary

    def _buffer(self) -> memoryview:
        """Return the memory that this thread reads into, for one object after the other."""
        buffer: memoryview | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = memoryview(bytearray(_READ_BYTES))
        return buffer


def _filled(stream: Stream, buffer: memoryview) -> int:
    """Fill a buffer, or read all there is; a network stream may return fewer bytes at a time."""
    filled = 0
    while filled < len(buffer) and (count := stream.readinto(buffer[filled:])):
        filled += count
    return filled


def _beginning(head: memoryview) -> Part10:
    """Find the dataset; what is looked at is copied, so first only as much as there usually is.

    Raises:
        Malformed: the file meta information cannot be read, or it is no DICOM file.
    """
    if len(head) > _USUAL_META_BYTES:
        with suppress(Malformed):
            found = read_part10(BytesIO(head[:_USUAL_META_BYTES]))
            if found.offset + _FIRST_ELEMENT <= _USUAL_META_BYTES:
                return found
    return read_part10(BytesIO(head))


def _told(error: OSError, source: Input) -> str:
    """Return what went wrong, and whether it did while the result was written."""
    told = error.strerror or type(error).__name__
    elsewhere = error.filename is not None and str(error.filename) != str(source.shown)
    return f"the result cannot be written ({told})" if elsewhere or error.errno in _NO_ROOM else told


def _unchanged(source: Input, known: Known) -> FileResult:
    return FileResult(
        source.shown,
        Outcome.UNCHANGED,
        known.target,
        source_size=known.size,
        source_changed_ns=known.changed_ns,
        source_sha256=known.source_sha256,
        target_sha256=known.target_sha256,
    )
