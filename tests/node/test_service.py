"""A whole node in one process: objects in over the network, out into folders, answers that are true."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.peer import AssociationRejectedError
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind, QuarantineSettings, Settings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.load import Loaded
from deid_node.settings.network import PeerSettings
from deid_node.settings.routes import RouteSettings
from deid_node.spool.desk import Desk
from tests.node.running import CT, FILES, peer, refusals, running, store, store_on
from tests.peers import LOOPBACK, free_port, wait_for

VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")
CT_STORAGE = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")

both_acceptors = pytest.mark.parametrize("acceptor", list(AcceptorKind))


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.dcm") if not path.name.startswith("."))


def edited(tmp_path: Path, **values: object) -> Path:
    """Write the CT object with other values; None removes an attribute."""
    ds = pydicom.dcmread(CT)
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    path = tmp_path / f"edited-{len(list(tmp_path.iterdir()))}.dcm"
    ds.save_as(path)
    return path


@both_acceptors
def test_an_object_is_acknowledged_and_arrives_deidentified(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor) as node:
        answer = store(node, CT)
        wait_for(lambda: stored(state / "out"), "the object is in the folder")

    [file] = stored(state / "out")
    before, after = pydicom.dcmread(CT), pydicom.dcmread(file)
    assert answer.status == StoreStatus.SUCCESS
    assert after.PatientIdentityRemoved == "YES"
    assert after.PixelData == before.PixelData
    assert str(before.PatientName).encode() not in file.read_bytes()
    assert file.name == f"{after.SOPInstanceUID}.dcm"


@both_acceptors
def test_verification_is_answered(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor) as node, Requestor.connect(peer(node), [VERIFICATION]) as assoc:
        assert assoc.echo() == StoreStatus.SUCCESS


@both_acceptors
def test_an_object_sent_twice_is_delivered_once(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor) as node:
        answers = [store(node, CT).status, store(node, CT).status]
        wait_for(lambda: stored(state / "out"), "the object is in the folder")
        [study] = Desk(node.settings.spool_folder).status().studies

    assert answers == [StoreStatus.SUCCESS] * 2
    assert (study.objects, study.duplicates) == (1, 1)
    assert len(stored(state / "out")) == 1


@both_acceptors
def test_each_refusal_has_its_status_and_is_recorded(
    state: Path, tmp_path: Path, acceptor: AcceptorKind
) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(CT.read_bytes()[:-1000])
    with running(state, acceptor=acceptor) as node:
        answers = {
            "truncated": store(node, cut),
            "other instance": store(node, CT, sop_instance_uid="1.2.3"),
            "other class": store(node, CT, sop_class_uid="1.2.840.10008.5.1.4.1.1.4"),
            "no UID": store(node, CT, sop_instance_uid="../../../x"),
            "no class": store(node, edited(tmp_path, SOPClassUID=None)),
            "burned in": store(node, edited(tmp_path, BurnedInAnnotation="YES")),
            "burned in, and a document": store(
                node, edited(tmp_path, BurnedInAnnotation="YES", EncapsulatedDocument=b"%PDF")
            ),
        }
        wait_for(lambda: len(refusals(node)) == 6, "all refusals are recorded")
        codes = set(refusals(node))

    assert {name: answer.status.code for name, answer in answers.items()} == {
        "truncated": "C101",
        "other instance": "A900",
        "other class": "A900",
        "no UID": "0117",
        "no class": "A900",
        "burned in": "C107",
        "burned in, and a document": "C107",
    }
    assert codes == {"malformed", "mismatch", "no-sop-class", "no-sop-instance", "rejected"}
    assert stored(state / "out") == []
    assert not list((state / "spool" / "incoming").iterdir())


@both_acceptors
def test_a_sop_class_without_a_table_is_not_negotiated(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor, profile="grand-challenge") as node:
        contexts = [CT_STORAGE, ("1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.1.2.1")]
        with Requestor.connect(peer(node), contexts) as assoc:
            assert assoc.accepted == {CT_STORAGE}


@both_acceptors
def test_a_query_is_not_negotiated(state: Path, acceptor: AcceptorKind) -> None:
    find = ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2")
    with (
        running(state, acceptor=acceptor) as node,
        Requestor.connect(peer(node), [find, VERIFICATION]) as assoc,
    ):
        assert assoc.accepted == {VERIFICATION}


@both_acceptors
def test_an_unknown_called_title_is_rejected(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor) as node, pytest.raises(AssociationRejectedError) as caught:
        Requestor.connect(peer(node, called="OTHER"), [VERIFICATION])

    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)


def two_routes(state: Path) -> dict[str, object]:
    return {
        "destinations": {
            name: FolderSettings(kind="folder", path=state / name, template="{SOPInstanceUID}.dcm")
            for name in ("a", "b")
        },
        "routes": {
            "one": RouteSettings(called="ONE", destinations="a"),
            "two": RouteSettings(called="TWO", profile="grand-challenge", destinations="a,b"),
            "closed": RouteSettings(called="CLOSED", destinations="b", peers="ct"),
        },
        "peers": {"ct": PeerSettings(ae_title="CT", address="10.0.0.1")},
    }


def test_each_called_title_has_its_own_profile_and_destinations(state: Path) -> None:
    with running(state, **two_routes(state)) as node:
        store(node, CT, called="ONE")
        store(node, CT, called="TWO")
        wait_for(lambda: len(stored(state / "a")) == 2 and len(stored(state / "b")) == 1, "all are delivered")

    methods = {str(pydicom.dcmread(file).DeidentificationMethod) for file in stored(state / "a")}
    assert len(methods) == 2


def test_a_peer_that_may_not_use_a_route_is_told_so(state: Path) -> None:
    with running(state, **two_routes(state)) as node:
        answer = store(node, CT, called="CLOSED")
        wait_for(lambda: refusals(node) == ["not-authorized"], "it is recorded")

    assert answer.status == StoreStatus.NOT_AUTHORIZED


# --- starting and stopping ----------------------------------------------------------------------------


def test_a_port_in_use_is_named_and_nothing_is_left_running(state: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        before = threading.active_count()
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            Node(Loaded(Settings(state=state, host=LOOPBACK, port=port), None)).start()

    wait_for(lambda: threading.active_count() <= before, "no thread is left")
    with running(state) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS


def test_a_folder_that_cannot_be_made_is_named(state: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    destinations = {"o": FolderSettings(kind="folder", path=tmp_path / "file" / "o")}

    with pytest.raises(ConfigurationError, match="file/o"), running(state, destinations=destinations):
        pass


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises((ConfigurationError, SpoolError), match="file/s"), running(tmp_path / "file" / "s"):
        pass


def test_two_nodes_do_not_share_a_state(state: Path) -> None:
    with running(state), pytest.raises(SpoolError), running(state):
        pass


def test_what_a_node_keeps_is_for_its_owner_alone(state: Path) -> None:
    with running(state) as node:
        store(node, CT)
        wait_for(lambda: stored(state / "out"), "the object is in the folder")

    for path in [state, *state.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_an_association_under_way_may_finish_when_the_node_stops(state: Path) -> None:
    with running(state) as node:
        with Requestor.connect(peer(node), [CT_STORAGE]) as assoc, CT.open("rb") as stream:
            stopping = threading.Thread(target=node.stop)
            offset = 132 + 12 + int.from_bytes(CT.read_bytes()[140:144], "little")
            ds = pydicom.dcmread(CT)
            answer = assoc.store_file(
                stream,
                offset=offset,
                length=os.path.getsize(CT) - offset,
                sop_class_uid=ds.SOPClassUID,
                sop_instance_uid=ds.SOPInstanceUID,
                transfer_syntax_uid=CT_STORAGE[1],
            )
            stopping.start()
        stopping.join(20)

    assert answer.status == StoreStatus.SUCCESS
    assert not stopping.is_alive()


# --- reload -------------------------------------------------------------------------------------------


def test_reload_takes_over_routes(state: Path) -> None:
    destinations = {"o": FolderSettings(kind="folder", path=state / "o")}
    with running(state, destinations=destinations) as node:
        routes = {"new": RouteSettings(called="NEW", destinations="o")}
        changed = node.settings.model_copy(update={"routes": routes})

        node.reload(lambda: Loaded(changed, None))

        assert store(node, CT, called="NEW").status == StoreStatus.SUCCESS
        with pytest.raises(AssociationRejectedError):
            store(node, CT)


@both_acceptors
def test_a_running_association_keeps_what_it_started_with(state: Path, acceptor: AcceptorKind) -> None:
    files = [CT, FILES / "JPEG2000.dcm"]
    destinations = {"o": FolderSettings(kind="folder", path=state / "o", template="{SOPInstanceUID}.dcm")}
    with running(state, destinations=destinations, acceptor=acceptor) as node:
        before = node.procedures["basic"].digest
        contexts = [CT_STORAGE, ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.4.91")]
        with Requestor.connect(peer(node), contexts) as assoc:
            routes = {"other": RouteSettings(called="OTHER", profile="research", destinations="o")}
            changed = node.settings.model_copy(update={"routes": routes})
            node.reload(lambda: Loaded(changed, None))
            answers = [store_on(assoc, file).status for file in files]
        after = node.procedures["research"].digest
        store(node, FILES / "MR_small.dcm", called="OTHER")
        arrived = Desk(node.settings.spool_folder).arrivals(0, 10)

    assert answers == [StoreStatus.SUCCESS] * 2
    assert [(item["route"], item["profile"]) for item in arrived] == [
        *[("default", before)] * 2,
        ("other", after),
    ]


@pytest.mark.parametrize("change", [{"port": 1}, {"profile": "no-such-profile"}])
def test_reload_changes_nothing_when_anything_is_wrong(state: Path, change: dict[str, object]) -> None:
    with running(state) as node:
        before = node.settings

        node.reload(lambda: Loaded(before.model_copy(update=change), None))

        assert node.settings is before
        assert store(node, CT).status == StoreStatus.SUCCESS


# --- trouble ------------------------------------------------------------------------------------------


def test_a_fault_of_ours_is_answered_and_the_node_goes_on(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deid_node.engine.rewrite import Rewrite

    with running(state) as node:
        with monkeypatch.context() as broken:
            broken.setattr(Rewrite, "feed", lambda *_: 1 // 0)
            answer = store(node, CT)

        assert answer.status == StoreStatus.PROCESSING_FAILURE
        assert store(node, CT).status == StoreStatus.SUCCESS


def test_a_full_disk_is_answered_as_out_of_resources(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deid_node.spool.spool import Spool

    def full(_: Spool) -> None:
        raise SpoolError("no room")

    with running(state) as node:
        monkeypatch.setattr(Spool, "draft", full)

        assert store(node, CT).status == StoreStatus.OUT_OF_RESOURCES


def test_a_key_that_cannot_be_read_stops_the_start(state: Path) -> None:
    key = state / "k"
    state.mkdir()
    key.write_text("00")
    key.chmod(0o600)

    with pytest.raises(ConfigurationError, match="too short"), running(state, key_file=key):
        pass


def test_quarantine_needs_a_public_key_that_is_one(state: Path) -> None:
    quarantine = QuarantineSettings(public_key=FILES / "CT_small.dcm")

    with (
        pytest.raises(ConfigurationError, match="no X25519 public key"),
        running(state, quarantine=quarantine),
    ):
        pass


# --- commands beside a running node -------------------------------------------------------------------


def test_files_are_sent_and_the_ledger_is_read_while_the_node_runs(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{state}"\n')
    with running(state) as node:
        port = str(node.address[1])

        sent = main(["send", "--json", str(CT), str(FILES / "README.txt"), LOOPBACK, port, "DEIDNODE"])
        results = json.loads(capsys.readouterr().out)
        desk = Desk(node.settings.spool_folder)
        wait_for(lambda: desk.last_item() and not desk.queue(), "the object is delivered")
        statuses = [main([*words, "--config", str(config)]) for words in (["status"], ["queue"], ["fsck"])]
        copied = main(["backup", str(tmp_path / "copy"), "--config", str(config)])
        told = capsys.readouterr().out
        echoed = main(["echo", LOOPBACK, port])

    assert sent == ExitCode.INCOMPLETE
    assert [result["status"] for result in results] == [None, "0000"]
    assert statuses == [ExitCode.OK] * 3
    assert (copied, echoed) == (ExitCode.OK, ExitCode.OK)
    assert "1 objects of 1 studies." in told
    assert "Nothing waits." in told


def test_entries_of_a_dead_destination_can_be_listed_retried_and_dropped(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{state}"\n')
    down = AESettings(kind="ae", host=LOOPBACK, port=free_port(), ae_title="DOWN")
    with running(state, destinations={"down": down}) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
    words = ["--config", str(config)]

    listed = main(["queue", "list", "--json", *words])
    [entry] = json.loads(capsys.readouterr().out)
    retried = main(["queue", "retry", *words])
    dropped = main(["queue", "drop", str(entry["id"]), "--yes", *words])
    main(["queue", *words])

    assert (listed, retried, dropped) == (ExitCode.OK, ExitCode.OK, ExitCode.OK)
    assert entry["destination"] == "down"
    assert "Nothing waits." in capsys.readouterr().out


def test_a_destination_that_is_out_is_shown_with_what_waits_for_it(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{state}"\n')
    words = ["--config", str(config)]
    down = AESettings(kind="ae", host=LOOPBACK, port=free_port(), ae_title="DOWN")
    with running(state, destinations={"down": down}) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        desk = Desk(node.settings.spool_folder)
        wait_for(desk.outages, "the destination is out")
        main(["queue", "list", *words])
        listed = capsys.readouterr().out
        main(["queue", "list", "--json", *words])
        [entry] = json.loads(capsys.readouterr().out)
        main(["status", "--studies", *words])
        counted = capsys.readouterr().out
    main(["queue", "list", *words])

    first, *rows = listed.splitlines()
    assert first.startswith("down: out for 0 s: cannot connect"), first
    assert len(rows) == 2
    assert entry["destination_out"]["why"].startswith("cannot connect")
    assert "out for 0 s: cannot connect" in counted
    [study] = desk.status().studies
    assert f"{study.study_uid}\t1\t0\t0\tdown\t1 pending" in counted
    assert "out for" not in capsys.readouterr().out
