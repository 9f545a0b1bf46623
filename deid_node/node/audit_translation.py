"""From lines of the audit stream to the audit messages of PS3.15 A.5.3. Pure, but for what it remembers.

Objects of one study that come or go together are one message, and so are those that were not taken for one
reason; the study of these is unknown, as there is no de-identified one. What has no message in A.5.3 stays in
the stream alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from deid_node.node import audit_message as a5
from deid_node.node.audit_message import Code, Message, Outcome, Participant, Subject

Event = Mapping[str, Any]

UNKNOWN: Final = "unknown"
_REMEMBERED: Final = 20_000
_INSTANCES: Final = 200  # of one message: 32 KiB is what every receiver has to take (A.6)
_KINDS: Final = {"new": "C", "duplicate": "R", "revision": "U"}  # A.5.3.7
_ENDED: Final = {
    "object-delivered": (Outcome.SUCCESS, ""),
    "object-held": (Outcome.MINOR, "held"),
    "object-not-taken": (Outcome.MINOR, "not taken"),
}
_NOT_TAKEN: Final = {
    "object-refused": (Outcome.MINOR, "refused"),
    "object-excluded": (Outcome.SUCCESS, "excluded by a rule, not kept"),
    "object-quarantined": (Outcome.MINOR, "not de-identified, kept in quarantine"),
}
# What is told of them, with the names that ParticipantObjectDetail has.
_DETAILS: Final = {"route": "Route", "code": "Reason Code", "path": "Attribute"}
_DIGESTS: Final = "SOP Instance Digest"
_TYPED: Final = {"person": ("1", "1"), "study": ("2", "3"), "node": ("2", "13")}  # type code, role

# What people and settings do, with the code of CID 403 that tells it, outcome and a fixed text.
_ALERTS: Final[Mapping[str, tuple[Code, Outcome, str]]] = {
    "association-rejected": (a5.NODE_AUTHENTICATION, Outcome.MINOR, "association rejected"),
    "handshake-failed": (a5.NODE_AUTHENTICATION, Outcome.MINOR, "TLS handshake failed"),
    "reloaded": (a5.SOFTWARE_CONFIGURATION, Outcome.SUCCESS, "settings reloaded"),
    "reload-refused": (a5.SOFTWARE_CONFIGURATION, Outcome.MINOR, "reload of settings refused"),
    "key-refused": (a5.SECURITY_CONFIGURATION, Outcome.SERIOUS, "project key cannot be used, no start"),
    "key-made": (a5.SECURITY_CONFIGURATION, Outcome.SUCCESS, "project key made"),
    "key-rotated": (a5.SECURITY_CONFIGURATION, Outcome.SUCCESS, "project key rotated"),
    "node-failed": (a5.STORAGE_FAILURE, Outcome.SERIOUS, "storage failed, the node starts anew"),
    "audit-messages-dropped": (a5.RECORDING_STOPPED, Outcome.SERIOUS, "audit messages dropped"),
    "crosswalk-read": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "crosswalk read"),
    "crosswalk-written": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "crosswalk written"),
    "crosswalk-forgotten": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "crosswalk links deleted"),
    "values-decrypted": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "values decrypted"),
    "quarantine-read": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "quarantine read"),
    "quarantine-rerun": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "quarantine rerun"),
    "quarantine-purged": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "quarantine purged"),
    "sealed-read": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "held originals read"),
    "sealed-released": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "held originals released"),
    "sealed-dropped": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "originals dropped"),
    "queue-retried": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "queue retried"),
    "queue-moved": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "queue entries moved"),
    "queue-dropped": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "queue entries dropped"),
    "ledger-restored": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "ledger restored"),
    "history-deleted": (a5.RESTRICTED_FUNCTION, Outcome.SUCCESS, "history deleted"),
}
NOT_TOLD: Final = frozenset("association-accepted object-sealed object-sealed-again original-held".split())
"""Events of objects that are told when they are de-identified, or of what A.5.3 has no message for."""
TOLD: Final = frozenset((*_ALERTS, *_ENDED, *_NOT_TAKEN, "object-stored", "node-started", "node-stopping"))
# Fields that may be told beside the text: codes, numbers and epochs.
_TOLD: Final = ("reason", "how", "count", "problems", "former", "epoch", "items", "ids", "entries", "digest")


@dataclass(frozen=True, slots=True)
class Place:
    """A destination: an AE with its title, or a store with the URI of its folder."""

    name: str
    address: str = ""
    uri: str = ""

    @property
    def is_store(self) -> bool:
        """Whether objects are exported to it and not transferred to an AE."""
        return bool(self.uri)


class Translation:
    """Makes messages for one node."""

    def __init__(self, ae_title: str, address: str, destinations: Mapping[str, Place]) -> None:
        """Tell of a node with an AE title and an address or host name, and of its destinations."""
        self._own = ae_title
        self._address = address
        self._destinations = destinations
        self._begun: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._patients: OrderedDict[str, str] = OrderedDict()

    def messages(self, events: Iterable[Event]) -> list[Message]:
        """Return the messages for some lines in their order; objects of one study are put together."""
        groups: dict[tuple[object, ...], list[Event]] = {}
        for number, event in enumerate(events):
            groups.setdefault(_key(event) or ("", number), []).append(event)
        return [message for group in groups.values() for message in self._of_group(group)]

    def remember(self, events: Iterable[Event]) -> None:
        """Take in what went before, to know the patients of studies that are under way."""
        for event in events:
            if event["event"] == "object-stored" and event.get("patient"):
                _put(self._patients, str(event.get("study_uid", "")), str(event["patient"]))

    def _of_group(self, group: list[Event]) -> Iterator[Message]:
        first = group[0]
        kind = str(first["event"])
        if kind == "object-stored":
            yield from self._received(group)
        elif kind in _ENDED:
            yield from self._sent(group)
        elif kind in _NOT_TAKEN:
            yield from self._not_taken(group)
        elif kind == "node-started":
            yield self._activity(first, a5.APPLICATION_START, Outcome.SUCCESS)
        elif kind == "node-stopping":
            yield self._activity(first, a5.APPLICATION_STOP, Outcome.SUCCESS)
        elif kind in _ALERTS:
            yield self._alert(first, *_ALERTS[kind])
            if kind == "node-failed":
                yield self._activity(first, a5.APPLICATION_STOP, Outcome.MAJOR)

    def _from_sender(self, event: Event) -> tuple[Participant, ...]:
        return (
            _ae(str(event.get("calling", "")), str(event.get("address", "")), a5.SOURCE, requestor=True),
            self._self(a5.DESTINATION, requestor=False),
        )

    def _not_taken(self, group: list[Event]) -> Iterator[Message]:
        """Tell of objects that came and were not de-identified (A.5.3.7), for one reason."""
        first = group[0]
        outcome, said = _NOT_TAKEN[str(first["event"])]
        code, status = first.get("code"), first.get("status")
        said = ", ".join(
            [said, *([f"code {code}"] if code else []), *([f"status {status}"] if status else [])]
        )
        told = {name: str(first[field]) for field, name in _DETAILS.items() if first.get(field)}
        for part in _parts(group):
            digests = " ".join(str(event["digest"]) for event in part if event.get("digest"))
            study = Subject(
                UNKNOWN,
                a5.STUDY_INSTANCE_UID,
                UNKNOWN,
                *_TYPED["study"],
                details={**told, **({_DIGESTS: digests} if digests else {})},
                instances=_by_class(part),
                is_counted=True,
            )
            patient = Subject(UNKNOWN, a5.PATIENT_NUMBER, UNKNOWN, *_TYPED["person"])
            yield self._message(
                part[-1],
                a5.INSTANCES_TRANSFERRED,
                "C",
                self._from_sender(first),
                (study, patient),
                outcome,
                said,
            )

    def _received(self, group: list[Event]) -> Iterator[Message]:
        self.remember(group)
        first = group[0]
        participants = self._from_sender(first)
        begun = (first.get("association"), first.get("study_uid"))
        if begun not in self._begun:
            _put(self._begun, begun, None)
            subjects = self._subjects(group, counted=True)
            yield self._message(first, a5.BEGIN_TRANSFERRING, "E", participants, subjects)
        action = _KINDS.get(str(first.get("kind")), "C")
        for part in _parts(group):
            yield self._message(
                part[-1], a5.INSTANCES_TRANSFERRED, action, participants, self._subjects(part)
            )

    def _sent(self, group: list[Event]) -> Iterator[Message]:
        first = group[0]
        outcome, said = _ENDED[str(first["event"])]
        status = first.get("status")
        if outcome is not Outcome.SUCCESS and status:
            said = f"{said}, status {status}"
        name = str(first.get("destination", ""))
        place = self._destinations.get(name, Place(name))
        receiver = (
            Participant(place.uri, False, a5.DESTINATION_MEDIA, media=a5.MEDIA_URI)
            if place.is_store
            else _ae(place.name, place.address, a5.DESTINATION, requestor=False)
        )
        event = a5.DATA_EXPORT if place.is_store else a5.INSTANCES_TRANSFERRED
        for part in _parts(group):
            yield self._message(
                part[-1],
                event,
                "R",
                (self._self(a5.SOURCE, requestor=True), receiver),
                self._subjects(part),
                outcome,
                said,
            )

    def _activity(self, event: Event, kind: Code, outcome: Outcome) -> Message:
        return self._message(
            event,
            a5.APPLICATION_ACTIVITY,
            "E",
            (self._self(a5.APPLICATION, requestor=False),),
            (),
            outcome,
            types=(kind,),
        )

    def _alert(self, event: Event, kind: Code, outcome: Outcome, said: str) -> Message:
        participants = [self._self(a5.APPLICATION, requestor=True)]
        address, calling = str(event.get("address", "")), str(event.get("calling", ""))
        if calling:
            participants.append(_ae(calling, address, None, requestor=False))
        if "user" in event:
            account = str(event.get("account", event["user"]))
            participants.append(Participant(account, False, None, f"uid={event['user']}"))
        details = {name: str(event[name]) for name in _TOLD if event.get(name) not in (None, "", [])}
        text = "; ".join([said, *(f"{name} {value}" for name, value in details.items())])
        type_code, role = _TYPED["node"]
        subject = Subject(
            address or self._address,
            a5.NODE_ID,
            calling or self._own,
            type_code,
            role,
            details={"Alert Description": text},
        )
        return self._message(
            event,
            a5.SECURITY_ALERT,
            "E",
            tuple(participants),
            (subject,),
            outcome,
            "" if outcome is Outcome.SUCCESS else said,
            (kind,),
        )

    def _message(
        self,
        event: Event,
        code: Code,
        action: str,
        participants: tuple[Participant, ...],
        subjects: tuple[Subject, ...],
        outcome: Outcome = Outcome.SUCCESS,
        said: str = "",
        types: tuple[Code, ...] = (),
    ) -> Message:
        return Message(
            code,
            action,
            str(event["at"]),
            participants,
            types,
            outcome,
            said,
            subjects,
            str(event.get("process", "-")),
        )

    def _self(self, role: Code, *, requestor: bool) -> Participant:
        return _ae(self._own, self._address, role, requestor=requestor)

    def _subjects(self, group: list[Event], *, counted: bool = False) -> tuple[Subject, ...]:
        study = str(group[0].get("study_uid") or UNKNOWN)
        patient = self._patients.get(study) or UNKNOWN
        return (
            Subject(
                study,
                a5.STUDY_INSTANCE_UID,
                study,
                *_TYPED["study"],
                life_cycle="7",  # de-identification
                instances=_by_class(group),
                is_counted=counted,
                is_anonymized=True,
            ),
            Subject(patient, a5.PATIENT_NUMBER, patient, *_TYPED["person"]),
        )


def _key(event: Event) -> tuple[object, ...] | None:
    """Return what events of one message have in common, None for a message of its own."""
    kind = event["event"]
    if kind == "object-stored":
        return (kind, event.get("association"), event.get("study_uid"), event.get("kind"))
    if kind in _ENDED:
        return (kind, event.get("destination"), event.get("study_uid"), event.get("status"))
    if kind in _NOT_TAKEN:
        return (kind, *map(event.get, ("association", "route", "code", "path", "status")))
    return None


def _by_class(group: list[Event]) -> dict[str, list[str]]:
    instances: dict[str, list[str]] = {}
    for event in group:
        uids = instances.setdefault(str(event.get("sop_class_uid", "")), [])
        uids.append(str(event.get("sop_instance_uid", "")))
    return instances


def _parts(group: list[Event]) -> Iterator[list[Event]]:
    rest = iter(group)
    while part := list(islice(rest, _INSTANCES)):
        yield part


def _ae(title: str, address: str, role: Code | None, *, requestor: bool) -> Participant:
    return Participant(title or UNKNOWN, requestor, role, f"AETITLES={title}" if title else "", address)


def _put(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Remember something, and forget what is older than what there is room for."""
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
