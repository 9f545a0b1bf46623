"""Pages for people: what is undecided in a candidate, and what a table does with each attribute and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from deid_node.profile.builder import Document, undecided
from deid_node.profile.procedure import Rule, Table
from deid_node.standard import confidentiality, iod
from deid_node.standard.dictionary import attribute, tag_text
from deid_node.standard.iod import Use
from deid_node.standard.sop_classes import sop_class_name, storage_sop_classes

_NOTICE: Final = (
    f"Module usage (M mandatory, C conditional, U user optional) and Types: DICOM PS3.3 2026b, © NEMA. "
    f"Basic profile: {confidentiality.ATTRIBUTION}."
)


@dataclass(frozen=True, slots=True)
class PageRow:
    """One attribute of a SOP class as a person reads it; `path` is the sequences around it."""

    tag: int
    keyword: str
    vr: str
    path: tuple[str, ...]
    rule: Rule
    uses: tuple[Use, ...]


def page_rows(table: Table, sop_class_uid: str) -> Iterator[PageRow]:
    """Return the attributes that the IOD has, by tag, then those whose rule inside a sequence differs.

    Of a SOP class that is not of the standard the rules of the table, without modules.
    """
    known = storage_sop_classes().get(sop_class_uid)
    uses = iod.uses_anywhere(known.iod_key) if known is not None else {}
    for tag in uses or sorted(table.rules):
        vr = _vr(tag)
        yield PageRow(tag, _keyword(tag), vr, (), table.rule_for(tag, vr), uses.get(tag, ()))
    yield from _differing(table, table, (), {id(table)})


def _differing(top: Table, table: Table, path: tuple[str, ...], seen: set[int]) -> Iterator[PageRow]:
    sequences = sorted(
        ((tag, rule.items) for tag, rule in table.rules.items() if rule.items is not None),
        key=lambda pair: pair[0],
    )
    for sequence, items in sequences:
        if id(items) in seen:
            continue
        seen.add(id(items))
        inside = (*path, _keyword(sequence))
        for tag in sorted(_otherwise(top, items)):
            yield PageRow(tag, _keyword(tag), _vr(tag), inside, items.rules[tag], ())
        yield from _differing(top, items, inside, seen)


def _otherwise(top: Table, items: Table) -> list[int]:
    """Return the tags that get another action in these items than on top."""
    usual = top.rules
    return [
        tag
        for tag, own in items.rules.items()
        if usual.get(tag) is not own and (tag not in usual or usual[tag].action is not own.action)
    ]


def page(table: Table, sop_class_uid: str, title: str) -> str:
    """Return the table of a SOP class as Markdown: attribute, action, why, modules with usage and Type."""
    rows = list(page_rows(table, sop_class_uid))
    lines = [f"# {title}: {sop_class_name(sop_class_uid)}", "", f"SOP Class UID {sop_class_uid}.", ""]
    lines += [f"What no row names: {table.unlisted.action} ({table.unlisted.because}).", "", _NOTICE, ""]
    lines += _markdown([row for row in rows if not row.path])
    nested = [row for row in rows if row.path]
    if nested:
        lines += ["", "## Otherwise inside a sequence", "", *_markdown(nested)]
    return "\n".join(lines) + "\n"


def _markdown(rows: list[PageRow]) -> list[str]:
    lines = [
        "| Tag | Attribute | VR | Action | Why | Decided by | Modules: usage, Type |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        place = ".".join([*row.path, row.keyword])
        cells = (
            tag_text(row.tag),
            place,
            row.vr,
            row.rule.action,
            row.rule.because,
            row.rule.decided_by,
            _modules(row.uses),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _modules(uses: tuple[Use, ...]) -> str:
    """Return "patient M 2; general-series M 1, 3": modules with usage and every Type they give."""
    types: dict[tuple[str, str], list[str]] = {}
    for use in uses:
        types.setdefault((use.module, use.usage), []).append(use.type)
    return "; ".join(f"{module} {usage} {', '.join(found)}" for (module, usage), found in types.items())


def worklist(candidate: Document) -> str:
    """Return what a person has still to decide, as reStructuredText; one sentence when nothing is."""
    open_tags = undecided(candidate)
    if not open_tags:
        return "Nothing is undecided.\n"
    lines: list[str] = []
    for uid, tags in open_tags.items():
        lines += _heading(f"{sop_class_name(uid)} ({uid})", "=")
        lines += [f"{len(tags)} attributes are undecided.", ""]
        uses = iod.uses_anywhere(storage_sop_classes()[uid].iod_key)
        for tag in tags:
            row = confidentiality.by_tag().get(tag)
            lines += _heading(f"{tag_text(tag)} {_keyword(tag)}", "-")
            lines += [f":VR: {_vr(tag)}", f":Basic profile: {row.basic if row else 'not listed'}"]
            lines += [f":Modules: {_modules(uses.get(tag, ()))}", ""]
    return "\n".join(lines)


def _heading(text: str, under: str) -> list[str]:
    return [text, under * len(text), ""]


def _keyword(tag: int) -> str:
    known = attribute(tag)
    return known.keyword if known is not None else tag_text(tag)


def _vr(tag: int) -> str:
    known = attribute(tag)
    return known.vr if known is not None else "UN"
