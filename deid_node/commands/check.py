"""`deid-node check`: are the settings and the profiles right? Nothing is started or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import complain, leave, print_json, say

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.node.inspection import Inspection
    from deid_node.settings import Settings


def check(
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Check this profile alone: a shipped one, or a file."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check settings, profiles, keys, certificates and folders, and tell all that is wrong. Starts nothing.

    Every problem says where it is, and what would be right. What hangs on a setting that is wrong itself is
    named and not looked at.
    """
    from deid_node.node.inspection import inspect
    from deid_node.settings.load import read_settings

    if profile is not None:
        _check_profile(profile, config, as_json)
        return
    reading = read_settings(config)
    found = inspect(reading)
    told = _meaning(reading.settings, reading.file, found) if not reading.problems else {}
    if as_json:
        problems = _rows(found)
        unseen = [area.value for area in found.unseen]
        print_json({"ok": not problems, "problems": problems, "not_checked": unseen, **told})
    else:
        for line in told.get("summary", ()):
            say(line)
        for note in told.get("notes", ()):
            say(f"Note:      {note}")
        _tell(found)
    if found.count:
        leave(ExitCode.CONFIGURATION)


def _check_profile(profile: str, config: Path | None, as_json: bool) -> None:
    """Tell what is wrong with one profile, else what should be known about it."""
    from deid_node.node.inspection import inspect_profile
    from deid_node.settings.load import load_settings

    found, notes = inspect_profile(profile, load_settings(config).settings.state)
    if as_json:
        problems = _rows(found)
        print_json({"ok": not problems, "problems": problems, "notes": notes})
    else:
        for note in notes:
            say(f"Note:      {note}")
        _tell(found)
    if found.count:
        leave(ExitCode.CONFIGURATION)


def _rows(found: Inspection) -> list[dict[str, str]]:
    return [
        {"area": area.value, "where": problem.where, "problem": problem.text}
        for area, problems in found.problems.items()
        for problem in problems
    ]


def _tell(found: Inspection) -> None:
    """Say what is wrong, area by area."""
    if not found.count:
        say("All right.")
        return
    complain(f"{found.count} problem{'s' if found.count > 1 else ''}:")
    for area, problems in found.problems.items():
        complain(f"{area.value}")
        for problem in problems:
            complain(f"  {problem}")
    if found.unseen:
        complain(f"Not checked before the settings are right: {', '.join(found.unseen)}.")


def _meaning(settings: Settings | None, file: Path | None, found: Inspection) -> dict[str, Any]:
    """Return what the settings mean."""
    from deid_node.node.banner import banner
    from deid_node.node.procedures import profile_notes

    assert settings is not None
    procedures = found.procedures
    return {
        "file": str(file) if file else None,
        "summary": banner(settings, procedures, file),
        "notes": [*profile_notes(settings), *_room_notes(settings)],
        "routes": {
            name: {
                "called": list(route.called),
                "profile": route.profile,
                "digest": procedures[route.profile].digest if route.profile in procedures else None,
                "sop_classes": len(procedures[route.profile].tables) if route.profile in procedures else None,
                "destinations": list(route.destinations),
            }
            for name, route in settings.effective_routes.items()
        },
    }


def _room_notes(settings: Settings) -> list[str]:
    """Say when the node would take no object for want of room."""
    from deid_node.spool.room import level

    folder = settings.spool_folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    used = level(folder, settings.spool.enough_bytes)
    if used < settings.spool.high_water:
        return []
    return [
        f"The file system of the spool is {used:.0%} full; from spool.high_water = "
        f"{settings.spool.high_water:g} on no object is taken."
    ]
