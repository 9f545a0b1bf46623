"""One object that is in memory or comes from an open stream, and a result that stays in memory.

What is given is read once; it is not closed, not changed, and not written anywhere. A Dataset is encoded in
the transfer syntax that its file meta information names, else as it was read, else in Explicit VR Little
Endian; nothing else of its file meta information is looked at but the SOP class.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Final

from deid_node.engine.deidentified import Buffers, Deidentified
from deid_node.errors import Malformed
from deid_node.files.draft import About, Counted, Names, Tally
from deid_node.files.input import Input, LocalFile, Stream, WebFile
from deid_node.files.web import check_address
from deid_node.node.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from pydicom.dataset import Dataset

    One = str | Path | bytes | bytearray | memoryview | BinaryIO | Dataset
    """What one object may be given as: the path of a file, the bytes of one, a stream of them, a Dataset."""

_SHOWN: Final = "object in memory"
_SYNTAXES: Final = {
    (True, True): IMPLICIT_LITTLE,
    (False, True): EXPLICIT_LITTLE,
    (False, False): EXPLICIT_BIG,
}


def input_of(source: One, headers: Mapping[str, str] = MappingProxyType({})) -> Input:
    """Return one object as an input.

    Args:
        source: a path, a web address, bytes, a stream, a Dataset.
        headers: for a web request.

    Raises:
        ConfigurationError: a web address cannot be used.
        TypeError: it is nothing of the kind, or a stream of text.
    """
    from pydicom.dataset import Dataset

    if isinstance(source, str) and source.startswith(("http://", "https://")):
        check_address(source)
        return WebFile(source, headers)
    if isinstance(source, str | Path):
        path = Path(source)
        return LocalFile(path, PurePosixPath(path.name), may_be_pipe=True)
    if isinstance(source, bytes | bytearray | memoryview):
        return HeldObject(content=source)
    if isinstance(source, Dataset):
        return HeldObject(ds=source)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise TypeError(
            "An object is given as a path, as bytes, as a stream that was opened in binary mode, or as a "
            f"pydicom Dataset; not as {type(source).__name__}."
        )
    return HeldObject(stream=source)


@dataclass(frozen=True, slots=True)
class HeldObject:
    """An object that somebody else holds: one of bytes, a stream, a Dataset."""

    content: bytes | bytearray | memoryview = field(default=b"", repr=False)
    stream: BinaryIO | None = field(default=None, repr=False)
    ds: Dataset | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The same for all: nothing is known that could be shown."""
        return _SHOWN

    @property
    def relative(self) -> PurePosixPath:
        """A name that says nothing."""
        return PurePosixPath("object")

    @property
    def stamp(self) -> tuple[int, int]:
        """Unknown before it is read."""
        return 0, 0

    def open(self) -> Stream:
        """Return a stream of its own; closing it closes nothing that was given.

        Raises:
            Malformed: the Dataset cannot be encoded.
        """
        if self.stream is not None:
            return _Lent(self.stream)
        return io.BytesIO(self.content) if self.ds is None else _encoded(self.ds)


class _Lent(io.RawIOBase):
    """A stream that is read and left open."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        piece = self._stream.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


def _encoded(ds: Dataset) -> io.BytesIO:
    """Return a Dataset as a file (PS3.10 section 7.1)."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    given = getattr(ds, "file_meta", None) or meta
    implicit, little = ds.original_encoding
    as_read = _SYNTAXES.get((bool(implicit), bool(little)), EXPLICIT_LITTLE)
    syntax = UID(given.get("TransferSyntaxUID") or (EXPLICIT_LITTLE if implicit is None else as_read))
    meta.TransferSyntaxUID = syntax
    if "MediaStorageSOPClassUID" in given:
        meta.MediaStorageSOPClassUID = given.MediaStorageSOPClassUID
    whole = copy(ds)  # its elements are those that were given; only what stands before them is new
    whole.file_meta = meta
    whole.preamble = bytes(128)
    stream = io.BytesIO()
    try:
        # Forced, since pydicom does not know every transfer syntax that the engine passes on.
        whole.save_as(
            stream,
            implicit_vr=syntax == IMPLICIT_LITTLE,
            little_endian=syntax != EXPLICIT_BIG,
            force_encoding=True,
        )
    except Exception:  # pydicom raises what it likes; its texts may quote values
        raise Malformed("the Dataset cannot be encoded in its transfer syntax") from None
    stream.seek(0)
    return stream


class MemoryTarget:
    """A place for one result, in memory."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        """the whole result, None as long as there is none"""

    def begin(self) -> MemoryDraft:
        """Start a result."""
        return MemoryDraft(self)

    def shown(self, names: Names) -> str:
        """Return what stands for a path."""
        return _SHOWN

    def has(self, shown: str, size: int) -> bool:
        """Tell whether there is a result."""
        return self.content is not None


class MemoryDraft(Counted):
    """A result that is being gathered."""

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target
        self._body = io.BytesIO()
        self._tally = Tally()

    def begin(self, meta: bytes) -> None:
        """Take the file meta information, once."""
        if not self._tally.size:
            self._add([meta])

    def write(self, part: Deidentified) -> None:
        """Take bytes of the dataset."""
        self._add(part.buffers)

    def _add(self, buffers: Buffers) -> None:
        self._tally.add(buffers)
        for buffer in buffers:
            self._body.write(buffer)

    def place(self, names: Names, about: About) -> str:
        """Hand over the complete result."""
        self._target.content = self._body.getvalue()
        return self._target.shown(names)

    def discard(self) -> None:
        """Forget what was gathered; what was handed over stays."""
        self._body = io.BytesIO()
