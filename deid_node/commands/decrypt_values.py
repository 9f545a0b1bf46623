"""Find what a profile encrypted: how it does it, and the values of a file that are so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.terminal import leave
from deid_node.engine.functions_keyed import decrypt
from deid_node.standard.dictionary import keyword_of, tag_text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deid_node.profile.procedure import Call, Procedure, Table

Way = tuple[str, str]
"""An algorithm and the name of its key, empty for the project key."""


@dataclass(frozen=True, slots=True)
class Found:
    """One attribute whose values were decrypted; several are separated by backslashes."""

    path: str
    tag: str
    value: str


def ways_of(procedure: Procedure) -> tuple[Way, ...]:
    """Return every way in which a procedure encrypts, also where a row depends on a condition."""
    ways: dict[Way, None] = {}
    seen: set[int] = set()
    values = (value.call for values in procedure.set_values.values() for value in values)
    for call in chain(values, *(_calls(t, seen) for t in _tables(procedure))):
        if call.name == "encrypt":
            ways[str(call.params["algorithm"]), str(call.params["key"])] = None
    return tuple(ways)


def _tables(procedure: Procedure) -> Iterator[Table]:
    from deid_node.profile.procedure import Table

    yield from procedure.tables.values()
    if isinstance(procedure.unlisted_sop_class, Table):
        yield procedure.unlisted_sop_class
    if procedure.variant is not None:
        for number in range(len(procedure.conditions)):
            for sop_class in procedure.tables or ("",):
                yield procedure.variant(sop_class, frozenset({number}))


def _calls(table: Table, seen: set[int]) -> Iterator[Call]:
    if id(table) in seen:
        return
    seen.add(id(table))
    masked = (rule for _, _, rule in table.masks)
    rules = chain(table.rules.values(), table.private.values(), masked, table.vrs.values(), (table.unlisted,))
    for rule in rules:
        if rule.call is not None:
            yield rule.call
        if rule.items is not None:
            yield from _calls(rule.items, seen)


def decrypted(value: str, secrets: Sequence[tuple[str, bytes]]) -> str | None:
    """Return the original of a value, None if it was not encrypted with one of these."""
    for algorithm, secret in secrets:
        try:
            return decrypt(value.strip(), algorithm, secret)
        except ValueError:
            continue
    return None


def in_file(file: Path, wanted: Collection[int], secrets: Sequence[tuple[str, bytes]]) -> Iterator[Found]:
    """Yield what can be decrypted in a file, at every depth; of all attributes when none is wanted."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(file, stop_before_pixels=True)
    except InvalidDicomError:
        leave(ExitCode.NO_INPUT, f"{file}: is no DICOM file.")
    except OSError as error:
        leave(ExitCode.NO_INPUT, f"{file}: cannot be read ({error.strerror}).")
    yield from _in_dataset(dataset, "", wanted, secrets)


def _in_dataset(
    dataset: Dataset, path: str, wanted: Collection[int], secrets: Sequence[tuple[str, bytes]]
) -> Iterator[Found]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except (ValueError, NotImplementedError):
            continue  # a value that is none of its VR was not encrypted
        name = path + (keyword_of(int(tag)) or tag_text(int(tag)))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _in_dataset(item, f"{name}[{number}].", wanted, secrets)
        elif not wanted or int(tag) in wanted:
            values = [decrypted(text, secrets) for text in _texts(element.value)]
            known = [value for value in values if value is not None]
            if known:
                yield Found(name, tag_text(int(tag)), "\\".join(known))


def _texts(value: Any) -> list[str]:
    if isinstance(value, bytes):
        return [value.rstrip(b"\0 ").decode("ascii", "replace")]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) or hasattr(value, "insert"):  # pydicom's values of one element
        return [str(each) for each in value]
    return [str(value)] if value is not None else []
