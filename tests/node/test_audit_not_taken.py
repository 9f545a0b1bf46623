"""Objects that a node does not take, as messages of PS3.15 A.5 to a collector."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.node.audit_message import xml_of
from deid_node.node.audit_translation import Translation
from deid_node.settings.destinations import FolderSettings
from tests.certificates import Authority
from tests.node.collector import assert_valid, collecting
from tests.node.running import CT, running, store
from tests.node.test_audit_syslog import SECOND, STOPPED, assert_pseudonymous, audit_to
from tests.peers import wait_for

pytestmark = pytest.mark.peer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_objects_that_are_not_taken_are_told_together_and_name_nobody(tmp_path: Path) -> None:
    translation = Translation("DEIDNODE", "10.0.0.1", {})
    common = {"at": "2026-01-01T00:00:00Z", "calling": "CT1", "address": "10.0.0.9", "association": "a"}
    refused = [
        {**common, "event": "object-refused", "route": "r", "code": "malformed", "status": "C101"}
        | {"digest": f"{number:016x}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}
        for number in range(450)
    ]
    others = [
        {**common, "event": "object-excluded", "route": "r", "code": "excluded", "status": "0000"},
        {**common, "event": "object-quarantined", "route": "r", "code": "rejected", "path": "PatientName"},
        {**common, "event": "object-refused", "code": "no-route", "status": "C107"},
    ]

    messages = translation.messages([*refused, *others])
    texts = [xml_of(message, "DEIDNODE@host").decode("ascii") for message in messages]

    assert [(m.event.value, m.action, m.outcome.value) for m in messages] == [
        ("110104", "C", outcome) for outcome in "444044"
    ]
    assert max(map(len, texts)) < 32_000
    assert messages[0].description == "refused, code malformed, status C101"
    assert [one.user_id for one in messages[0].participants] == ["CT1", "DEIDNODE"]
    study, patient = messages[0].subjects
    assert (study.id, patient.id) == ("unknown", "unknown")
    assert 'NumberOfInstances="200"' in texts[0]
    assert "Anonymized" not in texts[0]
    digests = " ".join(m.subjects[0].details["SOP Instance Digest"] for m in messages[:3]).split()
    assert digests == [event["digest"] for event in refused]
    assert messages[4].subjects[0].details["Attribute"] == "PatientName"
    assert_valid(texts, tmp_path / "xml")


def test_objects_that_a_node_does_not_take_reach_the_collector(tmp_path: Path, authority: Authority) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    assert main(["quarantine", "keys", str(private), str(public)]) == 0
    profile = tmp_path / "site.toml"
    profile.write_text(
        'name = "site"\nversion = "1"\nextends = ["basic"]\n'
        '[[exclude]]\nwhen = "Modality == \'MR\'"\nbecause = "no MR"\n'
        '[[reject]]\nwhen = "Modality == \'CT\'"\nbecause = "no CT"\n'
    )
    with collecting(tmp_path / "rsyslog", authority) as collector:
        routes = {
            name: {
                "called": [name.upper()],
                "destinations": ["out"],
                "profile": str(profile),
                "on_reject": how,
            }
            for name, how in (("strict", "refuse"), ("kept", "quarantine"))
        }
        with running(
            tmp_path / "state",
            audit=audit_to(authority, collector.port),
            routes=routes,
            destinations={"out": FolderSettings(kind="folder", path=tmp_path / "out")},
            quarantine={"public_key": public},
        ) as node:
            for file, called in ((CT, "STRICT"), (CT, "KEPT"), (SECOND, "STRICT")):
                store(node, file, called=called)
        wait_for(lambda: STOPPED in collector.told(), "the node has told that it stops")

    told = [line for line in collector.told() if line[0] == "110104"]
    assert sorted(told) == [("110104", "C", "0"), ("110104", "C", "4"), ("110104", "C", "4")]
    assert_valid([line.split(" - ", 1)[1] for line in collector.raw()], tmp_path / "xml")
    assert_pseudonymous(collector)
