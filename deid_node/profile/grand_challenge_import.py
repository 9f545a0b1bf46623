"""Write a Grand-Challenge procedure JSON as a profile: what `profile import --from grand-challenge` does.

What a profile may not say (an action against the pixel description, U on a text) is listed, and stands
in the profile as a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from deid_node.profile import names, protected
from deid_node.profile.checks import needs_value
from deid_node.profile.grand_challenge import BURNED_IN, read_json
from deid_node.profile.procedure import Action, Dummies, Rule, Table


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of a profile, and a sentence for everything that could not be carried over."""

    text: str
    left_out: tuple[str, ...]


def to_toml(text: str, file: str, name: str) -> Imported:
    """Return the profile that says what a procedure JSON says, as a person would write it.

    Raises:
        ProfileError: the JSON breaks its schema.
    """
    read = read_json(text, file)
    unlisted = read.unlisted_sop_class
    lines = [
        f"# Imported from {file}, a procedure for DICOM {read.standard}.",
        "# What is needed to read the pixels stays, also where the procedure does not list it.",
        f"name = {_quoted(name)}",
        f"version = {_quoted(re.sub(r'[^A-Za-z0-9._+-]', '-', read.version)[:16] or '1')}",
        'base = "none"',
        f"dummies = {_quoted(Dummies.GRAND_CHALLENGE)}",
        "",
        "[unlisted]",
        f"sop_class = {_quoted(unlisted.action)}",
        'attribute = "X"',
        f"because = {_quoted(unlisted.because)}",
        "",
        "[[reject]]",
        f"when = {_quoted(BURNED_IN.when.text)}",
        f"because = {_quoted(BURNED_IN.because)}",
    ]
    left_out: list[str] = []
    for uid, table in read.tables.items():
        sop_class = names.sop_class_keyword(uid)
        lines += ["", f"[sop_class.{_key(sop_class)}]"]
        for row in _class_rows(table):
            problem = _problem(row)
            if problem:
                left_out.append(f"{file}, {sop_class}: {problem}")
                lines.append(f"# not carried over: {_one_line(problem)}")
            else:
                lines.append(f"{_key(row.selector)} = {_row(_with_value(uid, row).rule)}")
    return Imported("\n".join(lines) + "\n", tuple(left_out))


@dataclass(frozen=True, slots=True)
class _ImportedRow:
    selector: str
    rule: Rule
    tag: int | None = None


def _class_rows(table: Table) -> Iterator[_ImportedRow]:
    if table.unlisted.action is not Action.X:
        yield _ImportedRow("*", table.unlisted)
    for mask, value, rule in table.masks:
        yield _ImportedRow(_masked(mask, value), rule)
    for tag, rule in table.rules.items():
        yield _ImportedRow(names.written(tag), rule, tag)


def _masked(mask: int, value: int) -> str:
    fixed = (mask >> shift & 15 == 15 for shift in range(28, -1, -4))
    digits = "".join(
        digit if is_fixed else "x" for digit, is_fixed in zip(f"{value:08X}", fixed, strict=True)
    )
    return f"{digits[:4]},{digits[4:]}"


def _problem(row: _ImportedRow) -> str:
    problem = protected.problem(row.tag, row.rule.action, None) if row.tag is not None else ""
    return f"{problem} (action {row.rule.action})" if problem else ""


def _with_value(sop_class: str, row: _ImportedRow) -> _ImportedRow:
    """Write D for Z where the attribute is Type 1: Z stands for a dummy there in the JSON as well."""
    if row.tag is None or row.rule.action is not Action.Z or not needs_value(sop_class, row.tag):
        return row
    return replace(row, rule=replace(row.rule, action=Action.D))


def _row(rule: Rule) -> str:
    return f"{{ action = {_quoted(rule.action)}, because = {_quoted(rule.because)} }}"


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
