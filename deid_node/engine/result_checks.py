"""Look at a result once more: values that are none, originals that are left, attributes that lack.

What a profile asks for in [checks]. Only the header is looked at, everything before the groups from 5000
on. A finding names the attribute and never its value. Value formats are those of PS3.5 Table 6.2-1, Types
those of mandatory modules (PS3.3, PS3.5 7.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from deid_node.engine.charset import decode
from deid_node.engine.deidentified import Finding
from deid_node.engine.encoding import Encoding, vr_in
from deid_node.engine.nested import encoding_within, is_sequence, items
from deid_node.engine.place import Place
from deid_node.engine.scan import Budget, Element
from deid_node.profile.procedure import Checks, Level
from deid_node.profile.protected import value_problem
from deid_node.standard import iod
from deid_node.standard.dictionary import keyword_of, tag_text
from deid_node.standard.sop_classes import storage_sop_classes

_END: Final = 0x50000000
_DATE_VRS: Final = frozenset(("DA", "DT"))
_NAME_VRS: Final = frozenset(("PN",))
_CHECKED: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_COMPARED: Final = _DATE_VRS | _NAME_VRS

Path = tuple[int, ...]


def findings_in(before: Place, after: Place, sop_class_uid: str) -> Iterator[Finding]:
    """Yield what the checks of the procedure find in the header that was made of another one."""
    checks = before.subject.procedure.checks
    look = _Look(checks, before)
    yield from look.level(after.b, after.elements, after.encoding, before.charsets, ())
    if checks.required is not None:
        yield from _lacking(checks.required, after.elements, sop_class_uid)


class _Look:
    """One look at one result."""

    def __init__(self, checks: Checks, before: Place) -> None:
        self._checks = checks
        self._subject = before.subject
        self._budget = Budget(before.subject.budget.limits)
        self._before: dict[Path, bytes] = {}
        if checks.names or checks.dates:
            self._remember(before.b, before.elements, before.encoding, ())

    def _remember(self, b: bytes, elements: list[Element], encoding: Encoding, path: Path) -> None:
        for element in elements:
            code, _, start, end = element
            if is_sequence(code):
                within = encoding_within(code, encoding)
                for number, (_, level, _, _) in enumerate(items(b, element, within, self._budget, 1)):
                    self._remember(b, level.elements, within, (*path, code >> 16, number))
            elif vr_in(code) in _COMPARED:
                self._before[(*path, code >> 16)] = b[start:end].strip(b" \0")

    def level(
        self, b: bytes, elements: list[Element], encoding: Encoding, charsets: tuple[str, ...], path: Path
    ) -> Iterator[Finding]:
        for element in elements:
            code = element[0]
            if is_sequence(code):
                within = encoding_within(code, encoding)
                for number, (_, level, _, _) in enumerate(items(b, element, within, self._budget, 1)):
                    inside = (*path, code >> 16, number)
                    yield from self.level(b, level.elements, within, charsets, inside)
            else:
                yield from self._element(element, b[element[2] : element[3]], charsets, path)

    def _element(
        self, element: Element, value: bytes, charsets: tuple[str, ...], path: Path
    ) -> Iterator[Finding]:
        vr, tag, checks = vr_in(element[0]), element[0] >> 16, self._checks
        bare = value.strip(b" \0")
        if not bare:
            return
        where = _written((*path, tag))
        if checks.values and vr in _CHECKED and self._is_no_value(vr, bare, charsets):
            yield Finding(checks.values, "value", f"the value is none of VR {vr}", where)
        same = self._before.get((*path, tag)) == bare
        if checks.names and same and vr in _NAME_VRS:
            yield Finding(checks.names, "name", "a person name is the original one", where)
        if checks.dates and same and vr in _DATE_VRS:
            yield Finding(checks.dates, "date", "a date is the original one", where)
        if checks.identifiers and self._subject.search.finds_word(bare):
            yield Finding(checks.identifiers, "identifier", "a name or ID of the patient is left", where)

    @staticmethod
    def _is_no_value(vr: str, value: bytes, charsets: tuple[str, ...]) -> bool:
        text = decode(value, charsets, vr)
        return text is None or bool(value_problem(vr, text))


def _lacking(level: Level, elements: list[Element], sop_class_uid: str) -> Iterator[Finding]:
    there = {element[0] >> 16: element for element in elements}
    for tag, type_ in _required(sop_class_uid).items():
        element = there.get(tag)
        if element is None:
            yield Finding(level, "required", f"an attribute of Type {type_} lacks", _written((tag,)))
        elif type_ == "1" and element[2] == element[3]:
            yield Finding(level, "required", "an attribute of Type 1 has no value", _written((tag,)))


@cache
def _required(sop_class_uid: str) -> dict[int, str]:
    """Return the attributes of Type 1 and 2 in mandatory modules, at the top and before the pixels."""
    known = storage_sop_classes().get(sop_class_uid)
    if known is None:
        return {}
    found: dict[int, str] = {}
    for tag in sorted(iod.top(known.iod_key).types):
        types = {use.type for use in iod.uses(known.iod_key, tag) if use.usage == "M"}
        strictest = "1" if "1" in types else "2" if "2" in types else ""
        if strictest and tag < _END:
            found[tag] = strictest
    return found


def _written(path: Path) -> str:
    """Return a path as Sequence[0].Keyword."""
    steps = [
        f"{keyword_of(path[at]) or tag_text(path[at])}[{path[at + 1]}]" for at in range(0, len(path) - 1, 2)
    ]
    return ".".join([*steps, keyword_of(path[-1]) or tag_text(path[-1])])
