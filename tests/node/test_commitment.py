"""Storage commitment of a whole node: what it asks, what it is told, and what it truthfully answers."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE, evt

from deid_node.dimse import commitment_scu
from deid_node.dimse.commitment import PUSH_MODEL, CommitmentReport, CommitmentRequest, Instance
from deid_node.dimse.commitment_dataset import decode_report
from deid_node.dimse.peer import Peer
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError, ConfigurationError
from deid_node.node import service
from deid_node.node.commitment import make_commitment
from deid_node.node.commitment_scp import ReportingPolicy
from deid_node.node.commitment_scu import AskingPolicy
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind
from deid_node.settings.destinations import AESettings
from deid_node.settings.load import Loaded, load_settings
from deid_node.settings.network import PeerSettings
from deid_node.settings.routes import CommitmentMode, RouteSettings
from deid_node.spool.desk import Desk
from deid_node.standard.values import AETitle
from tests.node.archive import Archive
from tests.node.running import CT, FILES, running, store
from tests.peers import LOOPBACK, Orthanc, free_port, orthanc, wait_for

MR = FILES / "MR_small.dcm"
CLASS = "1.2.840.10008.5.1.4.1.1.2"
ORIGINAL = Instance(CLASS, str(pydicom.dcmread(CT).SOPInstanceUID))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node look often, and not wait for peers for long."""
    quick = functools.partial(
        make_commitment,
        asking=AskingPolicy(poll_s=0.1, listen_s=0.5),
        reporting=ReportingPolicy(poll_s=0.1, first_pause_s=0.2, timeout_s=5),
    )
    monkeypatch.setattr(service, "make_commitment", quick)


both_acceptors = pytest.mark.parametrize("acceptor", AcceptorKind)


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.close()


@contextmanager
def node_before(state: Path, archive: Archive, **settings: Any) -> Iterator[Node]:
    pacs = AESettings(
        kind="ae", host=LOOPBACK, port=archive.port, ae_title="ARCHIVE", timeout_s=5, commitment=True
    )
    with running(state, destinations={"pacs": pacs}, **settings) as node:
        archive.node_port = node.address[1]
        yield node


def states(node: Node) -> dict[str, int]:
    found = Desk(node.settings.spool_folder).status().destinations.get("pacs", {})
    return {state.value: count for state, count in found.items()}


def spooled(node: Node) -> list[Path]:
    return list(node.settings.spool_folder.rglob("*.dcm"))


def tell(node: Node, report: CommitmentReport, calling: str = "ARCHIVE") -> StoreStatus:
    peer = Peer(LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle(calling), 5)
    return commitment_scu.report(peer, report)


# --- we ask -------------------------------------------------------------------------------------------


def test_a_file_stays_until_the_archive_has_committed_itself(state: Path, archive: Archive) -> None:
    archive.reports = False
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        files_between = len(spooled(node))
        answered = tell(node, archive.result(archive.asked[0]))
        wait_for(lambda: not spooled(node), "the file is gone")
        known = states(node)

    assert files_between == 1
    assert answered == StoreStatus.SUCCESS
    assert known == {"committed": 1}
    assert [one.sop_instance_uid for one in archive.asked[0].instances] == archive.stored


def test_a_report_on_an_association_of_its_own_is_taken(state: Path, archive: Archive) -> None:
    with node_before(state, archive) as node:
        for file in (CT, MR):
            store(node, file)
        wait_for(lambda: states(node) == {"committed": 2}, "both are committed")

    assert set(archive.answers) == {0}


def test_what_the_archive_lost_is_sent_and_asked_again(state: Path, archive: Archive) -> None:
    archive.reason = 0x0112
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: len(archive.stored) == 2, "it is sent again")
        archive.reason = None
        wait_for(lambda: states(node) == {"committed": 1}, "it is committed", 30)

    assert len(set(archive.stored)) == 1
    assert len({request.transaction_uid for request in archive.asked}) == len(archive.asked)


def test_a_lasting_refusal_is_held(state: Path, archive: Archive) -> None:
    archive.reason = 0x0122
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: states(node) == {"held": 1}, "it is held")

        assert len(spooled(node)) == 1


def test_a_report_that_nobody_asked_for_is_0115(state: Path, archive: Archive) -> None:
    archive.reports = False
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        right = archive.result(archive.asked[0])
        unknown = tell(node, CommitmentReport("2.25.1", right.committed))
        known = states(node)

    assert unknown == StoreStatus.INVALID_ARGUMENT
    assert known == {"asked": 1}


def test_a_report_of_somebody_else_is_not_taken(state: Path, archive: Archive) -> None:
    archive.reports = False
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        with pytest.raises(AssociationError):
            tell(node, archive.result(archive.asked[0]), calling="OTHER")
        known = states(node)

    assert known == {"asked": 1}


def test_a_report_may_come_twice(state: Path, archive: Archive) -> None:
    archive.reports = False
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        result = archive.result(archive.asked[0])

        assert [tell(node, result), tell(node, result)] == [StoreStatus.SUCCESS] * 2


def test_a_request_that_was_not_taken_is_asked_later_with_another_uid(state: Path, archive: Archive) -> None:
    archive.action_status = 0x0213
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"uncommitted": 1}, "it is asked in vain")
        [entry] = Desk(node.settings.spool_folder).queue()
        files = len(spooled(node))

    assert entry.why == "commitment: status 0213"
    assert entry.not_before > time.time()
    assert files == 1


def test_a_restart_asks_on(state: Path, archive: Archive) -> None:
    archive.reports = False
    with node_before(state, archive) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
    with node_before(state, archive) as node:
        answered = tell(node, archive.result(archive.asked[0]))
        wait_for(lambda: not spooled(node), "the file is gone")

    assert answered == StoreStatus.SUCCESS


def test_without_the_setting_nothing_is_asked_or_kept(state: Path, archive: Archive) -> None:
    pacs = AESettings(kind="ae", host=LOOPBACK, port=archive.port, ae_title="ARCHIVE")
    with running(state, destinations={"pacs": pacs}) as node:
        store(node, CT)
        wait_for(lambda: not spooled(node), "the file is gone")

    assert archive.asked == []


# --- we are asked -------------------------------------------------------------------------------------


class Modality:
    """An AE that asks us, and takes reports on a port of its own."""

    def __init__(self) -> None:
        self.told: list[CommitmentReport] = []
        self.events: list[int] = []
        self.status = 0x0000
        ae = AE("CT1")
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        self._server = ae.start_server(
            (LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._told)]
        )
        self.port: int = self._server.socket.getsockname()[1]

    def _told(self, event: Any) -> tuple[int, None]:
        content = event.request.EventInformation.getvalue()
        self.events.append(event.event_type)
        self.told.append(decode_report(content, str(event.context.transfer_syntax)))
        return self.status, None

    def close(self) -> None:
        self._server.shutdown()

    def settings(self) -> dict[str, PeerSettings]:
        return {"ct": PeerSettings(ae_title="CT1", address=LOOPBACK, report_port=self.port)}

    def ask(self, node: Node, *instances: Instance, uid: str = "1.9") -> list[CommitmentReport]:
        """Ask, and return what was told on the same association."""
        told: list[CommitmentReport] = []
        peer = Peer(LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle("CT1"), 5)
        status = commitment_scu.ask(
            peer,
            CommitmentRequest(uid, instances),
            lambda report: (told.append(report), StoreStatus.SUCCESS)[1],
            listen_s=1,
        )
        assert status == StoreStatus.SUCCESS
        return told


@pytest.fixture
def modality() -> Iterator[Modality]:
    made = Modality()
    yield made
    made.close()


def routes(mode: CommitmentMode, **more: Any) -> dict[str, RouteSettings]:
    more = {"originals_are_kept_elsewhere": True} if mode is CommitmentMode.DOWNSTREAM else {}
    return {"r": RouteSettings(called="DEIDNODE", destinations="pacs", commitment=mode, **more)}


def test_off_does_not_offer_it(state: Path, archive: Archive, modality: Modality) -> None:
    with node_before(state, archive) as node, pytest.raises(AssociationError, match="does not take"):
        modality.ask(node, ORIGINAL)

    assert modality.told == []


@both_acceptors
@pytest.mark.parametrize("has_port", [False, True])
def test_refuse_says_no_for_everything_whatever_the_archive_says(
    state: Path, archive: Archive, modality: Modality, has_port: bool, acceptor: AcceptorKind
) -> None:
    peers = modality.settings() if has_port else {}
    mode = routes(CommitmentMode.REFUSE)
    with node_before(state, archive, routes=mode, peers=peers, acceptor=acceptor) as node:
        store(node, CT)
        wait_for(lambda: states(node) == {"committed": 1}, "the archive has committed itself")
        told = modality.ask(node, ORIGINAL, Instance(CLASS, "1.2.3"))
        if has_port:
            wait_for(lambda: modality.told, "the modality is told")
            assert modality.events == [2]
            told = told + modality.told

    [report] = told
    assert report.committed == ()
    assert report.failed == ((ORIGINAL, 0x0110), (Instance(CLASS, "1.2.3"), 0x0110))
    assert report.event_type == 2


@both_acceptors
def test_downstream_says_yes_when_the_archive_did_by_the_original_uid(
    state: Path, archive: Archive, modality: Modality, acceptor: AcceptorKind
) -> None:
    archive.reports = False
    mode = routes(CommitmentMode.DOWNSTREAM)
    peers = modality.settings()
    with node_before(state, archive, routes=mode, peers=peers, acceptor=acceptor) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        on_the_same = modality.ask(node, ORIGINAL)
        told_before = list(modality.told)
        sealed = stored_bytes(node)
        tell(node, archive.result(archive.asked[0]))
        wait_for(lambda: modality.told, "the modality is told")

    assert on_the_same == []
    assert told_before == []
    assert modality.told == [CommitmentReport("1.9", (ORIGINAL,))]
    assert modality.events == [1]
    assert archive.stored != [ORIGINAL.sop_instance_uid]
    assert ORIGINAL.sop_instance_uid.encode() not in sealed


def stored_bytes(node: Node) -> bytes:
    return b"".join(path.read_bytes() for path in node.settings.spool_folder.glob("ledger*"))


def test_downstream_says_which_are_kept(state: Path, archive: Archive, modality: Modality) -> None:
    unknown, other_class = (
        Instance(CLASS, "1.2.3"),
        Instance("1.2.840.10008.5.1.4.1.1.4", ORIGINAL.sop_instance_uid),
    )
    mode = routes(CommitmentMode.DOWNSTREAM)
    with node_before(state, archive, routes=mode, peers=modality.settings()) as node:
        store(node, CT)
        wait_for(lambda: states(node) == {"committed": 1}, "the archive has committed itself")
        modality.ask(node, ORIGINAL, unknown, other_class)
        wait_for(lambda: modality.told, "the modality is told")

    assert modality.told == [CommitmentReport("1.9", (ORIGINAL,), ((unknown, 0x0112), (other_class, 0x0119)))]


def test_downstream_says_no_for_what_is_held(state: Path, archive: Archive, modality: Modality) -> None:
    archive.reason = 0x0122
    mode = routes(CommitmentMode.DOWNSTREAM)
    with node_before(state, archive, routes=mode, peers=modality.settings()) as node:
        store(node, CT)
        wait_for(lambda: states(node) == {"held": 1}, "it is held")
        modality.ask(node, ORIGINAL)
        wait_for(lambda: modality.told, "the modality is told")

    assert modality.told == [CommitmentReport("1.9", (), ((ORIGINAL, 0x0110),))]


def test_without_a_port_what_is_not_kept_yet_is_not_kept(
    state: Path, archive: Archive, modality: Modality
) -> None:
    archive.reports = False
    with node_before(state, archive, routes=routes(CommitmentMode.DOWNSTREAM)) as node:
        store(node, CT)
        wait_for(lambda: archive.asked and states(node) == {"asked": 1}, "the archive is asked")
        before = modality.ask(node, ORIGINAL)
        tell(node, archive.result(archive.asked[0]))
        after = modality.ask(node, ORIGINAL, uid="1.10")

    assert before == [CommitmentReport("1.9", (), ((ORIGINAL, 0x0110),))]
    assert after == [CommitmentReport("1.10", (ORIGINAL,))]


def test_a_report_that_is_not_taken_is_told_again_also_after_a_restart(
    state: Path, archive: Archive, modality: Modality
) -> None:
    modality.status = 0x0213
    mode = routes(CommitmentMode.REFUSE)
    with node_before(state, archive, routes=mode, peers=modality.settings()) as node:
        modality.ask(node, ORIGINAL)
        wait_for(lambda: len(modality.told) >= 2, "it is told again")
    modality.status, times = 0x0000, len(modality.told)
    with node_before(state, archive, routes=mode, peers=modality.settings()) as node:
        wait_for(lambda: len(modality.told) > times, "it is told once more")
        wait_for(lambda: not waiting_requests(node), "nothing waits")

    assert len(set(modality.told)) == 1


def waiting_requests(node: Node) -> list[tuple[Any, ...]]:
    with sqlite3.connect(node.settings.spool_folder / "ledger.sqlite") as conn:
        return conn.execute("SELECT id FROM commitment_request").fetchall()


def test_a_peer_that_may_not_use_the_route_is_told_so(
    state: Path, archive: Archive, modality: Modality
) -> None:
    closed = {
        "r": RouteSettings(
            called="DEIDNODE", destinations="pacs", commitment=CommitmentMode.REFUSE, peers="x"
        )
    }
    peers = {"x": PeerSettings(ae_title="X", address="10.0.0.1")}
    peer: Callable[[Node], Peer] = lambda node: Peer(  # noqa: E731
        LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle("CT1"), 5
    )
    with node_before(state, archive, routes=closed, peers=peers) as node:
        status = commitment_scu.ask(
            peer(node), CommitmentRequest("1.9", (ORIGINAL,)), lambda _: StoreStatus.SUCCESS
        )

    assert status == StoreStatus.NOT_AUTHORIZED


def test_reload_to_refuse_takes_back_every_yes(state: Path, archive: Archive, modality: Modality) -> None:
    with node_before(state, archive, routes=routes(CommitmentMode.DOWNSTREAM)) as node:
        store(node, CT)
        wait_for(lambda: states(node) == {"committed": 1}, "the archive has committed itself")
        before = modality.ask(node, ORIGINAL)
        changed = node.settings.model_copy(update={"routes": routes(CommitmentMode.REFUSE)})
        node.reload(lambda: Loaded(changed, None))
        after = modality.ask(node, ORIGINAL, uid="1.10")

    assert before[0].committed == (ORIGINAL,)
    assert after[0].committed == ()


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "destination", "problem"),
    [
        ("", "commitment = true", "originals_are_kept_elsewhere"),
        ("originals_are_kept_elsewhere = true", "", 'commitment = true of the destination "pacs"'),
        (
            'originals_are_kept_elsewhere = true\nacknowledge = "through"',
            "commitment = true",
            'acknowledge = "store"',
        ),
    ],
)
def test_downstream_needs_what_makes_it_true(
    tmp_path: Path, route: str, destination: str, problem: str
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        f'[destinations.pacs]\nkind = "ae"\nhost = "a"\nport = 104\nae_title = "PACS"\n{destination}\n'
        f'[routes.r]\ncalled = "R"\ndestinations = "pacs"\ncommitment = "downstream"\n{route}\n'
    )

    with pytest.raises(ConfigurationError, match=f"routes.r.commitment needs {problem}"):
        load_settings(file, environment={})


# --- Orthanc ------------------------------------------------------------------------------------------


@pytest.mark.peer
def test_orthanc_commits_itself_to_what_it_was_sent(state: Path, tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "orthanc", {"node": ("DEIDNODE", port)}) as server:
        pacs = AESettings(
            kind="ae",
            host=LOOPBACK,
            port=server.dicom_port,
            ae_title="ORTHANC",
            timeout_s=10,
            commitment=True,
        )
        with listening(state, port, destinations={"pacs": pacs}) as node:
            for file in (CT, MR):
                assert store(node, file).status == StoreStatus.SUCCESS
            wait_for(lambda: states(node) == {"committed": 2}, "Orthanc has committed itself", 40)
            files = spooled(node)

        assert len(server.instances()) == 2
    assert files == []


@pytest.mark.peer
@pytest.mark.parametrize("mode", [CommitmentMode.REFUSE, CommitmentMode.DOWNSTREAM])
def test_orthanc_asks_and_hears_the_truth(
    state: Path, tmp_path: Path, archive: Archive, mode: CommitmentMode
) -> None:
    port = free_port()
    with orthanc(tmp_path / "orthanc", {"node": ("DEIDNODE", port)}) as server:
        peers = {"o": PeerSettings(ae_title="ORTHANC", address=LOOPBACK, report_port=server.dicom_port)}
        pacs = AESettings(
            kind="ae", host=LOOPBACK, port=archive.port, ae_title="ARCHIVE", timeout_s=5, commitment=True
        )
        with listening(state, port, destinations={"pacs": pacs}, routes=routes(mode), peers=peers) as node:
            archive.node_port = node.address[1]
            server.post("/instances", CT.read_bytes())
            [instance] = server.instances()
            server.post("/modalities/node/store", {"Resources": [instance], "Synchronous": True})
            wait_for(lambda: states(node) == {"committed": 1}, "the archive has committed itself")
            answer = server.post("/modalities/node/storage-commitment", {"Resources": [instance]})
            assert isinstance(answer, dict)
            wait_for(lambda: status_of(server, answer["ID"]) != "Pending", "Orthanc is told", 40)

            heard = status_of(server, answer["ID"])

    assert heard == ("Success" if mode is CommitmentMode.DOWNSTREAM else "Failure")


def status_of(server: Orthanc, transaction: str) -> str:
    import json

    told: dict[str, str] = json.loads(server.get(f"/storage-commitment/{transaction}"))
    return told["Status"]


@contextmanager
def listening(state: Path, port: int, **settings: Any) -> Iterator[Node]:
    """Run a node on a port that is known beforehand."""
    from deid_node.settings import Settings

    node = Node(Loaded(Settings(state=state, host=LOOPBACK, port=port, **settings), None))
    node.start()
    try:
        yield node
    finally:
        node.stop()
