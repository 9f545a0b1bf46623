"""Items of a known shape are copied in runs, and nothing about the result changes by it."""

from __future__ import annotations

import struct

import pytest

from deid_node.engine.alike import Alike, Run
from deid_node.engine.body import Body, _Frame
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.residual import Search
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
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
    0x00209163: Rule(Action.R),
    0x00280301: Rule(Action.K),
    0x52009230: Rule(Action.K),
}


def element(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    value += b" " * (len(value) % 2)
    if vr in ("SQ", "OW"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(content: bytes, *, undefined: bool = False) -> bytes:
    if undefined:
        return b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + content + b"\xfe\xff\x0d\xe0\0\0\0\0"
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def frame(number: int, *, stack: bytes = b"1", extra: bytes = b"", undefined: bool = False) -> bytes:
    content = element(0x00189220, "FD", struct.pack("<d", number)) + element(0x00209056, "SH", stack) + extra
    position = element(0x00200032, "DS", b"-100.0\\-100.0\\%06.1f" % number)
    groups = (element(0x00209111, "SQ", item(content)), _sequence(0x00209113, item(position), undefined))
    return item(b"".join(groups), undefined=undefined)


def _sequence(tag: int, content: bytes, undefined: bool) -> bytes:
    if not undefined:
        return element(tag, "SQ", content)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0\xff\xff\xff\xff"
    return head + content + b"\xfe\xff\xdd\xe0\0\0\0\0"


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


STREAMED, BUFFERED = Limits(window_bytes=4096), Limits()
FRAMES = {
    "all alike": [frame(number) for number in range(300)],
    "of undefined length": [frame(number, undefined=True) for number in range(300)],
    "of two shapes": [frame(number, stack=b"1" if number % 3 else b"22  ") for number in range(300)],
    "with values that differ now and then": [
        frame(number // 100, stack=b"12 " if number % 150 else b"13 ") for number in range(300)
    ],
    "of a growing length": [
        frame(number, extra=element(0x00209161, "IS", b"%d" % (number // 7 * number)))
        for number in range(300)
    ],
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


@pytest.mark.parametrize("limits", [STREAMED, BUFFERED], ids=["streamed", "buffered"])
@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES.keys())
def test_runs_change_neither_bytes_nor_counts(
    frames: list[bytes], limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset(frames)
    with_runs = [rewritten(data, piece, limits) for piece in (len(data), 1000, 97)]

    monkeypatch.setattr(Alike, "run_at", lambda *_: Run())
    without = rewritten(data, len(data), limits)

    assert all(result == without for result in with_runs)


@pytest.mark.parametrize("kind", ["all alike", "of undefined length", "with values that differ now and then"])
@pytest.mark.parametrize("limits", [STREAMED, BUFFERED], ids=["streamed", "buffered"])
@pytest.mark.parametrize("piece", [1 << 20, 2000])
def test_items_that_repeat_are_found_in_runs(
    kind: str, limits: Limits, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    items: list[int] = []
    found = Alike.run_at

    def watch(self: Alike, b: bytearray | memoryview, end: int) -> Run:
        run = found(self, b, end)
        items.append(run.own_items)
        return run

    monkeypatch.setattr(Alike, "run_at", watch)

    rewritten(dataset(FRAMES[kind]), piece, limits)

    assert sum(items) > 290


@pytest.mark.parametrize("undefined", [False, True])
def test_a_run_is_written_from_the_piece_in_which_it_came(undefined: bool) -> None:
    data = dataset([frame(number, undefined=undefined) for number in range(300)])
    rewrite = deidentifier(STREAMED).begin(transfer_syntax_uid=EXPLICIT)
    views = 0
    for start in range(0, len(data), 4000):
        part = rewrite.feed(memoryview(data)[start : start + 4000])
        if part is not None:
            views += sum(len(buffer) for buffer in part.buffers if isinstance(buffer, memoryview))

    assert views > 0.7 * len(data)


def test_a_name_in_every_frame_makes_each_be_searched_no_more_than_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[int] = []
    holds = Run.holds

    def watch(self: Run, b: bytearray | memoryview, search: Search) -> bool:
        searched.append(self.own_items)
        return holds(self, b, search)

    monkeypatch.setattr(Run, "holds", watch)

    frames = [frame(number, stack=b"12345678" if number < 20 else b"PLANTED ") for number in range(300)]
    rewritten(dataset(frames), 1 << 20, STREAMED)

    assert 200 < sum(searched) < 900


def test_one_name_makes_no_difference_to_the_frames_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten_items: list[int] = []
    whole = Body._whole_item

    def watch(self: Body, frame: _Frame, *places: int) -> None:
        whole(self, frame, *places)
        rewritten_items.append(frame.item)

    monkeypatch.setattr(Body, "_whole_item", watch)

    rewritten(dataset(FRAMES["one with the patient's name"]), 1 << 20, STREAMED)

    assert 200 in rewritten_items
    assert len(rewritten_items) < 10


@pytest.mark.parametrize("limits", [STREAMED, BUFFERED], ids=["streamed", "buffered"])
def test_a_name_in_one_of_many_frames_does_not_come_out(limits: Limits) -> None:
    out, _, _ = rewritten(dataset(FRAMES["one with the patient's name"]), 1 << 20, limits)

    assert b"PLANTED" not in out
    assert b"12345678" in out


@pytest.mark.parametrize("piece", [1 << 20, 4000, 97])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_refusal_names_the_item_whatever_the_pieces(piece: int, undefined: bool) -> None:
    frames = [
        frame(number, undefined=undefined, extra=element(0x00209163, "US", b"\1\0") if number == 250 else b"")
        for number in range(300)
    ]

    with pytest.raises(Rejected) as refused:
        rewritten(dataset(frames), piece, STREAMED)

    assert "[250]" in refused.value.path


def test_a_gate_sees_one_of_many_frames() -> None:
    frames = [
        frame(number, extra=element(0x00280301, "CS", b"YES" if number == 250 else b"NO  "))
        for number in range(300)
    ]

    with pytest.raises(Rejected, match="burned in"):
        rewritten(dataset(frames), 1000, STREAMED)
