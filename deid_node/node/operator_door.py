"""A door for the operator of this machine: objects that were let in once may be given to the node again.

A Unix socket in the state folder, that no network reaches. It opens for the account of the node and for
root, whom the kernel names (SO_PEERCRED), and not for anybody who only knows an AE title. What comes in here
is begun by the same intake as what comes over an association, as its first sender sent it; that sender's
right to do so was asked for then.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from deid_node.dimse.association import MAX_COMMENT, Caller, ObjectIntake, StoreAnswer, StoreRequest
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.log import describe
from deid_node.standard.values import AETitle

_LOG: Final = structlog.get_logger(__name__)
NAME: Final = "operator.sock"
_LENGTH: Final = struct.Struct("<Q")
_CREDENTIALS: Final = struct.Struct("3i")  # process, account, group
_MAX_WORD_BYTES: Final = 65536
_PIECE_BYTES: Final = 1 << 18
_WAIT_S: Final = 30.0
_GRACE_S: Final = 30.0
_PAUSE_S: Final = 0.1

Begin = Callable[[Caller, StoreRequest], ObjectIntake]


@dataclass(frozen=True, slots=True)
class Again:
    """What is said of an object: its request, who sent it first and whom that called, its bytes."""

    request: StoreRequest
    calling: str
    called: str
    address: str
    size: int


class OperatorDoor:
    """Takes objects from the operator, one after the other. Ends with `stop`."""

    def __init__(self, state: Path, begin: Begin, *, wait_s: float = _WAIT_S) -> None:
        """Prepare.

        Args:
            state: the folder of the socket; the caller is the only one who uses it.
            begin: starts an object.
            wait_s: how long is waited for the next bytes.
        """
        self._state = state
        self._begin = begin
        self._wait_s = wait_s
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._guest: socket.socket | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="operator-door", daemon=True)

    def start(self) -> None:
        """Open the door; a file system that has no sockets leaves it shut, which is told."""
        try:
            with _in(self._state) as place:
                with suppress(FileNotFoundError):
                    os.unlink(place)  # of a process that was killed
                self._listener.bind(place)
                os.chmod(place, 0o600)
            self._listener.listen(4)  # only now: nobody gets in before the mode is right
        except OSError as error:
            _LOG.warning("node.operator_door_shut", folder=self._state, reason=error.strerror)
            return
        self._thread.start()

    def stop(self) -> None:
        """Shut the door; an object under way is forgotten, and its operator still has it."""
        self._stopping = True
        for sock in (self._listener, self._guest):
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(_GRACE_S)
            with suppress(OSError):
                (self._state / NAME).unlink()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stopping:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                time.sleep(_PAUSE_S)  # the end, or no descriptor is left
                continue
            with closing(guest):
                self._guest = guest
                try:
                    self._receive(guest)
                except (OSError, ValueError, KeyError, TypeError) as error:
                    _LOG.warning("node.operator_lost", **describe(error))
                except Exception as error:
                    _LOG.error("node.fault", **describe(error))
                self._guest = None

    def _receive(self, guest: socket.socket) -> None:
        """Take one object and answer. Raises OSError, and ValueError or the like for what is no request."""
        guest.settimeout(self._wait_s)
        content = guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        account = _CREDENTIALS.unpack(content)[1]
        if account not in (0, os.geteuid()):
            _LOG.warning("node.operator_refused", account=account)
            return
        with guest.makefile("rb") as stream:
            again = _read_word(stream)
            caller = Caller(
                AETitle(again.calling), AETitle(again.called), again.address, 0, secrets.token_hex(4)
            )
            answer = self._take(self._begin(caller, again.request), stream, again.size)
        _LOG.info("node.object_given_again", association=caller.association, status=answer.status.code)
        said = {"status": int(answer.status), "comment": answer.comment}
        guest.sendall(json.dumps(said).encode() + b"\n")

    @staticmethod
    def _take(intake: ObjectIntake, stream: BinaryIO, size: int) -> StoreAnswer:
        left = size
        try:
            while left:
                piece = stream.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise ConnectionResetError("the operator went away")
                intake.feed(memoryview(piece))
                left -= len(piece)
        except OSError:
            intake.abort()
            raise
        return intake.finish()


def give(state: Path, again: Again, dataset: BinaryIO, timeout_s: float) -> StoreAnswer:
    """Give an object to the running node whose state folder this is, and return its answer.

    Args:
        state: the state folder.
        again: what is said of it.
        dataset: `again.size` bytes from the beginning; a real file.
        timeout_s: for the connection, each send and the answer.

    Raises:
        AssociationError: the node does not run, may not be asked by this account, or went away.
    """
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
            sock.settimeout(timeout_s)
            with _in(state) as place:
                sock.connect(place)
            word = json.dumps(asdict(again)).encode()
            sock.sendall(_LENGTH.pack(len(word)) + word)
            dataset.seek(0)
            sock.sendfile(dataset, 0, again.size or None)
            with sock.makefile("rb") as stream:
                answer = stream.readline(_MAX_WORD_BYTES)
    except PermissionError:
        raise AssociationError(
            f"{state / NAME} opens for the account of the node and for root only"
        ) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise AssociationError(f"no node runs with the state folder {state}") from None
    except OSError as error:
        raise AssociationError(f"the node went away ({error.strerror or 'no answer in time'})") from None
    if not answer:
        raise AssociationError("the node ended the connection without an answer")
    said = json.loads(answer)
    return StoreAnswer(StoreStatus(said["status"]), str(said["comment"])[:MAX_COMMENT])


def _read_word(stream: BinaryIO) -> Again:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _MAX_WORD_BYTES:
        raise ValueError("too long")
    said = json.loads(_exactly(stream, length))
    return Again(
        StoreRequest(**said["request"]), said["calling"], said["called"], said["address"], int(said["size"])
    )


def _exactly(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise ConnectionResetError("the operator went away")
    return content


@contextmanager
def _in(state: Path) -> Iterator[str]:
    """Yield a short path of the socket: the address of a Unix socket has 107 bytes, a path may have more."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
