"""Explain what is done to one object: every attribute before, the rule that decided, after.

The object goes through the same engine; every decision is observed. The rows hold original values:
whoever shows them must have been asked to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from deid_node.engine.actions import compile_rule, path_of
from deid_node.engine.deidentified import Summary
from deid_node.engine.encoding import Encoding, encoding_of, vr_in
from deid_node.engine.keys import Pseudonyms
from deid_node.engine.place import Place
from deid_node.engine.plan import KEEP, Decision, Entry, Plan, Plans, PrivateCreator
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Budget, Element, Limits, scan
from deid_node.engine.sequences import Sequence
from deid_node.engine.shown import shown
from deid_node.engine.subject import Facts
from deid_node.profile.procedure import Action, Procedure, Rule
from deid_node.standard.dictionary import keyword_of, tag_text
from deid_node.standard.private_dictionary import is_known_creator
from deid_node.standard.repairs import DEFAULT_REPAIRS, Repair

_ALL: Final = 1 << 40
_CREATOR: Final = Rule(Action.K, "something of its private block may stay", "private creator")
_UNUSED_CREATOR: Final = Rule(Action.X, "nothing of its private block stays", "private creator")
_STAMP: Final = Rule(Action.D, "says what was done", "stamp")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One attribute of one object.

    `path` is written with keywords and item numbers; `before` and `after` are values as a person
    reads them, None where the attribute is absent. `changed` compares the bytes. `selector` is how a
    row of a profile names a private element; empty where nobody knows its creator, since what an object
    has there may be anything.
    """

    path: str
    tag: str
    keyword: str
    vr: str
    before: str | None
    action: Action
    because: str
    decided_by: str
    after: str | None
    changed: bool
    selector: str = ""

    @property
    def name(self) -> str:
        """The path, with the selector of a private element in place of its tag."""
        return self.path.removesuffix(self.tag) + self.selector if self.selector else self.path


def explain(
    procedure: Procedure,
    pseudonyms: Pseudonyms,
    dataset: bytes,
    *,
    transfer_syntax_uid: str,
    origin: Mapping[str, str] | None = None,
    secrets: Mapping[str, bytes] = MappingProxyType({}),
    now: datetime = datetime.min,
    repairs: frozenset[Repair] = DEFAULT_REPAIRS,
) -> tuple[list[Explanation], Summary]:
    """De-identify a dataset and return what was done to every attribute, in the order of the object.

    Args:
        dataset: without preamble and file meta information.
        secrets: as for `Deidentifier`.
        now: day and time of the de-identification.
        repairs: what may be put right.

    Raises:
        ObjectRefused: one of its kinds, as for any object.
    """
    limits = Limits(header_bytes=_ALL, window_bytes=_ALL, repairs=repairs)
    watch = _Watch()
    plans = Plans(procedure, compile_rule, watch.observe)
    deidentifier = Deidentifier(procedure, pseudonyms, limits=limits, plans=plans, secrets=secrets)
    rewrite = deidentifier.begin(
        transfer_syntax_uid=transfer_syntax_uid,
        origin=origin or {},
        today=now.date(),
        time_of_day=now.time(),
    )
    first = rewrite.feed(dataset)
    last, summary = rewrite.finish()
    output = b"".join([*(first.buffers if first is not None else []), *last.buffers])
    if rewrite.is_deflated:
        return watch.explanations(), summary
    watch.stamped(dataset, output, encoding_of(transfer_syntax_uid))
    return watch.explanations(), summary


def _facts(dataset: bytes, encoding: Encoding) -> Facts:
    budget = Budget(Limits())
    return Facts(dataset, scan(dataset, 0, len(dataset), encoding, budget, 0).elements, encoding, budget)


class _Watch:
    """Collects one row per attribute; what is done twice (a residual check) shows its last form."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, ...], Explanation] = {}

    def observe(self, plan: Plan, code: int, rule: Rule, entry: Entry) -> Entry:
        """Wrap an entry so that applying it leaves a row."""
        return _Observed(self, plan, rule, entry)

    def explanations(self) -> list[Explanation]:
        return [self.rows[key] for key in sorted(self.rows)]

    def stamped(self, dataset: bytes, output: bytes, encoding: Encoding) -> None:
        """Add rows for what was inserted at the top level: stamps, set values, forced UIDs."""
        facts = _facts(dataset, encoding)
        for element in _facts(output, encoding).elements:
            tag = element[0] >> 16
            known = self.rows.get((tag,))
            after = shown(output, element, encoding, facts.charsets)
            if known is not None and known.after == after:
                continue
            former = facts.element(tag)
            before = None if former is None else shown(dataset, former, encoding, facts.charsets)
            self.rows[(tag,)] = _row(keyword_of(tag) or tag_text(tag), element, before, _STAMP, after, True)


class _Observed:
    """An entry that tells what it did."""

    def __init__(self, watch: _Watch, plan: Plan, rule: Rule, entry: Entry) -> None:
        self.watch = watch
        self.plan = plan
        self.rule = rule
        self.entry = entry

    def apply(self, element: Element, place: Place) -> bytes | None:
        """Do what the entry does, and write the row."""
        place.subject.personal += 1  # a remembered sequence would leave no rows
        entry = self.entry
        if entry is KEEP:
            new = None
        elif isinstance(entry, bytes):
            new = entry
        else:
            decision: Decision = entry  # type: ignore[assignment]
            new = decision.apply(element, place)
        self._record(element, place, new)
        return new

    def _record(self, element: Element, place: Place, new: bytes | None) -> None:
        code, start, value, _ = element
        before = shown(place.b, element, place.encoding, place.charsets)
        if new is None:
            after: str | None = before
        elif not new:
            after = None
        else:
            made = (code, 0, value - start, len(new))
            after = shown(new, made, place.encoding, place.charsets)
            if isinstance(self.entry, Sequence):
                after = before
        rule = self.rule
        if isinstance(self.entry, PrivateCreator):
            rule = _CREATOR if after is not None else _UNUSED_CREATOR
        key = (*(number for step in place.path for number in step), code >> 16)
        row = _row(path_of(element, place), element, before, rule, after, new is not None)
        self.watch.rows[key] = replace(row, selector=self._selector(code >> 16, place))

    def _selector(self, tag: int, place: Place) -> str:
        group, number = tag >> 16, tag & 0xFFFF
        if not group & 1:
            return ""
        creator = place.creators.get(group << 8 | number >> 8)
        if creator is None or not ((group, creator) in self.plan.creators or is_known_creator(creator)):
            return ""
        return f"{group:04X}[{creator}]xx{number & 0xFF:02X}"


def _row(
    path: str, element: Element, before: str | None, rule: Rule, after: str | None, changed: bool
) -> Explanation:
    tag = element[0] >> 16
    return Explanation(
        path=path,
        tag=tag_text(tag),
        keyword=keyword_of(tag),
        vr=vr_in(element[0]),
        before=before,
        action=rule.action,
        because=rule.because,
        decided_by=rule.decided_by,
        after=after,
        changed=changed,
    )
