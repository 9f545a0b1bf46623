"""What the seven actions do to an element: rules become decisions, decisions become bytes.

PS3.15 Table E.1-1a for the codes; the Grand-Challenge semantics (rows GC-3 to GC-9) where the procedure
asks for its dummies. A value that an action cannot handle is never passed: it is removed or the object
is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deid_node.engine.charset import CHARSET_VRS, decode, encode
from deid_node.engine.dates import shift_by_days
from deid_node.engine.dummies import dummy, empty
from deid_node.engine.encoding import LONG_VRS, ODD, vr_in
from deid_node.engine.nested import is_sequence
from deid_node.engine.pixels import PIXEL_TAGS, KeptPixels, is_kept
from deid_node.engine.place import Place
from deid_node.engine.plan import KEEP, Decision, Entry, Plan
from deid_node.engine.scan import Element
from deid_node.engine.sequences import Sequence
from deid_node.engine.values import ValueFunction, asks_others, value_function
from deid_node.errors import Fault, Malformed, ObjectRefused, Rejected
from deid_node.profile.procedure import Action, Call, Dummies, Rule, Table
from deid_node.profile.protected import PROTECTED, makes_text
from deid_node.standard.dictionary import attribute, is_registered_uid, keyword_of, tag_text

_TEXT_VRS: Final = frozenset("LO SH ST LT UT UC".split())
_ONE_VALUE: Final = frozenset("ST LT UT".split())
_GUARDED_VRS: Final = frozenset("UR AE CS IS DS".split())
# Of these only a value that is the identifier itself is one: 5 may stand in 0.5.
_NUMBER_TEXTS: Final = frozenset("IS DS".split())
_WRITABLE: Final = _TEXT_VRS | frozenset("AE AS CS DA DS DT IS PN TM UI UR".split())
_BINARY_VRS: Final = frozenset("OB OD OF OL OV OW UN".split())
_OF_TIMES: Final = b"0123456789.:- \\\0"
_LONGEST_SHORT_VALUE: Final = 0xFFFE
_KNOWN_UIDS: Final = 4096
_LONGEST_UIDS: Final = 256  # of one value or several; longer ones are not remembered
# Groups below belong to commands, file meta information and directories (PS3.5 7.8.1, PS3.7, PS3.10).
_FIRST_GROUP: Final = 0x0008
_NO_GROUP: Final = 0xFFFF
_PIXEL_GROUP: Final = 0x7FE0

# D on a sequence: every leaf a dummy whatever the table says; UIDs inside stay consistent (C-7).
_WITH_NEW_UIDS: Final = Table(
    rules={}, vrs={"UI": Rule(Action.U)}, unlisted=Rule(Action.D, "inside a sequence of dummies")
)
_DUMMY_ITEMS: Final = {
    Dummies.STANDARD: _WITH_NEW_UIDS,
    Dummies.DICOM_CURATE: _WITH_NEW_UIDS,
    Dummies.GRAND_CHALLENGE: Table(rules={}, unlisted=Rule(Action.D, "inside a sequence of dummies")),
}


def compile_rule(plan: Plan, code: int, vr: str, rule: Rule) -> Entry:
    """Return the entry for elements of a code under a rule.

    Args:
        vr: what the element is: its own VR, or the dictionary's where it is coded as UN.
    """
    if not code >> 16 & 0xFFFF or not _FIRST_GROUP <= code >> 32 < _NO_GROUP:
        return b""  # group lengths (PS3.5 7.2) and groups that no dataset has (7.1) are never copied
    if rule.action is Action.R:
        return Reject(rule)
    if rule.action is Action.X:
        return b""
    if vr == "SQ":
        return _compile_sequence(plan, code, rule)
    if vr_in(code) in ("SQ",) or not _fits(code):
        return b""  # coded as something the attribute cannot be: what is in it is unknown
    if rule.call is not None:
        entry: Entry = _function(code, vr, rule.call)
    else:
        entry = _COMPILE[rule.action](plan, code, vr)
    if (
        rule.needs_value
        and not is_kept(entry)
        and (rule.call is not None or rule.action in (Action.C, Action.K))
    ):
        entry = _or_dummy(plan, code, vr, entry)
    return _Padded(entry) if code & ODD and not isinstance(entry, bytes) else entry


def _function(code: int, vr: str, call: Call) -> Entry:
    """Return the entry for a function."""
    if code >> 32 & 1 and vr not in _WRITABLE and makes_text(call):
        return _Text("LO", value_function(call), asks_others(call))
    return _Value(vr, value_function(call), asks_others(call))


def _compile_sequence(plan: Plan, code: int, rule: Rule) -> Entry:
    if rule.action is Action.Z or rule.call is not None:
        return plan.encoding.element(code >> 16, "SQ", b"")
    if rule.action is Action.D:
        rule = Rule(Action.K, items=_DUMMY_ITEMS[plan.procedure.dummies])
    within = plan.plans.within(plan, code, rule)
    return Sequence(within) if is_sequence(code) else _SupposedSequence(Sequence(within))


def _fits(code: int) -> bool:
    """Tell whether the VR of an element is one that its attribute can have."""
    row = attribute(code >> 16)
    vr = vr_in(code)
    if row is None or vr == "UN" or vr in row.vrs or code >> 32 & 1:
        return True
    return _kind(vr) <= max(_kind(allowed) for allowed in row.vrs) and "SQ" not in row.vrs


def _kind(vr: str) -> int:
    """Order VRs by how much identity they can carry: numbers and codes, binary, text."""
    if vr in _TEXT_VRS or vr in ("PN", "UR", "AE"):
        return 2
    return 1 if vr in _BINARY_VRS else 0


def _keep(plan: Plan, code: int, vr: str) -> Entry:
    if code >> 16 in PIXEL_TAGS:
        return KeptPixels()
    if (
        plan.guard
        and code >> 32 != _PIXEL_GROUP
        and code >> 16 not in PROTECTED
        and (vr in CHARSET_VRS or vr in _GUARDED_VRS or vr in _BINARY_VRS)
    ):
        return _Guard(vr)
    return KEEP


def _dummy(plan: Plan, code: int, vr: str) -> Entry:
    dummies, little = plan.procedure.dummies, plan.encoding.little_endian
    row = attribute(code >> 16)
    stays = dummies is not Dummies.GRAND_CHALLENGE
    vm = row.min_vm if row is not None and stays else 1
    value = dummy(vr, dummies, little_endian=little, vm=vm)
    return Constant(plan.encoding.element(code >> 16, vr_in(code), value), stays)


def _empty(plan: Plan, code: int, vr: str) -> Entry:
    value = empty(vr, plan.procedure.dummies, little_endian=plan.encoding.little_endian)
    return plan.encoding.element(code >> 16, vr_in(code), value)


def _or_dummy(plan: Plan, code: int, vr: str, entry: Entry) -> Entry:
    """Return an entry that writes a dummy where another leaves nothing of a value."""
    if isinstance(entry, bool | bytes):
        return entry
    stand_in = _dummy(plan, code, vr)
    return _OrDummy(entry, stand_in.element) if isinstance(stand_in, Constant) else entry


def _uid(plan: Plan, code: int, vr: str) -> Entry:
    return _NewUID()


def _clean(plan: Plan, code: int, vr: str) -> Entry:
    if vr in _TEXT_VRS or vr == "CS":
        return _CleanText(vr)
    if vr in ("DA", "DT"):
        return _ShiftDate(vr)
    if vr == "UI":
        return _NewUID()
    if vr == "TM":
        return _KeepTime()
    if vr in ("PN", "AE", "UR"):
        return _dummy(plan, code, vr)
    return b"" if vr in _BINARY_VRS else _keep(plan, code, vr)


_COMPILE: Final[dict[Action, Callable[[Plan, int, str], Entry]]] = {
    Action.K: _keep,
    Action.D: _dummy,
    Action.Z: _empty,
    Action.U: _uid,
    Action.C: _clean,
}


def path_of(element: Element, place: Place) -> str:
    """Return where an element stands, as keywords or tags: Sequence[0].Keyword."""
    steps = [f"{keyword_of(tag) or tag_text(tag)}[{number}]" for tag, number in place.path]
    return ".".join([*steps, keyword_of(element[0] >> 16) or tag_text(element[0] >> 16)])


def rebuilt(element: Element, place: Place, value: bytes) -> bytes:
    """Return the element with another value.

    Raises:
        Fault: the value is longer than its VR can say.
    """
    vr = vr_in(element[0])
    if len(value) > _LONGEST_SHORT_VALUE and vr not in LONG_VRS and place.encoding.explicit:
        raise Fault("a new value is too long for its VR", path=path_of(element, place))
    return place.encoding.element(element[0] >> 16, vr, value)


class Reject:
    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def apply(self, element: Element, place: Place) -> bytes | None:
        raise Rejected(self.rule.because or "no justification provided", path=path_of(element, place))


class Constant:
    """The same dummy for every object; an empty value stays empty where the set says so."""

    __slots__ = ("element", "empty_stays")

    def __init__(self, element: bytes, empty_stays: bool) -> None:
        self.element = element
        self.empty_stays = empty_stays

    def apply(self, element: Element, place: Place) -> bytes | None:
        return None if self.empty_stays and element[2] == element[3] else self.element


class _Padded:
    """Do what an entry does to a value of odd length; if that leaves it, pad it (PS3.5 7.1.1)."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def apply(self, element: Element, place: Place) -> bytes | None:
        entry = self.entry
        new = entry if isinstance(entry, bytes | bool) else entry.apply(element, place)
        return new if isinstance(new, bytes) else rebuilt(element, place, place.b[element[2] : element[3]])


class _OrDummy:
    """Do what an entry does; if it empties or removes a value, write a dummy."""

    __slots__ = ("dummy", "entry")

    def __init__(self, entry: Decision, dummy: bytes) -> None:
        self.entry = entry
        self.dummy = dummy

    def apply(self, element: Element, place: Place) -> bytes | None:
        new = self.entry.apply(element, place)
        if new is None:
            return None
        header = element[2] - element[1]
        return new if len(new) > header and new[header:].strip(b" \0\\") else self.dummy


class _SupposedSequence:
    """A private element coded as UN that a dictionary knows as a sequence: if it is none, it goes."""

    __slots__ = ("sequence",)

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence

    def apply(self, element: Element, place: Place) -> bytes | None:
        try:
            return self.sequence.apply(element, place)
        except Malformed:
            place.subject.warnings.add("a private element that should be a sequence and is none was removed")
            return b""


class _NewUID:
    """Map each value of a UID; registered UIDs identify nobody and stay.

    What a value became is remembered: the objects of a series share most of their UIDs.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, bytes | None] = {}

    def apply(self, element: Element, place: Place) -> bytes | None:
        value = place.b[element[2] : element[3]]
        if len(value) > _LONGEST_UIDS:
            return self._mapped(value, element, place)
        try:
            return self.known[value]
        except KeyError:
            pass
        if len(self.known) >= _KNOWN_UIDS:
            self.known.clear()
        new = self.known[value] = self._mapped(value, element, place)
        return new

    def _mapped(self, value: bytes, element: Element, place: Place) -> bytes | None:
        uid = place.subject.pseudonyms.uid
        parts = [part.strip(b"\0 ") for part in value.split(b"\\")]
        mapped = [part if not part or _registered(part) else uid(part) for part in parts]
        return None if mapped == parts else rebuilt(element, place, b"\\".join(mapped))


def _registered(uid: bytes) -> bool:
    return uid.startswith(b"1.2.840.10008.") and is_registered_uid(uid.decode("latin-1"))


_UNDECIDED: Final = "action C cannot judge a word of a text"


class _CleanText:
    """Action C on text: known identifiers and what looks like one leave, the rest stays."""

    __slots__ = ("vr",)

    def __init__(self, vr: str) -> None:
        self.vr = vr

    def apply(self, element: Element, place: Place) -> bytes | None:
        place.subject.personal += 1
        value = place.b[element[2] : element[3]]
        subject = place.subject
        cleaner = subject.cleaner_for(value)
        text = decode(value.strip(b" \0"), place.charsets, self.vr)
        if text is None:
            new, count = cleaner.clean_bytes(value.strip(b" \0"))
            if cleaner.is_undecided(new.decode("latin-1")):
                raise Rejected(_UNDECIDED, code="held", path=path_of(element, place))
            subject.warnings.add("a text in an undeclared or wrong character set was cleaned by its bytes")
        else:
            parts = [text] if self.vr in _ONE_VALUE else text.split("\\")
            cleaned = [cleaner.clean(part) for part in parts]
            count = sum(found for _, found in cleaned)
            if any(cleaner.is_undecided(part) for part, _ in cleaned):
                raise Rejected(_UNDECIDED, code="held", path=path_of(element, place))
            new = encode("\\".join(part for part, _ in cleaned), place.charsets, self.vr) or b""
        subject.cleaned += count
        return rebuilt(element, place, new) if count else None


class _Guard:
    """Keep a value unless it contains a known identifier; then text is cleaned, binary removed."""

    __slots__ = ("vr",)

    def __init__(self, vr: str) -> None:
        self.vr = vr

    def apply(self, element: Element, place: Place) -> bytes | None:
        place.subject.personal += 1
        value = place.b[element[2] : element[3]]
        subject = place.subject
        if not subject.search.finds_word(value, binary=self.vr in _BINARY_VRS):
            return None
        if self.vr in _NUMBER_TEXTS and not any(
            part.strip(b" \0") in subject.search for part in value.split(b"\\")
        ):
            return None
        subject.warnings.add("a known identifier was removed from a kept attribute")
        subject.cleaned += 1
        if self.vr in _BINARY_VRS:
            return b""
        if self.vr in _NUMBER_TEXTS:
            return rebuilt(element, place, b"")
        text = decode(value, place.charsets, self.vr)
        cleaned = "" if text is None else subject.without_known(text).strip()
        new = encode(cleaned, place.charsets, self.vr)
        return rebuilt(element, place, b"" if new is None or subject.search.finds_word(new) else new)


class _KeepTime:
    """Keep a time of day that is one; a text in its place goes (PS3.5 6.2)."""

    __slots__ = ()

    def apply(self, element: Element, place: Place) -> bytes | None:
        value = place.b[element[2] : element[3]]
        if not value.translate(None, _OF_TIMES):
            return None
        place.subject.personal += 1  # said of every object, remembered or not
        place.subject.warnings.add("a time that is none was emptied")
        return rebuilt(element, place, b"")


class _ShiftDate:
    """Move each date or moment by the patient's shift; what is no date is removed."""

    __slots__ = ("vr",)

    def __init__(self, vr: str) -> None:
        self.vr = vr

    def apply(self, element: Element, place: Place) -> bytes | None:
        place.subject.personal += 1
        value = place.b[element[2] : element[3]]
        if not value.strip(b" \0"):
            return None
        shifted: list[bytes] = []
        for part in value.split(b"\\"):
            new = shift_by_days(part.strip(b" \0"), self.vr, place.subject.days)
            if new is None:
                place.subject.warnings.add("a date that could not be moved was emptied")
            shifted.append(new or b"")
        return rebuilt(element, place, b"\\".join(shifted))


class _Value:
    """A function of the profile, applied to each value of the element."""

    __slots__ = ("asks_others", "function", "vr")

    def __init__(self, vr: str, function: ValueFunction, asks_others: bool) -> None:
        self.vr = vr
        self.function = function
        self.asks_others = asks_others

    def apply(self, element: Element, place: Place) -> bytes | None:
        new = self.value(element, place)
        return b"" if new is None else rebuilt(element, place, new)

    def value(self, element: Element, place: Place) -> bytes | None:
        """Return the new value, None when the element goes."""
        place.subject.personal += 1
        place.subject.fickle += self.asks_others
        value = place.b[element[2] : element[3]]
        try:
            return self.function(value, self.vr, element, place)
        except ObjectRefused as refusal:
            raise refusal.at(path_of(element, place)) from None


class _Text(_Value):
    """A text that is written into a private element, which becomes LO: its own VR is binary or unknown."""

    __slots__ = ()

    def apply(self, element: Element, place: Place) -> bytes | None:
        new = self.value(element, place)
        return b"" if new is None else place.encoding.element(element[0] >> 16, self.vr, new)
