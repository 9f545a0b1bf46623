"""Functions for rows that other packages bring: entry points of the group `deid_node.functions`.

The name of an entry point is the name of the function, and its object a `Plugin`. Names are known from
the metadata of the installed packages; code of a package is imported when a profile uses its function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

from deid_node.errors import ProfileError
from deid_node.profile.names import VRS
from deid_node.profile.params import Param
from deid_node.profile.procedure import Action

GROUP: Final = "deid_node.functions"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RESERVED: Final = frozenset({"do", "because", "when", "scope", "action", "value"})
_ACTIONS: Final = frozenset({Action.C, Action.D, Action.U, Action.Z})


@dataclass(frozen=True, slots=True)
class Plugin:
    """A function of another package.

    Attributes:
        name: as in `do = "..."`, and as the entry point is called.
        action: the code that stands for it in a table: C, D, U or Z.
        apply: gets one value without padding, the parameters of the row, and the context
            (`engine.functions_context.Context`). Returns the new value, or None to remove the attribute.
            It must be pure: the same input gives the same output on every node, at any time.
        about: what it does, for people.
        params: its parameters, each with its reader. `fit` is added; a parameter `key` read by
            `params.secret_name` names a secret, which then stands in the context.
        vrs: those it can be applied to; empty means every one but SQ.
    """

    name: str
    action: Action
    apply: Callable[[str, Mapping[str, object], Any], str | None]
    about: str = ""
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))
    vrs: frozenset[str] = frozenset()


@cache
def offered() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points of the group by name, as they were when it was first asked."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return MappingProxyType(found)


def refuse_names(built_in: Iterable[str]) -> None:
    """Refuse plug-ins that are called as a function that is there, or as each other.

    Raises:
        ProfileError: with every such name.
    """
    taken = set(built_in)
    problems = []
    for name, entries in sorted(offered().items()):
        if name in taken:
            problems.append(f"the plug-in {_written(entries[0])} is called as the built-in function {name!r}")
        elif len(entries) > 1:
            problems.append(f"two plug-ins are called {name!r}: {', '.join(map(_written, entries))}")
    if problems:
        raise ProfileError(*problems)


@cache
def load(name: str) -> Plugin:
    """Import a plug-in.

    Raises:
        ProfileError: it cannot be imported, or is no plug-in.
    """
    entry = offered()[name][0]
    try:
        plugin = entry.load()
    except Exception as error:  # code of others: whatever it raises, the profile cannot be loaded
        raise ProfileError(
            f"the plug-in {_written(entry)} cannot be loaded ({type(error).__name__})"
        ) from None
    problem = _problem(plugin, name)
    if problem:
        raise ProfileError(f"the plug-in {_written(entry)} {problem}")
    assert isinstance(plugin, Plugin)
    return plugin


def _problem(plugin: object, name: str) -> str:
    if not isinstance(plugin, Plugin):
        return "is no deid_node.profile.plugins.Plugin"
    if plugin.name != name or not _NAME.fullmatch(name):
        return f"calls itself {plugin.name!r}; both names are equal, of small letters, digits and '_'"
    if plugin.action not in _ACTIONS:
        return f"has the action {str(plugin.action)!r}; it is one of {', '.join(sorted(_ACTIONS))}"
    if not callable(plugin.apply):
        return "has nothing to apply"
    if not plugin.vrs <= VRS:
        return f"names VRs that do not exist: {', '.join(sorted(plugin.vrs - VRS))}"
    if plugin.params.keys() & _RESERVED:
        return f"has parameters with reserved names: {', '.join(sorted(plugin.params.keys() & _RESERVED))}"
    return ""


def _written(entry: EntryPoint) -> str:
    """Return an entry point with the package that brings it."""
    package = entry.dist.name if entry.dist is not None else "unknown"
    return f"{entry.value} of {package}"
