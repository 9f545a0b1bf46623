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
from deid_node.errors import ConfigurationError
from deid_node.node.through import Through
from deid_node.node.tls import requestor_context
from deid_node.settings import AESettings, FolderSettings, Settings


def make_destinations(settings: Settings) -> dict[str, Destination]:
    """Return every destination by name; folders are made when they are absent.

    Raises:
        ConfigurationError: with the problems of all destinations.
    """
    made: dict[str, Destination] = {}
    templates = _templates(settings)
    problems: list[str] = []
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings):
            try:
                made[name] = FolderDestination(
                    name,
                    destination.path,
                    templates[name],
                    durable=settings.spool.durable,
                    may_link=destination.may_link,
                    folder_mode=destination.folder_mode,
                    file_mode=destination.file_mode,
                )
            except ConfigurationError as error:
                problems += error.problems
        else:
            try:
                tls = requestor_context(settings, name, destination)
            except ConfigurationError as error:
                problems += error.problems
                continue
            made[name] = CStoreDestination(
                name, peer_of(settings, destination), tls=tls, commits=destination.commitment
            )
    if problems:
        raise ConfigurationError(*problems)
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


def wanted_attributes(settings: Settings, names: tuple[str, ...]) -> frozenset[int]:
    """Return the tags that the path templates of some destinations need."""
    templates = _templates(settings)
    return frozenset(tag for name in names if name in templates for tag in templates[name].fields)


def check_destinations(settings: Settings) -> None:
    """Find out whether the destinations could be used, without making anything.

    Raises:
        ConfigurationError: with the problems of all destinations.
    """
    problems: list[str] = []
    try:
        _templates(settings)
    except ConfigurationError as error:
        problems += error.problems
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings):
            nearest = _nearest(destination.path)
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                problems.append(f"destinations.{name}.path: {destination.path} cannot be written.")
    if problems:
        raise ConfigurationError(*problems)


def _templates(settings: Settings) -> dict[str, PathTemplate]:
    parsed: dict[str, PathTemplate] = {}
    problems: list[str] = []
    for name, destination in settings.effective_destinations.items():
        if isinstance(destination, FolderSettings):
            try:
                parsed[name] = PathTemplate.parse(destination.template)
            except ConfigurationError as error:
                problems += [f"destinations.{name}.template: {problem}" for problem in error.problems]
    if problems:
        raise ConfigurationError(*problems)
    return parsed


def _nearest(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
