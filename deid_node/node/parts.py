"""The parts of a node, each made from the settings: routes, stores, acceptor, what is done by the clock.

Nothing is started here; `service` puts the parts together, in order.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from deid_node.dimse.association import Acceptor
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.memory import MemoryBudget
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ConfigurationError
from deid_node.node.destinations import wanted_attributes
from deid_node.node.engine_limits import engine_limits
from deid_node.node.intake import NodeIntake
from deid_node.node.key_file import check_sealing_key, open_envelopes
from deid_node.node.named_secrets import read_secrets
from deid_node.node.quarantine import Quarantine, expired, purge
from deid_node.node.records import Records
from deid_node.node.routes import Route, Routes
from deid_node.node.sealing import read_public_key
from deid_node.node.steady import SteadyClock
from deid_node.node.through import Through
from deid_node.profile.procedure import Procedure
from deid_node.settings import AcceptorKind, Settings
from deid_node.settings.network import LimitSettings
from deid_node.settings.routes import Acknowledge
from deid_node.spool.entry import NEEDED_ATTRIBUTES
from deid_node.spool.sealed import SealedStore
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)


def make_routes(
    settings: Settings,
    procedures: Mapping[str, Procedure],
    records: Records,
    throughs: Mapping[str, Through],
) -> Routes:
    """Return the routes with their engines."""
    limits = engine_limits(settings.limits)
    routes = []
    for name, route in settings.effective_routes.items():
        procedure = procedures[route.profile]
        capture = NEEDED_ATTRIBUTES | records.captured | wanted_attributes(settings)
        secrets = read_secrets(procedure.secrets, settings.state)
        routes.append(
            Route(
                name=name,
                called=route.called,
                procedure=procedure,
                deidentifier=Deidentifier(
                    procedure,
                    records.pseudonyms,
                    limits=limits,
                    capture=capture,
                    secrets=secrets,
                    known=records.known,
                ),
                destinations=route.destinations,
                peers=None if route.peers is None else frozenset(route.peers),
                on_reject=route.on_reject,
                commitment=route.commitment,
                intake=route.intake,
                on_hold=route.on_hold,
                through=throughs[route.destinations[0]] if route.acknowledge is Acknowledge.THROUGH else None,
            )
        )
    return Routes(routes)


def open_sealed(settings: Settings, spool: Spool) -> SealedStore | None:
    """Return the store of sealed originals, None when no key is named and nothing waits.

    Raises:
        ConfigurationError: the key is absent where it is needed, or cannot be used.
        SpoolError: what waits was sealed with another key.
    """
    check_sealing_key(settings)
    envelopes = open_envelopes(settings)
    if envelopes is not None:
        return SealedStore(spool, envelopes)
    waiting = len(spool.desk.sealed())
    if waiting:
        raise ConfigurationError(
            f"sealed.key_file: is not set, and {waiting} sealed originals wait in {spool.folder}. Set it to "
            "the key they were sealed with; `deid-node sealed list` shows them."
        )
    return None


def association_limits(limits: LimitSettings) -> AssociationLimits:
    """Return the bounds of the acceptor."""
    return AssociationLimits(
        associations=limits.associations,
        associations_per_address=limits.associations_per_address,
        waiting=limits.waiting,
        waiting_per_address=limits.waiting_per_address,
        handshake_s=limits.handshake_s,
        request_s=limits.request_s,
        pdu_s=limits.pdu_s,
        idle_s=limits.idle_s,
        answer_s=limits.answer_s,
        send_s=limits.send_s,
        min_rate_bytes_s=limits.min_rate_bytes_s,
        rate_window_s=limits.rate_window_s,
        max_pdu_bytes=limits.pdu_bytes,
        max_request_bytes=limits.request_bytes,
        max_contexts=limits.contexts,
        max_transfer_syntaxes=limits.transfer_syntaxes,
        max_user_items=limits.user_items,
        max_command_bytes=limits.command_bytes,
        max_dataset_bytes=limits.object_bytes,
    )


def make_quarantine(settings: Settings, steady: SteadyClock) -> Quarantine | None:
    """Return the quarantine, None when no key is named for it.

    Raises:
        ConfigurationError: the key cannot be read.
        SpoolError: the folder cannot be used.
    """
    if settings.quarantine.public_key is None:
        return None
    recipient = read_public_key(settings.quarantine.public_key)
    return Quarantine(
        settings.quarantine_folder,
        recipient,
        durable=settings.spool.durable,
        max_bytes=settings.quarantine.max_bytes,
        steady=steady.now,
    )


def seldom_tasks(settings: Settings, records: Records, steady: SteadyClock) -> list[Callable[[], None]]:
    """Return what is to be done every hour or so, by a clock that does not jump: it deletes."""
    days, folder, link_days = (
        settings.quarantine.keep_days,
        settings.quarantine_folder,
        settings.crosswalk.keep_days,
    )

    def purge_quarantine() -> None:
        old = [] if days is None else expired(folder, days, steady.now())
        if old:
            records.tell("quarantine-purged", how="age", ids=old)
            purge(folder, old)
            _LOG.info("node.quarantine_purged", count=len(old))

    def purge_crosswalk() -> None:
        if records.crosswalk is None or link_days is None:
            return
        count = records.crosswalk.forget_older(link_days, steady.now())
        if count:
            records.tell("crosswalk-forgotten", how="age", count=count)
            _LOG.info("node.crosswalk_forgotten", count=count)

    return [steady.save, purge_quarantine, purge_crosswalk]


def make_acceptor(
    settings: Settings, intake: NodeIntake, memory: MemoryBudget, tls: ssl.SSLContext | None
) -> Acceptor:
    """Return the acceptor that the settings name, not started."""
    limits = association_limits(settings.limits)
    if settings.acceptor is AcceptorKind.PYNETDICOM:
        from deid_node.dimse.pynetdicom_acceptor import PynetdicomAcceptor

        return PynetdicomAcceptor(
            intake, host=settings.host, port=settings.port, limits=limits, tls=tls, memory=memory
        )
    from deid_node.dimse.stream_acceptor import StreamAcceptor

    return StreamAcceptor(intake, host=settings.host, port=settings.port, limits=limits, tls=tls)
