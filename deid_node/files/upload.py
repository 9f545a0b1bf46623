"""Results that go to a web server (PUT) or an object store, beside what may be told of their inputs.

Rows DC-32 and DC-33, with two differences: the hash of an input is keyed, because a bare hash of an
identified file links the result to it, and the time of change of an input is told only when asked for,
because it often is the date of the study.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO, Final
from urllib.parse import quote, urlsplit, urlunsplit

from deid_node.engine.deidentified import Buffers, Deidentified
from deid_node.files.draft import About, Counted, Names, Tally
from deid_node.files.store import DEFAULT_PART_BYTES, Bucket
from deid_node.files.web import WebError, put

_TRIES: Final = 3
_CONTENT_TYPE: Final = "application/octet-stream"
_FILE_TYPE: Final = "application/dicom"

Upload = Callable[[Names, BinaryIO, "Tally", About], str]


class UploadDraft(Counted):
    """A result that is gathered, de-identified, before it is sent."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._body: BinaryIO | None = None
        self._tally = Tally()

    def begin(self, meta: bytes) -> None:
        """Take the file meta information, once."""
        if self._body is None:
            self._body = tempfile.TemporaryFile()  # noqa: SIM115  # closed by discard
            self._add([meta])

    def write(self, part: Deidentified) -> None:
        """Take bytes of the dataset."""
        self._add(part.buffers)

    def _add(self, buffers: Buffers) -> None:
        assert self._body is not None
        self._tally.add(buffers)
        for buffer in buffers:
            self._body.write(buffer)

    def place(self, names: Names, about: About) -> str:
        """Send the result."""
        assert self._body is not None
        self._body.flush()
        return self._upload(names, self._body, self._tally, about)

    def discard(self) -> None:
        """Close what was gathered; it has no name."""
        if self._body is not None:
            self._body.close()
            self._body = None


@dataclass(frozen=True, slots=True)
class WebTarget:
    """A web server that takes PUT requests below an address."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def begin(self) -> UploadDraft:
        """Start a result."""
        return UploadDraft(self._send)

    def shown(self, names: Names) -> str:
        """Return the address without user and query."""
        parts = urlsplit(self._address(names))
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def has(self, shown: str, size: int) -> bool:
        """Believe the index: servers that take PUT often answer no other question."""
        return True

    def _address(self, names: Names) -> str:
        parts = urlsplit(self.url)
        path = "/".join([quote(parts.path.rstrip("/"), safe="/%"), *(quote(name, safe="") for name in names)])
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def _send(self, names: Names, body: BinaryIO, tally: Tally, about: About) -> str:
        shown = self.shown(names)
        if about.known_sha256 == tally.sha256:
            return shown
        told = {
            "Content-Type": _CONTENT_TYPE,
            "X-File-Name": quote(names[-1]),
            "X-File-Type": _FILE_TYPE,
            "X-File-Size": str(tally.size),
            **{f"X-{name.title()}": value for name, value in _told(about).items()},
            **self.headers,
        }
        for left in range(_TRIES - 1, -1, -1):
            try:
                put(self._address(names), body, told)
                break
            except WebError as error:
                passes = error.status == 0 or error.status >= 500
                if not left or not passes:
                    raise
        return shown


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """A prefix of a bucket. An object longer than `part_bytes` is sent in parts of that size."""

    bucket: Bucket
    prefix: str
    part_bytes: int = DEFAULT_PART_BYTES

    def begin(self) -> UploadDraft:
        """Start a result."""
        return UploadDraft(self._send)

    def shown(self, names: Names) -> str:
        """Return the address."""
        return f"s3://{self.bucket.name}/{self._key(names)}"

    def has(self, shown: str, size: int) -> bool:
        """Ask the store."""
        return self.bucket.has(shown.removeprefix(f"s3://{self.bucket.name}/"), size)

    def _key(self, names: Names) -> str:
        prefix = self.prefix.strip("/")
        return "/".join([prefix, *names] if prefix else names)

    def _send(self, names: Names, body: BinaryIO, tally: Tally, about: About) -> str:
        if about.known_sha256 != tally.sha256:
            metadata = {**_told(about), "source-file-post-mapped-hash": tally.sha256}
            self.bucket.put(self._key(names), body, metadata, self.part_bytes)
        return self.shown(names)


def _told(about: About) -> dict[str, str]:
    """Return what is told of the input."""
    told = {"source-file-size": str(about.source_size)}
    if about.source_changed_ns:
        changed = datetime.fromtimestamp(about.source_changed_ns / 1e9, UTC)
        told["source-file-modified-time"] = changed.isoformat(timespec="seconds").replace("+00:00", "Z")
    if about.source_digest:
        told["source-file-hash"] = about.source_digest
    return told
