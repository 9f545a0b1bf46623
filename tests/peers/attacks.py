"""Twenty attacks on an acceptor, each with a verdict: did it hold, and were others served meanwhile?

They are those of the receive loop of a gateway: half PDUs, endless datasets, broken objects, full disks.
`R18` and `R17` need the target started in a special way, see `matrix`.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.raw import (
    CT,
    INSTANCE,
    MR,
    VERIFICATION,
    RawPeer,
    context,
    pdata,
    request,
    store_rq,
)
from tests.engine.encoded import EXPLICIT, UNDEFINED
from tests.malformed import DEFLATED, JPEG, nested, seed
from tests.peers import LOOPBACK
from tests.peers.targets import Target

SERVED_S = 5.0
MIB = 1 << 20
FULL = 80 * MIB  # above what the node sets aside to finish with
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
CALLED = "DEIDNODE"
_BROKEN = (ConnectionError, TimeoutError, OSError, AssertionError, struct.error)


@dataclass(frozen=True)
class Verdict:
    """P passed, F failed, ~ in between, - not run; and what was seen."""

    mark: str
    seen: str


def passed_if(fact: bool, seen: str) -> Verdict:
    return Verdict("P" if fact else "F", seen)


# --- what a peer does ---------------------------------------------------------------------------------


def serves(target: Target, within_s: float = SERVED_S, tls: ssl.SSLContext | None = None) -> float | None:
    """Return the seconds until a well behaved peer had its C-ECHO answered, None when not in time."""
    began = time.monotonic()
    end = began + within_s
    while (left_s := end - time.monotonic()) > 0:
        host = "localhost" if tls else LOOPBACK
        peer = Peer(host, target.port, AETitle(CALLED), AETitle("GOOD"), max(left_s, 0.1))
        try:
            with Requestor.connect(peer, [(VERIFICATION, IMPLICIT_LITTLE)], tls=tls) as assoc:
                if assoc.echo() == 0:
                    return time.monotonic() - began
        except AssociationError:
            time.sleep(0.05)
    return None


def _told(served_s: float | None) -> str:
    return "not served" if served_s is None else f"served in {served_s:.1f} s"


@contextmanager
def connections(target: Target, count: int) -> Iterator[list[RawPeer]]:
    """Open connections, for twenty seconds at most; those that find no room are left out."""
    end = time.monotonic() + 20
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            if time.monotonic() > end:
                break
            with contextlib.suppress(OSError):
                found.append(stack.enter_context(RawPeer(target.address, 2)))
        yield found


def associate(peer: RawPeer, syntax: str = EXPLICIT_LITTLE, sop_class: str = CT) -> bool:
    """Negotiate one storage context; tell whether that worked."""
    try:
        peer.send(request([context(1, sop_class, syntax)], called=CALLED.encode()))
        kind, body = peer.pdu()
    except _BROKEN:
        return False
    return kind == 2 and b"\x21\0" in body and _is_accepted(body)


def _is_accepted(body: bytes) -> bool:
    at = body.index(b"\x21\0", 68)
    return body[at + 6] == 0


def answer(
    target: Target,
    dataset: bytes,
    *,
    syntax: str = EXPLICIT_LITTLE,
    rq: bytes | None = None,
    within_s: float = 10,
) -> str:
    """Send one object; return the status in hexadecimal, or "aborted", "silent", "not negotiated"."""
    try:
        with RawPeer(target.address, within_s) as peer:
            if not associate(peer, syntax):
                return "not negotiated"
            peer.send(pdata(1, 3, store_rq() if rq is None else rq))
            size = 16_000
            for start in range(0, max(len(dataset), 1), size):
                last = 2 if start + size >= len(dataset) else 0
                peer.send(pdata(1, last, dataset[start : start + size]))
            return f"{peer.status():04X}"
    except TimeoutError:
        return "silent"
    except _BROKEN:
        return "aborted"


def _refused(target: Target, said: str) -> Verdict:
    """An object has to be answered with a failure; an abort is half of that."""
    alive = target.is_alive() and serves(target) is not None
    if not alive:
        return Verdict("F", f"{said}, then dead or not serving")
    if said == "not negotiated":
        return Verdict("P", said)
    is_failure = len(said) == 4 and said not in ("0000", "B000", "B006", "B007")
    return Verdict("P" if is_failure else "~" if said == "aborted" else "F", said)


def _worst(verdicts: list[Verdict]) -> Verdict:
    worst = max(verdicts, key=lambda verdict: "P~F".index(verdict.mark))
    return Verdict(worst.mark, ", ".join(verdict.seen for verdict in verdicts))


# --- connections and PDUs -------------------------------------------------------------------------------


def r1_idle_connections(target: Target) -> Verdict:
    with connections(target, 50):
        served_s = serves(target)
    return passed_if(served_s is not None, _told(served_s))


def r2_three_bytes_each(target: Target) -> Verdict:
    with connections(target, 50) as peers:
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.send(b"\x01\0\0")
        served_s = serves(target)
    return passed_if(served_s is not None, _told(served_s))


def r3_half_p_data(target: Target) -> Verdict:
    with connections(target, 12) as peers:
        for peer in peers:
            if associate(peer):
                with contextlib.suppress(OSError):
                    peer.send(pdata(1, 3, store_rq())[:40])
        served_s = serves(target)
    return passed_if(served_s is not None, _told(served_s))


def r4_trickle_in_a_pdu(target: Target) -> Verdict:
    """Bytes come one by one; the deadline counts from the first."""
    message = pdata(1, 3, store_rq())
    ended: list[float] = []
    with connections(target, 12) as peers:
        trickling = [peer for peer in peers if associate(peer)]
        began = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            left = list(trickling)
            for byte in message:
                for peer in list(left):
                    try:
                        peer.send(bytes((byte,)))
                        peer.sock.setblocking(False)
                        if peer.sock.recv(1) in (b"", b"\x07"):
                            raise ConnectionError
                    except BlockingIOError:
                        peer.sock.setblocking(True)
                    except OSError:
                        left.remove(peer)
                        ended.append(time.monotonic() - began)
                if not left or stop.wait(0.3):
                    return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        served_s = serves(target)
        thread.join(12 if served_s is not None else 0.1)
        stop.set()
        thread.join(5)
    told = f"{_told(served_s)}, {len(ended)} of {len(trickling)} cut"
    return passed_if(served_s is not None and len(ended) == len(trickling) > 0, told)


def r5_length_of_4_gib(target: Target) -> Verdict:
    target.forget_peak()
    before = target.status("VmHWM")
    sent = _flood(target, [b"\x01\0\xff\xff\xff\xfe", *[bytes(MIB)] * 256])
    grown = target.status("VmHWM") - before
    alive = target.is_alive() and serves(target) is not None
    return passed_if(alive and grown < 64 * MIB, f"{sent // MIB} MiB taken, {grown // MIB} MiB held")


def r6_endless_dataset(target: Target) -> Verdict:
    """An object without end, of pixels; it is refused or cut, held in no memory and on no disk."""
    target.forget_peak()
    before, on_disk = target.status("VmHWM"), target.stored_bytes()
    head = good(EXPLICIT.element(0x7FE00010, "OW", length=0xFFFFFFFE))
    with RawPeer(target.address, 5) as peer:
        if not associate(peer):
            return Verdict("F", "not negotiated")
        pieces = [pdata(1, 3, store_rq()), pdata(1, 0, head), *[pdata(1, 0, bytes(16_000)) * 64] * 400]
        sent = _push(peer, pieces)
    grown = target.status("VmHWM") - before
    _wait_until(lambda: target.stored_bytes() - on_disk < MIB)
    left = target.stored_bytes() - on_disk
    alive = target.is_alive() and serves(target) is not None
    told = f"{sent // MIB} MiB taken, {grown // MIB} MiB held, {left // MIB} MiB left on disk"
    return passed_if(alive and grown < 256 * MIB and left < MIB, told)


def _wait_until(fact: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for a fact as long as it may take; whether it came is the verdict's business."""
    end = time.monotonic() + within_s
    while not fact() and time.monotonic() < end:
        time.sleep(0.05)


def _flood(target: Target, pieces: list[bytes]) -> int:
    with RawPeer(target.address, 5) as peer:
        return _push(peer, pieces)


def _push(peer: RawPeer, pieces: list[bytes]) -> int:
    sent = 0
    with contextlib.suppress(OSError):
        for piece in pieces:
            peer.send(piece)
            sent += len(piece)
    return sent


def r7_garbage(target: Target) -> Verdict:
    """Three hundred random and five hundred typed PDUs, each on a connection of its own."""
    rng = random.Random(20240312)
    most = 0
    for number in range(800):
        body = rng.randbytes(rng.randrange(200))
        kind = rng.randrange(1, 8) if number >= 300 else rng.randrange(256)
        with contextlib.suppress(OSError), RawPeer(target.address, 1) as peer:
            peer.send(bytes((kind, 0)), len(body).to_bytes(4, "big"), body)
        if number % 50 == 0:
            most = max(most, target.status("Threads"))
    served_s = serves(target)
    most = max(most, target.status("Threads"))
    return passed_if(served_s is not None and most < 150, f"{_told(served_s)}, {most} threads")


def r19_silent_tls(target: Target) -> Verdict:
    assert target.authority is not None
    shown = target.authority.issue("good")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(target.authority.file)
    tls.load_cert_chain(shown.file, shown.key)
    with connections(target, 5):
        served_s = serves(target, tls=tls)
    return passed_if(served_s is not None, _told(served_s))


def r20_flood_of_connects(target: Target) -> Verdict:
    most = 0
    with connections(target, 0):
        end = time.monotonic() + 20
        for _ in range(11):
            if time.monotonic() > end:
                break
            with connections(target, 100):
                most = max(most, target.status("Threads"))
    served_s = serves(target)
    return passed_if(served_s is not None and most < 250, f"{_told(served_s)}, {most} threads")


# --- objects --------------------------------------------------------------------------------------------


def good(*elements: bytes, sop_class_uid: str = CT, sop_instance_uid: str = INSTANCE) -> bytes:
    return EXPLICIT.dataset(*elements, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)


def r8_mismatch(target: Target) -> Verdict:
    verdicts = []
    for dataset in (good(sop_class_uid=MR), good(sop_instance_uid="1.2.3.4.77")):
        said = answer(target, dataset)
        verdicts.append(Verdict("P" if said == "A900" else _refused(target, said).mark, said))
    return _worst(verdicts)


def r9_uid_that_is_a_path(target: Target) -> Verdict:
    uid = "../../../x"
    return _refused(target, answer(target, good(sop_instance_uid=uid), rq=store_rq(instance=uid)))


def r10_depth_100_to_1000(target: Target) -> Verdict:
    return _worst([_nested(target, depth, undefined) for depth in (100, 1000) for undefined in (False, True)])


def r11_depth_100000(target: Target) -> Verdict:
    return _worst([_nested(target, depth, True) for depth in (10_000, 100_000)])


def _nested(target: Target, depth: int, undefined: bool) -> Verdict:
    dataset = good(nested(EXPLICIT, depth, undefined))
    return _refused(target, answer(target, dataset))


def r12_cut_fragments(target: Target) -> Verdict:
    fragment = EXPLICIT.item(b"\xff\xd8" + bytes(998))
    element = EXPLICIT.element(0x7FE00010, "OB", EXPLICIT.item() + fragment[:300], length=UNDEFINED)
    dataset = good(element)
    return _refused(target, answer(target, dataset, syntax=JPEG))


def r13_short_pixels(target: Target) -> Verdict:
    element = EXPLICIT.element(0x7FE00010, "OW", bytes(100), length=MIB)
    dataset = good(element)
    return _refused(target, answer(target, dataset))


def r14_empty_dataset(target: Target) -> Verdict:
    return _refused(target, answer(target, b""))


def r15_random_bytes(target: Target) -> Verdict:
    return _refused(target, answer(target, random.Random(3).randbytes(5000)))


def r16_deflate_bomb(target: Target) -> Verdict:
    target.forget_peak()
    before = target.status("VmHWM")
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = good(EXPLICIT.element(0x7FE00010, "OW", length=1 << 30))
    bomb = (
        deflater.compress(head)
        + b"".join(deflater.compress(bytes(MIB)) for _ in range(1024))
        + deflater.flush()
    )
    said = answer(target, bomb, syntax=DEFLATED, within_s=60)
    grown = target.status("VmHWM") - before
    verdict = _refused(target, said)
    mark = verdict.mark if grown < 300 * MIB else "F"
    return Verdict(mark, f"{verdict.seen}, {grown // MIB} MiB held")


def r17_full_disk(target: Target) -> Verdict:
    """Files of the target may not grow beyond `FULL` bytes, and an object is longer."""
    pixels = EXPLICIT.element(0x7FE00010, "OW", bytes(FULL + FULL // 2))
    before = target.stored_bytes()
    said = answer(target, good(pixels), within_s=30)
    _wait_until(lambda: target.stored_bytes() - before < MIB)
    left = target.stored_bytes() - before
    after = answer(target, _small())
    told = f"{said}, {left // MIB} MiB left, then {after}"
    if said[:2] == "A7" and left < MIB and after == "0000":
        return Verdict("P", told)
    return Verdict("~" if len(said) == 4 and said != "0000" else "F", told)


def _small() -> bytes:
    dataset, _ = seed("CT_small.dcm")
    at = dataset.index(b"\x08\0\x18\0UI")
    length = int.from_bytes(dataset[at + 6 : at + 8], "little")
    uid = EXPLICIT.element(0x00080018, "UI", INSTANCE.encode())
    return dataset[:at] + uid + dataset[at + 8 + length :]


def control(target: Target) -> str:
    """Return the answer to a sound object: without it no verdict means anything."""
    return answer(target, _small())


ATTACKS: dict[str, Callable[[Target], Verdict]] = {
    "R1 50 idle connections": r1_idle_connections,
    "R2 50 times 3 bytes": r2_three_bytes_each,
    "R3 12 half P-DATA": r3_half_p_data,
    "R4 bytes one by one": r4_trickle_in_a_pdu,
    "R5 PDU length of 4 GiB": r5_length_of_4_gib,
    "R6 dataset without end": r6_endless_dataset,
    "R7 garbage": r7_garbage,
    "R8 other class or instance": r8_mismatch,
    "R9 a path for a UID": r9_uid_that_is_a_path,
    "R10 depth 100 and 1,000": r10_depth_100_to_1000,
    "R11 depth 10,000 and 100,000": r11_depth_100000,
    "R12 fragments cut": r12_cut_fragments,
    "R13 pixels cut": r13_short_pixels,
    "R14 empty dataset": r14_empty_dataset,
    "R15 random bytes": r15_random_bytes,
    "R16 deflate bomb": r16_deflate_bomb,
    "R20 1,100 connects": r20_flood_of_connects,
}
"""Those that need nothing but a running target, in an order that leaves it usable for the next."""

QUICK = tuple(name for name in ATTACKS if name.split()[0] in ("R5 R8 R9 R12 R13 R14 R15".split()))
"""Those that a comparison can afford on every run."""
