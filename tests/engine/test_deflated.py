"""Deflated datasets go through the engine like any other, and none can fill the memory."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import LimitExceeded, Malformed
from deid_node.profile.procedure import Action
from tests.engine.encoded import EXPLICIT, procedure, run
from tests.rewriting import pseudonyms

_DEFLATED = "1.2.840.10008.1.2.1.99"
_NO_NAME = procedure({0x00100010: Action.X}, unlisted=Action.K)


def deflated(content: bytes) -> bytes:
    """Return a raw deflate stream (RFC 1951)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def inflated(content: bytes) -> bytes:
    """Return the plain bytes; the stream has to end in the content, with at most a byte of padding."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(content)
    assert inflater.eof and inflater.unused_data in (b"", b"\0")
    return plain


def _dataset(pixels: bytes = bytes(3000)) -> tuple[bytes, bytes]:
    rest = EXPLICIT.element(0x7FE00010, "OW", pixels)
    return EXPLICIT.dataset(EXPLICIT.element(0x00100010, "PN", b"SECRET"), rest), EXPLICIT.dataset(rest)


@pytest.mark.parametrize("piece_bytes", [None, 1, 7, 1000])
def test_a_deflated_dataset_is_deflated_again(piece_bytes: int | None) -> None:
    dataset, expected = _dataset(random.Random(1).randbytes(30_000))

    output = run(_NO_NAME, deflated(dataset), piece_bytes=piece_bytes, transfer_syntax_uid=_DEFLATED)

    assert inflated(output) == expected and len(output) % 2 == 0


def test_the_pieces_leave_no_trace() -> None:
    content = deflated(_dataset(random.Random(2).randbytes(30_000))[0])

    outputs = {
        run(_NO_NAME, content, piece_bytes=n, transfer_syntax_uid=_DEFLATED) for n in (None, 1, 100, 4096)
    }

    assert len(outputs) == 1


@pytest.mark.parametrize("trailer", [b"\0", b"12345678", b"\0" * 9])
def test_a_checksum_or_padding_after_the_stream_is_left_out(trailer: bytes) -> None:
    dataset, expected = _dataset()

    for piece_bytes in (None, 1):
        output = run(
            _NO_NAME, deflated(dataset) + trailer, piece_bytes=piece_bytes, transfer_syntax_uid=_DEFLATED
        )

        assert inflated(output) == expected


@pytest.mark.parametrize("piece_bytes", [None, 1])
def test_more_after_the_stream_is_malformed(piece_bytes: int | None) -> None:
    with pytest.raises(Malformed, match="follow"):
        run(
            _NO_NAME,
            deflated(_dataset()[0]) + bytes(10),
            piece_bytes=piece_bytes,
            transfer_syntax_uid=_DEFLATED,
        )


def test_a_deflated_dataset_cut_anywhere_is_malformed() -> None:
    content = deflated(_dataset(b"ab")[0])

    for length in range(len(content)):
        with pytest.raises(Malformed):
            run(_NO_NAME, content[:length], transfer_syntax_uid=_DEFLATED)


@pytest.mark.parametrize("content", [b"\xff" * 100, _dataset()[0], zlib.compress(_dataset()[0])])
def test_what_is_no_deflate_stream_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        run(_NO_NAME, content, transfer_syntax_uid=_DEFLATED)


def test_a_bomb_is_refused_and_never_held() -> None:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(EXPLICIT.dataset() + EXPLICIT.element(0x7FE00010, "OW", length=1 << 30))
    zeros = bytes(1 << 20)
    bomb += b"".join(deflater.compress(zeros) for _ in range(200)) + deflater.flush()
    rewrite = Deidentifier(_NO_NAME, pseudonyms()).begin(transfer_syntax_uid=_DEFLATED)

    tracemalloc.start()
    with pytest.raises(LimitExceeded, match="grows beyond"):
        rewrite.feed(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 90 << 20


def test_an_inflated_dataset_has_the_limits_of_any_other() -> None:
    with pytest.raises(LimitExceeded):
        run(
            _NO_NAME,
            deflated(_dataset(bytes(5000))[0]),
            limits=Limits(dataset_bytes=4000),
            transfer_syntax_uid=_DEFLATED,
        )
