"""`deid-node echo` and `deid-node send`: try an AE, and send files to it as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.own_node import own_node
from deid_node.commands.terminal import complain, leave, print_json, say
from deid_node.errors import AssociationError, ObjectRefused

if TYPE_CHECKING:
    import ssl

    from deid_node.dimse.peer import Peer

Host = Annotated[str, typer.Argument(metavar="HOST", help="Host name or address of the AE.")]
Port = Annotated[int, typer.Argument(metavar="PORT", help="TCP port of the AE.", min=1, max=65535)]
Calling = Annotated[str, typer.Option("--calling", help="Our AE title.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for each answer.", min=0.1)]

_MAX_CONTEXTS = 128


def echo(
    host: Annotated[
        str | None, typer.Argument(metavar="HOST", help="Host name or address. Else the configured node.")
    ] = None,
    port: Annotated[
        int, typer.Argument(metavar="PORT", help="TCP port of the AE.", min=1, max=65535)
    ] = 11112,
    called: Annotated[str, typer.Argument(metavar="AE", help="AE title to call.")] = "DEIDNODE",
    calling: Calling = "DEIDNODE",
    timeout: Timeout = 10.0,
    config: Config = None,
) -> None:
    """Verify an AE with C-ECHO; without HOST the configured node, at its port and with its TLS."""
    from deid_node.dimse.requestor import Requestor

    contexts = [("1.2.840.10008.1.1", "1.2.840.10008.1.2")]
    tls: ssl.SSLContext | None = None
    if host is None:
        peer, tls = own_node(config, calling, timeout)
    else:
        peer = _peer(host, port, called, calling, timeout)
    place = f"{peer.called} at {peer.host} port {peer.port}"
    try:
        with Requestor.connect(peer, contexts, tls=tls) as assoc:
            status = assoc.echo()
    except AssociationError as error:
        leave(ExitCode.UNAVAILABLE, f"{place}: {error}.")
    if status:
        leave(ExitCode.INCOMPLETE, f"{place} answered {status:04X}H.")
    say(f"{place} answers.")


def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="DICOM files or folders.")],
    host: Host,
    port: Port,
    called: Annotated[str, typer.Argument(metavar="AE", help="AE title to call.")],
    calling: Calling = "DEIDNODE",
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Send files with C-STORE, as they are: nothing is de-identified on the way."""
    results: list[_Result] = []
    batch: list[_File] = []
    for path in _expanded(files):
        try:
            batch.append(_read(path))
        except (ObjectRefused, OSError) as error:
            text = error.reason if isinstance(error, ObjectRefused) else error.strerror or "cannot be read"
            results.append(_Result(path, None, text))
    try:
        _send(batch, _peer(host, port, called, calling, timeout), results)
    except AssociationError as error:
        if all(result.status is None for result in results):
            leave(ExitCode.UNAVAILABLE, f"{called} at {host} port {port}: {error}; nothing was sent.")
        done = {result.path for result in results}
        results += [_Result(file.path, None, f"not sent: {error}") for file in batch if file.path not in done]
    bad = [result for result in results if result.status != "0000"]
    if as_json:
        print_json(
            [
                {"file": str(r.path), "status": r.status, "problem": r.problem, "comment": r.comment}
                for r in results
            ]
        )
    else:
        for result in bad:
            complain(f"{result.path}: {_told(result)}.")
        say(f"{len(results) - len(bad)} of {len(results)} stored.")
    if bad:
        leave(ExitCode.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one file: status and Error Comment that were answered, or why there are none."""

    path: Path
    status: str | None
    problem: str = ""
    comment: str = ""


def _told(result: _Result) -> str:
    said = f", and says: {result.comment}" if result.comment else ""
    return result.problem or f"answered {result.status}H{said}"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    offset: int
    length: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def _peer(host: str, port: int, called: str, calling: str, timeout: float) -> Peer:
    from deid_node.dimse.peer import Peer
    from deid_node.standard.values import AETitle

    return Peer(host, port, AETitle(called), AETitle(calling), timeout)


def _expanded(files: list[Path]) -> list[Path]:
    """Return the files, those of folders in their place."""
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            found += sorted(below for below in path.rglob("*") if below.is_file())
        elif path.exists():
            found.append(path)
        else:
            leave(ExitCode.NO_INPUT, f"{path}: there is no such file or folder.")
    return found


def _read(path: Path) -> _File:
    from deid_node.dimse.syntaxes import DEFLATED
    from deid_node.errors import Malformed
    from deid_node.node.part10 import read_part10

    with path.open("rb") as stream:
        part10 = read_part10(stream)
        length = stream.seek(0, 2) - part10.offset
        sop_class_uid, sop_instance_uid = _uids(path)
        sop_class_uid = sop_class_uid or part10.sop_class_uid
        sop_instance_uid = sop_instance_uid or part10.sop_instance_uid
    if not (sop_class_uid and sop_instance_uid):
        raise Malformed("names no SOP class or no SOP instance")
    if length % 2 and part10.transfer_syntax_uid != DEFLATED:
        raise Malformed("has a dataset of odd length, which cannot be sent")
    return _File(path, part10.offset, length, sop_class_uid, sop_instance_uid, part10.transfer_syntax_uid)


def _uids(path: Path) -> tuple[str, str]:
    """Return the UIDs of the dataset, "" for what it does not name.

    Those of the file meta information often are others, left by a program that changed the dataset
    alone; a receiver compares the request with the dataset.
    """
    from pydicom import dcmread

    from deid_node.dimse.implementation import silence_libraries

    silence_libraries()
    wanted = ["SOPClassUID", "SOPInstanceUID"]
    try:
        ds = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(wanted))
        return str(ds.get(wanted[0], "")), str(ds.get(wanted[1], ""))
    except Exception:  # pydicom raises nearly anything for what is broken; the file meta is left to ask
        return "", ""


def _send(batch: list[_File], peer: Peer, results: list[_Result]) -> None:
    """Send files, as many associations one after another as their presentation contexts need."""
    from deid_node.dimse.peer import ContextNotAcceptedError
    from deid_node.dimse.requestor import Requestor

    left = list(batch)
    while left:
        contexts: dict[tuple[str, str], None] = {}
        for file in left:
            if len(contexts) < _MAX_CONTEXTS:
                contexts[file.sop_class_uid, file.transfer_syntax_uid] = None
        now = [file for file in left if (file.sop_class_uid, file.transfer_syntax_uid) in contexts]
        left = [file for file in left if (file.sop_class_uid, file.transfer_syntax_uid) not in contexts]
        with Requestor.connect(peer, list(contexts)) as assoc:
            for file in now:
                try:
                    with file.path.open("rb") as stream:
                        answer = assoc.store_file(
                            stream,
                            offset=file.offset,
                            length=file.length,
                            sop_class_uid=file.sop_class_uid,
                            sop_instance_uid=file.sop_instance_uid,
                            transfer_syntax_uid=file.transfer_syntax_uid,
                        )
                except ContextNotAcceptedError as error:
                    results.append(_Result(file.path, None, str(error)))
                else:
                    results.append(_Result(file.path, answer.status.code, comment=answer.comment))
