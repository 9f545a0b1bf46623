"""What the crosswalk forgets: one patient, one study, what is old; and nothing else."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.engine.original import Original
from deid_node.node.crosswalk import Crosswalk, LinkKind
from deid_node.settings.records import CrosswalkSettings, PseudonymKind
from tests.node.running import CT, running, store
from tests.node.test_crosswalk import ONE, TWO, audited, configuration, raw_bytes, results, vault
from tests.peers import wait_for

MR = CT.with_name("MR_small.dcm")
DAY_S = 86400
ONE_HEX = (b"1" * 32).hex()


def filled(folder: Path) -> Crosswalk:
    """Return a crosswalk with two patients, the first with two studies."""
    crosswalk = Crosswalk(vault(folder))
    crosswalk.record(Original("A", "", "1.1", -1), "CODE-A", "2.25.11")
    crosswalk.record(Original("A", "", "1.2", -1), "CODE-A", "2.25.12")
    crosswalk.record(Original("B", "", "1.3", -1), "CODE-B", "2.25.13")
    return crosswalk


def originals(crosswalk: Crosswalk) -> list[str]:
    return sorted(link.original for link in crosswalk.links())


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("A", ["1.3", "B"]),
        ("CODE-A", ["1.3", "B"]),
        ("1.1", ["1.2", "1.3", "A", "B"]),
        ("2.25.12", ["1.1", "1.3", "A", "B"]),
        ("nobody", ["1.1", "1.2", "1.3", "A", "B"]),
    ],
)
def test_a_patient_takes_its_studies_along_and_a_study_goes_alone(
    tmp_path: Path, asked: str, left: list[str]
) -> None:
    crosswalk = filled(tmp_path)

    chosen, untold = crosswalk.belonging(asked)
    count = crosswalk.forget(chosen)

    assert (originals(crosswalk), untold) == (left, 0)
    assert count == len(chosen) == 5 - len(left)


def test_studies_under_a_pseudonym_that_others_have_stay_and_are_counted(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path))
    for patient in "AB":
        crosswalk.record(Original(patient, "", f"1.{ord(patient)}", None), "ANON", f"2.25.{ord(patient)}")

    chosen, untold = crosswalk.belonging("A")
    by_study, _ = crosswalk.belonging("1.65")

    assert [(link.kind, link.original) for link in chosen] == [(LinkKind.PATIENT, "A")]
    assert untold == 2
    assert [link.original for link in by_study] == ["1.65"]


def test_what_was_recorded_under_a_former_key_is_forgotten_too(tmp_path: Path) -> None:
    filled(tmp_path)
    crosswalk = Crosswalk(vault(tmp_path, TWO, ONE))

    crosswalk.forget(crosswalk.belonging("A")[0])

    assert originals(crosswalk) == ["1.3", "B"]


def test_a_deleted_row_is_nowhere_in_the_file(tmp_path: Path) -> None:
    opened = vault(tmp_path)
    crosswalk = filled(tmp_path)
    index = opened.index(LinkKind.PATIENT, "A")
    opened.flush()
    before = raw_bytes(tmp_path)

    crosswalk.forget(crosswalk.belonging("A")[0])

    assert index in before
    assert index not in raw_bytes(tmp_path)


def test_a_process_beside_records_anew_what_another_made_it_forget(tmp_path: Path) -> None:
    node, command = Crosswalk(vault(tmp_path)), Crosswalk(vault(tmp_path))
    original = Original("A", "", "1.1", None)
    node.record(original, "CODE-A", "2.25.11")
    command.forget(command.belonging("A")[0])
    gone = originals(command)

    node.record(original, "CODE-A", "2.25.11")

    assert gone == []
    assert originals(command) == ["1.1", "A"]


def test_links_are_read_whole_when_they_are_more_than_one_portion(tmp_path: Path) -> None:
    crosswalk = Crosswalk(vault(tmp_path))
    for number in range(1100):
        crosswalk.record(Original(f"P{number}", "", "", None), f"C{number}", "")

    assert len(crosswalk.links()) == 1100
    assert crosswalk.forget_older(1, now=10**12) == 1100
    assert crosswalk.links() == []


def test_only_what_is_old_goes_by_age_and_unreadable_rows_stay(tmp_path: Path) -> None:
    crosswalk = filled(tmp_path)
    at = crosswalk.links()[0].at

    assert crosswalk.forget_older(2, now=at + DAY_S) == 0
    assert Crosswalk(vault(tmp_path, TWO)).forget_older(2, now=at + 3 * DAY_S) == 0
    assert crosswalk.forget_older(2, now=at + 3 * DAY_S) == 5


# --- the command and the node -----------------------------------------------------------------------------


def test_a_person_lets_a_patient_be_forgotten_beside_a_running_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path)
    with running(tmp_path / "state", crosswalk=CrosswalkSettings(enabled=True)) as node:
        store(node, CT)
        store(node, MR)
        (one, two) = results(tmp_path / "state" / "out", 2)
        ct = one if one.Modality == "CT" else two

        status = main(["crosswalk", "forget", ct.PatientID, "--yes", *config])

        told = capsys.readouterr()
        left = main(["crosswalk", "lookup", "1CT1", *config]), main(["crosswalk", "lookup", "4MR1", *config])
        store(node, CT)
        again = main(["crosswalk", "lookup", "1CT1", *config])

    assert status == ExitCode.OK, told.err
    assert "1 patients and 1 studies are forgotten" in told.out
    assert (left, again) == ((1, 0), 0)
    events = audited(tmp_path)
    assert [(event["event"], event["how"], event["count"]) for event in events[:2]] == [
        ("crosswalk-read", "forget", 2),
        ("crosswalk-forgotten", "asked", 2),
    ]
    assert "1CT1" not in json.dumps(events)
    assert ct.PatientID not in json.dumps(events)


def test_who_says_no_deletes_nothing_and_the_unknown_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path / "state" / "crosswalk")
    (tmp_path / "state" / "project.key").write_text(ONE_HEX)
    (tmp_path / "state" / "project.key").chmod(0o600)
    config = configuration(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("A\nn\n"))

    no = main(["crosswalk", "forget", "-", *config])
    unknown = main(["crosswalk", "forget", "nobody", "--yes", *config])

    assert (no, unknown) == (ExitCode.INTERRUPTED, ExitCode.INCOMPLETE)
    assert "1 patients and 2 studies will be forgotten for good" in capsys.readouterr().err
    assert [event["event"] for event in audited(tmp_path)] == ["crosswalk-read"] * 2


def test_codes_go_only_when_no_node_has_them_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"crosswalk": CrosswalkSettings(enabled=True), "pseudonyms": PseudonymKind.RANDOM}
    config = configuration(tmp_path, 'pseudonyms = "random"\n')
    forget = ["crosswalk", "forget", "1CT1", "--codes", "--yes", "--json", *config]
    with running(tmp_path / "state", **settings) as node:
        store(node, CT)
        (first,) = results(tmp_path / "state" / "out", 1)
        refused = main(forget)
    capsys.readouterr()

    done = main(forget)

    assert (refused, done) == (ExitCode.UNAVAILABLE, ExitCode.OK)
    assert json.loads(capsys.readouterr().out) == {"links": 2, "codes": 2, "left": 0}
    with running(tmp_path / "state", **settings) as node:
        store(node, CT)
        found = results(tmp_path / "state" / "out", 2)
    assert len({ds.PatientID for ds in found}) == 2
    assert first.PatientID in {ds.PatientID for ds in found}


def test_a_node_forgets_by_age_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "state", crosswalk=CrosswalkSettings(enabled=True)) as node:
        store(node, CT)
    soon = CrosswalkSettings(enabled=True, keep_days=1e-9)

    with running(tmp_path / "state", crosswalk=soon):
        wait_for(lambda: audited(tmp_path), "it is told")

    [event] = audited(tmp_path)
    assert (event["event"], event["how"], event["count"]) == ("crosswalk-forgotten", "age", 2)
    assert main(["crosswalk", "lookup", "1CT1", *configuration(tmp_path)]) == 1
