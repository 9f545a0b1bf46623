"""Read the TOML text of one profile into a `Description`; everything wrong is reported at once.

What needs the profiles below (options that contradict each other, ties, Types of the IOD) is checked
by `compile`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

from deid_node.errors import ProfileError
from deid_node.profile import names, protected
from deid_node.profile.conditions import Condition
from deid_node.profile.language import (
    DATE_KEYS,
    FORCED_UID_KEYS,
    GATE_KEYS,
    KEYS,
    STAMP_KEYS,
    UNLISTED_KEYS,
    Base,
    Description,
    GateRow,
    Row,
    Stage,
    Ties,
    Unlisted,
    UnlistedClass,
    UnlistedPrivate,
)
from deid_node.profile.options import Option
from deid_node.profile.places import Path, Problems, lines_of
from deid_node.profile.procedure import Action, DateChange, Dummies, SetValue
from deid_node.profile.reading_sections import (
    check_keys,
    read_checks,
    read_clean,
    read_tables,
    read_validations,
)
from deid_node.profile.rows import read_rows, read_set_values
from deid_node.profile.selector import Selector
from deid_node.standard import dictionary
from deid_node.standard.method_codes import method_codes
from deid_node.standard.values import is_uid

GRAND_CHALLENGE_ROOT: Final = "1.2.826.0.1.3680043.10.1666."
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_VERSION: Final = re.compile(r"[A-Za-z0-9._+-]{1,16}")
_LONGEST_SHIFT: Final = 36500
_MAX_METHOD: Final = 64
_UNLISTED_ACTIONS: Final = (Action.X, Action.K, Action.R, Action.Z, Action.D, Action.C)

Word = TypeVar("Word", bound=StrEnum)
Table = Mapping[str, Any]


def read_profile(text: str, file: str) -> Description:
    """Read one profile.

    Args:
        text: the TOML text.
        file: how problems call the file; no path.

    Raises:
        ProfileError: with everything that is wrong, each with its line.
    """
    description, problems = read_what_is_right(text, file)
    if problems:
        raise ProfileError(*problems)
    return description


def read_what_is_right(text: str, file: str) -> tuple[Description, tuple[str, ...]]:
    """Read one profile without what is wrong in it, and say what that is; as `read_profile`.

    Raises:
        ProfileError: it is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(f"{file}: not TOML: {error}") from None
    problems = Problems(file, lines_of(text))
    description = _Reading(table, problems).read(text)
    return description, problems.in_order()


class _Reading:
    """One profile while it is read; every method reads one key."""

    def __init__(self, table: Table, problems: Problems) -> None:
        self._table = table
        self._problems = problems

    def read(self, text: str) -> Description:
        self._check_keys((), self._table, KEYS)
        stamps = self._section("stamps", STAMP_KEYS)
        dates = self._section("dates", DATE_KEYS)
        tables = self._class_tables()
        unknown_words, known_words = read_clean(self._table.get("clean", {}), self._problems)
        identity = self._word("identity", ("removed", "kept"))
        return Description(
            name=self._name(),
            place=self._problems.place("name"),
            version=self._version(),
            description=self._text("description") or "",
            extends=self._texts("extends"),
            base=self._base(),
            options=self._options("options"),
            without_options=self._options("without_options"),
            unlisted=self._unlisted(),
            rejects=self._gates("reject"),
            excludes=self._gates("exclude"),
            validations=read_validations(self._table.get("validate", []), self._problems),
            checks=read_checks(self._table.get("checks", {}), self._problems),
            unknown_words=unknown_words,
            known_words=known_words,
            inherit_gates=self._flag("inherit_gates", True),
            rows=(*self._rows(("attributes",)), *self._class_rows(tables)),
            sop_classes=frozenset(uid for _, uids in tables for uid in uids),
            set_values=self._set_values(),
            forced_uids=self._forced_uids(),
            tables=read_tables(self._table.get("tables", {}), self._problems),
            same_value=self._same_value(),
            longest_shift_days=self._days(dates),
            dummies=self._choice(("dummies",), self._table.get("dummies"), Dummies),
            method=self._method(stamps),
            codes=self._codes(stamps),
            date_change=self._date_change(stamps),
            identity_removed=None if identity is None else identity == "removed",
            ties=self._choice(("ties",), self._table.get("ties"), Ties) or Ties.ERROR,
            text=text,
            places=MappingProxyType({key: self._problems.place(key) for key in self._table}),
        )

    # --- what several keys need -------------------------------------------------------------------

    def _wrong(self, path: Path, *texts: str) -> None:
        self._problems.add(path, *texts)

    def _check_keys(self, path: Path, table: Table, known: Iterable[str]) -> None:
        check_keys(path, table, tuple(known), self._problems)

    def _section(self, key: str, known: Iterable[str]) -> Table:
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            self._wrong((key,), f"{key} is a table: [{key}]")
            return {}
        self._check_keys((key,), value, known)
        return value

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is not None and not isinstance(value, str):
            self._wrong((key,), f"{key} is a text in quotes")
            return None
        return value

    def _flag(self, key: str, default: bool) -> bool:
        value = self._table.get(key, default)
        if not isinstance(value, bool):
            self._wrong((key,), f"{key} is true or false")
            return default
        return value

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._wrong((key,), f"{key} is a list of texts")
            return ()
        return tuple(value)

    def _word(self, key: str, known: tuple[str, ...]) -> str | None:
        value = self._text(key)
        if value is not None and value not in known:
            self._wrong((key,), _not_one_of(f"{key} {value!r}", value, known))
            return None
        return value

    def _choice(self, path: Path, value: object, words: type[Word]) -> Word | None:
        if value is None:
            return None
        known = [str(word) for word in words]
        if value not in known:
            self._wrong(path, _not_one_of(f"{path[-1]} {value!r}", value, known))
            return None
        return words(str(value))

    # --- the keys ---------------------------------------------------------------------------------

    def _name(self) -> str:
        name = self._text("name")
        if name is None:
            if "name" not in self._table:
                self._wrong((), 'the profile has no name; write name = "..." on the first line')
            return ""
        if not _NAME.fullmatch(name):
            self._wrong(("name",), "a name has 1 to 32 letters, digits, '.', '_' and '-'")
        return name

    def _version(self) -> str:
        version = self._text("version") or ""
        if "version" in self._table and not _VERSION.fullmatch(version):
            self._wrong(("version",), "a version has 1 to 16 letters, digits, '.', '_', '+' and '-'")
        return version

    def _base(self) -> str | None:
        base = self._text("base")
        if base is not None and base not in list(Base) and not base.endswith(".json"):
            known = (*map(str, Base), "a path that ends in .json")
            self._wrong(("base",), _not_one_of(f"base {base!r}", base, known))
            return None
        return base

    def _options(self, key: str) -> tuple[str, ...]:
        known = [option.text for option in Option]
        for text in self._texts(key):
            if text not in known:
                near = names.did_you_mean(text, known) or f"; known are {', '.join(known)}"
                self._wrong((key,), f"there is no option {text!r}{near}")
        return tuple(text for text in self._texts(key) if text in known)

    def _unlisted(self) -> Unlisted:
        table = self._section("unlisted", UNLISTED_KEYS)
        return Unlisted(
            self._choice(("unlisted", "sop_class"), table.get("sop_class"), UnlistedClass),
            self._unlisted_action(table.get("attribute")),
            self._choice(("unlisted", "private"), table.get("private"), UnlistedPrivate),
            self._because(table.get("because")),
        )

    def _because(self, value: object) -> str | None:
        if value is None or (isinstance(value, str) and value):
            return value
        self._wrong(("unlisted", "because"), "because is a text: why a SOP class without a table is rejected")
        return None

    def _unlisted_action(self, value: object) -> Action | None:
        if value is None or value in list(_UNLISTED_ACTIONS):
            return None if value is None else Action(str(value))
        problem = _not_one_of(f"attribute {value!r}", value, _UNLISTED_ACTIONS)
        self._wrong(("unlisted", "attribute"), problem)
        return None

    def _gates(self, key: str) -> tuple[GateRow, ...]:
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._wrong((key,), f"{key} is a list of tables: [[{key}]]")
            return ()
        gates = (self._gate(key, number, table) for number, table in enumerate(value))
        return tuple(gate for gate in gates if gate is not None)

    def _gate(self, key: str, number: int, table: Table) -> GateRow | None:
        path: Path = (key, number)
        self._check_keys(path, table, GATE_KEYS if key == "exclude" else GATE_KEYS[:2])
        when, because = table.get("when"), table.get("because", "")
        if not isinstance(when, str) or not isinstance(because, str):
            self._wrong(path, f'[[{key}]] needs when = "...", and because is a text')
            return None
        stage = self._choice((*path, "stage"), table.get("stage"), Stage) if key == "exclude" else None
        try:
            condition = Condition.parse(when)
        except ProfileError as error:
            self._wrong((*path, "when"), *error.problems)
            return None
        place = self._problems.place(*path)
        return GateRow(condition, because or f"condition {when}", stage or Stage.ORIGINAL, place)

    def _rows(self, path: Path) -> list[Row]:
        table: object = self._table
        for key in path:
            table = table.get(str(key), {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            self._wrong(path, f"[{'.'.join(map(str, path))}] is a table of rows")
            return []
        rows: list[Row] = []
        for text, value in table.items():
            where = (*path, text)
            try:
                rows += read_rows(text, value, self._problems.place(*where))
            except ProfileError as error:
                self._wrong(where, *error.problems)
        return rows

    def _class_tables(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the key of every SOP class table with the UIDs that it names, separated by commas."""
        table = self._table.get("sop_class", {})
        if not isinstance(table, dict):
            self._wrong(("sop_class",), "sop_class is a table of tables: [sop_class.CTImageStorage]")
            return []
        found = []
        for key in table:
            uids: dict[str, str] = {}
            for name in (part.strip() for part in key.split(",")):
                uid = names.sop_class_uid(name)
                if uid is None:
                    near = names.nearest_sop_class(name)
                    self._wrong(("sop_class", key), f"{name!r} is no SOP class{near}")
                elif uids.setdefault(uid, name) != name:
                    self._wrong(("sop_class", key), f"{name} and {uids[uid]} are the same SOP class")
            found.append((key, tuple(uids)))
        return found

    def _class_rows(self, tables: list[tuple[str, tuple[str, ...]]]) -> list[Row]:
        rows: list[Row] = []
        for key, uids in tables:
            written = self._rows(("sop_class", key))
            rows += (replace(row, sop_class=uid) for uid in uids for row in written)
        return rows

    def _set_values(self) -> Mapping[int, tuple[SetValue, ...]]:
        values: dict[int, tuple[SetValue, ...]] = {}
        table = self._table.get("set", {})
        for text, value in self._named(("set",), table):
            tag = self._tag(("set", text), text)
            if tag is None:
                continue
            try:
                values[tag] = read_set_values(tag, value)
            except ProfileError as error:
                self._wrong(("set", text), *error.problems)
        return MappingProxyType(values)

    def _named(self, path: Path, table: object) -> Iterable[tuple[str, Any]]:
        if not isinstance(table, dict):
            self._wrong(path, f"{path[-1]} is a table: [{path[-1]}]")
            return ()
        return table.items()

    def _tag(self, path: Path, text: str) -> int | None:
        """Read a selector that names one public attribute at the top of the object."""
        try:
            selector = Selector.parse(text)
        except ProfileError as error:
            self._wrong(path, *error.problems)
            return None
        if selector.path or selector.last.tag is None:
            self._wrong(path, f"{text!r} is not one attribute; write a keyword or (gggg,eeee)")
            return None
        return selector.last.tag

    def _forced_uids(self) -> Mapping[int, str]:
        uids: dict[int, str] = {}
        for text, value in self._named(("forced_uids",), self._table.get("forced_uids", {})):
            path = ("forced_uids", text)
            tag = self._tag(path, text)
            if tag is None:
                continue
            uid = self._forced_uid(path, value)
            if dictionary.vr_of(tag) != "UI" or tag in protected.PROTECTED:
                self._wrong(path, f"{names.written(tag)} is no UID that may be forced")
            elif not is_uid(uid):
                self._wrong(path, "not a UID: digits and dots, no component with a leading zero, at most 64")
            else:
                uids[tag] = uid
        return MappingProxyType(uids)

    def _forced_uid(self, path: Path, value: object) -> str:
        if not isinstance(value, dict):
            return str(value)
        self._check_keys(path, value, FORCED_UID_KEYS)
        root = str(value.get("root", GRAND_CHALLENGE_ROOT))
        return f"{root.removesuffix('.')}.{value.get('suffix', '')}"

    def _same_value(self) -> tuple[int, ...]:
        tags = (self._tag(("same_value",), text) for text in self._texts("same_value"))
        return tuple(tag for tag in tags if tag is not None)

    def _days(self, dates: Table) -> int | None:
        days = dates.get("longest_shift_days")
        if days is None:
            return None
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= _LONGEST_SHIFT:
            path = ("dates", "longest_shift_days")
            self._wrong(path, f"longest_shift_days is a whole number from 1 to {_LONGEST_SHIFT}")
            return None
        return days

    def _method(self, stamps: Table) -> str | None:
        method = stamps.get("method")
        if method is None:
            return None
        if not isinstance(method, str) or not 0 < len(method) <= _MAX_METHOD or "\\" in method:
            self._wrong(("stamps", "method"), f"method is a text of 1 to {_MAX_METHOD} characters")
            return None
        return method

    def _codes(self, stamps: Table) -> tuple[str, ...]:
        codes = stamps.get("codes", [])
        if not isinstance(codes, list) or not all(code in method_codes() for code in codes):
            known = ", ".join(method_codes())
            self._wrong(("stamps", "codes"), f"codes is a list of code values of CID 7050: {known}")
            return ()
        return tuple(codes)

    def _date_change(self, stamps: Table) -> DateChange | None:
        value = stamps.get("dates")
        upper = value.upper() if isinstance(value, str) else value
        return self._choice(("stamps", "dates"), upper, DateChange)


def _not_one_of(what: str, value: object, known: Iterable[str]) -> str:
    known = tuple(map(str, known))
    near = names.did_you_mean(str(value), known)
    return f"{what} is not one of {', '.join(known)}{near}"
