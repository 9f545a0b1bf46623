"""Objects that are stored while they are made: fragments, the byte that is carried, the end kept back."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.outgoing import OutgoingStore, Piece
from deid_node.dimse.peer import AssociationAbortedError, ContextNotAcceptedError, Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.certificates import Authority
from tests.dimse.probes import Start
from tests.dimse.recording import RecordingIntake, sample
from tests.dimse.scripted import Scripted, answer, scripted
from tests.peers import LOOPBACK, storescp, wait_for

SENT = sample("CT_small.dcm")
NAMES = {
    "sop_class_uid": SENT.sop_class_uid,
    "sop_instance_uid": SENT.sop_instance_uid,
    "transfer_syntax_uid": SENT.transfer_syntax_uid,
}


class Paper:
    """An association that only notes what is sent."""

    def __init__(self, fragment_bytes: int) -> None:
        self.fragment_bytes = fragment_bytes
        self.fragments: list[bytes] = []
        self.headers: list[bytes] = []
        self.aborted = 0
        self.broken = False

    def send_fragment(self, header: bytes, pieces: Sequence[Piece], *, more: bool) -> None:
        if self.broken:
            raise AssociationError("lost")
        self.headers.append(header)
        self.fragments.append(b"".join(map(bytes, pieces)))
        assert more == (header[11] == 0)

    def abort(self) -> None:
        self.aborted += 1


def outgoing(paper: Paper, *, pads: bool = False) -> OutgoingStore:
    return OutgoingStore(paper, 1, lambda: StoreAnswer(StoreStatus.SUCCESS), pads=pads)


@pytest.mark.parametrize("fragment_bytes", [2, 122, 16_378, 131_066])
def test_whatever_the_pieces_the_fragments_are_even_full_and_never_empty(fragment_bytes: int) -> None:
    rng = random.Random(fragment_bytes)
    for _ in range(40):
        content = rng.randbytes(
            rng.choice((2, 4, 500, 40_000, 200_000)) // (1 if fragment_bytes > 2 else 100) + 2 & ~1
        )
        paper = Paper(fragment_bytes)
        store = outgoing(paper)
        at = 0
        while at < len(content):
            ends = sorted(rng.randint(at, len(content)) for _ in range(rng.randint(1, 4)))
            pieces = [content[a:b] for a, b in zip([at, *ends], ends, strict=False)]
            scratch = [memoryview(bytearray(piece)) for piece in pieces]
            store.write(scratch)
            for view in scratch:  # the views are dead once write returned
                view[:] = bytes(len(view))
            at = ends[-1]

        assert store.finish().status == StoreStatus.SUCCESS

        assert b"".join(paper.fragments) == content
        assert all(0 < len(fragment) <= fragment_bytes for fragment in paper.fragments)
        assert not any(len(fragment) % 2 for fragment in paper.fragments)
        assert [header[11] for header in paper.headers] == [0] * (len(paper.headers) - 1) + [2]
        lengths = [int.from_bytes(header[6:10], "big") - 2 for header in paper.headers]
        assert lengths == list(map(len, paper.fragments))


def test_a_small_object_is_one_fragment() -> None:
    paper = Paper(16_378)
    store = outgoing(paper)

    for _ in range(100):
        store.write([b"12", b"345"])
    store.finish()

    assert [len(fragment) for fragment in paper.fragments] == [500]


@pytest.mark.parametrize(
    ("content", "pads", "is_right"), [(b"", True, False), (b"123", False, False), (b"123", True, True)]
)
def test_an_odd_dataset_is_padded_or_refused(content: bytes, pads: bool, is_right: bool) -> None:
    paper = Paper(16_378)
    store = outgoing(paper, pads=pads)
    store.write([content])

    if is_right:
        store.finish()
        assert paper.fragments == [b"123\0"]
    else:
        with pytest.raises(ValueError, match="even"):
            store.finish()
        assert paper.aborted == 1
        assert not paper.fragments


def test_an_object_that_is_given_up_is_never_completed() -> None:
    paper = Paper(122)
    store = outgoing(paper)
    store.write([bytes(50_000)])

    store.abort()
    store.abort()

    assert paper.aborted == 1
    assert not any(header[11] & 2 for header in paper.headers)
    with pytest.raises(AssociationError):
        store.write([bytes(50_000)])


def test_a_lost_association_ends_the_object() -> None:
    paper = Paper(122)
    store = outgoing(paper)
    paper.broken = True

    with pytest.raises(AssociationError):
        store.write([bytes(50_000)])

    assert paper.aborted == 1


# --- over the network ---------------------------------------------------------------------------------


def peer_at(port: int, timeout_s: float = 5) -> Peer:
    return Peer("localhost", port, AETitle("DOWN"), AETitle("NODE"), timeout_s)


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_an_object_arrives_as_it_was_written(
    stream: Start, intake: RecordingIntake, tmp_path: Path, secured: bool
) -> None:
    server = client = None
    if secured:
        authority = Authority(tmp_path)
        own = authority.issue("down")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(own.file, own.key)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(authority.file)
    acceptor = stream(tls=server)
    content = random.Random(1).randbytes(3_000_001) + b"!"

    with Requestor.connect(peer_at(acceptor.address[1]), [SENT.context], tls=client) as assoc:
        for _ in range(2):
            store = assoc.begin_store(**NAMES)
            for at in range(0, len(content), 99_999):
                store.write([content[at : at + 50_000], memoryview(content)[at + 50_000 : at + 99_999]])
            assert store.finish().status == StoreStatus.SUCCESS
        assert assoc.is_usable

    assert [bytes(taken.content) == content for taken in intake.objects] == [True, True]


@pytest.mark.peer
@pytest.mark.parametrize("options", [(), ("-pdu", "4096")], ids=["16K", "4K"])
def test_storescp_keeps_what_was_written(tmp_path: Path, options: tuple[str, ...]) -> None:
    with (
        storescp(tmp_path / "down", "+B", *options) as port,
        Requestor.connect(peer_at(port), [SENT.context]) as assoc,
    ):
        store = assoc.begin_store(**NAMES)
        for at in range(0, len(SENT.dataset), 333):
            store.write([SENT.dataset[at : at + 333]])
        status = store.finish().status

    assert status == StoreStatus.SUCCESS
    [file] = (tmp_path / "down").iterdir()
    assert dcmread(file) == dcmread(SENT.path)


def test_an_object_that_is_given_up_is_forgotten_by_the_peer(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
    assoc = Requestor.connect(peer_at(acceptor.address[1]), [SENT.context])
    store = assoc.begin_store(**NAMES)
    store.write([SENT.dataset])

    store.abort()

    wait_for(lambda: intake.objects and intake.objects[0].aborted, "the peer forgot it")
    assert not intake.objects[0].finished
    assert not assoc.is_usable


def test_the_reason_of_the_peer_is_told() -> None:
    def script(scp: Scripted) -> None:
        scp.accept()
        kind, _ = scp.pdu()
        assert kind == 4
        scp.send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 0]))

    with scripted(script) as (_, port):
        assoc = Requestor.connect(Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), 0.5), [SENT.context])
        store = assoc.begin_store(**NAMES)
        with pytest.raises(AssociationAbortedError):
            for _ in range(100):
                store.write([bytes(1 << 20)])
            store.finish()


def test_a_peer_that_never_reads_is_given_up_at_the_deadline() -> None:
    with scripted(lambda scp: scp.accept()) as (_, port):
        assoc = Requestor.connect(Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), 0.5), [SENT.context])
        store = assoc.begin_store(**NAMES)
        with pytest.raises(AssociationError, match="did not take the data in time"):
            for _ in range(100):
                store.write([bytes(1 << 20)])

    assert not assoc.is_usable


def test_an_answer_to_another_message_ends_the_association() -> None:
    def script(scp: Scripted) -> None:
        scp.accept()
        scp.message()
        scp.send(answer(message_id=7))

    with scripted(script) as (_, port):
        assoc = Requestor.connect(Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), 5), [SENT.context])
        store = assoc.begin_store(**NAMES)
        store.write([SENT.dataset])
        with pytest.raises(AssociationError, match="does not belong"):
            store.finish()

    assert not assoc.is_usable


def test_what_was_not_negotiated_is_not_begun() -> None:
    with scripted(lambda scp: scp.accept()) as (_, port):
        assoc = Requestor.connect(Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), 5), [SENT.context])
        with pytest.raises(ContextNotAcceptedError):
            assoc.begin_store(**{**NAMES, "sop_class_uid": "1.2.3"})

        assert assoc.is_usable
        assoc.abort()


def test_an_association_that_the_peer_closed_is_not_usable() -> None:
    with scripted(lambda scp: (scp.accept(), scp.sock.close())) as (_, port):
        assoc = Requestor.connect(Peer(LOOPBACK, port, AETitle("DOWN"), AETitle("NODE"), 5), [SENT.context])

        wait_for(lambda: not assoc.is_usable, "the end is seen")
        assoc.abort()
