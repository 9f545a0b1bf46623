"""Destinations out of their settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deid_node.delivery.cstore import CStoreDestination
from deid_node.delivery.destination import Destination
from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.policy import DestinationPolicy, Hours
from deid_node.delivery.template import PathTemplate
from deid_node.dimse.peer import Peer
from deid_node.errors import Problems
from deid_node.node.through import Through
from deid_node.node.tls import requestor_context
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings, FolderSettings


def make_destinations(settings: Settings) -> dict[str, Destination]:
    """Return every destination by name; folders are made when they are absent.

    Raises:
        ConfigurationError: with the problems of all destinations.
    """
    made: dict[str, Destination] = {}
    templates = _templates(settings)
    problems = Problems()
    for name, destination in settings.effective_destinations.items():
        with problems.gather():
            if isinstance(destination, FolderSettings):
                made[name] = FolderDestination(
                    name,
                    destination.path,
                    templates[name],
                    durable=settings.spool.durable,
                    may_link=destination.may_link,
                    folder_mode=destination.folder_mode,
                    file_mode=destination.file_mode,
                )
            else:
                tls = requestor_context(settings, name, destination)
                made[name] = CStoreDestination(
                    name, peer_of(settings, destination), tls=tls, commits=destination.commitment
                )
    problems.tell()
    return made


def peer_of(settings: Settings, destination: AESettings) -> Peer:
    """Return the AE of a destination."""
    return Peer(
        destination.host,
        destination.port,
        destination.ae_title,
        destination.calling_ae_title or settings.ae_title,
        destination.timeout_s,
        certificate_name=destination.tls_name or "",
    )


def make_throughs(settings: Settings, destinations: Mapping[str, Destination]) -> dict[str, Through]:
    """Return what sends objects straight through to a destination, for every AE."""
    made: dict[str, Through] = {}
    for name, destination in destinations.items():
        configured = settings.effective_destinations[name]
        if isinstance(destination, CStoreDestination) and isinstance(configured, AESettings):
            made[name] = Through(
                name,
                destination.requestor,
                limit=configured.senders,
                wait_s=configured.timeout_s,
            )
    return made


def policy_of(destination: FolderSettings | AESettings) -> DestinationPolicy:
    """Return how a destination is served."""
    return DestinationPolicy(
        senders=destination.senders if isinstance(destination, AESettings) else 1,
        first_pause_s=destination.first_pause_s,
        longest_pause_s=destination.longest_pause_s,
        max_age_s=destination.max_age_s,
        alarms_s=destination.alarms_s,
        objects_per_s=destination.objects_per_s,
        bytes_per_s=destination.bytes_per_s,
        hours=None if destination.hours is None else Hours.parse(destination.hours),
        fallback=destination.fallback,
        fallback_after_s=destination.fallback_after_s,
    )


def wanted_attributes(settings: Settings) -> frozenset[int]:
    """Return the tags that the path templates of all destinations need: an entry may be handed to any."""
    return frozenset(tag for template in _templates(settings).values() for tag in template.fields)


def check_destinations(settings: Settings) -> None:
    """Find out whether the destinations could be used, without making anything.

    Raises:
        ConfigurationError: with the problems of all destinations.
    """
    problems = Problems()
    with problems.gather():
        _templates(settings)
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings) and (why := unwritable(destination.path)):
            problems.found.append(f"{_place(settings, name)}: {why}")
    problems.tell()


def unwritable(folder: Path) -> str:
    """Return why a folder could not be made or written by this account, "" when it could."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"{folder} cannot be written: {nearest} is no folder."
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{folder} cannot be written: this account may not write in {nearest}; name another folder."
    return ""


def _place(settings: Settings, name: str) -> str:
    return f"destinations.{name}.path" if settings.destinations else "state"


def _templates(settings: Settings) -> dict[str, PathTemplate]:
    parsed: dict[str, PathTemplate] = {}
    problems = Problems()
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings):
            with problems.gather(f"destinations.{name}.template: "):
                parsed[name] = PathTemplate.parse(destination.template)
    problems.tell()
    return parsed
