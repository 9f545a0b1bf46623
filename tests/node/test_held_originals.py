"""An object that its profile holds: kept, sealed, and gone on with when what it waits for is there."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StoreStatus
from deid_node.node.quarantine import notes
from deid_node.node.sealing import make_key_pair
from deid_node.node.service import Node
from deid_node.settings import QuarantineSettings
from deid_node.settings.destinations import FolderSettings
from deid_node.settings.load import Loaded
from deid_node.settings.routes import IntakeKind, OnHold, OnReject, RouteSettings
from deid_node.spool import Desk, check
from tests.node.running import refusals, running, store
from tests.node.test_sealed_intake import Site, clear_texts, edited
from tests.peers import wait_for

PROFILE = """
name = "site"
extends = ["basic"]
[attributes]
PatientID = { do = "lookup", table = "ids", missing = "hold" }
[tables.ids]
file = "ids.csv"
key = "old"
value = "new"
"""


class Registry(Site):
    """A site whose profile looks up the Patient ID in a table."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.profile.write_text(PROFILE)
        self.rows()

    def rows(self, *rows: str) -> None:
        self.folder.joinpath("ids.csv").write_text("\n".join(["old,new", *rows, ""]))

    def route(self, **more: Any) -> dict[str, Any]:
        route = RouteSettings(called="DEIDNODE", destinations="out", profile=str(self.profile), **more)
        return self.settings(routes={"r": route})

    def reload(self, node: Node) -> None:
        node.reload(lambda: Loaded(node.settings, None))

    def patients(self) -> list[str]:
        return sorted(str(pydicom.dcmread(path).PatientID) for path in self.stored())


@pytest.fixture
def site(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def patient(folder: Path, number: int) -> Path:
    return edited(folder, PatientID=f"SECRET-{number}", SOPInstanceUID=f"1.2.3.{number}")


WAYS = pytest.mark.parametrize(
    "way", [{"on_hold": OnHold.SEAL}, {"intake": IntakeKind.SEALED}], ids=["on_hold", "intake"]
)


@WAYS
def test_a_held_object_goes_on_when_the_row_arrives(
    site: Registry, tmp_path: Path, way: dict[str, Any]
) -> None:
    site.rows("SECRET-2,P2")
    with running(site.state, **site.route(**way)) as node:
        answers = [store(node, patient(tmp_path, number)).status for number in (1, 2, 3)]
        wait_for(lambda: len(site.held()) == 2, "two are held")
        wait_for(lambda: site.patients() == ["P2"], "one is delivered")
        held = site.held()
        site.rows("SECRET-2,P2", "SECRET-3,P3")
        site.reload(node)
        wait_for(lambda: site.patients() == ["P2", "P3"], "the one with a row goes on")
        wait_for(lambda: len(site.held()) == 1, "the other one is held again")
        site.rows("SECRET-1,P1", "SECRET-2,P2", "SECRET-3,P3")
        site.reload(node)
        wait_for(lambda: site.patients() == ["P1", "P2", "P3"], "all have gone on")
        wait_for(lambda: not site.sealed_files(), "nothing is left sealed")

    assert answers == [StoreStatus.SUCCESS] * 3
    assert set(held) == {("held", "the lookup table 'ids' has no row for a value", "PatientID")}
    assert not clear_texts(site.state)
    assert check(site.spool) == []


@WAYS
def test_a_held_object_that_comes_again_is_kept_once_and_delivered_once(
    site: Registry, tmp_path: Path, way: dict[str, Any]
) -> None:
    file = patient(tmp_path, 1)
    with running(site.state, **site.route(**way)) as node:
        for _ in range(3):
            assert store(node, file).status == StoreStatus.SUCCESS
        wait_for(site.held, "it is held")
        [row] = Desk(site.spool).sealed()
        assert row.duplicates == 2
        assert len(site.sealed_files()) == 1
        site.rows("SECRET-1,P1")
        site.reload(node)
        wait_for(site.stored, "it has gone on")
        assert store(node, file).status == StoreStatus.SUCCESS
        wait_for(lambda: not Desk(site.spool).sealed(), "nothing waits")
        wait_for(lambda: Desk(site.spool).status().studies[0].duplicates == 1, "it is recognized")

    assert site.patients() == ["P1"]


def test_a_row_that_came_while_the_node_was_down_is_noticed_at_the_start(
    site: Registry, tmp_path: Path
) -> None:
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        store(node, patient(tmp_path, 1))
    site.rows("SECRET-1,P1")

    with running(site.state, **site.route(on_hold=OnHold.SEAL)):
        wait_for(lambda: site.patients() == ["P1"], "it has gone on")


def test_a_newer_object_of_the_same_uid_is_delivered_after_the_held_one(
    site: Registry, tmp_path: Path
) -> None:
    older = patient(tmp_path, 1)
    newer = edited(tmp_path, PatientID="SECRET-2", SOPInstanceUID="1.2.3.1")
    site.rows("SECRET-2,P2")
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        store(node, older)
        wait_for(site.held, "it is held")
        assert store(node, newer).status == StoreStatus.SUCCESS
        assert [row.state.value for row in Desk(site.spool).sealed()] == ["held", "waiting"]
        site.rows("SECRET-1,P1", "SECRET-2,P2")
        site.reload(node)
        wait_for(lambda: not Desk(site.spool).sealed(), "both have gone on")
        wait_for(lambda: not Desk(site.spool).queue(), "both are delivered")

    [study] = Desk(site.spool).status().studies
    assert study.revisions == 1
    assert site.patients()[-1] == "P2"


def test_without_a_store_the_sender_is_asked_to_send_again(site: Registry, tmp_path: Path) -> None:
    with running(site.state, **site.route()) as node:
        answer = store(node, patient(tmp_path, 1))
        wait_for(lambda: refusals(node) == ["held"], "it is recorded")

    assert answer.status == StoreStatus.OUT_OF_RESOURCES
    assert site.sealed_files() == []


def test_an_object_that_goes_on_leaves_nothing_sealed(site: Registry, tmp_path: Path) -> None:
    site.rows("SECRET-1,P1")
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        store(node, patient(tmp_path, 1))
        wait_for(site.stored, "it is delivered")

        assert site.sealed_files() == []
        assert not list((site.spool / "incoming").iterdir())


def test_what_is_rejected_is_refused_and_not_kept(site: Registry, tmp_path: Path) -> None:
    site.rows("SECRET-1,P1")
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        burned = edited(tmp_path, PatientID="SECRET-1", BurnedInAnnotation="YES")
        assert store(node, burned).status == StoreStatus.REJECTED

        assert site.sealed_files() == []
        assert not list((site.spool / "incoming").iterdir())


def test_held_and_rejected_objects_go_to_different_places(site: Registry, tmp_path: Path) -> None:
    make_key_pair(tmp_path / "private.pem", tmp_path / "public.pem")
    site.rows("SECRET-2,P2")
    settings = site.route(on_hold=OnHold.SEAL, on_reject=OnReject.QUARANTINE)
    settings["quarantine"] = QuarantineSettings(public_key=tmp_path / "public.pem")
    settings["destinations"] = {"out": FolderSettings(kind="folder", path=site.out)}
    with running(site.state, **settings) as node:
        burned = edited(tmp_path, PatientID="SECRET-2", BurnedInAnnotation="YES")
        assert store(node, burned).status == StoreStatus.SUCCESS
        assert store(node, patient(tmp_path, 1)).status == StoreStatus.SUCCESS
        wait_for(site.held, "one is held")

    assert [note.code for note in notes(site.state / "quarantine")] == ["rejected"]
    assert [code for code, _, _ in site.held()] == ["held"]


def test_an_object_with_an_unknown_word_waits_until_the_profile_knows_it(
    site: Registry, tmp_path: Path
) -> None:
    clean = 'name = "site"\nextends = ["research"]\n[clean]\nunknown = "hold"\n'
    site.profile.write_text(clean)
    file = edited(tmp_path, SeriesDescription="BRAIN zzqx axial", StudyDescription="", ProtocolName="")
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        assert store(node, file).status == StoreStatus.SUCCESS
        wait_for(site.held, "it is held")
        held = site.held()
        site.profile.write_text(clean + 'words = ["zzqx"]\n')
        site.reload(node)
        wait_for(site.stored, "it has gone on")

    assert held == [("held", "action C cannot judge a word of a text", "SeriesDescription")]
    assert pydicom.dcmread(site.stored()[0]).SeriesDescription == "BRAIN zzqx axial"
    assert b"zzqx" not in b"".join(path.read_bytes() for path in site.state.rglob("*.sqlite*"))


# --- what a person does -----------------------------------------------------------------------


@pytest.fixture
def config(site: Registry, tmp_path: Path) -> list[str]:
    file = tmp_path / "node.toml"
    file.write_text(f'state = "{site.state}"\n[sealed]\nkey_file = "{site.key}"\n')
    return ["--config", str(file)]


def test_a_person_sees_what_is_missing_fills_it_in_and_all_goes_on(
    site: Registry, tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.csv"
    with running(site.state, **site.route(on_hold=OnHold.SEAL)) as node:
        for number in (1, 2):
            store(node, patient(tmp_path, number))
        capsys.readouterr()
        shown = [main([*words, *config]) for words in (["sealed", "list"], ["queue"], ["status"])]
        told = capsys.readouterr()
        as_json = main(["sealed", "list", "--json", *config])
        rows = json.loads(capsys.readouterr().out)
        collected = main(
            [
                "table",
                "collect",
                "--held",
                "-p",
                str(site.profile),
                "--table",
                "ids",
                "-o",
                str(missing),
                *config,
            ]
        )
        also_told = capsys.readouterr()
        filled = missing.read_text().replace("SECRET-1,", "SECRET-1,P1").replace("SECRET-2,", "SECRET-2,P2")
        (site.folder / "ids.csv").write_text(filled)
        site.reload(node)
        wait_for(lambda: site.patients() == ["P1", "P2"], "all has gone on")

    assert [*shown, as_json, collected] == [ExitCode.OK] * 5
    assert told.out.count("the lookup table 'ids' has no row for a value") == 3
    assert "2 originals wait sealed" in told.out
    assert {(row["code"], row["path"]) for row in rows} == {("held", "PatientID")}
    assert stat.S_IMODE(missing.stat().st_mode) == 0o600
    assert "values of 2 objects" in also_told.out
    for text in (told.out, told.err, json.dumps(rows), also_told.out, also_told.err):
        assert "SECRET" not in text
    audit = (site.state / "audit" / "audit.jsonl").read_text()
    assert '"event":"sealed-read"' in audit
    assert "SECRET" not in audit


def test_a_person_releases_and_drops(
    site: Registry, tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with running(site.state, **site.route(intake=IntakeKind.SEALED)) as node:
        for number in (1, 2):
            store(node, patient(tmp_path, number))
        wait_for(lambda: len(site.held()) == 2, "both are held")
        first, second = (str(row.id) for row in Desk(site.spool).sealed())
        capsys.readouterr()
        released = main(["sealed", "release", first, *config])
        wait_for(lambda: len(site.held()) == 2, "it is tried, and held again")
        unsaid = main(["sealed", "drop", "--yes", *config])
        dropped = main(["sealed", "drop", second, "--yes", *config])

    assert [released, unsaid, dropped] == [ExitCode.OK, ExitCode.USAGE, ExitCode.OK]
    assert capsys.readouterr().out.splitlines() == ["1 will be tried again.", "1 dropped."]
    assert [str(row.id) for row in Desk(site.spool).sealed()] == [first]
    assert main(["sealed", "list", *config]) == ExitCode.OK


def test_collecting_what_is_held_needs_the_key(
    site: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.toml"
    bare.write_text(f'state = "{site.state}"\n')
    words = ["table", "collect", "--held", "-a", "PatientID", "-o", str(tmp_path / "x.csv")]

    status = main([*words, "--config", str(bare)])

    assert status == ExitCode.CONFIGURATION
    assert "sealed.key_file is not set" in capsys.readouterr().err
    assert main(["table", "collect", "-a", "PatientID", "-o", str(tmp_path / "x.csv")]) == ExitCode.USAGE
