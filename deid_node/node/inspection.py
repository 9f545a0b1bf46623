"""Everything that is wrong with settings and with the files they name, found in one reading.

Nothing is started, made or written. What hangs on a setting that is wrong itself is not looked at, and
that is said; all the rest is, so that one run tells all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError, Problems
from deid_node.node.crosswalk_codes import MARK, check_codes
from deid_node.node.crosswalk_vault import NAME
from deid_node.node.destinations import check_destinations, unwritable
from deid_node.node.epochs import check_keys
from deid_node.node.key_file import check_sealing_key
from deid_node.node.procedures import compile_procedures, load_with_notes
from deid_node.node.sealing import read_public_key
from deid_node.node.tls import check_tls
from deid_node.profile.procedure import Procedure
from deid_node.settings import Settings
from deid_node.settings.load import Reading
from deid_node.settings.problems import Place, Problem
from deid_node.settings.records import PseudonymKind

_SETTING: Final = re.compile(r"([a-z_]+(?:\.[A-Za-z0-9_-]+)*): ")
_FILE: Final = re.compile(r"(\S*[/.]\S*(?: line \d+)?): (?=\S)")


class Area(StrEnum):
    """What a problem is about; the order is that in which they are told."""

    SETTINGS = "settings"
    PROFILES = "profiles"
    KEYS = "keys"
    CERTIFICATES = "certificates"
    DESTINATIONS = "destinations"
    FOLDERS = "folders"


@dataclass(slots=True)
class Inspection:
    """What is wrong, by area, and which areas could not be looked at for what is wrong.

    `procedures` are those that could be compiled, by what the routes call them.
    """

    problems: dict[Area, list[Problem]] = field(default_factory=dict)
    unseen: list[Area] = field(default_factory=list)
    procedures: Mapping[str, Procedure] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of problems."""
        return sum(map(len, self.problems.values()))


def inspect(reading: Reading) -> Inspection:
    """Look at settings as they were read, and at all that they name."""
    found = Inspection()
    if reading.problems:
        found.problems[Area.SETTINGS] = sorted(reading.problems, key=_line)
    settings = reading.settings
    if settings is None:
        found.unseen = [*_AREAS]
        return found
    for area, (hangs_on, examine) in _AREAS.items():
        if any(_touch(place, name.split(".")) for place in reading.left_out for name in hangs_on):
            found.unseen.append(area)
            continue
        problems = Problems()
        with problems.gather():
            found.procedures = examine(settings) or found.procedures
        placed = [_placed(text, reading) for text in dict.fromkeys(problems.found)]
        if told := [problem for problem in placed if problem is not None]:
            found.problems[area] = told
    return found


def inspect_profile(profile: str, state: Path) -> tuple[Inspection, tuple[str, ...]]:
    """Look at one profile and the secrets that it names; nothing is made.

    Returns:
        what is wrong, and what should be known of a profile that is right.
    """
    try:
        return Inspection(), load_with_notes(profile, state).notes
    except ConfigurationError as error:
        return Inspection({Area.PROFILES: sorted(map(_in_a_file, error.problems), key=_line)}), ()


def _line(problem: Problem) -> tuple[str, int]:
    """Return what sorts problems by file and line."""
    file, _, line = problem.where.rpartition(" line ")
    return (file, int(line)) if line.isdigit() else (problem.where, 0)


def _touch(place: Place, name: Sequence[str]) -> bool:
    """Tell whether one of two places is the other, or in it."""
    return all(str(one) == other for one, other in zip(place, name, strict=False))


def _placed(text: str, reading: Reading) -> Problem | None:
    """Return a problem with its place, None when it comes from a setting that is wrong itself."""
    found = _SETTING.match(text)
    place = tuple(found[1].split(".")) if found else ()
    if place and place[0] in Settings.model_fields:
        if any(_touch(wrong, place) for wrong in reading.left_out):
            return None
        return Problem(reading.origins.where(place), text)
    return _in_a_file(text)


def _in_a_file(text: str) -> Problem:
    file = _FILE.match(text)
    return Problem(file[1], text[file.end() :]) if file else Problem("", text)


def _examine_keys(settings: Settings) -> None:
    problems = Problems()
    with problems.gather("key_file: " if settings.key_file is not None else ""):
        check_keys(settings)
    with problems.gather():
        check_sealing_key(settings)
    if settings.quarantine.public_key is not None:
        with problems.gather("quarantine.public_key: "):
            read_public_key(settings.quarantine.public_key)
    problems.tell()


def _examine_folders(settings: Settings) -> None:
    """Look at the folders that the node keeps things in, those of destinations left out."""
    problems = Problems()
    folders = {"state": settings.state, "spool.folder": settings.spool_folder}
    if settings.audit.enabled:
        folders["audit.folder"] = settings.audit_folder
    if settings.quarantine.public_key is not None:
        folders["quarantine.folder"] = settings.quarantine_folder
    is_random = settings.pseudonyms is PseudonymKind.RANDOM
    if is_random or settings.crosswalk.enabled:
        folders["crosswalk.folder"] = settings.crosswalk_folder
    for setting, folder in folders.items():
        below_state = setting != "state" and settings.state in folder.parents
        if not below_state and (why := unwritable(folder)):
            problems.found.append(f"{setting}: {why}")
    if is_random:
        with problems.gather():
            check_codes(settings.crosswalk_folder / NAME, settings.state / MARK)
    problems.tell()


# What is looked at, in this order, and the settings that have to be right before it can be.
_AREAS: Final[Mapping[Area, tuple[tuple[str, ...], Callable[[Settings], Mapping[str, Procedure] | None]]]] = {
    Area.PROFILES: (("state",), compile_procedures),
    Area.KEYS: (("state", "key_file", "key", "sealed", "quarantine.public_key"), _examine_keys),
    Area.CERTIFICATES: (("tls.certificate", "tls.mutual"), check_tls),
    Area.DESTINATIONS: (("state",), check_destinations),
    Area.FOLDERS: (("state", "spool.folder", "crosswalk.folder", "audit.folder"), _examine_folders),
}
