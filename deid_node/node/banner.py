"""The lines that say where the node listens, what it does, and where objects go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deid_node.profile.procedure import Procedure
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.routes import Acknowledge, IntakeKind, OnHold, OnReject, RouteSettings


def banner(
    settings: Settings, procedures: Mapping[str, Procedure], file: Path | None, port: int | None = None
) -> list[str]:
    """Return the lines, for a person.

    Args:
        file: the TOML file that was read.
        port: the real port, when port 0 asked for a free one.
    """
    lines = [
        f"Settings:  {file or 'defaults (no configuration file)'}",
        f"Listening: {settings.ae_title} on {settings.host} port {port or settings.port}"
        f" ({settings.acceptor.value}{_secured(settings)}), for this machine{_listed(settings)}",
        f"State:     {settings.state}",
    ]
    for name, route in settings.effective_routes.items():
        procedure = procedures.get(route.profile)
        # Without procedures something is wrong with one of the profiles, which is told with its place.
        profile = f"{procedure.name} {procedure.version}".strip() if procedure else route.profile
        lines.append(
            f"Route:     {name}: {', '.join(route.called)} -> {_kept(route)}{profile} -> "
            f"{', '.join(route.destinations)}{_besides(route, procedure)}"
        )
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings):
            where = f"folder {destination.path}"
        else:
            where = f"{destination.ae_title} at {destination.host} port {destination.port}"
        lines.append(f"Objects:   {name}: {where}{_terms(destination)}")
    if settings.audit.syslog is not None:
        lines.append(f"Audit:     to {settings.audit.syslog.host} port {settings.audit.syslog.port} as well")
    return lines


def _besides(route: RouteSettings, procedure: Procedure | None) -> str:
    """Return what a route does otherwise than by default."""
    told = []
    if procedure is not None and not procedure.identity_removed:
        told.append("NOT DE-IDENTIFIED")
    if route.acknowledge is Acknowledge.THROUGH:
        told.append("acknowledged when passed on")
    if route.on_hold is OnHold.SEAL:
        told.append("what is held waits sealed")
    if route.on_reject is OnReject.QUARANTINE:
        told.append("what is rejected goes into quarantine")
    return f" ({', '.join(told)})" if told else ""


def _terms(destination: FolderSettings | AESettings) -> str:
    """Return how a destination is served otherwise than by default."""
    told = []
    if isinstance(destination, AESettings):
        told += ["TLS"] if destination.tls else []
        told += ["with storage commitment"] if destination.commitment else []
    if destination.hours:
        told.append(f"between {destination.hours}")
    if destination.fallback:
        told.append(f"when out for {destination.fallback_after_s:g} s: {' or '.join(destination.fallback)}")
    return f" ({', '.join(told)})" if told else ""


def _kept(route: RouteSettings) -> str:
    return "sealed -> " if route.intake is IntakeKind.SEALED else ""


def _secured(settings: Settings) -> str:
    if settings.tls.certificate is None:
        return ""
    return ", mutual TLS" if settings.tls.mutual else ", TLS"


def _listed(settings: Settings) -> str:
    if not settings.peers:
        return " only (no peers are configured)"
    return f" and {len(settings.peers)} peer{'s' if len(settings.peers) > 1 else ''}"
