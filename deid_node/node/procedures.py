"""The procedures that the routes need, compiled once each; every problem of all of them at once."""

from __future__ import annotations

from pathlib import Path

from deid_node.errors import ConfigurationError, Problems
from deid_node.node.named_secrets import read_secrets
from deid_node.profile import library
from deid_node.profile.compile import Compiled
from deid_node.profile.procedure import Procedure
from deid_node.settings import Settings
from deid_node.settings.load import is_path


def compile_procedures(settings: Settings) -> dict[str, Procedure]:
    """Return the compiled procedure of every profile that a route names.

    Raises:
        ConfigurationError: with the problems of all profiles.
    """
    compiled: dict[str, Procedure] = {}
    problems, seen = Problems(), set[str]()
    for name, route in settings.effective_routes.items():
        if route.profile in seen:
            continue
        seen.add(route.profile)
        with problems.gather(f"routes.{name}.profile: " if settings.routes else "profile: "):
            compiled[route.profile] = procedure = library.load(route.profile, Path.cwd())
            read_secrets(procedure.secrets, settings.state)
    problems.tell()
    return compiled


def profile_notes(settings: Settings) -> list[str]:
    """Return what should be known about the profiles of the routes that can be compiled."""
    notes: dict[str, None] = {}
    for route in settings.effective_routes.values():
        try:
            notes.update(dict.fromkeys(library.load_with_notes(route.profile, Path.cwd()).notes))
        except ConfigurationError:
            continue
    return list(notes)


def load_with_notes(profile: str, state: Path) -> Compiled:
    """Compile the profile that an option names, as `load_procedure`, with what should be known about it.

    Raises:
        ConfigurationError: with every problem of it, or a secret that it needs.
    """
    compiled = library.load_with_notes(Path(profile).expanduser() if is_path(profile) else profile)
    read_secrets(compiled.procedure.secrets, state)
    return compiled


def load_procedure(profile: str) -> Procedure:
    """Compile the profile that a setting or an option names: a shipped one, or a file.

    Raises:
        ProfileError: with every problem of it.
    """
    return library.load(Path(profile).expanduser() if is_path(profile) else profile)
