"""Audit messages of PS3.15 A.5 as values, and their XML in the schema of A.5.1. Pure.

What a message is about is said by codes of PS3.16 (CID 400 to 403). Who and what take part are
pseudonyms, UIDs of de-identified objects, AE titles, accounts and addresses: the caller puts no value
of a patient in.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from xml.etree import ElementTree  # writes, reads nothing
from xml.etree.ElementTree import Element, SubElement

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_APPLICATION_SERVER: Final = "4"  # A.5.1.2.1
_MACHINE_NAME: Final = "1"
_IP_ADDRESS: Final = "2"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: code, coding scheme, meaning."""

    value: str
    meaning: str
    scheme: str = "DCM"


# CID 400, 401
APPLICATION_ACTIVITY: Final = Code("110100", "Application Activity")
BEGIN_TRANSFERRING: Final = Code("110102", "Begin Transferring DICOM Instances")
INSTANCES_TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
DATA_EXPORT: Final = Code("110106", "Export")
SECURITY_ALERT: Final = Code("110113", "Security Alert")
APPLICATION_START: Final = Code("110120", "Application Start")
APPLICATION_STOP: Final = Code("110121", "Application Stop")
# CID 403
NODE_AUTHENTICATION: Final = Code("110126", "Node Authentication")
SECURITY_CONFIGURATION: Final = Code("110129", "Security Configuration")
SOFTWARE_CONFIGURATION: Final = Code("110131", "Software Configuration")
RESTRICTED_FUNCTION: Final = Code("110132", "Use of Restricted Function")
RECORDING_STOPPED: Final = Code("110133", "Audit Recording Stopped")
STORAGE_FAILURE: Final = Code("storage-failure", "Storage Failure", "99DEIDNODE")  # CID 403 has none
# CID 402
APPLICATION: Final = Code("110150", "Application")
LAUNCHER: Final = Code("110151", "Application Launcher")
DESTINATION: Final = Code("110152", "Destination Role ID")
SOURCE: Final = Code("110153", "Source Role ID")
DESTINATION_MEDIA: Final = Code("110154", "Destination Media")
# Kinds of ParticipantObjectID; those of RFC 3881 5.5.4 have its scheme.
STUDY_INSTANCE_UID: Final = Code("110180", "Study Instance UID")
NODE_ID: Final = Code("110182", "Node ID")
PATIENT_NUMBER: Final = Code("2", "Patient Number", "RFC-3881")
URI: Final = Code("12", "URI", "RFC-3881")
MEDIA_URI: Final = Code("110037", "URI")  # CID 405


class Outcome(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    MINOR = "4"
    SERIOUS = "8"
    MAJOR = "12"


@dataclass(frozen=True, slots=True)
class Participant:
    """Who takes part: a person, or a program. `media` is what data is exported to (A.5.3.4)."""

    user_id: str
    is_requestor: bool
    role: Code | None = None
    alternative: str = ""
    address: str = ""
    media: Code | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about. `instances` are SOP Instance UIDs of one study by SOP Class UID, which is ""
    where it is unknown; with `is_counted` their number alone is told.
    """

    id: str
    id_type: Code
    name: str
    type_code: str
    role: str
    life_cycle: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    instances: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_counted: bool = False
    is_anonymized: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One audit message. `at` is an xs:dateTime."""

    event: Code
    action: str
    at: str
    participants: tuple[Participant, ...]
    types: tuple[Code, ...] = ()
    outcome: Outcome = Outcome.SUCCESS
    description: str = ""
    subjects: tuple[Subject, ...] = ()
    process: str = "-"


def xml_of(message: Message, source: str) -> bytes:
    """Return a message as XML (PS3.15 A.5.1.1), in ASCII: other characters are references.

    Args:
        message: what is told.
        source: who tells it (AuditSourceID).
    """
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=message.at,
        EventOutcomeIndicator=message.outcome.value,
    )
    _code(event, "EventID", message.event)
    for kind in message.types:
        _code(event, "EventTypeCode", kind)
    if message.description:
        SubElement(event, "EventOutcomeDescription").text = _clean(message.description)
    for participant in message.participants:
        _participant(root, participant)
    told_by = SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source))
    SubElement(told_by, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for subject in message.subjects:
        _subject(root, subject)
    text: bytes = ElementTree.tostring(root, encoding="us-ascii")
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text


def _code(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent,
        name,
        {
            "csd-code": code.value,
            "codeSystemName": code.scheme,
            "displayName": code.meaning,
            "originalText": code.meaning,
        },
    )


def _participant(root: Element, one: Participant) -> None:
    element = SubElement(root, "ActiveParticipant", UserID=_clean(one.user_id))
    if one.alternative:
        element.set("AlternativeUserID", _clean(one.alternative))
    element.set("UserIsRequestor", str(one.is_requestor).lower())
    if one.address:
        element.set("NetworkAccessPointID", _clean(one.address))
        element.set("NetworkAccessPointTypeCode", _kind_of(one.address))
    if one.role is not None:
        _code(element, "RoleIDCode", one.role)
    if one.media is not None:
        _code(SubElement(element, "MediaIdentifier"), "MediaType", one.media)


def _kind_of(address: str) -> str:
    try:
        ip_address(address.split("%")[0])
    except ValueError:
        return _MACHINE_NAME
    return _IP_ADDRESS


def _subject(root: Element, one: Subject) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(one.id),
        ParticipantObjectTypeCode=one.type_code,
        ParticipantObjectTypeCodeRole=one.role,
    )
    if one.life_cycle:
        element.set("ParticipantObjectDataLifeCycle", one.life_cycle)
    _code(element, "ParticipantObjectIDTypeCode", one.id_type)
    SubElement(element, "ParticipantObjectName").text = _clean(one.name)
    for kind, value in one.details.items():
        coded = b64encode(_clean(value).encode()).decode("ascii")
        SubElement(element, "ParticipantObjectDetail", type=kind, value=coded)
    if not one.instances:
        return
    description = SubElement(element, "ParticipantObjectDescription")
    for sop_class_uid, uids in one.instances.items():
        of_class = SubElement(description, "SOPClass")
        if sop_class_uid:
            of_class.set("UID", _clean(sop_class_uid))
        of_class.set("NumberOfInstances", str(len(uids)))
        for uid in () if one.is_counted else uids:
            SubElement(of_class, "Instance", UID=_clean(uid))
    if one.is_anonymized:
        SubElement(description, "Anonymized").text = "true"


def _clean(text: str) -> str:
    """Return a text without the characters that XML 1.0 cannot have."""
    return _NOT_IN_XML.sub("?", text)
