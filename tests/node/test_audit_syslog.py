"""Audit messages of PS3.15 A.5 reach a collector over TLS syslog, whatever happens between."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from structlog.testing import capture_logs

from deid_node.cli import main
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError, ConfigurationError
from deid_node.node.audit import NAME, AuditTrail
from deid_node.node.audit_follow import Follower
from deid_node.node.audit_message import xml_of
from deid_node.node.audit_translation import _ALERTS, NOT_TOLD, TOLD, Place, Translation
from deid_node.node.tls import check_tls
from deid_node.settings import Settings
from deid_node.settings.destinations import FolderSettings
from deid_node.settings.load import load_settings
from deid_node.settings.records import AuditSettings, SyslogSettings
from tests.certificates import Authority
from tests.node.collector import Collector, assert_valid, collecting
from tests.node.running import CT, running, store
from tests.peers import LOOPBACK, free_port, storescp, wait_for

pytestmark = pytest.mark.peer

SECOND = CT.with_name("MR_small.dcm")
STARTED = ("110100", "110120", "E", "0")
STOPPED = ("110100", "110121", "E", "0")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def audit_to(authority: Authority, port: int, **more: Any) -> AuditSettings:
    syslog = SyslogSettings(host=LOOPBACK, port=port, ca=authority.file, name="localhost", **more)
    return AuditSettings(syslog=syslog)


def events(state: Path) -> list[dict[str, Any]]:
    folder = state / "audit"
    files = [*sorted(folder.glob("audit-*.jsonl")), folder / NAME]
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def delivered(state: Path, count: int) -> None:
    wait_for(lambda: sum(e["event"] == "object-delivered" for e in events(state)) >= count, "delivered")


def test_the_way_of_objects_is_told_in_messages_of_the_standard(tmp_path: Path, authority: Authority) -> None:
    state = tmp_path / "state"
    with (
        storescp(tmp_path / "down") as port,
        collecting(tmp_path / "rsyslog", authority) as collector,
    ):
        destinations = {
            "store": FolderSettings(kind="folder", path=tmp_path / "out"),
            "down": {"kind": "ae", "host": LOOPBACK, "port": port, "ae_title": "DOWN"},
        }
        with running(state, audit=audit_to(authority, collector.port), destinations=destinations) as node:
            assert store(node, CT).status == StoreStatus.SUCCESS
            assert store(node, SECOND).status == StoreStatus.SUCCESS
            assert store(node, CT).status == StoreStatus.SUCCESS
            with pytest.raises(AssociationError):
                store(node, CT, called="NOBODY")
            delivered(state, 4)
        wait_for(lambda: STOPPED in collector.told(), "the node has told that it stops")

    told = collector.told()
    assert told[0] == STARTED
    assert told[-1] == STOPPED
    assert told.count(("110102", "E", "0")) == 3
    assert told.count(("110104", "C", "0")) == 2
    assert ("110104", "R", "0") in told
    assert told.count(("110106", "R", "0")) == 2
    assert ("110113", "110126", "E", "4") in told
    assert_valid([line.split(" - ", 1)[1] for line in collector.raw()], tmp_path / "xml")
    assert_pseudonymous(collector)
    _assert_about_what_was_stored(collector, state)


@pytest.mark.parametrize("pseudonyms", ["keyed", "random"])
def test_a_patient_whose_id_the_profile_keeps_is_told_by_a_pseudonym(
    pseudonyms: str, tmp_path: Path, authority: Authority
) -> None:
    profile = tmp_path / "keeps.toml"
    profile.write_text('name = "keeps"\nversion = "1"\nextends = ["basic"]\n[attributes]\nPatientID = "K"\n')
    state = tmp_path / "state"
    with collecting(tmp_path / "rsyslog", authority) as collector:
        audit = audit_to(authority, collector.port)
        with running(state, audit=audit, profile=str(profile), pseudonyms=pseudonyms) as node:
            assert store(node, CT).status == StoreStatus.SUCCESS
            delivered(state, 1)
        wait_for(lambda: STOPPED in collector.told(), "the node has told that it stops")

    [written] = (state / "out").rglob("*.dcm")
    told = "".join(collector.raw())
    assert pydicom.dcmread(written).PatientID == "1CT1"
    assert "1CT1" not in told
    assert "Patient Number" in told


def assert_pseudonymous(collector: Collector) -> None:
    text = "\n".join(collector.raw())
    for file in (CT, SECOND):
        original = pydicom.dcmread(file, stop_before_pixels=True)
        for keyword in (
            *("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
            *("PatientBirthDate", "AccessionNumber", "InstitutionName"),
        ):
            value = str(original.get(keyword, ""))
            assert not value or not re.search(rf"(?<![0-9.]){re.escape(value)}(?![0-9.])", text), keyword


def _assert_about_what_was_stored(collector: Collector, state: Path) -> None:
    stored = [event for event in events(state) if event["event"] == "object-stored"]
    of_patient = {event["study_uid"]: event["patient"] for event in stored}
    for message in collector.messages():
        subjects = message.findall("ParticipantObjectIdentification")
        if message[0][0].get("csd-code") not in {"110102", "110104", "110106"}:
            continue
        study, patient = subjects
        assert of_patient[study.get("ParticipantObjectID")] == patient.get("ParticipantObjectID")
        uids = {uid.get("UID") for uid in study.iter("Instance")}
        assert uids <= {event["sop_instance_uid"] for event in stored}
        assert len(uids) == (0 if message[0][0].get("csd-code") == "110102" else 1)


def test_what_happens_while_the_collector_is_away_is_told_when_it_is_back(
    tmp_path: Path, authority: Authority
) -> None:
    port, state = free_port(), tmp_path / "state"
    with capture_logs() as logged, running(state, audit=audit_to(authority, port)) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        delivered(state, 1)
        wait_for(lambda: any(e["event"] == "node.audit_syslog_out" for e in logged), "that it is away", 30)
        with collecting(tmp_path / "rsyslog", authority, port=port) as collector:
            wait_for(lambda: ("110106", "R", "0") in collector.told(), "the delivery is told", 30)

    assert collector.told()[0] == STARTED
    out = next(e for e in logged if e["event"] == "node.audit_syslog_out")
    assert (out["port"], out["reason"]) == (port, "connection refused")


def test_what_was_not_sent_before_a_restart_is_sent_after_it(tmp_path: Path, authority: Authority) -> None:
    port, state = free_port(), tmp_path / "state"
    with running(state, audit=audit_to(authority, port)) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        delivered(state, 1)

    with (
        collecting(tmp_path / "rsyslog", authority, port=port) as collector,
        running(state, audit=audit_to(authority, port)),
    ):
        wait_for(lambda: collector.told().count(STARTED) == 2, "both starts are told")

    assert collector.told()[:2] == [STARTED, ("110102", "E", "0")]
    assert collector.told().count(("110104", "C", "0")) == 1
    _assert_about_what_was_stored(collector, state)


def test_a_collector_that_dies_and_comes_back_misses_nothing(tmp_path: Path, authority: Authority) -> None:
    port, state, folder = free_port(), tmp_path / "state", tmp_path / "rsyslog"
    with running(state, audit=audit_to(authority, port)) as node:
        with collecting(folder, authority, port=port) as collector:
            wait_for(lambda: STARTED in collector.told(), "the start is told")
        assert store(node, CT).status == StoreStatus.SUCCESS
        with collecting(folder, authority, port=port) as collector:
            wait_for(lambda: ("110104", "C", "0") in collector.told(), "the object is told", 30)


def test_deeds_of_people_are_told_with_their_account(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    with collecting(tmp_path / "rsyslog", authority) as collector:
        config = tmp_path / "node.toml"
        config.write_text(
            f'state = "{state}"\n[crosswalk]\nenabled = true\n[audit.syslog]\nhost = "{LOOPBACK}"\n'
            f'port = {collector.port}\nca = "{authority.file.name}"\nname = "localhost"\n'
        )
        settings = load_settings(config).settings
        with running(state, audit=settings.audit, crosswalk=settings.crosswalk) as node:
            store(node, CT)
            assert main(["crosswalk", "lookup", "1CT1", "--config", str(config)]) == 0
            wait_for(lambda: ("110113", "110132", "E", "0") in collector.told(), "the lookup is told")

    [message] = [one for one in collector.messages() if one[0][0].get("csd-code") == "110113"]
    people = [one.get("AlternativeUserID", "") for one in message.findall("ActiveParticipant")]
    assert any(one.startswith("uid=") for one in people)
    assert "1CT1" not in "".join(collector.raw())


def test_a_collector_that_asks_for_a_certificate_gets_ours(tmp_path: Path, authority: Authority) -> None:
    ours = authority.issue("node")
    with collecting(tmp_path / "rsyslog", authority, permitted="node") as collector:
        audit = audit_to(authority, collector.port, certificate=ours.file, key=ours.key)
        with running(tmp_path / "state", audit=audit):
            wait_for(lambda: STARTED in collector.told(), "the start is told")


def test_a_sender_without_the_certificate_is_not_heard_and_keeps_what_it_has(
    tmp_path: Path, authority: Authority
) -> None:
    ours, state = authority.issue("node"), tmp_path / "state"
    with collecting(tmp_path / "rsyslog", authority, permitted="node") as collector:
        with running(state, audit=audit_to(authority, collector.port)) as node:
            store(node, CT)
            delivered(state, 1)
        assert collector.told() == []

        audit = audit_to(authority, collector.port, certificate=ours.file, key=ours.key)
        with running(state, audit=audit):
            wait_for(lambda: collector.told().count(STARTED) == 2, "both starts are told")


# --- collectors that cannot be trusted or do not listen: a TLS server of our own ------------------


class _Listener:
    """Accepts connections with TLS, and reads from them or does not."""

    def __init__(self, context: ssl.SSLContext, *, reads: bool) -> None:
        self.received = bytearray()
        self.errors: list[str] = []
        self._context, self._reads = context, reads
        self._sock = socket.create_server((LOOPBACK, 0))
        self.port = self._sock.getsockname()[1]
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            sock.settimeout(10)
            try:
                secured = self._context.wrap_socket(sock, server_side=True)
                self._held.append(secured)
                while self._reads and (data := secured.recv(65536)):
                    self.received += data
            except OSError as error:
                self.errors.append(getattr(error, "reason", "") or type(error).__name__)

    def close(self) -> None:
        for sock in (self._sock, *self._held):
            sock.close()


@pytest.fixture
def listeners() -> Iterator[list[_Listener]]:
    found: list[_Listener] = []
    yield found
    for one in found:
        one.close()


def _server(authority: Authority, name: str = "collector", **more: float) -> ssl.SSLContext:
    issued = authority.issue(name, **more)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.file, issued.key)
    return context


def test_every_message_has_its_length_in_front(
    tmp_path: Path, authority: Authority, listeners: list[_Listener]
) -> None:
    listeners.append(_Listener(_server(authority), reads=True))
    with running(tmp_path / "state", audit=audit_to(authority, listeners[0].port)) as node:
        store(node, CT)
        delivered(tmp_path / "state", 1)
    wait_for(lambda: b"110121" in listeners[0].received, "the stop is told")

    rest, count = bytes(listeners[0].received), 0
    while rest:
        digits, _, rest = rest.partition(b" ")
        message, rest = rest[: int(digits)], rest[int(digits) :]
        assert message.startswith(b"<8")
        assert message.endswith(b"</AuditMessage>")
        count += 1
    assert count == 5


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("fault", ["other authority", "other name", "expired", "old TLS"])
def test_a_collector_that_is_not_who_it_should_be_hears_nothing(
    fault: str, tmp_path: Path, authority: Authority, listeners: list[_Listener]
) -> None:
    context = {
        "other authority": lambda: _server(Authority(tmp_path, "stranger")),
        "other name": lambda: _server(authority),
        "expired": lambda: _server(authority, shifted_h=-48),
        "old TLS": lambda: _server(authority),
    }[fault]()
    if fault == "old TLS":
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    listeners.append(_Listener(context, reads=True))
    audit = audit_to(authority, listeners[0].port)
    if fault == "other name":
        audit = AuditSettings(syslog=audit.syslog.model_copy(update={"name": "elsewhere.example"}))

    with running(tmp_path / "state", audit=audit) as node:
        wait_for(lambda: listeners[0].errors, "the handshake failed")
        assert store(node, CT).status == StoreStatus.SUCCESS

    assert listeners[0].received == b""


def test_a_collector_that_does_not_read_delays_no_object(
    tmp_path: Path, authority: Authority, listeners: list[_Listener]
) -> None:
    listeners.append(_Listener(_server(authority), reads=False))
    state = tmp_path / "state"
    with running(state, audit=audit_to(authority, listeners[0].port)) as node:
        audit = AuditTrail(state / "audit", durable=False)
        for _ in range(3000):  # more than the buffers of both ends hold
            audit.post("reload-refused", reason="x" * 2000)
        audit.close()
        for _ in range(5):
            assert store(node, CT).status == StoreStatus.SUCCESS
        delivered(state, 1)

    assert events(state)[-1]["event"] == "node-stopping"


# --- what may wait ---------------------------------------------------------------------------------


def test_a_follower_reads_every_line_once_through_files_put_aside_and_restarts(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, max_bytes=4096, durable=False)
    follower = Follower(tmp_path, "test", 1 << 20)

    seen = []
    for number in range(300):
        audit.write("something", number=number)
        if number % 7 == 0:
            seen += [event["number"] for event in follower.read()]
            follower.done()
        if number % 50 == 0:
            follower = Follower(tmp_path, "test", 1 << 20)
    while found := follower.read():
        seen += [event["number"] for event in found]

    assert seen == list(range(300))


def test_what_was_not_done_is_read_again(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, durable=False)
    follower = Follower(tmp_path, "test", 1 << 20)
    audit.write("first")
    follower.read()
    follower.again()

    assert [event["event"] for event in follower.read()] == ["first"]
    assert [event["event"] for event in Follower(tmp_path, "test", 1 << 20).read()] == ["first"]


def test_a_new_follower_begins_with_what_comes(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, max_bytes=4096, durable=False)
    for number in range(100):
        audit.write("before", number=number)
    follower = Follower(tmp_path, "test", 1 << 20)

    audit.write("after")

    assert [event["event"] for event in follower.read()] == ["after"]


def test_lines_beyond_the_bound_are_passed_over_oldest_first_and_counted(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, max_bytes=100_000, durable=False)
    follower = Follower(tmp_path, "test", 1 << 22)
    for number in range(40_000):
        audit.post("something", number=number, reason="x" * 80)
    audit.close()

    dropped = follower.pass_over()
    rest = []
    while found := follower.read():
        rest += [event["number"] for event in found]
        follower.done()

    assert dropped > 0
    assert rest == list(range(dropped, 40_000))
    assert follower.pass_over() == 0


def test_lines_that_were_passed_over_are_told(tmp_path: Path, authority: Authority) -> None:
    port, state = free_port(), tmp_path / "state"
    audit = audit_to(authority, port, max_waiting_bytes=1 << 16)
    with running(state, audit=audit) as node:
        trail = AuditTrail(state / "audit", durable=False)
        for _ in range(500):
            trail.post("reload-refused", problems=1, reason="x" * 250)
        trail.close()
        wait_for(lambda: any(e["event"] == "audit-messages-dropped" for e in events(state)), "counted", 30)
        store(node, CT)
        with collecting(tmp_path / "rsyslog", authority, port=port) as collector:
            wait_for(lambda: ("110113", "110133", "E", "8") in collector.told(), "the loss is told", 30)


def test_a_file_with_unsent_lines_outlives_its_days(tmp_path: Path) -> None:
    needed = {"audit-20200101T000000000000.jsonl"}
    for name in (*needed, "audit-20200102T000000000000.jsonl"):
        (tmp_path / name).write_text("{}\n")
        os.utime(tmp_path / name, (1, 1))
    audit = AuditTrail(
        tmp_path, max_bytes=4096, keep_days=30, durable=False, is_needed=lambda name: name in needed
    )

    for number in range(100):
        audit.write("something", number=number)

    assert {path.name for path in tmp_path.glob("audit-2020*")} == needed


def test_files_put_aside_keep_their_order_when_the_clock_is_set_back(tmp_path: Path) -> None:
    (tmp_path / "audit-29991231T235959999999.jsonl").write_text("{}\n")
    audit = AuditTrail(tmp_path, max_bytes=4096, durable=False)
    follower = Follower(tmp_path, "test", 1 << 20)

    for number in range(300):
        audit.write("something", number=number)
    seen = []
    while found := follower.read():
        seen += [event["number"] for event in found]

    assert seen == list(range(300))


# --- messages ------------------------------------------------------------------------------------------


def test_every_event_that_is_an_alert_makes_a_valid_message(tmp_path: Path) -> None:
    translation = Translation("DEIDNODE", "host", {})
    at = "2026-01-01T00:00:00.000+00:00"
    odd = 'a<b>&"\x00\x1b\ud800 é'

    messages = translation.messages(
        {"at": at, "event": event, "user": 7, "account": odd, "reason": odd, "calling": odd, "address": odd}
        for event in (*_ALERTS, "node-started", "node-stopping")
    )

    assert len(messages) == len(_ALERTS) + 3  # a node that failed stops, too
    assert_valid([xml_of(message, "DEIDNODE@host").decode("ascii") for message in messages], tmp_path / "xml")


def test_every_event_of_the_reference_is_a_message_or_is_none_on_purpose() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "audit.md"
    table = page.read_text().split("## As messages")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {event for row in rows for event in re.findall("`([a-z-]+)`", row)}

    assert documented == TOLD | NOT_TOLD


def test_objects_of_a_study_are_one_message_as_long_as_it_is_not_too_long() -> None:
    translation = Translation("DEIDNODE", "10.0.0.1", {"s": Place("s", uri="file:///srv")})
    at = "2026-01-01T00:00:00.000+00:00"
    common = {"at": at, "study_uid": "2.25.1", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}
    uids = [f"2.25.{number}{'9' * 37}" for number in range(1000, 2000)]
    stored = [
        {**common, "event": "object-stored", "kind": "new", "association": "a", "sop_instance_uid": uid}
        for uid in uids
    ]
    sent = [
        {**common, "event": "object-delivered", "destination": "s", "sop_instance_uid": uid} for uid in uids
    ]

    messages = translation.messages([*stored, *sent])
    texts = [xml_of(message, "DEIDNODE@host").decode() for message in messages]

    assert max(map(len, texts)) < 32_000
    for code in ("110104", "110106"):
        found = [text for text in texts if f'EventID csd-code="{code}"' in text]
        assert len(found) == 5
        assert [uid for text in found for uid in re.findall(r'Instance UID="([^"]*)"', text)] == uids


def test_an_object_that_a_destination_does_not_take_is_a_failure() -> None:
    translation = Translation("DEIDNODE", "10.0.0.1", {"pacs": Place("PACS", "10.0.0.2")})
    event = {"event": "object-not-taken", "destination": "pacs", "status": "A900"}

    [message] = translation.messages([{"at": "2026-01-01T00:00:00Z", **event}])

    assert (message.event.value, message.outcome.value) == ("110104", "4")
    assert message.description == "not taken, status A900"
    assert [one.user_id for one in message.participants] == ["DEIDNODE", "PACS"]


# --- settings --------------------------------------------------------------------------------------------


def test_files_that_cannot_be_used_are_named_before_anything_starts(
    tmp_path: Path, authority: Authority
) -> None:
    ours = authority.issue("node")
    for change, expected in (
        ({"ca": tmp_path / "absent"}, r"audit\.syslog\.ca: .*absent cannot be read"),
        ({"certificate": ours.file}, r"audit\.syslog\.key: is missing"),
        ({"key": ours.key}, r"audit\.syslog\.key: is of no use without"),
    ):
        syslog = SyslogSettings(**{"host": "h", "ca": authority.file, **change})
        with pytest.raises(ConfigurationError, match=expected):
            check_tls(Settings(state=tmp_path, audit=AuditSettings(syslog=syslog)))


def test_messages_need_the_stream(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[audit]\nenabled = false\n[audit.syslog]\nhost = "h"\nca = "c"\n')
    with pytest.raises(ConfigurationError, match=r"audit\.syslog needs audit\.enabled"):
        load_settings(config)


def test_a_misspelt_setting_of_the_collector_is_recognized(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[audit.syslog]\nhost = "h"\nca = "c"\ncertificat = "d"\n')
    with pytest.raises(ConfigurationError, match=r'line 4.*did you mean "certificate"'):
        load_settings(config)
