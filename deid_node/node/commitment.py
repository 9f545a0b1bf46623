"""Storage commitment of a running node, in both roles: what the intake asks, and who does it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from deid_node.dimse.association import Caller, CommitmentAnswer
from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest
from deid_node.dimse.status import StoreStatus
from deid_node.engine.keys import Pseudonyms
from deid_node.errors import SpoolError
from deid_node.node.commitment_scp import Reporter, ReportingPolicy
from deid_node.node.commitment_scu import Asker, AskingPolicy
from deid_node.node.destinations import peer_of
from deid_node.node.routes import Route
from deid_node.node.tls import report_context, requestor_context
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings
from deid_node.settings.network import PeerSettings
from deid_node.settings.routes import CommitmentMode
from deid_node.spool.commitments import Commitments
from deid_node.spool.spool import Spool


class Commitment:
    """Asks destinations, takes their reports, answers peers."""

    def __init__(self, askers: tuple[Asker, ...], reporter: Reporter, commitments: Commitments) -> None:
        """For `make_commitment`, and tests."""
        self._askers = askers
        self._reporter = reporter
        self._commitments = commitments

    def start(self) -> None:
        """Take up what a former process left, and start.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        self._commitments.recover()
        self._commitments.release(frozenset(asker.name for asker in self._askers))
        for asker in self._askers:
            asker.start()
        self._reporter.start()

    def stop(self) -> None:
        """Stop all threads together."""
        for asker in self._askers:
            asker.ask_to_stop()
        for asker in self._askers:
            asker.stop()
        self._reporter.stop()

    def may_report(self, caller: Caller) -> bool:
        """Tell whether a caller is a destination that we ask."""
        return any(asker.is_caller(caller) for asker in self._askers)

    def is_taken(self, caller: Caller, route: Route | None) -> bool:
        """Tell whether storage commitment is negotiable for a caller."""
        asks = route is not None and route.commitment is not CommitmentMode.OFF
        return asks or self.may_report(caller)

    def asked(
        self, caller: Caller, route: Route, request: CommitmentRequest, peer: PeerSettings | None
    ) -> CommitmentAnswer:
        """Answer a peer that asks; `peer` are its settings, if it is listed."""
        if route.commitment is CommitmentMode.OFF:
            return CommitmentAnswer(StoreStatus.SOP_CLASS_NOT_SUPPORTED)
        port = peer.report_port if peer is not None else None
        names = [name for name in (peer.certificate if peer is not None else ()) if "." in name]
        try:
            return self._reporter.asked(caller, route.name, request, port, names[0] if names else "")
        except SpoolError:
            return CommitmentAnswer(StoreStatus.RESOURCE_LIMITATION)

    def reported(self, caller: Caller, report: CommitmentReport) -> StoreStatus:
        """Take the report of a destination; one that nobody asked for is 0115."""
        status = StoreStatus.INVALID_ARGUMENT
        for asker in self._askers:
            if asker.is_caller(caller):
                status = asker.reported(report)
                if status != StoreStatus.INVALID_ARGUMENT:
                    break
        return status


def make_commitment(
    settings: Settings,
    spool: Spool,
    pseudonyms: Pseudonyms,
    modes: Mapping[str, CommitmentMode],
    *,
    asking: AskingPolicy = AskingPolicy(),  # noqa: B008  # frozen
    reporting: ReportingPolicy = ReportingPolicy(),  # noqa: B008  # frozen
) -> Commitment:
    """Make what the settings ask for; `modes` is looked at whenever a route is asked for.

    Raises:
        ConfigurationError: TLS is set up wrongly.
    """
    commitments = Commitments(spool)
    askers = []
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, AESettings) and destination.commitment:
            tls: ssl.SSLContext | None = requestor_context(settings, name, destination)
            askers.append(Asker(name, peer_of(settings, destination), commitments, tls=tls, policy=asking))
    reporter = Reporter(
        commitments,
        pseudonyms,
        lambda route: modes.get(route, CommitmentMode.OFF),
        tls=report_context(settings),
        policy=reporting,
    )
    return Commitment(tuple(askers), reporter, commitments)
