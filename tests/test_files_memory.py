"""De-identifying one object that is in memory, and an engine that is used for many."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pynetdicom.dsutils import decode, encode

import deid_node
import deid_node.files
from deid_node import Engine, FileResult, Options, Outcome, deidentify
from deid_node.engine.keys import Key
from deid_node.errors import ConfigurationError
from tests.wheel import wheel_files

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
MR = FILES / "MR_small.dcm"
KEY = Key(bytes(32))


def content_of(result: FileResult) -> bytes:
    assert result.outcome is Outcome.DEIDENTIFIED, (result.outcome, result.code, result.reason)
    assert result.content is not None
    return result.content


def as_file(source: Path, folder: Path) -> bytes:
    """The same object from a file to a file."""
    deidentify(source, folder / "as-file.dcm", key=KEY)
    return (folder / "as-file.dcm").read_bytes()


def read(path: Path) -> Dataset:
    return pydicom.dcmread(path)


def test_bytes_give_the_bytes_that_a_file_gives(tmp_path: Path) -> None:
    result = deidentify(CT.read_bytes(), key=KEY)

    assert content_of(result) == as_file(CT, tmp_path)


def test_the_record_is_that_of_a_file_but_for_where_it_came_from(tmp_path: Path) -> None:
    in_memory = deidentify(CT.read_bytes(), key=KEY)
    in_file = deidentify(CT, tmp_path / "out.dcm", key=KEY)

    assert (in_memory.source, in_memory.target) == ("object in memory", None)
    for name in ("outcome", "sop_class_uid", "notes", "findings", "source_size", "target_size"):
        assert getattr(in_memory, name) == getattr(in_file, name), name
    assert in_memory.source_sha256 == in_file.source_sha256
    assert in_memory.target_sha256 == in_file.target_sha256
    assert in_memory.target_size == len(content_of(in_memory))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_taken(kind: Any, tmp_path: Path) -> None:
    assert content_of(deidentify(kind(CT.read_bytes()), key=KEY)) == as_file(CT, tmp_path)


def test_a_stream_is_read_and_left_open(tmp_path: Path) -> None:
    with CT.open("rb") as stream:
        result = deidentify(stream, key=KEY)

        assert content_of(result) == as_file(CT, tmp_path)
        assert not stream.closed
        assert stream.read() == b""


def test_a_stream_that_cannot_go_back_is_enough(tmp_path: Path) -> None:
    there, here = os.pipe()

    def send() -> None:
        with os.fdopen(here, "wb") as stream:
            stream.write(CT.read_bytes())

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(there, "rb", buffering=0) as stream:
        result = deidentify(stream, key=KEY)
    sender.join(10)

    assert content_of(result) == as_file(CT, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"],
)
def test_a_dataset_keeps_its_transfer_syntax_and_its_pixels(name: str) -> None:
    ds = read(FILES / name)

    out = pydicom.dcmread(io.BytesIO(content_of(deidentify(ds, key=KEY))))

    assert out.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
    assert out.PixelData == ds.PixelData
    assert out.PatientName != ds.PatientName
    assert out.PatientIdentityRemoved == "YES"


def test_every_dataset_of_the_wheel_gives_what_its_file_gives() -> None:
    seen = 0
    with Engine(key=KEY) as engine:
        for path in wheel_files("*.dcm"):
            from_file = engine.deidentify(path)
            if from_file.outcome is not Outcome.DEIDENTIFIED or from_file.notes:
                continue
            expected = pydicom.dcmread(io.BytesIO(content_of(from_file)))
            result = engine.deidentify(read(path))
            assert pydicom.dcmread(io.BytesIO(content_of(result))) == expected, path.name
            seen += 1

    assert seen > 30


def test_a_dataset_in_a_transfer_syntax_that_pydicom_does_not_know_is_passed_on() -> None:
    ds = read(MR)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.8.1"  # Deflated Image Frame Compression, of 2024
    ds.PixelData = encapsulate([bytes(200)])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True

    out = pydicom.dcmread(io.BytesIO(content_of(deidentify(ds, key=KEY))))

    assert out.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.8.1"
    assert out.PixelData == ds.PixelData


def test_a_dataset_is_not_changed() -> None:
    ds = read(CT)
    before = (str(ds), str(ds.file_meta))

    deidentify(ds, key=KEY)

    assert (str(ds), str(ds.file_meta)) == before


def test_a_dataset_from_the_network_has_no_file_meta_and_is_taken() -> None:
    ds = read(FILES / "MR_small_implicit.dcm")
    sent = encode(ds, True, True)
    assert sent is not None
    received = decode(io.BytesIO(sent), True, True)

    out = pydicom.dcmread(io.BytesIO(content_of(deidentify(received, key=KEY))))

    assert out.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert out.PixelData == ds.PixelData


def test_a_dataset_made_from_nothing_becomes_explicit_little_endian() -> None:
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.SOPInstanceUID = "1.2.3"
    ds.PatientName = "Doe^Jane"

    out = pydicom.dcmread(io.BytesIO(content_of(deidentify(ds, key=KEY))))

    assert out.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert "Doe" not in str(out)


def test_a_dataset_that_cannot_be_encoded_is_a_result_without_a_value() -> None:
    ds = read(CT)
    ds["PatientName"]._value = object()

    result = deidentify(ds, key=KEY)

    assert (result.outcome, result.code, result.content) == (Outcome.FAILED, "malformed", None)


@pytest.mark.parametrize(
    ("content", "outcome", "code"),
    [
        (b"", Outcome.SKIPPED, "not-dicom"),
        (b"no object", Outcome.SKIPPED, "not-dicom"),
        (CT.read_bytes()[:-100], Outcome.FAILED, "malformed"),
        ((FILES / "dicomdirtests" / "DICOMDIR").read_bytes(), Outcome.SKIPPED, "dicomdir"),
    ],
    ids=["empty", "text", "truncated", "dicomdir"],
)
def test_what_is_refused_has_no_content(content: bytes, outcome: Outcome, code: str) -> None:
    result = deidentify(content, key=KEY)

    assert (result.outcome, result.code, result.content) == (outcome, code, None)


def test_a_rule_that_rejects_is_a_result() -> None:
    ds = read(CT)
    ds.BurnedInAnnotation = "YES"

    result = deidentify(ds, key=KEY)

    assert (result.outcome, result.path, result.content) == (Outcome.REJECTED, "", None)
    assert "burned" in result.reason


def test_the_result_shows_no_bytes() -> None:
    assert "DICM" not in repr(deidentify(CT.read_bytes(), key=KEY))


def test_an_object_in_memory_can_be_written_to_a_file(tmp_path: Path) -> None:
    result = deidentify(CT.read_bytes(), tmp_path / "out.dcm", key=KEY)

    assert (result.target, result.content) == (tmp_path / "out.dcm", None)
    assert (tmp_path / "out.dcm").read_bytes() == as_file(CT, tmp_path)


def test_a_file_can_be_read_into_memory_and_nothing_is_written(tmp_path: Path) -> None:
    source = tmp_path / "in.dcm"
    source.write_bytes(CT.read_bytes())

    result = deidentify(source, key=KEY)

    assert (result.source, result.target) == (source, None)
    assert content_of(result)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    "source", [None, 7, io.StringIO("text"), ["a.dcm"]], ids=lambda one: type(one).__name__
)
def test_what_is_no_object_is_an_error_of_the_caller(source: Any) -> None:
    with pytest.raises(TypeError, match="binary mode"):
        deidentify(source, key=KEY)


def test_an_engine_loads_its_profile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = deid_node.files.load_procedure
    monkeypatch.setattr(deid_node.files, "load_procedure", lambda name: loads.append(name) or load(name))

    with Engine("basic", key=KEY) as engine:
        for path in (CT, MR, CT):
            content_of(engine.deidentify(path.read_bytes()))

    assert loads == ["basic"]


def test_an_engine_links_the_objects_of_a_patient() -> None:
    with Engine(key=KEY) as engine:
        one, two = (
            pydicom.dcmread(io.BytesIO(content_of(engine.deidentify(read(path))))) for path in (CT, CT)
        )

    assert one.StudyInstanceUID == two.StudyInstanceUID


def test_the_objects_of_an_engine_are_one_run(tmp_path: Path) -> None:
    profile = tmp_path / "one-study.toml"
    profile.write_text('name = "one-study"\nextends = ["basic"]\nsame_value = ["StudyID"]\n')

    with Engine(profile, key=KEY) as engine:
        outcomes = [engine.deidentify(path).outcome for path in (CT, MR, CT)]

    assert outcomes == [Outcome.DEIDENTIFIED, Outcome.REJECTED, Outcome.DEIDENTIFIED]


def test_threads_share_an_engine() -> None:
    wanted = {path: content_of(deidentify(path, key=KEY)) for path in (CT, MR)}
    wrong: list[Path] = []

    with Engine(key=KEY) as engine:

        def work(path: Path) -> None:
            wrong.extend(
                path for _ in range(20) if engine.deidentify(path.read_bytes()).content != wanted[path]
            )

        threads = [threading.Thread(target=work, args=(path,)) for path in (CT, MR, CT, MR)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert not wrong


def test_an_engine_takes_folders_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(CT.read_bytes())

    with Engine(key=KEY) as engine:
        many = list(
            engine.deidentify_many(tmp_path / "in", tmp_path / "out", Options(template="{Modality}.dcm"))
        )
        one = engine.deidentify(CT)

    assert [result.target for result in many] == [tmp_path / "out" / "CT.dcm"]
    assert (tmp_path / "out" / "CT.dcm").read_bytes() == content_of(one)


def test_a_closed_engine_says_so() -> None:
    engine = Engine(key=KEY)
    engine.close()

    with pytest.raises(ValueError, match="closed"):
        engine.deidentify(CT)
    with pytest.raises(ValueError, match="closed"):
        engine.deidentify_many(CT, "out")


def test_a_wrong_profile_is_found_when_the_engine_is_made() -> None:
    with pytest.raises(ConfigurationError):
        Engine("basik", key=KEY)


def test_a_fault_of_ours_is_a_result_that_tells_no_value() -> None:
    class Faulty(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:
            raise RuntimeError("Doe^Jane")

    result = deidentify(Faulty(), key=KEY)  # type: ignore[arg-type]

    assert (result.outcome, result.code) == (Outcome.FAILED, "internal")
    assert "Doe" not in repr(result)


LIBRARY = (Path(__file__).parents[1] / "docs" / "reference" / "library.md").read_text("utf-8")


@pytest.mark.parametrize("name", deid_node.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert f"`{name}" in LIBRARY


@pytest.mark.parametrize(
    "name", [one.name for one in fields(FileResult) if one.repr or one.name in ("private", "content")]
)
def test_every_attribute_of_a_result_is_documented(name: str) -> None:
    assert f"`{name}`" in LIBRARY


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_documented(outcome: Outcome) -> None:
    assert f"| `{outcome}` |" in LIBRARY
