"""A profile while an import writes it: rows with their place in the source, rendered as a person would.

What the profile language refuses is not dropped: the row steps back to what surely hides the value
(removed, else a dummy or a new UID, else kept when the object cannot be read without it), and the step
is listed. So the text that comes out always loads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names, protected
from deid_node.profile.compile import compile_chain
from deid_node.profile.functions import FUNCTIONS
from deid_node.profile.grand_challenge import JSONProcedure
from deid_node.profile.imports.imported import Imported, LeftOut, LookupFile, Secret
from deid_node.profile.layers import matched
from deid_node.profile.lookup import Lookup, LookupSource
from deid_node.profile.places import Place
from deid_node.profile.reading import read_profile
from deid_node.profile.selector import Kind, Selector
from deid_node.standard import dictionary

One = str | Mapping[str, object]
Written = One | Sequence[Mapping[str, object]]

_FILE: Final = "profile.toml"
_PROBLEM: Final = re.compile(rf"{re.escape(_FILE)}(?: line (\d+))?: (.*)", re.DOTALL)
_ROW_PROBLEM: Final = re.compile(r"row '(?:[^'\\]|\\.)*':? ")
_STEPPED: Final = {
    "X": "removed instead",
    "D": "a dummy instead",
    "U": "a new UID instead",
    "K": "kept instead",
    "": "no row is written",
}
_WIDTH: Final = 100
_ALL_OF_GROUP: Final = 0xFFFF
_ILLEGAL_GROUPS: Final = (0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF)
_IDENTIFIES_OBJECT: Final = (0x00080018, 0x0020000D, 0x0020000E)  # SOP, Study, Series Instance UID
_SEARCHED: Final = (0x00100010, 0x00100020, 0x00080050)  # Patient Name, Patient ID, Accession Number
_SPARES: Final = frozenset({"K", "R", "U", "C", "uid", "keep"})
_EMPTIES: Final = frozenset({"X", "Z", "D", "empty", "redact", "value", "set", "substitute"})
_GROUPS: Final = {
    "K": "kept",
    "X": "removed",
    "Z": "emptied",
    "empty": "emptied",
    "redact": "emptied, a part of ages and dates may stay",
    "U": "new UIDs",
    "uid": "new UIDs",
    "C": "dates moved, texts cleaned",
    "date_shift": "dates moved",
    "date_truncate": "dates cut",
    "hash": "hashed",
    "lookup": "looked up in a table",
    "encrypt": "encrypted",
    "perturb": "noise added",
    "D": "dummies",
    "R": "objects with these attributes are rejected",
    "cases": "under a condition, or at one depth",
}
_OTHER: Final = "values written"
_WIDE: Final = "whole groups, VRs and patterns; of two, the more specific wins"


@dataclass(slots=True, eq=False)
class Row:
    """One row: `what` is an action code, a table or a list of tables, `source` how the source says it.

    `heading` stands above it and others in place of what is done.
    """

    selector: str
    what: Written
    line: int
    source: str
    comment: str = ""
    heading: str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def parsed(self) -> Selector:
        """The selector."""
        return Selector.parse(self.selector)


@dataclass(slots=True)
class Draft:
    """Everything that a profile will say.

    `file` is the source as problems call it. `head` and `head_notes` are lines of the comment at the
    top, `settings` the keys at the top, `tables` the tables before the rows ("unlisted", "stamps").
    """

    name: str
    file: str
    head: list[str] = field(default_factory=list)
    head_notes: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    gates: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    lookups: list[LookupFile] = field(default_factory=list)

    @property
    def shifts_dates(self) -> bool:
        """Whether a row moves dates."""
        return any('"date_shift"' in rendered(row.what) for row in self.rows)

    def add(
        self, selector: str, what: Written, line: int, source: str, comment: str = "", *, heading: str = ""
    ) -> Row:
        """Add a row; rows with one heading stand together under it."""
        row = Row(selector, what, line, source, comment, heading)
        self.rows.append(row)
        return row

    def insert(self, selector: str, value: Written, line: int, source: str, comment: str = "") -> None:
        """Add a value that is written also where the attribute is absent."""
        self.values.append(Row(selector, value, line, source, comment))

    def leave_out(self, line: int, what: str, why: str) -> None:
        """List what is not carried over."""
        self.left_out.append(LeftOut(str(Place(self.file, line)), what, why))

    def warn(self, line: int, text: str) -> None:
        """Say what is different but hides as much."""
        self.warnings.append(f"{Place(self.file, line)}: {text}")

    def secret(self, purpose: str, value: str, line: int, what: str) -> str:
        """Return the name of a secret with this value."""
        known = [secret for secret in self.secrets if secret.name.startswith(f"{self.name}-{purpose}")]
        for secret in known:
            if secret.value == value.encode():
                return secret.name
        number = f"-{len(known) + 1}" if known else ""
        name = f"{self.name}-{purpose}{number}".lower()
        self.secrets.append(Secret(name, f"{Place(self.file, line)}, {what}", value.encode()))
        return name

    # --- the end ----------------------------------------------------------------------------------

    def finish(self) -> Imported:
        """Return the profile.

        Raises:
            ProfileError: what was read cannot be said by any profile.
        """
        self._leave_rebuilt()
        self._tell_of_the_unnamed()
        self._spare_what_is_needed()
        if sum(row.parsed.last.is_wide for row in self.rows) > 1:
            self.settings.setdefault("ties", "first")
        text, rows = self._render()
        while problems := _problems(text):
            for line, problem in problems:
                if line not in rows:
                    raise ProfileError(f"{self.file}: {problem}")
                self._step_back(rows[line], problem)
            text, rows = self._render()
        for row in self.rows:
            if row.steps:
                did = _STEPPED[row.what if isinstance(row.what, str) else ""]
                self.leave_out(row.line, row.source, f"{row.steps[0]}; {did}")
        listed = {(one.where, one.what): one for one in self.left_out}
        self.left_out = sorted(listed.values(), key=lambda one: _line_of(one.where))
        text, _ = self._render(with_left_out=True)
        told = tuple(self.left_out), tuple(self.warnings)
        return Imported(text, *told, tuple(self.secrets), tuple(self.lookups))

    def _tell_of_the_unnamed(self) -> None:
        """Say what becomes of identifiers that no row is about, where the unlisted stays."""
        if self.tables.get("unlisted", {}).get("attribute") != "K" or "identity" in self.settings:
            return
        steps = [row.parsed.last for row in self.rows if not row.parsed.path]
        for tag in _SEARCHED:
            if not any(step.matches(tag, dictionary.vr_of(tag)) for step in steps):
                keyword = names.written(tag)
                text = f"nothing is said about {keyword}: its value is searched for and removed"
                self.warnings.append(f'{self.file}: {text}; write {keyword} = "K" to keep it')

    def _leave_rebuilt(self) -> None:
        """Drop rows about what is always made new, and about groups that are always removed."""
        for rows in (self.rows, self.values):
            for row in list(rows):
                step = row.parsed.last
                if step.mask >> 16 == _ALL_OF_GROUP and step.value >> 16 in _ILLEGAL_GROUPS:
                    rows.remove(row)
                    if row.what != "X":
                        why = "no standard or private group has this number (PS3.5 7.1); always removed"
                        self.leave_out(row.line, row.source, why)
                    continue
                tag = row.parsed.last.tag
                if tag is not None and protected.is_rebuilt(tag):
                    rows.remove(row)
                    self.warn(row.line, f"{row.source}: command set and file meta information are made new")

    def _spare_what_is_needed(self) -> None:
        """Keep what an object cannot be read without, where a wide row would take it."""
        named = {row.parsed.last.tag for row in self.rows}
        for row in list(self.rows):
            step = row.parsed.last
            if not step.is_wide or step.kind is Kind.ANY or does(row.what) in _SPARES:
                continue
            emptied = matched(step).intersection(_IDENTIFIES_OBJECT) if _leaves_no_uid(row.what) else set()
            for tag in sorted(emptied - named):
                self.add(names.written(tag), "U", row.line, row.source, f"{row.source} would leave none")
                self.leave_out(row.line, row.source, f"{names.written(tag)} must be there; a new UID instead")
                named.add(tag)
            spared = sorted((protected.PROTECTED & matched(step)) - named)
            for tag in spared:
                self.add(names.written(tag), "K", row.line, row.source, "needed to read the object")
                named.add(tag)
            if spared:
                listed = ", ".join(map(names.written, spared[:4])) + (" ..." if len(spared) > 4 else "")
                self.leave_out(row.line, row.source, f"not done to {listed}: needed to read the object; kept")

    def _step_back(self, row: Row, problem: str) -> None:
        why = _ROW_PROBLEM.sub("", problem, count=1).split("; write ")[0]
        if row in self.values:
            self.values.remove(row)
            self.leave_out(row.line, row.source, f"{why}; not inserted")
            return
        tag = row.parsed.last.tag
        hidden = "U" if tag is not None and dictionary.vr_of(tag) == "UI" else "D"
        ladder = ["X", hidden, "K", ""] if tag is not None else ["X", ""]
        done = 0 if not row.steps else ladder.index(str(row.what)) + 1
        row.what = next(step for step in ladder[done:] if step != row.what)
        row.steps.append(why)
        row.comment = f"{row.source}: {why}"
        if not row.what:
            self.rows.remove(row)
            self.leave_out(row.line, row.source, f"{why}; {_STEPPED['']}")

    # --- text -------------------------------------------------------------------------------------

    def _render(self, *, with_left_out: bool = False) -> tuple[str, dict[int, Row]]:
        lines = [f"# {_one_line(line)}" for line in (*self.head, *self.head_notes)]
        lines += [f"name = {quoted(self.name)}"]
        lines += [f"{key} = {rendered(value)}" for key, value in self.settings.items()]
        for title, table in self.tables.items():
            lines += ["", f"[{title}]", *(f"{key} = {rendered(value)}" for key, value in table.items())]
        for title, table in self.gates:
            lines += ["", f"[[{title}]]", *(f"{key} = {rendered(value)}" for key, value in table.items())]
        at: dict[int, Row] = {}
        if self.rows:
            lines += ["", "[attributes]"]
            for heading, rows in _grouped(self.rows):
                lines += ["", f"# {heading}"] if lines[-1] != "[attributes]" else [f"# {heading}"]
                _write(rows, lines, at)
        if self.values:
            lines += ["", "# written also where the attribute is absent", "[set]"]
            _write(self.values, lines, at)
        if with_left_out and self.left_out:
            lines += ["", "# Not as in the source:"]
            lines += [f"# - {_one_line(str(one))}" for one in self.left_out]
        return "\n".join(lines) + "\n", at


def does(what: Written) -> str:
    """Return the action code or function of a row, "value" for a value, "cases" for a list."""
    if isinstance(what, str):
        return what
    if isinstance(what, Mapping):
        return str(what.get("do") or what.get("action") or "value")
    return "cases"


def _leaves_no_uid(what: Written) -> bool:
    """Tell whether a row takes UIDs away: it empties, or does what cannot be done to a UID."""
    function = FUNCTIONS.get(does(what))
    return does(what) in _EMPTIES or (
        function is not None and bool(function.vrs) and "UI" not in function.vrs
    )


def _write(rows: Iterable[Row], lines: list[str], at: dict[int, Row]) -> None:
    for row in rows:
        text = f"{_key(row.selector)} = {_listed(row.what)}"
        comment = f"  # {_one_line(row.comment)}" if row.comment else ""
        if len(text) + len(comment) > _WIDTH and comment:
            lines.append(comment.strip())
            comment = ""
        at[len(lines) + 1] = row
        lines += (text + comment).split("\n")


def _listed(what: Written) -> str:
    """Return a row, several rows for one selector each in a line of its own."""
    if isinstance(what, str | Mapping):
        return rendered(what)
    tables = (one["action"] if list(one) == ["action"] else one for one in what)
    return "\n".join(["[", *(f"    {rendered(one)}," for one in tables), "]"])


def _grouped(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_heading(row), []).append(row)
    order = [*dict.fromkeys(_GROUPS.values()), _OTHER, *(one for one in groups if one != _WIDE), _WIDE]
    for heading in sorted(groups, key=order.index):
        found = groups[heading]
        yield heading, found if heading == _WIDE else sorted(found, key=_by_tag)


def _heading(row: Row) -> str:
    if row.heading:
        return row.heading
    if row.parsed.last.is_wide:
        return _WIDE
    return _GROUPS.get(does(row.what), _OTHER)


def _by_tag(row: Row) -> tuple[int, str]:
    step = row.parsed.last
    tag = step.value if step.private is None else step.private[0] << 16 | step.private[2]
    return tag, row.selector


def _problems(text: str) -> list[tuple[int, str]]:
    try:
        compile_chain([read_profile(text, _FILE)], _no_base, _no_rows)
    except ProfileError as error:
        found = [_PROBLEM.fullmatch(problem) for problem in error.problems]
        seen: dict[int, str] = {}
        for match, problem in zip(found, error.problems, strict=True):
            line = int(match[1] or 0) if match else 0
            seen.setdefault(line, match[2] if match else problem)
        return sorted(seen.items())
    return []


def _no_base(base: str) -> JSONProcedure:
    raise ProfileError(f"{base!r} is no base of an imported profile")


def _no_rows(source: LookupSource) -> Lookup:
    """Return an empty table: what stands in it does not matter to the profile."""
    return Lookup({})


def _line_of(where: str) -> int:
    found = re.search(r" line (\d+)", where)
    return int(found[1]) if found else 0


# --- values of TOML -------------------------------------------------------------------------------


def rendered(value: object) -> str:
    """Return a value as TOML in one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))} = {rendered(part)}" for key, part in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(rendered, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return quoted(str(value))


def quoted(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def as_template(text: str) -> str:
    """Return literal text as a template: a brace is written twice."""
    return text.replace("{", "{{").replace("}", "}}")


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", text).strip()
