"""What is written down beside an object: codes and crosswalk before it is acknowledged, audit after.

Opens the pseudonyms of the project, too: which kind they are decides what has to be kept.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from deid_node.dimse.association import Caller
from deid_node.engine.deidentified import Summary
from deid_node.engine.identity import Known
from deid_node.engine.keys import Pseudonyms, RandomPseudonyms
from deid_node.engine.rewrite import Rewrite
from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.audit import STARTED, STORED, AuditTrail
from deid_node.node.audit_syslog import is_unsent, open_syslog
from deid_node.node.crosswalk import PATIENT_ID, Crosswalk
from deid_node.node.crosswalk_codes import MARK, RandomCodes, refuse_lost_codes
from deid_node.node.crosswalk_vault import NAME, Vault
from deid_node.node.epochs import KeyRing, key_ring
from deid_node.node.handshakes import FailedHandshakes
from deid_node.settings import Settings
from deid_node.settings.records import PseudonymKind
from deid_node.spool.desk import Desk
from deid_node.spool.entry import SERIES, STUDY, Commit, Entry
from deid_node.spool.outcomes import Delivered, Held, Outcome, Refused

_AT_A_TIME: Final = 1000
_SKEW: Final = 1024
_SETTLED: Final = {Delivered: "object-delivered", Held: "object-held", Refused: "object-not-taken"}


class Records:
    """The pseudonyms of a project and what is recorded of its objects."""

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        crosswalk: Crosswalk | None = None,
        audit: AuditTrail | None = None,
        tells_patients: bool = False,
    ) -> None:
        """Record in what is given; None records nothing.

        Args:
            pseudonyms: of the project.
            crosswalk: who is behind them.
            audit: the audit stream.
            tells_patients: also write the pseudonym of the patient into it, which A.5 messages need.
        """
        self._tells_patients = tells_patients
        self.pseudonyms = pseudonyms
        self.crosswalk = crosswalk
        self.audit = audit
        self.handshakes = FailedHandshakes(self._tell_handshake)
        self._after_item = 0
        self._open = ExitStack()

    @classmethod
    def open(cls, settings: Settings) -> Records:
        """Open what the settings switch on.

        Raises:
            ConfigurationError: a key cannot be used.
            SpoolError: the crosswalk or the audit stream cannot be used.
        """
        with ExitStack() as opened:
            audit = open_audit(settings)
            if audit is not None:
                syslog = open_syslog(settings, audit)
                if syslog is not None:
                    opened.callback(syslog.stop)  # after the last line was written
                    syslog.start()
                opened.callback(audit.close)
            ring = _key_ring(settings, audit)
            vault = open_vault(settings, ring)
            if vault is not None:
                opened.callback(vault.close)
            crosswalk = None
            if vault is not None and settings.crosswalk.enabled:
                crosswalk = Crosswalk(vault, names=settings.crosswalk.names)
            records = cls(
                make_pseudonyms(settings, ring, vault),
                crosswalk=crosswalk,
                audit=audit,
                tells_patients=settings.audit.syslog is not None,
            )
            records._open = opened.pop_all()
        return records

    @property
    def captured(self) -> frozenset[int]:
        """The attributes of the result that are recorded."""
        return frozenset({PATIENT_ID}) if self.crosswalk is not None else frozenset()

    @property
    def known(self) -> Known | None:
        """Tells what the crosswalk knows of a patient; None without one."""
        return None if self.crosswalk is None else self.crosswalk.known

    def keep(self, rewrite: Rewrite, summary: Summary) -> str | None:
        """Make durable what has to be known of an object before it is acknowledged.

        Returns:
            The pseudonym of the patient where `stored` is to tell it, made from the original: what stands
            in the result is up to the profile, which may keep it.

        Raises:
            SpoolError: it is not; the sender has to keep the object.
        """
        if self.audit is not None and self.audit.is_behind:
            raise SpoolError("The audit stream cannot be written; nothing new is taken.")
        patient = None
        if self._tells_patients and (patient_id := rewrite.original().patient_id):
            patient = self.pseudonyms.patient(patient_id)
        self.pseudonyms.keep()
        if self.crosswalk is not None:
            study_uid = summary.attributes.get(STUDY, "")
            self.crosswalk.record(rewrite.original(), summary.attributes.get(PATIENT_ID, ""), study_uid)
        return patient

    def stored(
        self,
        caller: Caller,
        route: str,
        commit: Commit,
        summary: Summary,
        profile: str,
        patient: str | None = None,
    ) -> None:
        """Write down that an object is durable."""
        if self.audit is not None:
            heading, attributes = summary.heading, summary.attributes
            self.audit.post(
                STORED,
                item=commit.item,
                kind=commit.kind,
                route=route,
                profile=profile,
                epoch=self.pseudonyms.epoch,
                sop_class_uid=heading.sop_class_uid,
                sop_instance_uid=heading.sop_instance_uid,
                study_uid=attributes.get(STUDY, ""),
                series_uid=attributes.get(SERIES, ""),
                patient=patient,
                repairs=list(summary.repairs) or None,
                **_origin(caller),
            )

    def tell(self, event: str, caller: Caller | None = None, **fields: object) -> None:
        """Write down what happened."""
        if self.audit is not None:
            self.audit.post(event, **fields, **({} if caller is None else _origin(caller)))

    def _tell_handshake(self, address: str, reason: str, count: int) -> None:
        self.tell("handshake-failed", address=address, reason=reason, count=count)

    def settled(self, entry: Entry, outcome: Outcome) -> None:
        """Write down what became of an object at a destination; what will be tried again is no news."""
        if self.audit is None or not isinstance(outcome, Delivered | Held | Refused):
            return
        self.audit.post(
            _SETTLED[type(outcome)],
            item=entry.item,
            entry=entry.id,
            destination=entry.destination,
            route=entry.route,
            attempt=entry.attempt,
            status=None if outcome.status is None else f"{outcome.status:04X}",
            reason=None if isinstance(outcome, Delivered) else outcome.why,
            sop_class_uid=entry.sop_class_uid,
            sop_instance_uid=entry.sop_instance_uid,
            study_uid=entry.attributes.get(STUDY, ""),
        )

    def catch_up(self, desk: Desk) -> int:
        """Write down arrivals that are in the ledger and that a crash kept out of the stream.

        Raises:
            SpoolError: ledger or stream cannot be read or written.
        """
        if self.audit is None:
            return 0
        recent = self.audit.recent()
        seen = {event["item"] for event in recent if event["event"] == STORED}
        starts = [event["after_item"] for event in recent if event["event"] == STARTED]
        # Threads that finish together may write in any order: what is missing is not only what is last.
        last = starts[-1] if starts else max(min(seen) - 1, max(seen) - _SKEW) if seen else None
        count = 0
        while last is not None and (arrivals := desk.arrivals(last, _AT_A_TIME)):
            missing = [arrival for arrival in arrivals if arrival["item"] not in seen]
            for arrival in missing:
                self.audit.write(STORED, recovered=True, **arrival)
            last = arrivals[-1]["item"]
            count += len(missing)
        self._after_item = desk.last_item()
        return count

    def started(self, state: Path) -> None:
        """Write down that the node runs, and after which item."""
        self.tell(STARTED, state=state, epoch=self.pseudonyms.epoch, after_item=self._after_item)

    def close(self) -> None:
        """Write what waits and close everything."""
        self.handshakes.tell_counted()
        self._open.close()


def make_pseudonyms(settings: Settings, ring: KeyRing, vault: Vault | None) -> Pseudonyms:
    """Return the pseudonyms that the settings ask for.

    Raises:
        ConfigurationError: random codes of an epoch cannot be read.
    """
    if settings.pseudonyms is PseudonymKind.RANDOM and vault is not None:
        return RandomPseudonyms(ring.current, RandomCodes(vault))
    return Pseudonyms(ring.current)


def open_vault(settings: Settings, ring: KeyRing) -> Vault | None:
    """Return the file of crosswalk and random codes, None while neither is on.

    Raises:
        ConfigurationError: there were random codes, and they are gone.
        SpoolError: it cannot be used.
    """
    if not settings.crosswalk.enabled and settings.pseudonyms is not PseudonymKind.RANDOM:
        return None
    table = settings.crosswalk_folder / NAME
    if settings.pseudonyms is PseudonymKind.RANDOM:
        refuse_lost_codes(table, settings.state / MARK)
    return Vault(table, ring, durable=settings.spool.durable)


def open_audit(settings: Settings) -> AuditTrail | None:
    """Return the audit stream, None when it is off.

    Raises:
        SpoolError: it cannot be used.
    """
    if not settings.audit.enabled:
        return None
    return AuditTrail(
        settings.audit_folder,
        max_bytes=settings.audit.max_bytes,
        keep_days=settings.audit.keep_days,
        durable=settings.spool.durable,
        is_needed=lambda name: is_unsent(settings, name),
    )


def _key_ring(settings: Settings, audit: AuditTrail | None) -> KeyRing:
    """Return the keys of the project; that they cannot be used is written down."""
    try:
        return key_ring(settings)
    except ConfigurationError:
        if audit is not None:
            with suppress(SpoolError):
                audit.write("key-refused")
        raise


def _origin(caller: Caller) -> dict[str, object]:
    return {
        "association": caller.association,
        "calling": str(caller.calling),
        "called": str(caller.called),
        "address": caller.address,
    }
