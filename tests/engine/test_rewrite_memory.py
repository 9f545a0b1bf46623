"""The memory for one object does not grow with the object."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.basic import basic_procedure
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Procedure
from tests.engine.encoded import EXPLICIT, IMPLICIT, UNDEFINED, procedure, run
from tests.rewriting import pseudonyms

_PIECE_BYTES = 128 << 10
_MOST_BYTES = 6 << 20
_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def _header() -> bytes:
    return EXPLICIT.dataset(
        EXPLICIT.element(0x00100010, "PN", b"Zabrowska^Ilse"),
        EXPLICIT.element(0x00100020, "LO", b"MR-40815"),
        EXPLICIT.element(0x00280008, "IS", b"400"),
        sop_class_uid=_ENHANCED_CT,
    )


def _frames(count: int, undefined: bool) -> Iterator[bytes]:
    """Yield functional groups of about 1 kB a frame, of defined or undefined length."""
    position = EXPLICIT.sequence(0x00209113, EXPLICIT.item(EXPLICIT.element(0x00200032, "DS", b"0\\0\\0 ")))
    filler = EXPLICIT.sequence(0x00209111, EXPLICIT.item(EXPLICIT.element(0x00209158, "LT", b"x" * 900)))
    frame = EXPLICIT.item(filler, position, undefined=undefined)
    length = UNDEFINED if undefined else len(frame) * count
    yield EXPLICIT.element(0x52009230, "SQ", length=length)
    for _ in range(count):
        yield frame
    if undefined:
        yield EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)


def _native(megabytes: int) -> Iterator[bytes]:
    yield EXPLICIT.element(0x7FE00010, "OW", length=megabytes << 20)
    piece = bytes(1 << 20)
    for _ in range(megabytes):
        yield piece


def _fragments(count: int, size: int) -> Iterator[bytes]:
    yield EXPLICIT.element(0x7FE00010, "OB", length=UNDEFINED) + EXPLICIT.item()
    fragment = EXPLICIT.item(bytes(size))
    for _ in range(count):
        yield fragment
    yield EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)


def _peak(deidentifier: Procedure, stream: Iterable[bytes]) -> tuple[int, int, int]:
    """Feed a stream in pieces as they arrive; return the peak of memory, bytes in, bytes out."""
    rewrite = Deidentifier(deidentifier, pseudonyms()).begin(transfer_syntax_uid=EXPLICIT.transfer_syntax_uid)
    buffer = bytearray(_PIECE_BYTES)
    received = written = filled = 0
    tracemalloc.start()
    try:
        for part in stream:
            received += len(part)
            view = memoryview(part)
            while len(view):
                taken = min(len(view), _PIECE_BYTES - filled)
                buffer[filled : filled + taken] = view[:taken]
                filled, view = filled + taken, view[taken:]
                if filled == _PIECE_BYTES:
                    new = rewrite.feed(memoryview(buffer))
                    written += sum(map(len, new.buffers)) if new is not None else 0
                    filled = 0
        new = rewrite.feed(memoryview(buffer)[:filled])
        written += sum(map(len, new.buffers)) if new is not None else 0
        last, _ = rewrite.finish()
        written += sum(map(len, last.buffers))
        return tracemalloc.get_traced_memory()[1], received, written
    finally:
        tracemalloc.stop()


def _streams() -> Iterator[tuple[str, list[Iterable[bytes]]]]:
    header = [_header()]
    yield "native pixels", [header, _native(200)]
    yield "large fragments", [header, _fragments(40, 1 << 20)]
    yield "small fragments", [header, _fragments(20_000, 200)]
    yield "functional groups of defined length", [header, _frames(10_000, undefined=False), _native(1)]
    yield "functional groups of undefined length", [header, _frames(10_000, undefined=True), _native(1)]
    document = EXPLICIT.element(0x00420011, "OB", length=40 << 20)
    yield "a document", [header, [document], (bytes(1 << 20) for _ in range(40))]


def test_the_memory_does_not_grow_with_what_is_kept() -> None:
    keeping = procedure({0x00100010: Action.Z}, unlisted=Action.K, identity_removed=True)
    _peak(keeping, [_header()])  # loads what every object shares, the lists of names among them

    for name, parts in _streams():
        peak, received, written = _peak(keeping, (part for stream in parts for part in stream))

        assert peak < _MOST_BYTES, name
        assert abs(written - received) < 300_000, name


def test_the_memory_does_not_grow_with_what_is_removed() -> None:
    removing = procedure()

    for name, parts in _streams():
        peak, _, written = _peak(removing, (part for stream in parts for part in stream))

        assert peak < _MOST_BYTES, name
        assert written < 1000, name


def test_the_basic_profile_rewrites_functional_groups_in_little_memory() -> None:
    profile = basic_procedure()
    _peak(profile, [_header()])
    stream = (
        part for parts in ([_header()], _frames(10_000, undefined=False), _native(50)) for part in parts
    )

    peak, received, written = _peak(profile, stream)

    assert peak < 2 * _MOST_BYTES
    assert written > 50 << 20 and received > written - 1000


_CHOSEN = {  # a value of a peer's choice, by what is remembered of it
    "a UID": lambda value: IMPLICIT.element(0x0020000E, "UI", value),
    "a date": lambda value: IMPLICIT.element(0x00080021, "DA", value),
    "an ID": lambda value: IMPLICIT.element(0x00100020, "LO", value),
    "a name": lambda value: IMPLICIT.element(0x00100010, "PN", value),
    "character sets": lambda value: IMPLICIT.sequence(
        0x00081140,
        IMPLICIT.item(
            IMPLICIT.element(0x00080005, "CS", value),
            IMPLICIT.element(0x00080104, "LO", "ü".encode("latin-1")),
        ),
    ),
    "a private creator": lambda value: (
        IMPLICIT.element(0x00190010, "LO", value) + IMPLICIT.element(0x00191001, "LO", b"x")
    ),
}


@pytest.mark.parametrize("element", _CHOSEN.values(), ids=_CHOSEN)
def test_the_memory_does_not_grow_with_long_values_of_many_objects(element: Callable[[bytes], bytes]) -> None:
    cleaning = frozenset(
        {Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED, Option.RETAIN_SAFE_PRIVATE}
    )
    deidentifier = Deidentifier(basic_procedure(cleaning), pseudonyms())

    def send(number: int) -> None:
        run(deidentifier, IMPLICIT.dataset(element(b"%d" % number + b"7" * (1 << 20))), IMPLICIT)

    send(0)
    tracemalloc.start()
    try:
        for number in range(1, 7):
            send(number)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 3 << 20
