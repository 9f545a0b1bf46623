"""Nothing stands behind native pixels or in the headers of compressed frames; pixels stay what they were."""

from __future__ import annotations

import struct
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_fragments, generate_frames

from deid_node.engine.codestream import Comments
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import Malformed
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action
from tests.engine.encoded import EXPLICIT, FORMS, Form, procedure, run_with_summary
from tests.peers import require
from tests.rewriting import part10_of, pseudonyms, real_files, rewrite

_KEEP_ALL = procedure(unlisted=Action.K)
_SECRET = b"Secret^Planted 19700101 "
_PIXELS = 0x7FE00010
_WAYS = pytest.mark.parametrize(
    ("piece_bytes", "limits"), [(None, None), (1, None), (64, Limits(window_bytes=64)), (1000, None)]
)


def _described(
    form: Form, rows: int, columns: int, bits: int, frames: bytes = b"", samples: int = 1, colour: bytes = b""
) -> tuple[bytes, ...]:
    return (
        form.element(0x00280002, "US", form.us(samples)),
        form.element(0x00280004, "CS", colour),
        form.element(0x00280008, "IS", frames),
        form.element(0x00280010, "US", form.us(rows)),
        form.element(0x00280011, "US", form.us(columns)),
        form.element(0x00280100, "US", form.us(bits)),
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("nested", [False, True])
@_WAYS
def test_what_follows_the_last_frame_is_cut(
    form: Form, nested: bool, piece_bytes: int | None, limits: Limits | None
) -> None:
    def object_with(pixels: bytes) -> bytes:
        image = (*_described(form, 5, 3, 8, b"3"), form.element(_PIXELS, "OW", pixels))
        tag = 0x52009230  # behind the header, so that it is streamed
        return form.dataset(
            form.sequence(tag, form.item(*image), undefined=True) if nested else b"".join(image)
        )

    pixels = bytes(range(45))
    new, summary = run_with_summary(
        _KEEP_ALL, object_with(pixels + _SECRET), form, piece_bytes=piece_bytes, limits=limits
    )

    assert _SECRET not in new
    assert form.element(_PIXELS, "OW", pixels) in new
    assert summary.repairs == ("surplus-pixels",)


@pytest.mark.parametrize(
    ("tag", "vr", "described", "size"),
    [
        (_PIXELS, "OW", _described(EXPLICIT, 4, 4, 16), 32),
        (_PIXELS, "OB", _described(EXPLICIT, 4, 4, 8, b"2", 3, b"RGB"), 96),
        (_PIXELS, "OB", _described(EXPLICIT, 4, 4, 8, b"2", 3, b"YBR_FULL_422"), 64),
        (_PIXELS, "OB", _described(EXPLICIT, 4, 4, 8, b"1", 3, b"YBR_PARTIAL_420"), 24),
        (_PIXELS, "OB", _described(EXPLICIT, 4, 4, 1, b"3"), 6),
        (_PIXELS, "OB", _described(EXPLICIT, 3, 3, 1, b"2"), 4),
        (_PIXELS, "OB", _described(EXPLICIT, 4, 4, 8, b"0"), 16),
        (0x7FE00008, "OF", _described(EXPLICIT, 2, 2, 32), 16),
        (0x7FE00009, "OD", _described(EXPLICIT, 2, 2, 64), 32),
    ],
)
def test_the_image_attributes_say_how_long_pixels_are(
    tag: int, vr: str, described: tuple[bytes, ...], size: int
) -> None:
    def object_with(length: int) -> bytes:
        return EXPLICIT.dataset(*described, EXPLICIT.element(tag, vr, b"p" * length))

    exact, whole = run_with_summary(_KEEP_ALL, object_with(size))
    longer, cut = run_with_summary(_KEEP_ALL, object_with(size + 2))

    assert exact == longer == object_with(size)
    assert (whole.repairs, cut.repairs) == ((), ("surplus-pixels",))
    with pytest.raises(Malformed):
        run_with_summary(_KEEP_ALL, object_with(size - 2))


def test_subsampled_pixels_that_are_written_in_full_are_kept() -> None:
    described = _described(EXPLICIT, 4, 4, 8, b"", 3, b"YBR_FULL_422")
    dataset = EXPLICIT.dataset(*described, EXPLICIT.element(_PIXELS, "OB", b"p" * 48))

    assert run_with_summary(_KEEP_ALL, dataset)[0] == dataset


@pytest.mark.parametrize("left_out", [3, 4, 5])
def test_pixels_that_nothing_describes_are_kept(left_out: int) -> None:
    described = [part for number, part in enumerate(_described(EXPLICIT, 4, 4, 8)) if number != left_out]
    dataset = EXPLICIT.dataset(*described, EXPLICIT.element(_PIXELS, "OB", b"p" * 48))

    assert run_with_summary(_KEEP_ALL, dataset)[0] == dataset


# --- compressed frames ----------------------------------------------------------------------------------


def _planted(frame: bytes) -> bytes:
    """Return a frame with comments wherever they may stand, and with what does not belong to it behind it.

    After its first marker (JPEG) or segment (JPEG 2000), before each further scan or in the first tile-part.
    """
    frame = frame[: frame.rindex(b"\xff\xd9") + 2]
    frame = _between(frame) + b"behind: " + _SECRET
    if frame[:2] == b"\xff\xd8":
        segments = [(0xFE, _SECRET), (0xE1, b"Exif\0\0" + _SECRET), (0xED, _SECRET * 50)]
        at = 2
    else:
        segments = [(0x64, b"\0\1" + _SECRET), (0x64, b"\0\0" + _SECRET * 9)]
        at = 4 + struct.unpack_from(">H", frame, 4)[0]
    comments = b"".join(struct.pack(">BBH", 0xFF, mark, len(text) + 2) + text for mark, text in segments)
    return frame[:at] + comments + frame[at:]


def _between(frame: bytes) -> bytes:
    """Return a frame with comments behind its header."""
    if frame[:2] == b"\xff\xd8":
        comment = struct.pack(">BBH", 0xFF, 0xFE, len(_SECRET) + 2) + _SECRET
        first = frame.index(b"\xff\xda") + 2
        scans = frame[first:].replace(b"\xff\xda", comment + b"\xff\xda")  # no 0xFFDA is data there
        last = b"" if b"\xff\xf7" in frame[:first] else comment  # CharLS wants EOI behind the last scan
        return frame[:first] + scans[:-2] + last + scans[-2:]
    comment = struct.pack(">BBH", 0xFF, 0x64, len(_SECRET) + 4) + b"\0\1" + _SECRET
    at = frame.index(b"\xff\x90\0\x0a")
    (length,) = struct.unpack_from(">I", frame, at + 6)
    longer = struct.pack(">I", length + len(comment) if length else 0)
    return frame[: at + 6] + longer + frame[at + 10 : at + 12] + comment + frame[at + 12 :]


def _with_comments(content: bytes) -> bytes:
    ds = pydicom.dcmread(BytesIO(content), force=True)
    count = int(ds.get("NumberOfFrames", 1) or 1)
    frames = list(generate_frames(ds.PixelData, number_of_frames=count))
    assert frames[0][:2] in (b"\xff\xd8", b"\xff\x4f")
    ds.PixelData = encapsulate([_planted(frame) for frame in frames])
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "JPEGLSNearLossless_08.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "JPEG2000.dcm",
        "MR_small_jp2klossless.dcm",
        "examples_jpeg2k.dcm",
    ],
)
@pytest.mark.parametrize("piece_bytes", [100, 60_000])
def test_frames_lose_their_comments_and_decode_to_the_same_pixels(name: str, piece_bytes: int) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not in the wheel of pydicom")
    original = Path(str(path)).read_bytes()

    result = rewrite(Deidentifier(_KEEP_ALL, pseudonyms()), _with_comments(original), piece_bytes=piece_bytes)

    assert _SECRET not in result.file
    assert "frame-comments" in result.summary.repairs
    before, after = (pydicom.dcmread(BytesIO(content)) for content in (original, result.file))
    assert np.array_equal(before.pixel_array, after.pixel_array)


@pytest.mark.parametrize("process", ["+eb", "+ee", "+el", "+e1", "+es", "+ep"])
def test_frames_that_dcmtk_encodes_decode_to_the_same_pixels_in_dcmtk(process: str, tmp_path: Path) -> None:
    source, encoded, cleaned = (tmp_path / name for name in ("source.dcm", "encoded.dcm", "cleaned.dcm"))
    source.write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    subprocess.run([require("dcmcjpeg"), process, source, encoded], check=True, timeout=60)

    result = rewrite(Deidentifier(_KEEP_ALL, pseudonyms()), _with_comments(encoded.read_bytes()))
    cleaned.write_bytes(result.file)

    assert _SECRET not in result.file
    pixels = []
    for path in (encoded, cleaned):
        subprocess.run([require("dcmdjpeg"), path, tmp_path / "decoded.dcm"], check=True, timeout=60)
        pixels.append(pydicom.dcmread(tmp_path / "decoded.dcm").PixelData)
    assert pixels[0] == pixels[1]


def test_no_real_object_leaves_with_comments_in_its_frames() -> None:
    deidentifier = Deidentifier(basic_procedure(), pseudonyms())
    cleaned = 0
    for parameters in real_files():
        content = parameters.values[0].read_bytes()  # type: ignore[attr-defined]
        try:
            result = rewrite(deidentifier, content, part10=part10_of(content))
        except (Exception, pytest.skip.Exception):  # other tests say why
            continue
        out = pydicom.dcmread(BytesIO(result.file))
        pixels = out.get_item(_PIXELS) if "PixelData" in out else None
        if pixels is None or pixels.length != 0xFFFFFFFF:
            continue
        comments = Comments()
        for fragment in list(generate_fragments(pixels.value))[1:]:  # behind the offset table
            comments.begin()
            comments.clean(memoryview(fragment))
        assert not comments.blanked
        cleaned += "frame-comments" in result.summary.repairs
    assert cleaned
