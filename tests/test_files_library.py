"""De-identifying files from Python, and trees in which something goes wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

import deid_node
from deid_node import Outcome, deidentify, deidentify_many
from deid_node.delivery.template import PathTemplate
from deid_node.engine.deidentified import Summary
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ConfigurationError
from deid_node.files import FileResult, inputs_of
from deid_node.files.draft import FolderTarget
from deid_node.files.object import Work
from deid_node.files.tree import Job, deidentify_all
from deid_node.profile import library

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
KEY = Key(bytes(32))


def test_one_call_deidentifies_one_file(tmp_path: Path) -> None:
    result = deidentify(CT, tmp_path / "out.dcm", key=KEY)

    assert result == FileResult(
        CT, Outcome.DEIDENTIFIED, tmp_path / "out.dcm", sop_class_uid="1.2.840.10008.5.1.4.1.1.2"
    )
    assert pydicom.dcmread(tmp_path / "out.dcm").PatientIdentityRemoved == "YES"


def test_one_source_is_no_list_of_letters(tmp_path: Path) -> None:
    as_text = list(deidentify_many(str(CT), tmp_path / "a", key=KEY))
    as_path = list(deidentify_many(CT, tmp_path / "b", key=KEY))

    assert [result.outcome for result in (*as_text, *as_path)] == [Outcome.DEIDENTIFIED] * 2


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    assert set(deid_node.__all__) <= set(dir(deid_node))


def test_a_compiled_procedure_can_be_given(tmp_path: Path) -> None:
    procedure = library.load("grand-challenge")

    assert deidentify(CT, tmp_path / "out.dcm", profile=procedure, key=KEY).outcome is Outcome.DEIDENTIFIED


def test_the_same_key_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        deidentify(CT, tmp_path / name, key=KEY)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_a_key_that_of_the_account_is_taken(tmp_path: Path) -> None:
    for name in ("a", "b"):
        deidentify(CT, tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_unknown_profile_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        deidentify(CT, tmp_path / "out.dcm", profile="basik", key=KEY)


def test_what_is_refused_is_a_result_and_leaves_nothing(tmp_path: Path) -> None:
    result = deidentify(FILES / "README.txt", tmp_path / "out.dcm", key=KEY)

    assert (result.outcome, result.code, result.target) == (Outcome.SKIPPED, "not-dicom", None)
    assert list(tmp_path.iterdir()) == []


def test_public_names_are_there() -> None:
    assert {name for name in deid_node.__all__ if getattr(deid_node, name)} == set(deid_node.__all__)
    with pytest.raises(AttributeError):
        _ = deid_node.nothing


class DiesOn(Deidentifier):
    """Ends the whole process on one kind of object, as a broken decoder would."""

    def begin(self, **request: object):  # type: ignore[no-untyped-def, override]
        if request["transfer_syntax_uid"] == "1.2.840.10008.1.2":
            os._exit(9)
        return super().begin(**request)  # type: ignore[arg-type]


def test_a_process_that_dies_takes_no_other_file_with_it(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(6):
        (source / f"{number}.dcm").write_bytes(CT.read_bytes())
    ds = pydicom.dcmread(CT)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    ds.save_as(source / "3.dcm", implicit_vr=True, little_endian=True)
    template = PathTemplate.parse("{index}.dcm", extra={"index"})
    deidentifier = DiesOn(library.load("basic"), Pseudonyms(KEY))
    job = Job(Work(deidentifier, FolderTarget(tmp_path / "out")), template)

    results = list(deidentify_all(job, inputs_of([source]), 2))

    outcomes = {Path(result.source).name: (result.outcome, result.code) for result in results}
    assert outcomes.pop("3.dcm") == (Outcome.FAILED, "crash")
    assert set(outcomes.values()) == {(Outcome.DEIDENTIFIED, "")}
    assert len(results) == 6


def test_a_fault_of_ours_fails_one_file_and_tells_no_value(tmp_path: Path) -> None:
    class Broken(PathTemplate):
        def render(self, *_: object) -> tuple[str, ...]:  # type: ignore[override]
            raise RuntimeError("Doe^Jane")

    whole = PathTemplate.parse("{index}.dcm", extra={"index"})
    template = Broken(whole.source, whole.fields, whole.limits, ())
    engine = Deidentifier(library.load("basic"), Pseudonyms(KEY))
    (one,) = inputs_of([CT])

    result = Job(Work(engine, FolderTarget(tmp_path)), template).run((1, one))

    assert (result.outcome, result.code) == (Outcome.FAILED, "internal")
    assert "RuntimeError" in result.reason
    assert "Doe" not in result.reason
    assert list(tmp_path.iterdir()) == []


def test_a_summary_names_the_result(tmp_path: Path) -> None:
    seen: list[Summary] = []

    def name(done: Summary, _: Callable[[str], str]) -> tuple[str, ...]:
        seen.append(done)
        return (f"{done.heading.sop_instance_uid}.dcm",)

    (one,) = inputs_of([CT])
    work = Work(Deidentifier(library.load("basic"), Pseudonyms(KEY)), FolderTarget(tmp_path))
    result = work.run(one, name)

    assert isinstance(result.target, Path)
    assert result.target.stem == pydicom.dcmread(result.target).SOPInstanceUID
    assert len(seen) == 1


def test_a_repair_that_there_is_none_of_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ConfigurationError, match=r"no repair 'odd_length'; there are .*odd-length"):
        deid_node.Engine("basic", key=KEY, repairs=["odd_length"])  # type: ignore[list-item]
