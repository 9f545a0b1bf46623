"""`deid-node check`: are the settings and the profiles right? Nothing is started or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import complain, leave, print_json, say
from deid_node.errors import ConfigurationError

if TYPE_CHECKING:
    from deid_node.settings import Settings
    from deid_node.settings.load import Loaded


def check(config: Config = None, as_json: Json = False) -> None:
    """Check settings, profiles and key without starting the node."""
    problems: list[str] = []
    told: dict[str, Any] = {}
    try:
        from deid_node.settings.load import load_settings

        loaded = load_settings(config)
        told = _inspect(loaded, problems)
    except ConfigurationError as error:
        problems += error.problems
    if as_json:
        print_json({"ok": not problems, "problems": problems, **told})
    else:
        for line in told.get("summary", ()):
            say(line)
        for note in told.get("notes", ()):
            say(f"Note:      {note}")
        for problem in problems:
            complain(problem)
        if not problems:
            say("All right.")
    if problems:
        leave(ExitCode.CONFIGURATION)


def _inspect(loaded: Loaded, problems: list[str]) -> dict[str, Any]:
    """Return what the settings mean; put what is wrong with the files they name into `problems`."""
    from deid_node.node.banner import banner
    from deid_node.node.destinations import check_destinations
    from deid_node.node.key_file import check_key, check_sealing_key
    from deid_node.node.procedures import compile_procedures, profile_notes
    from deid_node.node.tls import check_tls

    settings = loaded.settings
    procedures = {}
    for examine in (check_key, check_sealing_key, check_destinations, check_tls, _check_quarantine):
        try:
            examine(settings)
        except ConfigurationError as error:
            problems += error.problems
    try:
        procedures = compile_procedures(settings)
    except ConfigurationError as error:
        problems += error.problems
    return {
        "file": str(loaded.file) if loaded.file else None,
        "summary": banner(settings, procedures, loaded.file),
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


def _check_quarantine(settings: Settings) -> None:
    from deid_node.node.sealing import read_public_key

    if settings.quarantine.public_key is not None:
        read_public_key(settings.quarantine.public_key)
