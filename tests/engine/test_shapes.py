"""Items of a known shape are copied in runs, and nothing about the result changes by it."""

from __future__ import annotations

import struct

import pytest

from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.engine.shapes import Shapes
from deid_node.errors import Rejected
from deid_node.profile.conditions import Condition
from deid_node.profile.procedure import Action, Gate, Procedure, Rule, Table

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
EXPLICIT = "1.2.840.10008.1.2.1"
ROWS = {
    0x00080016: Rule(Action.K),
    0x00080018: Rule(Action.U),
    0x00100010: Rule(Action.Z),
    0x00189220: Rule(Action.K),
    0x00200032: Rule(Action.K),
    0x00209056: Rule(Action.K),
    0x00209111: Rule(Action.K),
    0x00209113: Rule(Action.K),
    0x00209161: Rule(Action.U),
    0x00280301: Rule(Action.K),
    0x52009230: Rule(Action.K),
}


def element(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    value += b" " * (len(value) % 2)
    if vr in ("SQ", "OW"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def frame(number: int, *, stack: bytes = b"1", extra: bytes = b"") -> bytes:
    content = element(0x00189220, "FD", struct.pack("<d", number)) + element(0x00209056, "SH", stack) + extra
    position = element(0x00200032, "DS", b"-100.0\\-100.0\\%06.1f" % number)
    return item(element(0x00209111, "SQ", item(content)) + element(0x00209113, "SQ", item(position)))


def dataset(frames: list[bytes], name: bytes = b"Planted^Name") -> bytes:
    return (
        element(0x00080016, "UI", ENHANCED_MR.encode() + b"\0")
        + element(0x00080018, "UI", b"1.2.3.4\0")
        + element(0x00100010, "PN", name)
        + element(0x52009230, "SQ", b"".join(frames))
    )


def deidentifier(limits: Limits) -> Deidentifier:
    table = Table(rules=ROWS, unlisted=Rule(Action.X))
    burned = Gate(Condition.parse("BurnedInAnnotation == 'YES'"), "text may be burned in")
    procedure = Procedure(
        "test", "1", {ENHANCED_MR: table}, Rule(Action.R), method="deid_node: test", rejects=(burned,)
    )
    return Deidentifier(procedure, Pseudonyms(Key(b"k" * 32)), limits=limits)


def rewritten(data: bytes, piece: int, limits: Limits) -> tuple[bytes, int, int]:
    rewrite = deidentifier(limits).begin(transfer_syntax_uid=EXPLICIT)
    out = b""
    for start in range(0, len(data), piece):
        part = rewrite.feed(data[start : start + piece])
        out += b"" if part is None else b"".join(part.buffers)
    last, summary = rewrite.finish()
    return out + b"".join(last.buffers), summary.kept, summary.removed


STREAMED = Limits(window_bytes=4096)
FRAMES = {
    "all alike": [frame(number) for number in range(300)],
    "of two shapes": [frame(number, stack=b"1" if number % 3 else b"22  ") for number in range(300)],
    "one with a UID": [
        frame(number, extra=element(0x00209161, "UI", b"1.2.3\0") if number == 150 else b"")
        for number in range(300)
    ],
    "one with an unlisted attribute": [
        frame(number, extra=element(0x00209162, "US", b"\1\0") if number == 200 else b"")
        for number in range(300)
    ],
    "one with the patient's name": [
        frame(number, stack=b"PLANTED " if number == 200 else b"12345678") for number in range(300)
    ],
}


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES.keys())
def test_runs_change_neither_bytes_nor_counts(frames: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(frames)
    with_runs = [rewritten(data, piece, STREAMED) for piece in (len(data), 1000, 97)]

    monkeypatch.setattr(Shapes, "run_at", lambda *_: None)
    without = rewritten(data, len(data), STREAMED)

    assert all(result == without for result in with_runs)


def test_items_that_repeat_are_found_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    found = Shapes.run_at

    def watch(self: Shapes, buffer: bytearray, end: int) -> object:
        run = found(self, buffer, end)
        if run is not None:
            runs.append(run[1] // run[0].length)
        return run

    monkeypatch.setattr(Shapes, "run_at", watch)
    data = dataset(FRAMES["all alike"])

    rewritten(data, len(data), STREAMED)

    assert sum(runs) > 290


def test_a_name_in_one_of_many_frames_does_not_come_out() -> None:
    out, _, _ = rewritten(dataset(FRAMES["one with the patient's name"]), 1 << 20, STREAMED)

    assert b"PLANTED" not in out
    assert b"12345678" in out


def test_a_gate_sees_one_of_many_frames() -> None:
    frames = [
        frame(number, extra=element(0x00280301, "CS", b"YES" if number == 250 else b"NO  "))
        for number in range(300)
    ]

    with pytest.raises(Rejected, match="burned in"):
        rewritten(dataset(frames), 1000, STREAMED)
