"""One object from an input through the engine to a target."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from typing import BinaryIO, Final

from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Deidentifier, Rewrite
from deid_node.errors import ObjectRefused
from deid_node.files.draft import About, Draft, Names, NameTakenError, Target
from deid_node.files.index import Known
from deid_node.files.input import Input
from deid_node.files.result import FileResult, Outcome, refused
from deid_node.files.web import WebError
from deid_node.node.part10 import read_part10

READ_BYTES: Final = 1 << 20
# Enough to find the dataset in without going back in a stream that cannot.
_HEAD_BYTES: Final = (1 << 20) + 1024

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
    """What is done to every object: the engine, and where results go."""

    deidentifier: Deidentifier
    target: Target
    tell_times: bool = False

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
            with source.open() as stream:
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
            reason = f"{error.strerror or type(error).__name__}"
            code = "server" if isinstance(error, WebError) else "file-system"
            return FileResult(source.shown, Outcome.FAILED, code=code, reason=reason)
        finally:
            if draft is not None:
                draft.discard()
        return FileResult(
            source.shown,
            Outcome.DEIDENTIFIED,
            placed,
            sop_class_uid=summary.heading.sop_class_uid,
            notes=(*read.notes, *summary.notes),
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
        return same and self.target.has(known.target)

    def _about(self, summary: Summary, read: _Read, changed_ns: int, known: Known | None) -> About:
        digest = self.deidentifier.pseudonyms.digest("source", bytes.fromhex(read.hash))
        return About(
            summary.heading.sop_instance_uid,
            read.size,
            changed_ns if self.tell_times else 0,
            digest.hex(),
            known.target_sha256 if known is not None else "",
        )

    def _rewrite(self, stream: BinaryIO, draft: Draft, read: _Read) -> tuple[Rewrite, Summary]:
        head = _filled(stream, _HEAD_BYTES)
        part10 = read_part10(BytesIO(head))
        read.notes = part10.oddities
        rewrite = self.deidentifier.begin(transfer_syntax_uid=part10.transfer_syntax_uid, today=date.today())
        sha256 = hashlib.sha256(head)
        piece = memoryview(head)[part10.offset :]
        read.size = len(head)
        while True:
            part = rewrite.feed(piece)
            if part is not None:
                if rewrite.heading is not None:
                    draft.begin(rewrite.heading.meta)
                draft.write(part)
            chunk = stream.read(READ_BYTES)
            if not chunk:
                break
            sha256.update(chunk)
            read.size += len(chunk)
            piece = memoryview(chunk)
        last, summary = rewrite.finish()
        draft.begin(summary.heading.meta)
        draft.write(last)
        read.hash = sha256.hexdigest()
        return rewrite, summary


def _filled(stream: BinaryIO, count: int) -> bytes:
    """Read so many bytes, or all there are; a network stream may return fewer at a time."""
    pieces: list[bytes] = []
    while count > 0 and (piece := stream.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


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
