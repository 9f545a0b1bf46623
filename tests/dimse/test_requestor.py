"""The SCU against storescp, against pynetdicom, and against an SCP that answers as it should not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import (
    AssociationAbortedError,
    AssociationRejectedError,
    ContextNotAcceptedError,
    Peer,
)
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.raw import CT, EXPLICIT, IMPLICIT, VERIFICATION, command, pdata, us
from tests.dimse.recording import Sample, sample
from tests.dimse.scripted import Scripted, answer, scripted
from tests.peers import LOOPBACK, free_port, storescp

SENT = sample("CT_small.dcm")
ECHO = (VERIFICATION, IMPLICIT)


def peer_at(port: int, timeout_s: float = 5) -> Peer:
    return Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), timeout_s)


def store(assoc: Requestor, sent: Sample = SENT) -> StoreAnswer:
    with sent.path.open("rb") as file:
        return assoc.store_file(file, **sent.keywords)


# --- real peers -----------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("options", [(), ("-pdu", "4096"), ("-pdu", "131072")], ids=["16K", "4K", "128K"])
def test_storescp_keeps_what_is_sent(tmp_path: Path, options: tuple[str, ...]) -> None:
    samples = [
        sample(name)
        for name in ("CT_small.dcm", "MR_small_implicit.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm")
    ]

    with (
        storescp(tmp_path / "down", "+B", "+xa", *options) as port,
        Requestor.connect(peer_at(port), [ECHO, *(sent.context for sent in samples)]) as assoc,
    ):
        echoed = assoc.echo()
        statuses = [store(assoc, sent).status for sent in samples]

    kept = {file.read_bytes()[-500:] for file in (tmp_path / "down").iterdir()}
    assert echoed == StoreStatus.SUCCESS
    assert statuses == [StoreStatus.SUCCESS] * 4
    assert kept >= {sent.dataset[-500:] for sent in samples}


@pytest.mark.peer
def test_storescp_takes_an_object_of_many_megabytes(tmp_path: Path) -> None:
    big = tmp_path / "big.dcm"
    pixels = os.urandom(1 << 20) * 30
    ds = dcmread(SENT.path)
    ds.Rows, ds.Columns = 3840, 4096
    ds.PixelData = pixels
    ds.save_as(big)

    with (
        storescp(tmp_path / "down", "+B") as port,
        Requestor.connect(peer_at(port, 20), [SENT.context]) as assoc,
    ):
        length = big.stat().st_size - SENT.offset
        with big.open("rb") as file:
            answered = assoc.store_file(file, **(SENT.keywords | {"length": length}))

    (kept,) = (tmp_path / "down").iterdir()
    assert answered.status == StoreStatus.SUCCESS
    assert dcmread(kept).PixelData == pixels


@pytest.mark.peer
def test_storescp_may_refuse_a_context(tmp_path: Path) -> None:
    with storescp(tmp_path / "down") as port:  # without compressed transfer syntaxes
        contexts = [SENT.context, (CT, "1.2.840.10008.1.2.4.90")]
        with Requestor.connect(peer_at(port), contexts) as assoc:
            accepted = assoc.accepted
            status = store(assoc).status

    assert accepted == {SENT.context}
    assert status == StoreStatus.SUCCESS


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xA700, 0xA900, 0xC123, 0x0122, 0x1234], ids=hex)
def test_any_status_is_an_answer(status: int) -> None:
    ae = AE("DOWN")
    ae.supported_contexts = AllStoragePresentationContexts
    port = free_port()
    server = ae.start_server(
        (LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: status)]
    )

    try:
        with Requestor.connect(peer_at(port), [SENT.context]) as assoc:
            answered = [store(assoc).status for _ in range(2)]
    finally:
        server.shutdown()

    assert answered == [status, status]


def test_the_most_contexts_that_an_association_can_have() -> None:
    contexts = [(f"1.2.840.10008.5.1.4.1.1.{n}", EXPLICIT) for n in range(1, 129)]

    with scripted(lambda scp: scp.accept()) as (_, port):
        assoc = Requestor.connect(peer_at(port), contexts)
        accepted = assoc.accepted
        assoc.abort()

    assert accepted == set(contexts)
    with pytest.raises(ValueError, match="1 to 128"):
        Requestor.connect(peer_at(port), [*contexts, ECHO])
    with pytest.raises(ValueError, match="1 to 128"):
        Requestor.connect(peer_at(port), [])


# --- what goes over the wire ----------------------------------------------------------------------


@pytest.mark.parametrize("max_pdu", [0, 128, 129, 1000, 4096, 16384, 131072, 2**32 - 1])
def test_fragments_are_even_fit_the_peer_and_are_never_empty(tmp_path: Path, max_pdu: int) -> None:
    fragment = min(max_pdu or 131072, 131072) - 6 & ~1
    content = os.urandom(SENT.offset) + os.urandom(2 * fragment if max_pdu != 128 else 500)
    (tmp_path / "file").write_bytes(content)
    received: list[bytes] = []

    def script(scp: Scripted) -> None:
        scp.accept(max_pdu)
        received.extend(scp.message()[1])
        scp.send(answer())

    with scripted(script) as (_, port):
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with (tmp_path / "file").open("rb") as file:
            length = len(content) - SENT.offset
            answered = assoc.store_file(file, **(SENT.keywords | {"length": length}))
        assoc.abort()

    assert answered.status == StoreStatus.SUCCESS
    assert b"".join(received) == content[SENT.offset :]
    assert all(0 < len(piece) <= fragment and len(piece) % 2 == 0 for piece in received)


def test_neither_the_position_of_the_file_nor_its_rest_matter(tmp_path: Path) -> None:
    received: list[bytes] = []

    def script(scp: Scripted) -> None:
        scp.accept()
        received.extend(scp.message()[1])
        scp.send(answer())

    (tmp_path / "file").write_bytes(b"before" + b"dataset " + b"after")
    with scripted(script) as (_, port), (tmp_path / "file").open("rb") as file:
        file.seek(9)
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        assoc.store_file(file.fileno(), **(SENT.keywords | {"offset": 6, "length": 8}))
        assoc.abort()
        position = file.tell()

    assert b"".join(received) == b"dataset "
    assert position == 9


# --- answers that are none ------------------------------------------------------------------------


def _after_store(*sent: bytes, wait: bool = True) -> Callable[[Scripted], None]:
    def script(scp: Scripted) -> None:
        scp.accept()
        scp.message()
        scp.send(*sent)
        if not wait:
            scp.sock.close()

    return script


@pytest.mark.parametrize(
    "script",
    [
        _after_store(answer(message_id=2)),
        _after_store(answer(instance="1.2.3")),
        _after_store(answer(status=None)),
        _after_store(answer(field=0x8030)),
        _after_store(answer(field=0x0001)),
        _after_store(pdata(3, 3, answer()[12:])),
        _after_store(pdata(1, 2, answer()[12:])),
        _after_store(pdata(1, 3, b"\x08\0")),
        _after_store(pdata(1, 3, command(us(0x100, 0x8001), us(0x120, 1), us(0x800, 1), us(0x900, 0)))),
        _after_store(b"\x04\0\0\0\0\x06\0\0\x10\0\x01\x03"),
        _after_store(b"\x04\0\xff\xff\xff\xff"),
        _after_store(b"\x04\0\0"),
        _after_store(b"\x05\0\0\0\0\x04\0\0\0\0"),
        _after_store(b"\x99\0\0\0\0\x04\0\0\0\0"),
        _after_store(b"", wait=False),
        _after_store(answer()[:-3], wait=False),
        _after_store(b""),
    ],
    ids=[
        "other message id",
        "other instance",
        "no status",
        "echo response",
        "a request",
        "other context",
        "a dataset",
        "no command",
        "says that a dataset follows",
        "PDV past its PDU",
        "4 GiB",
        "half a header",
        "release",
        "unknown PDU",
        "close",
        "close in the answer",
        "silence",
    ],
)
def test_an_answer_that_is_none_is_an_association_error(script: Callable[[Scripted], None]) -> None:
    with scripted(script) as (_, port):
        assoc = Requestor.connect(peer_at(port, 0.5), [SENT.context, ECHO])
        before = time.monotonic()

        with pytest.raises(AssociationError):
            store(assoc)

        took = time.monotonic() - before
        with pytest.raises(AssociationError, match="over"):
            assoc.echo()
        assoc.release()
    assert took < 1.5


def test_an_abort_is_told_with_its_reason() -> None:
    with scripted(_after_store(b"\x07\0\0\0\0\x04\0\0\x02\x06")) as (_, port):
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with pytest.raises(AssociationAbortedError) as caught:
            store(assoc)

    assert (caught.value.source, caught.value.reason) == (2, 6)


@pytest.mark.parametrize("reads_on", [True, False])
def test_an_abort_in_the_middle_of_a_dataset_is_told(tmp_path: Path, reads_on: bool) -> None:
    (tmp_path / "file").write_bytes(bytes(50_000_000))

    def script(scp: Scripted) -> None:
        scp.accept()
        scp.pdu()
        scp.send(b"\x07\0\0\0\0\x04\0\0\0\0")
        scp.sock.shutdown(socket.SHUT_WR)
        while reads_on and scp.sock.recv(1 << 20):
            pass
        scp.sock.close()

    with scripted(script) as (_, port), (tmp_path / "file").open("rb") as file:
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with pytest.raises(AssociationAbortedError):
            assoc.store_file(file, **(SENT.keywords | {"offset": 0, "length": 50_000_000}))


def test_a_peer_that_does_not_read_is_left_in_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(50_000_000))

    with scripted(lambda scp: scp.accept()) as (_, port), (tmp_path / "file").open("rb") as file:
        assoc = Requestor.connect(peer_at(port, 0.5), [SENT.context])
        before = time.monotonic()
        with pytest.raises(AssociationError, match="did not take the data in time"):
            assoc.store_file(file, **(SENT.keywords | {"offset": 0, "length": 50_000_000}))

    assert time.monotonic() - before < 3


@pytest.mark.parametrize("length", [1000, 50_000_000], ids=["waiting", "sending"])
def test_another_thread_can_end_a_wait(tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(bytes(length))

    with (
        scripted(lambda scp: scp.accept()) as (_, port),
        (tmp_path / "file").open("rb") as file,
        ThreadPoolExecutor(1) as pool,
    ):
        assoc = Requestor.connect(peer_at(port, 20), [SENT.context])
        storing = pool.submit(assoc.store_file, file, **(SENT.keywords | {"offset": 0, "length": length}))
        before = time.monotonic()
        assoc.interrupt()
        with pytest.raises(AssociationError):
            storing.result(20)

    assert time.monotonic() - before < 5


def test_an_answer_that_trickles_is_given_up_in_time() -> None:
    def script(scp: Scripted) -> None:
        scp.accept()
        scp.message()
        for byte in answer():
            scp.send(bytes((byte,)))
            time.sleep(0.1)

    with scripted(script) as (_, port):
        assoc = Requestor.connect(peer_at(port, 0.5), [SENT.context])
        before = time.monotonic()
        with pytest.raises(AssociationError, match="in time"):
            store(assoc)

    assert time.monotonic() - before < 3


def test_a_file_that_ends_early_aborts_the_association(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    ends: list[int] = []

    def script(scp: Scripted) -> None:
        scp.accept()
        while (kind := scp.pdu()[0]) == 4:
            pass
        ends.append(kind)

    with scripted(script) as (_, port), (tmp_path / "file").open("rb") as file:
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with pytest.raises(AssociationError, match="the file ended"):
            assoc.store_file(file, **(SENT.keywords | {"offset": 0, "length": 2000}))

    assert ends != [4]


@pytest.mark.parametrize("length", [0, -2, 1001])
def test_a_dataset_has_an_even_length(length: int) -> None:
    with scripted(lambda scp: scp.accept()) as (_, port), SENT.path.open("rb") as file:
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with pytest.raises(ValueError, match="even"):
            assoc.store_file(file, **(SENT.keywords | {"length": length}))
        assoc.abort()


# --- no association -------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 1, 7), (2, 3, 2)], ids=["permanent", "transient"])
def test_a_rejection_is_told_with_its_reason(numbers: tuple[int, int, int]) -> None:
    def script(scp: Scripted) -> None:
        scp.pdu()
        scp.send(b"\x03\0\0\0\0\x04\0" + bytes(numbers))

    with scripted(script) as (_, port), pytest.raises(AssociationRejectedError) as caught:
        Requestor.connect(peer_at(port), [SENT.context])

    assert (caught.value.result, caught.value.source, caught.value.reason) == numbers
    assert caught.value.is_transient == (numbers[0] == 2)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x02\0\0\0\0\x04\0\0\0\0",
        b"\x02\0\xff\xff\xff\xff",
        b"\x03\0\0\0\0\0",
        b"\x07\0\0\0\0\x04\0\0\0\0",
        b"\x04\0\0\0\0\x04\0\0\0\0",
    ],
    ids=["silence", "http", "short AC", "4 GiB", "short RJ", "abort", "data"],
)
def test_what_is_no_answer_to_a_request_is_an_association_error(sent: bytes) -> None:
    def script(scp: Scripted) -> None:
        scp.pdu()
        scp.send(sent)

    before = time.monotonic()
    with scripted(script) as (_, port), pytest.raises(AssociationError):
        Requestor.connect(peer_at(port, 0.5), [SENT.context])

    assert time.monotonic() - before < 3


def test_a_peer_that_is_down_is_an_association_error() -> None:
    port = free_port()

    with pytest.raises(AssociationError, match=f"127.0.0.1 port {port}: connection refused"):
        Requestor.connect(peer_at(port), [SENT.context])


def test_a_name_that_does_not_resolve_is_an_association_error() -> None:
    with pytest.raises(AssociationError, match=r"name\.invalid port 104"):
        Requestor.connect(Peer("name.invalid", 104, AETitle("A"), AETitle("B"), 5), [SENT.context])


def test_without_verification_there_is_no_echo() -> None:
    with scripted(lambda scp: scp.accept()) as (_, port):
        assoc = Requestor.connect(peer_at(port), [SENT.context])
        with pytest.raises(ContextNotAcceptedError):
            assoc.echo()
        assoc.abort()


# --- the end --------------------------------------------------------------------------------------


def test_release_does_not_wait_for_ever_for_its_answer() -> None:
    with scripted(lambda scp: scp.accept()) as (_, port):
        assoc = Requestor.connect(peer_at(port, 0.5), [SENT.context])
        before = time.monotonic()

        assoc.release()

    assert time.monotonic() - before < 2


def test_both_may_release_at_once() -> None:
    seen: list[int] = []

    def script(scp: Scripted) -> None:
        scp.accept()
        seen.append(scp.pdu()[0])
        scp.send(b"\x05\0\0\0\0\x04\0\0\0\0")
        seen.append(scp.pdu()[0])
        scp.send(b"\x06\0\0\0\0\x04\0\0\0\0")
        seen.append(scp.pdu()[0])

    with scripted(script) as (_, port):
        Requestor.connect(peer_at(port), [SENT.context]).release()

    assert seen == [5, 6, 0]


def test_an_exception_in_the_block_aborts() -> None:
    seen: list[int] = []

    def script(scp: Scripted) -> None:
        scp.accept()
        seen.append(scp.pdu()[0])

    with (
        scripted(script) as (_, port),
        pytest.raises(KeyError),
        Requestor.connect(peer_at(port), [SENT.context]),
    ):
        raise KeyError

    assert seen == [7]


def test_message_ids_go_round() -> None:
    ids: list[int] = []

    def script(scp: Scripted) -> None:
        scp.accept()
        for _ in range(3):
            rq, _ = scp.message()
            ids.append(int.from_bytes(rq[0x110], "little"))
            scp.send(answer(field=0x8030, message_id=ids[-1]))

    with scripted(script) as (_, port):
        assoc = Requestor.connect(peer_at(port), [ECHO])
        assoc._message_id = 65533
        for _ in range(3):
            assoc.echo()
        assoc.abort()

    assert ids == [65534, 65535, 1]
