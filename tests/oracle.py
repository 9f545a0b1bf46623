"""The same procedure once more, plainly, over pydicom datasets: the oracle for the engine.

Shares with the engine what a procedure *is* (tables, keyed pseudonyms, dummy values) and nothing of how
it is applied: no walker, no plans, no streaming. Results are trees of encoded values, so that nothing is
lost in conversions. Cleaned texts and values made by functions have tests of their own; here they may be
anything but the original.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TypeAlias

from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from deid_node.engine.dummies import dummy, empty
from deid_node.engine.keys import Pseudonyms
from deid_node.errors import Excluded, Rejected
from deid_node.profile.procedure import Action, Dummies, Procedure, Rule, Table
from deid_node.standard.dictionary import attribute, is_registered_uid, vr_of
from deid_node.standard.method_codes import method_codes
from deid_node.standard.private_dictionary import private_vr
from tests import oracle_pixels

Value: TypeAlias = "bytes | list[Tree] | Anything"
Tree: TypeAlias = "dict[int, tuple[str, Value]]"

_PIXEL_DATA = 0x7FE00010
_TEXT = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_IDENTIFYING = frozenset("LO SH ST LT UT UC PN UR AE".split())
# Below are the groups of commands, file meta information and directories (PS3.5 7.8.1).
_FIRST_TAG = 0x00080000
_NO_TAG = 0xFFFF0000
_BYTES = frozenset("OB OD OF OL OV OW UN".split())


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that only has to be another one than the original; `or_original` allows that too."""

    original: bytes
    or_original: bool


def tree_of(ds: Dataset) -> Tree:
    """Return a dataset as it is, values as they are encoded; group lengths left out.

    All raw elements are taken before any is looked into, as pydicom converts others on the way.
    """
    tree: Tree = {}
    raws = [(tag, ds.get_item(tag)) for tag in sorted(ds.keys()) if tag.element]
    creators = {
        (tag.group, tag.element): _raw_text(raw.value)
        for tag, raw in raws
        if tag.is_private_creator and raw is not None
    }
    for tag, raw in raws:
        assert raw is not None
        known = vr_of(int(tag))
        if tag.is_private and (tag.group, tag.element >> 8) in creators:
            known = private_vr(int(tag), creators[tag.group, tag.element >> 8])
        vr = str(raw.VR or ("UN" if tag.is_private else known))
        value = raw.value
        if vr == "UN" and known == "SQ" and tag.is_private and isinstance(value, bytes):
            tree[int(tag)] = (vr, _items_in(value))
        elif vr == "SQ" or (vr == "UN" and known == "SQ") or isinstance(value, Sequence):
            tree[int(tag)] = (vr, [tree_of(item) for item in ds[tag].value or ()])
        else:
            tree[int(tag)] = (vr, value if isinstance(value, bytes) else _bytes(value, ds))
    return tree


def _items_in(value: bytes) -> list[Tree]:
    """The items of a private sequence that is coded as UN, so in implicit VR (PS3.5 6.2.2)."""
    return [tree_of(item) for item in read_sequence(BytesIO(value), True, True, len(value), "iso8859")]


def _raw_text(value: object) -> str:
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \0")


def _bytes(value: object, ds: Dataset) -> bytes:
    """Encode what pydicom has decoded on reading: character sets and Pixel Representation."""
    if value is None:
        return b""
    if isinstance(value, int):
        return struct.pack("<H" if ds.original_encoding[1] is not False else ">H", value)
    if isinstance(value, MultiValue | list):
        return "\\".join(map(str, value)).encode()
    return str(value).encode()


class Oracle:
    """A procedure with keys; `deidentify` gives the tree that the engine's output has to have."""

    def __init__(self, procedure: Procedure, pseudonyms: Pseudonyms, *, little_endian: bool = True) -> None:
        self.procedure = procedure
        self.pseudonyms = pseudonyms
        self.little_endian = little_endian

    def deidentify(self, tree: Tree, origin: Mapping[str, str] | None = None) -> Tree:
        """Return the new dataset.

        Raises:
            Excluded, Rejected: as the procedure says.
        """
        sop_class_uid = _text(tree, 0x00080016)
        if not sop_class_uid or not _text(tree, 0x00080018):
            raise Rejected("no SOP class or instance")
        for gates, refusal in ((self.procedure.excludes, Excluded), (self.procedure.rejects, Rejected)):
            for gate in gates:
                if gate.when.holds(lambda tag: tuple(_values(tree, tag)), origin or {}):
                    raise refusal(gate.because)
        new = self._dataset(tree, self.procedure.table_for(sop_class_uid))
        for tag in self.procedure.set_values:
            new[tag] = (vr_of(tag), Anything(b"", or_original=True))
        for tag, uid in self.procedure.forced_uids.items():
            new[tag] = ("UI", uid.encode())
        self._stamp(new)
        return dict(sorted(new.items()))

    def _dataset(self, tree: Tree, table: Table) -> Tree:
        creators = {
            (tag >> 16, tag & 0xFF): value.decode("latin-1").strip(" \0")
            for tag, (_, value) in tree.items()
            if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF and isinstance(value, bytes)
        }
        new: Tree = {}
        for tag, (vr, value) in tree.items():
            if not _FIRST_TAG <= tag < _NO_TAG:
                continue
            meant = _meant(tag, vr, value)
            rule = self._rule(table, tag, meant, creators)
            if meant == "UN" and tag >> 16 & 1 and table.private:
                meant = private_vr(tag, creators.get((tag >> 16, tag >> 8 & 0xFF), ""))
            made = self._element(tag, vr, meant, value, rule, table)
            if made is value and tag >> 16 == 0x7FE0 and isinstance(value, bytes):
                made = self._pixels(tree, tag, value)
            if made is not None:
                new[tag] = (vr, made)
        return new

    def _pixels(self, tree: Tree, tag: int, value: bytes) -> bytes:
        if tag == _PIXEL_DATA and value[:4] == b"\xfe\xff\x00\xe0":
            return oracle_pixels.without_comments(value)
        described = {known: content for known, (_, content) in tree.items() if isinstance(content, bytes)}
        return oracle_pixels.cut(value, tag, described, "little" if self.little_endian else "big")

    @staticmethod
    def _rule(table: Table, tag: int, vr: str, creators: Mapping[tuple[int, int], str]) -> Rule:
        if not tag >> 16 & 1 or not table.private:
            return table.rule_for(tag, vr)
        element = tag & 0xFFFF
        if 0x10 <= element <= 0xFF:
            creator = creators.get((tag >> 16, element))
            if any((group, name) == (tag >> 16, creator) for group, name, _ in table.private):
                return Rule(Action.K)
            kept = table.rule_for(tag, "LO").action is Action.K
            return Rule(Action.K if kept else Action.X)
        if element < 0x1000:
            return table.rule_for(tag, vr)
        creator = creators.get((tag >> 16, element >> 8))
        if vr == "UN" and creator is not None:
            vr = private_vr(tag, creator)
        rule = table.rule_for(tag, vr, creator)
        known = private_vr(tag, creator or "")
        if rule.action is Action.K and vr in _IDENTIFYING and known not in _IDENTIFYING | {"UN"}:
            return replace(rule, action=Action.C)  # a text where a number is known to stand
        return rule

    def _element(
        self, tag: int, vr: str, meant: str, value: Value, rule: Rule, table: Table
    ) -> bytes | list[Tree] | Anything | None:
        if rule.action is Action.R:
            raise Rejected(rule.because)
        if rule.action is Action.X:
            return None
        if isinstance(value, list):
            if rule.action is Action.Z or rule.call is not None:
                return []
            if rule.action is Action.D:
                return [self._all_dummies(item) for item in value]
            return [self._dataset(item, rule.items or table) for item in value]
        assert isinstance(value, bytes)
        if not _fits(tag, vr):
            return None
        if rule.call is not None:
            return Anything(value, or_original=True)  # an age may stay as it is
        return self._value(tag, meant, value, rule.action)

    def _value(self, tag: int, vr: str, value: bytes, action: Action) -> bytes | Anything | None:
        if action is Action.K:
            return value
        if action is Action.U:
            return self._uids(value)
        if action is Action.Z:
            return empty(vr, self.procedure.dummies, little_endian=self.little_endian)
        if action is Action.D or (action is Action.C and vr in {"PN", "AE", "UR"}):
            return self._dummy(tag, vr, value)
        if vr in {"DA", "DT"}:
            return Anything(value, or_original=not value.strip(b" \0"))
        if vr == "UI":
            return self._uids(value)
        if vr in _BYTES:
            return None
        return Anything(value, or_original=True) if vr in _TEXT else value

    def _dummy(self, tag: int, vr: str, value: bytes) -> bytes:
        ours = self.procedure.dummies is Dummies.STANDARD
        if ours and not value:
            return value
        row = attribute(tag)
        vm = row.min_vm if row is not None and ours else 1
        return dummy(vr, self.procedure.dummies, little_endian=self.little_endian, vm=vm)

    def _uids(self, value: bytes) -> bytes:
        parts = [part.strip(b" \0") for part in value.split(b"\\")]
        new = [
            part if not part or is_registered_uid(part.decode("latin-1")) else self.pseudonyms.uid(part)
            for part in parts
        ]
        return value if new == parts else b"\\".join(new)

    def _all_dummies(self, tree: Tree) -> Tree:
        new: Tree = {}
        for tag, (vr, value) in tree.items():
            meant = _meant(tag, vr, value)
            if isinstance(value, list):
                new[tag] = (vr, [self._all_dummies(item) for item in value])
            elif _fits(tag, vr):
                assert isinstance(value, bytes)
                ours = meant == "UI" and self.procedure.dummies is Dummies.STANDARD
                new[tag] = (vr, self._uids(value) if ours else self._dummy(tag, meant, value))
        return new

    def _stamp(self, tree: Tree) -> None:
        procedure = self.procedure
        if not procedure.identity_removed:
            return
        former = tree.pop(0x00120063, ("LO", b""))[1]
        assert isinstance(former, bytes | Anything)
        texts = former.split(b"\\") if isinstance(former, bytes) else []
        methods = [text.strip(b" \0") for text in texts if text.strip(b" \0")]
        if procedure.dummies is not Dummies.GRAND_CHALLENGE:
            methods = [method for method in methods if method.startswith(b"deid_node")]
        tree[0x00120062] = ("CS", b"YES")
        tree[0x00120063] = ("LO", b"\\".join([*methods, procedure.method[:64].encode("ascii", "replace")]))
        if procedure.codes:
            tree[0x00120064] = ("SQ", [_code(value) for value in procedure.codes])
        if procedure.dates is not None:
            tree[0x00280303] = ("CS", procedure.dates.value.encode())


def _code(value: str) -> Tree:
    return {
        0x00080100: ("SH", value.encode()),
        0x00080102: ("SH", b"DCM"),
        0x00080104: ("LO", method_codes()[value].meaning.encode()),
    }


def _fits(tag: int, vr: str) -> bool:
    """Whether an attribute may have a VR, or one that can say less about a person."""
    row = attribute(tag)
    if row is None or tag >> 16 & 1 or vr == "UN" or vr in row.vrs:
        return True
    worst = max(_telling(allowed) for allowed in row.vrs)
    return "SQ" not in row.vrs and vr != "SQ" and _telling(vr) <= worst


def _telling(vr: str) -> int:
    return 2 if vr in _IDENTIFYING else 1 if vr in _BYTES else 0


def _meant(tag: int, vr: str, value: Value) -> str:
    """The VR that an element has, however it is coded."""
    if isinstance(value, list):
        return "SQ"
    return vr if vr != "UN" else vr_of(tag)


def _text(tree: Tree, tag: int) -> str:
    value = tree.get(tag, ("", b""))[1]
    return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""


def _values(tree: Tree, wanted: int) -> Iterator[str]:
    for tag, (_, value) in tree.items():
        if isinstance(value, list):
            for item in value:
                yield from _values(item, wanted)
        elif tag == wanted and isinstance(value, bytes):
            yield from (part.strip(" \0") for part in value.decode("latin-1").split("\\"))


def _normal(vr: str, value: bytes) -> bytes:
    """A value without what padding may differ in."""
    if vr in _TEXT:
        return value.rstrip(b" \0")
    return value + b"\0" * (len(value) % 2)


_DUMMY_OF_UN = dummy("UN", Dummies.STANDARD, little_endian=True)
_DUMMIES_OF_LO = [dummy("LO", dummies, little_endian=True) for dummies in Dummies]


def _is_creator(tag: int) -> bool:
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


def differences(expected: Tree, actual: Tree, path: str = "") -> list[str]:
    """Return the places where two trees differ, without values."""
    found = [f"{path}{tag:08X} missing" for tag in expected.keys() - actual.keys()]
    found += [f"{path}{tag:08X} too much" for tag in actual.keys() - expected.keys()]
    for tag in expected.keys() & actual.keys():
        (vr, wanted), (actual_vr, value) = expected[tag], actual[tag]
        place = f"{path}{tag:08X}"
        if isinstance(wanted, list) and isinstance(value, bytes) and vr == "UN":
            value = _items_in(value)  # its creator, which told what it is, has gone
        if isinstance(wanted, list) or isinstance(value, list):
            if not isinstance(wanted, list) or not isinstance(value, list) or len(wanted) != len(value):
                found.append(f"{place} other items")
                continue
            for number, (one, other) in enumerate(zip(wanted, value, strict=True)):
                found += differences(one, other, f"{place}[{number}].")
        elif isinstance(wanted, Anything):
            assert isinstance(value, bytes)
            if not wanted.or_original and _normal(vr, wanted.original) == _normal(vr, value):
                found.append(f"{place} unchanged")
        elif vr != actual_vr and "UN" not in (vr, actual_vr):
            found.append(f"{place} VR {vr} became {actual_vr}")
        elif vr == "UN" and _is_creator(tag) and wanted == _DUMMY_OF_UN and value in _DUMMIES_OF_LO:
            continue  # the engine knows that a creator is LO where implicit VR does not say so (PS3.5 7.8.1)
        elif isinstance(value, bytes) and _normal(vr, wanted) != _normal(vr, value):
            found.append(f"{place} {vr} other value")
    return sorted(found)
