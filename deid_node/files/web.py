"""Web requests for de-identifying without the network part: GET an object, PUT a result.

Only http and https, also after a redirect; headers that a person gave do not follow to another host.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, BinaryIO, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from deid_node.errors import ConfigurationError

_TIMEOUT_S: Final = 60.0
_SCHEMES: Final = ("http", "https")


class WebError(OSError):
    """A web request failed; `strerror` says how, without the address."""

    def __init__(self, told: str, status: int = 0) -> None:
        super().__init__(0, told)
        self.status = status


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow to other addresses of the web only, and take no headers of a person to another host."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows. Raises WebError."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in _SCHEMES:
            raise WebError("redirects to what is no web address")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            following.headers = {}
        return following


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", "deid-node")]
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _send(request: urllib.request.Request) -> HTTPResponse:
    try:
        return cast(HTTPResponse, _opener().open(request, timeout=_TIMEOUT_S))
    except HTTPError as error:
        error.close()
        raise WebError(f"the server answers {error.code}", error.code) from None
    except WebError:
        raise
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, BrokenPipeError | ConnectionResetError):
            takes = ", as one that takes no PUT does" if request.method == "PUT" else ""
            raise WebError(f"the server ends the connection too early{takes}") from None
        told = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(error).__name__
        raise WebError(f"the server cannot be reached ({told})") from None


def check_address(url: str) -> None:
    """Refuse an address that says who asks: it would be on the command line, and in lists of processes.

    Raises:
        ConfigurationError: there is a user in it, or no host.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"{parts.scheme}://{host}{parts.path}: the address has a user in it; give a file with the line "
            "`Authorization: Basic ...` as headers instead."
        )
    if not host:
        raise ConfigurationError(f"{url}: the address has no host.")


def get(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    """Ask for an address; the answer is read from the returned stream.

    Raises:
        WebError: the server cannot be reached, or refuses.
    """
    return _send(urllib.request.Request(url, headers=dict(headers)))  # noqa: S310  # the opener has no other scheme


def put(url: str, body: BinaryIO, headers: Mapping[str, str]) -> None:
    """Send a file to an address, as it is from its beginning.

    Raises:
        WebError: the server cannot be reached, or refuses.
    """
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    request = urllib.request.Request(url, data=body, method="PUT")  # noqa: S310
    for name, value in {**headers, "Content-Length": str(size)}.items():
        request.add_header(name, value)
    _send(request).close()


def read_headers(file: Path) -> dict[str, str]:
    """Read headers from a text file, `Name: value` on each line, so that none is on a command line.

    Raises:
        ConfigurationError: cannot be read, or a line is no header.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{file}: cannot be read as text.") from None
    headers: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip() or not value.strip().isprintable():
            raise ConfigurationError(f"{file} line {number}: a header is written Name: value.")
        headers[name.strip()] = value.strip()
    return headers
