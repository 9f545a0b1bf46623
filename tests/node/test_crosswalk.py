"""Crosswalk and random codes: sealed, found by keyed index, consistent, and read only with an audit."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.dimse.status import StoreStatus
from deid_node.engine.keys import Key, Pseudonyms, RandomPseudonyms
from deid_node.engine.original import Original
from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.crosswalk import Crosswalk, Link, LinkKind
from deid_node.node.crosswalk_codes import RandomCodes
from deid_node.node.crosswalk_vault import NAME, Vault
from deid_node.node.epochs import KeyRing, rotate
from deid_node.settings.records import CrosswalkSettings, PseudonymKind
from tests.node.running import CT, running, store
from tests.peers import wait_for

ONE, TWO = Key(b"1" * 32), Key(b"2" * 32)
ORIGINAL = Original("PAT-4711", "Muster^Anna", "1.2.840.99.1", -17)


def vault(folder: Path, current: Key = ONE, *former: Key) -> Vault:
    ring = KeyRing(current, None, {key.epoch: key for key in former})
    return Vault(folder / NAME, ring, durable=False)


def raw_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{NAME}*"))


# --- the crosswalk --------------------------------------------------------------------------------


def test_a_patient_is_found_by_original_and_by_pseudonym(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path))

    crosswalk.record(ORIGINAL, "CODE", "2.25.1")

    by_original, by_pseudonym = crosswalk.lookup("PAT-4711"), crosswalk.lookup("CODE")
    assert by_original == by_pseudonym
    (link,) = by_original
    assert (link.kind, link.original, link.pseudonym, link.days) == ("patient", "PAT-4711", "CODE", -17)
    assert link.name == ""
    (study,) = crosswalk.lookup("2.25.1")
    assert (study.kind, study.original, study.patient) == ("study", "1.2.840.99.1", "CODE")
    assert crosswalk.lookup("PAT-4712") == []


def test_nothing_is_recorded_twice_and_a_date_shift_is_added_when_it_becomes_known(tmp_path: Path) -> None:
    opened = vault(tmp_path)
    without = Original("P", "", "1.2", None)

    Crosswalk(opened).record(without, "CODE", "2.25.1")
    Crosswalk(opened).record(without, "CODE", "2.25.1")
    Crosswalk(opened).record(Original("P", "", "1.2", -3), "CODE", "2.25.1")
    Crosswalk(opened).record(without, "CODE", "2.25.1")

    assert [(link.kind, link.days) for link in Crosswalk(opened).links()] == [
        ("patient", -3),
        ("study", None),
    ]


def test_a_patient_is_known_by_all_names_under_one_id(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path), names=True)
    later = Original("PAT-4711", "Beispiel^Anna", "1.2.840.99.2", -17)

    assert crosswalk.known("PAT-4711") == ()
    crosswalk.record(ORIGINAL, "CODE", "2.25.1")
    assert crosswalk.known("PAT-4711") == (("name", "Muster^Anna"),)
    crosswalk.record(later, "CODE", "2.25.2")
    crosswalk.record(ORIGINAL, "CODE", "2.25.1")

    assert crosswalk.known("PAT-4711") == (("name", "Beispiel^Anna"), ("name", "Muster^Anna"))
    assert crosswalk.known("PAT-4712") == ()
    (link,) = crosswalk.lookup("PAT-4711")
    assert (link.name, link.days) == ("Muster^Anna\\Beispiel^Anna", -17)


def test_ids_that_share_a_pseudonym_are_known_of_each_other_unless_all_do(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path))
    for number in range(20):
        crosswalk.record(Original(f"P{number}", "", "", None), "CODE" if number < 2 else "CONSTANT", "")

    assert crosswalk.known("P0") == (("id", "P1"),)
    assert crosswalk.known("P5") == ()


def test_without_names_the_crosswalk_knows_none(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path))

    crosswalk.record(ORIGINAL, "CODE", "2.25.1")

    assert crosswalk.known("PAT-4711") == ()


def test_the_file_holds_no_value_in_clear_and_is_its_owners(tmp_path: Path) -> None:
    opened = vault(tmp_path)
    Crosswalk(opened, names=True).record(ORIGINAL, "CODE", "2.25.1")
    assert Crosswalk(opened).lookup("CODE")[0].name == "Muster^Anna"

    content = raw_bytes(tmp_path)

    for value in (b"PAT-4711", b"Muster", b"CODE", b"1.2.840.99.1", b"2.25.1"):
        assert value not in content
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_without_the_key_nothing_is_found_and_with_a_former_one_everything(tmp_path: Path) -> None:
    Crosswalk(vault(tmp_path, ONE)).record(ORIGINAL, "CODE", "2.25.1")

    assert Crosswalk(vault(tmp_path, TWO)).lookup("CODE") == []
    with pytest.raises(SpoolError, match=f"rows of epoch {ONE.epoch}, whose key is not here"):
        Crosswalk(vault(tmp_path, TWO)).links()
    (link,) = Crosswalk(vault(tmp_path, TWO, ONE)).lookup("CODE")
    assert (link.original, link.epoch) == ("PAT-4711", ONE.epoch)


def test_a_row_that_was_moved_or_changed_does_not_open(tmp_path: Path) -> None:
    opened = vault(tmp_path)
    crosswalk = Crosswalk(opened)
    for number in range(2):
        crosswalk.record(Original(f"P{number}", "", f"1.2.{number}", None), f"C{number}", f"2.25.{number}")
    with sqlite3.connect(tmp_path / NAME) as conn:
        conn.execute("UPDATE link SET sealed = (SELECT max(sealed) FROM link)")
    conn.close()

    with pytest.raises(SpoolError, match="not what was sealed"):
        crosswalk.links()


def test_a_file_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    vault(tmp_path).close()
    with sqlite3.connect(tmp_path / NAME) as conn:
        conn.execute("PRAGMA user_version = 99")
    conn.close()

    with pytest.raises(SpoolError, match="made by a newer deid_node"):
        vault(tmp_path)


# --- random codes ---------------------------------------------------------------------------------


def test_random_codes_stay_the_same_after_a_restart_and_a_rotation(tmp_path: Path) -> None:
    first = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path, ONE)))
    drawn = first.patient("P"), first.uid(b"1.2"), first.days("P", 365), first.digest("perturb", b"x")
    first.keep()

    for opened in (vault(tmp_path, ONE), vault(tmp_path, TWO, ONE)):
        again = RandomPseudonyms(ONE, RandomCodes(opened))
        assert (again.patient("P"), again.uid(b"1.2"), again.days("P", 365)) == drawn[:3]
        assert again.digest("perturb", b"x") == drawn[3]


def test_random_codes_say_nothing_of_the_key_or_the_person(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path / "a")))
    there = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path / "b")))

    assert here.patient("P") not in {there.patient("P"), Pseudonyms(ONE).patient("P")}
    assert here.uid(b"1.2") not in {there.uid(b"1.2"), Pseudonyms(ONE).uid(b"1.2")}
    assert here.uid(b"1.2").startswith(b"2.25.")
    assert -365 <= here.days("P", 365) <= -1
    assert here.digest("duplicate", b"1.2") == Pseudonyms(ONE).digest("duplicate", b"1.2")


def test_a_code_that_another_process_drew_first_wins(tmp_path: Path) -> None:
    here = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path)))
    there = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path), at_once=True))
    lost = here.uid(b"1.2")
    won = there.uid(b"1.2")

    with pytest.raises(SpoolError, match="send the object again"):
        here.keep()

    assert lost != won
    assert here.uid(b"1.2") == won
    here.keep()


def test_codes_of_an_epoch_whose_key_is_gone_are_an_error_at_the_start(tmp_path: Path) -> None:
    codes = RandomCodes(vault(tmp_path, ONE), at_once=True)
    codes.code("patient", "P", bytes.hex)

    with pytest.raises(ConfigurationError, match="known patients would get new codes"):
        RandomCodes(vault(tmp_path, TWO))


def test_codes_that_were_given_elsewhere_are_taken_over_and_never_changed(tmp_path: Path) -> None:
    codes = RandomCodes(vault(tmp_path))

    assert codes.put_all([("patient", "P", "TRIAL-001"), ("days", "P", "-40")]) == 2
    assert codes.put_all([("patient", "P", "TRIAL-001")]) == 0
    with pytest.raises(ConfigurationError, match="codes never change"):
        codes.put_all([("patient", "Q", "TRIAL-002"), ("patient", "P", "TRIAL-003")])

    pseudonyms = RandomPseudonyms(ONE, RandomCodes(vault(tmp_path)))
    assert pseudonyms.patient("P") == "TRIAL-001"
    assert pseudonyms.days("P", 365) == -40
    assert pseudonyms.patient("Q") != "TRIAL-002"


# --- a node and its commands ------------------------------------------------------------------


def results(folder: Path, count: int) -> list[pydicom.Dataset]:
    wait_for(lambda: len(list(folder.rglob("*.dcm"))) == count, f"{count} files")
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.rglob("*.dcm"))]


def test_a_node_with_random_codes_gives_the_same_patient_the_same_code(tmp_path: Path) -> None:
    original = pydicom.dcmread(CT, stop_before_pixels=True)
    with running(tmp_path, pseudonyms=PseudonymKind.RANDOM) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        (first,) = results(tmp_path / "out", 1)
    rotate(tmp_path / "project.key")

    with running(tmp_path, pseudonyms=PseudonymKind.RANDOM) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        assert node.settings.crosswalk.enabled is False

    key = Key(bytes.fromhex((tmp_path / "project.key").read_text()))
    assert {ds.PatientID for ds in results(tmp_path / "out", 1)} == {first.PatientID}
    assert first.PatientID != Pseudonyms(key).patient(original.PatientID)
    assert b"1CT1" not in raw_bytes(tmp_path / "crosswalk")


def test_a_name_of_earlier_objects_leaves_the_texts_of_later_ones(tmp_path: Path) -> None:
    ds = pydicom.dcmread(CT)
    ds.PatientName, ds.StudyDescription = "Quillfeather^Ada", "CT KNEE"
    ds.save_as(tmp_path / "first.dcm")
    ds.PatientName, ds.SOPInstanceUID = "Test", f"{ds.SOPInstanceUID}.2"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyDescription, ds.Manufacturer = "CT KNEE quillfeather", "for QUILLFEATHER"
    ds.save_as(tmp_path / "second.dcm")

    settings = CrosswalkSettings(enabled=True, names=True)
    with running(tmp_path / "state", profile="research", crosswalk=settings) as node:
        for name in ("first.dcm", "second.dcm"):
            assert store(node, tmp_path / name).status == StoreStatus.SUCCESS
        found = results(tmp_path / "state" / "out", 2)

    assert [ds.StudyDescription for ds in found] == ["CT KNEE", "CT KNEE"]
    assert sorted(ds.Manufacturer for ds in found) == ["GE MEDICAL SYSTEMS", "for"]


def configuration(folder: Path, more: str = "") -> list[str]:
    file = folder / "node.toml"
    file.write_text(f'state = "{folder / "state"}"\n{more}[crosswalk]\nenabled = true\n')
    return ["--config", str(file)]


def audited(folder: Path) -> list[dict[str, object]]:
    text = (folder / "state" / "audit" / "audit.jsonl").read_text()
    return [event for event in map(json.loads, text.splitlines()) if event["event"].startswith("crosswalk")]


def test_a_lookup_shows_who_it_is_and_is_audited_without_saying_who(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "state", crosswalk=CrosswalkSettings(enabled=True)) as node:
        store(node, CT)
        (ds,) = results(tmp_path / "state" / "out", 1)
    config = configuration(tmp_path)

    assert main(["crosswalk", "lookup", ds.PatientID, "--json", *config]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["original"], found["pseudonym"]) == ("1CT1", ds.PatientID)
    assert main(["crosswalk", "lookup", "nobody", *config]) == 1

    events = audited(tmp_path)
    assert [(event["how"], event["count"]) for event in events] == [("lookup", 1), ("lookup", 0)]
    assert all("user" in event for event in events)
    assert "1CT1" not in json.dumps(events)
    assert ds.PatientID not in json.dumps(events)


def test_a_lookup_can_be_asked_where_nobody_sees_the_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "state", crosswalk=CrosswalkSettings(enabled=True)) as node:
        store(node, CT)
    monkeypatch.setattr("sys.stdin", io.StringIO("1CT1\n"))

    assert main(["crosswalk", "lookup", "-", "--json", *configuration(tmp_path)]) == 0

    assert json.loads(capsys.readouterr().out)[0]["original"] == "1CT1"


def test_the_crosswalk_is_off_unless_it_is_switched_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "state") as node:
        store(node, CT)
    (tmp_path / "node.toml").write_text(f'state = "{tmp_path / "state"}"\n')

    assert main(["crosswalk", "lookup", "1CT1", "--config", str(tmp_path / "node.toml")]) == 78
    assert "crosswalk is off" in capsys.readouterr().err
    assert not (tmp_path / "state" / "crosswalk").exists()


def test_without_an_audit_the_crosswalk_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f'state = "{tmp_path}"\n[crosswalk]\nenabled = true\n[audit]\nenabled = false\n')

    assert main(["crosswalk", "export", str(tmp_path / "out.csv"), "--config", str(file)]) == 78

    assert "not opened without an audit" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_what_was_exported_can_be_imported_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    with running(here / "state", crosswalk=CrosswalkSettings(enabled=True)) as node:
        store(node, CT)

    exported = tmp_path / "links.csv"
    assert main(["crosswalk", "export", str(exported), *configuration(here)]) == 0
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    config = configuration(there, 'pseudonyms = "random"\n')
    assert main(["crosswalk", "import", str(exported), *config]) == 0
    assert "2 links are new" in capsys.readouterr().out
    with running(
        there / "state", crosswalk=CrosswalkSettings(enabled=True), pseudonyms=PseudonymKind.RANDOM
    ) as node:
        store(node, CT)
        (ds,) = results(there / "state" / "out", 1)

    rows = list(csv.DictReader(exported.open()))
    assert {row["kind"]: row["pseudonym"] for row in rows} == {
        "patient": ds.PatientID,
        "study": ds.StudyInstanceUID,
    }


def test_rows_that_cannot_be_imported_are_named_by_line_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.csv"
    source.write_text(
        "kind,original,pseudonym,days\npatient,SECRET1,,\nperson,SECRET2,X,\nstudy,SECRET3,2.25.1,\n"
        "patient,SECRET4,X,12\npatient,SECRET5,a\\b,\n"
    )

    assert main(["crosswalk", "import", str(source), *configuration(tmp_path)]) == 78

    told = capsys.readouterr().err
    assert [f"line {number}" in told for number in range(2, 7)] == [True] * 5
    assert "SECRET" not in told
    assert not (tmp_path / "state" / "crosswalk").exists()


def test_a_link_does_not_print_what_it_links() -> None:
    link = Link(LinkKind.PATIENT, "PAT-4711", "CODE", 0.0)

    assert "4711" not in repr(link)
    assert "4711" not in repr(ORIGINAL)
