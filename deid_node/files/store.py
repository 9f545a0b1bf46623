"""Object stores that speak S3, through obstore (extra `s3`).

Credentials come from where obstore looks for them (AWS_ACCESS_KEY_ID and so on, instance roles), never
from the command line. The library's threads do not survive a fork: whatever uses it runs in a process of
its own, and never in the one that forks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from deid_node.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import S3Store

DEFAULT_PART_BYTES: Final = 16 << 20
Value = TypeVar("Value")
Listed = tuple[str, int, int]  # key, size, time of change in nanoseconds


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket and how it is reached."""

    name: str
    endpoint: str = ""
    region: str = ""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with a prefix, in the order of keys.

        Raises:
            ConfigurationError: the store cannot be listed.
        """
        yield from _in_process(self, prefix)

    def open(self, key: str) -> Told:
        """Open an object for reading. Raises OSError."""
        import obstore

        return Told(lambda: obstore.open_reader(_store(self), key))

    def put(self, key: str, body: BinaryIO, metadata: Mapping[str, str], part_bytes: int) -> None:
        """Store a file as an object, in parts when it is longer than one. Raises OSError."""
        import obstore

        attributes = {"Content-Type": "application/octet-stream", **metadata}
        body.seek(0)
        _tell(lambda: obstore.put(_store(self), key, body, attributes=attributes, chunk_size=part_bytes))

    def has(self, key: str, size: int) -> bool:
        """Tell whether there is an object of so many bytes with this key. Raises OSError."""
        import obstore

        try:
            found = obstore.head(_store(self), key)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise _error(error) from None
        return found["size"] == size


def bucket_of(address: str, *, endpoint: str = "", region: str = "") -> tuple[Bucket, str]:
    """Return the bucket and the prefix of s3://BUCKET/PREFIX.

    Raises:
        ConfigurationError: there is no bucket, or obstore is not installed.
    """
    name, _, prefix = address.removeprefix("s3://").partition("/")
    if not name:
        raise ConfigurationError(f"{address}: an object store is written s3://BUCKET/PREFIX.")
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f'{address}: object stores need the extra s3: pip install "deid-node[s3]".'
        ) from None
    return Bucket(name, endpoint, region), prefix


@lru_cache(maxsize=8)
def _store(bucket: Bucket) -> S3Store:
    from obstore.store import S3Store

    given: dict[str, Any] = {}
    if bucket.endpoint:
        given["endpoint"] = bucket.endpoint
        given["virtual_hosted_style_request"] = False
        given["client_options"] = {"allow_http": bucket.endpoint.startswith("http://")}
    if bucket.region:
        given["region"] = bucket.region
    return S3Store(bucket.name, **given)


def _error(error: Exception) -> OSError:
    """Return an error without the text of the library, which has addresses and keys in it."""
    return OSError(0, f"the object store refuses or cannot be reached ({type(error).__name__})")


def _tell(do: Callable[[], Value]) -> Value:
    try:
        return do()
    except Exception as error:
        raise _error(error) from None


class Told:
    """A reader whose errors are those of files."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._reader = _tell(opened)

    def close(self) -> None:
        """Read no more."""
        self._reader.close()

    def read(self, count: int) -> bytes:
        """Return the next bytes. Raises OSError."""
        return bytes(_tell(lambda: self._reader.read(count)))

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes into a buffer and return how many came. Raises OSError."""
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _list(bucket: Bucket, prefix: str) -> Iterator[Listed]:
    import obstore

    store = _store(bucket)
    found = [_listed(meta) for chunk in store.list(prefix or None) for meta in chunk]
    if not found and prefix and not prefix.endswith("/"):
        found = [_listed(obstore.head(store, prefix))]
    yield from sorted(found)


def _listed(meta: Any) -> Listed:
    return meta["path"], meta["size"], int(meta["last_modified"].timestamp() * 1e9)


def _in_process(bucket: Bucket, prefix: str) -> Iterator[Listed]:
    """List in an interpreter of its own, which ends before any process of ours is forked."""
    words = (bucket.name, bucket.endpoint, bucket.region, prefix)
    command = [sys.executable, "-c", f"import {__name__} as store; store.print_list()", *words]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEID_NODE_")}
    with subprocess.Popen(  # noqa: S603  # no shell, our own module; it needs no key of ours
        command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=inherited
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if isinstance(told, str):
                raise ConfigurationError(
                    f"s3://{bucket.name}/{prefix}: cannot be listed ({told}); bucket, credentials, region or "
                    "endpoint are others."
                )
            yield tuple(told)
    if process.returncode:
        raise ConfigurationError(f"s3://{bucket.name}/{prefix}: cannot be listed.")


def print_list() -> None:
    """Print a list as JSON lines: what the interpreter does that is started for it, for its arguments."""
    name, endpoint, region, prefix = sys.argv[1:]
    try:
        for one in _list(Bucket(name, endpoint, region), prefix):
            print(json.dumps(one))
    except Exception as error:  # the edge of a process: what it was is told, not its text
        print(json.dumps(type(error).__name__))
