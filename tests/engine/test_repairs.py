"""What is put right in an object is named in its summary, and may be forbidden."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.engine.series import Series
from deid_node.errors import Malformed, ObjectRefused
from deid_node.profile.library import load
from deid_node.profile.procedure import Action
from deid_node.standard.repairs import ALL_REPAIRS, DEFAULT_REPAIRS, REPAIRS, WAIVERS, Repair
from tests.engine.encoded import EXPLICIT, UNDEFINED, procedure, run_with_summary
from tests.rewriting import CORPUS, part10_of, pseudonyms, real_files, rewrite

_KEEP_ALL = procedure(unlisted=Action.K)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_JPEG = "1.2.840.10008.1.2.4.50"
_TEXT = 0x00204000


def _deflated(dataset: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(dataset) + deflater.flush()


def _image(length: int) -> tuple[bytes, ...]:
    numbers = ((0x00280010, 2), (0x00280011, 2), (0x00280100, 8))
    described = (EXPLICIT.element(tag, "US", EXPLICIT.us(number)) for tag, number in numbers)
    return (*described, EXPLICIT.element(0x7FE00010, "OB", bytes(length)))


def _frame() -> bytes:
    comment = b"\xff\xd8\xff\xfe" + struct.pack(">H", 6) + b"text\xff\xda\0\2"
    items = EXPLICIT.item() + EXPLICIT.item(comment) + EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    return EXPLICIT.element(0x7FE00010, "OB", items, length=UNDEFINED)


def _left_over() -> bytes:
    delimiter = EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    return EXPLICIT.sequence(0x00081140, EXPLICIT.item(), delimiter)


def _odd() -> bytes:
    return EXPLICIT.element(_TEXT, "LT", b"odd", length=3)


_OBJECTS: list[tuple[Repair, bytes, str]] = [
    ("odd-length", EXPLICIT.dataset(_odd()), ""),
    ("odd-length", EXPLICIT.dataset(EXPLICIT.sequence(0x00081140, EXPLICIT.item(_odd()))), ""),
    ("odd-length", EXPLICIT.dataset(EXPLICIT.element(0x7FE00010, "OB", b"odd", length=3)), ""),
    ("sequence-delimiter", EXPLICIT.dataset(_left_over()), ""),
    ("sequence-delimiter", EXPLICIT.dataset(_left_over().replace(b"\x08\0\x40\x11", b"\0\x52\x29\x92")), ""),
    ("deflate-trailer", _deflated(EXPLICIT.dataset(*_image(4))) + bytes(8), _DEFLATED),
    ("character-set-spelling", EXPLICIT.dataset(EXPLICIT.element(0x00080005, "CS", b"ISO-IR 100")), ""),
    ("uid-leading-zeros", EXPLICIT.dataset(sop_instance_uid="1.2.03.4"), ""),
    ("surplus-pixels", EXPLICIT.dataset(*_image(8)), ""),
    ("frame-comments", EXPLICIT.dataset(_frame()), _JPEG),
]


@pytest.mark.parametrize(("name", "dataset", "syntax"), _OBJECTS)
@pytest.mark.parametrize("piece_bytes", [None, 1])
def test_a_repair_is_named_and_can_be_refused(
    name: Repair, dataset: bytes, syntax: str, piece_bytes: int | None
) -> None:
    _, summary = run_with_summary(
        _KEEP_ALL,
        dataset,
        transfer_syntax_uid=syntax,
        piece_bytes=piece_bytes,
        limits=Limits(repairs=frozenset((name,))),
    )

    assert summary.repairs == (name,)
    assert REPAIRS[name] in summary.notes
    with pytest.raises(Malformed) as refusal:
        run_with_summary(
            _KEEP_ALL,
            dataset,
            transfer_syntax_uid=syntax,
            piece_bytes=piece_bytes,
            limits=Limits(repairs=ALL_REPAIRS - {name}),
        )
    assert refusal.value.code == name


@pytest.mark.parametrize(("name", "dataset", "syntax"), _OBJECTS)
def test_a_repair_without_a_waiver_is_off(name: Repair, dataset: bytes, syntax: str) -> None:
    if name in WAIVERS:
        assert run_with_summary(_KEEP_ALL, dataset, transfer_syntax_uid=syntax)[1].repairs == (name,)
        return
    with pytest.raises(Malformed) as refusal:
        run_with_summary(_KEEP_ALL, dataset, transfer_syntax_uid=syntax)
    assert refusal.value.code == name


def _repaired(path: Path) -> tuple[str, ...]:
    """The repairs that a real object needs, when all of its elements are looked at."""
    content = path.read_bytes()
    deidentifier = Deidentifier(load("research"), pseudonyms(), limits=Limits(repairs=ALL_REPAIRS))
    return rewrite(deidentifier, content, part10=part10_of(content)).summary.repairs


@pytest.mark.parametrize("name", sorted(WAIVERS))
def test_a_repair_that_is_on_is_needed_by_the_object_of_its_waiver(name: Repair) -> None:
    file = WAIVERS[name].rsplit(" ", 1)[1]
    found = [param.values[0] for param in real_files() if param.values[0].name == file]
    if not found:
        assert not CORPUS.exists()
        pytest.skip("the collection is not here")

    assert name in _repaired(found[0])


@pytest.mark.parametrize("path", list(real_files()))
def test_no_real_object_needs_a_repair_that_is_off(path: Path) -> None:
    try:
        repairs = _repaired(path)
    except ObjectRefused as refusal:
        pytest.skip(f"refused: {refusal.code}")

    assert set(repairs) <= DEFAULT_REPAIRS


def test_every_repair_has_an_object_that_needs_it() -> None:
    assert {name for name, _, _ in _OBJECTS} == ALL_REPAIRS


def test_an_object_without_oddities_needs_none() -> None:
    _, summary = run_with_summary(_KEEP_ALL, EXPLICIT.dataset(*_image(4)), limits=Limits(repairs=frozenset()))

    assert summary.repairs == ()


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Note for every object after the first whether it was followed."""
    found: list[bool] = []
    follow = Series.follow

    def noting(self: Series, *args: object) -> object:
        result = follow(self, *args)  # type: ignore[arg-type]
        found.append(result is not None)
        return result

    monkeypatch.setattr(Series, "follow", noting)
    yield found


@pytest.mark.parametrize(
    "odd",
    [
        EXPLICIT.element(0x00081030, "LO", b"odd", length=3),
        EXPLICIT.sequence(0x00081140, EXPLICIT.item(EXPLICIT.sequence(0x00081199, EXPLICIT.item(_odd())))),
    ],
)
def test_a_series_whose_objects_need_the_same_repair_is_followed(odd: bytes, followed: list[bool]) -> None:
    deidentifier = Deidentifier(_KEEP_ALL, pseudonyms())
    summaries = []
    for number in range(6):
        even = [EXPLICIT.element(0x00181030 + 2 * at, "LO", b"some text") for at in range(20)]
        dataset = EXPLICIT.dataset(odd, *even, *_image(8), sop_instance_uid=f"1.2.3.{number}")
        summaries.append(run_with_summary(deidentifier, dataset)[1])

    assert {summary.repairs for summary in summaries} == {("odd-length", "surplus-pixels")}
    assert followed and all(followed)
