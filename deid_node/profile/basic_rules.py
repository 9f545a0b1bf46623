"""Decides one attribute: its row of PS3.15 Table E.1-1, the options and its Type give one rule.

Compound codes follow the strictest Type (row C-5 of the union design: 1 > 1C > 2 > 2C > 3, with 1C as
1 and 2C as 2, as an attribute that was there stays and none is added). Where the plain code would break
the IOD, the nearest code that does not is taken, and the rule says so.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from deid_node.profile.basic_own_rows import own_rows
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Call, Rule
from deid_node.profile.protected import PROTECTED
from deid_node.standard import confidentiality, iod
from deid_node.standard.confidentiality import Confidentiality
from deid_node.standard.dictionary import Attribute, attribute, keywords

_SOURCE: Final = "PS3.15 E.1-1"
_OWN: Final = "deid_node"
_DATE_VRS: Final = frozenset({"DA", "DT", "TM"})
_NUMBERS: Final = frozenset(["AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"])
_TEXTS: Final = frozenset(["LT", "ST", "UC", "UT"])
_SHORT_TEXTS: Final = frozenset(("LO", "SH"))
_BINARY: Final = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])

# UIDs that name a class, a scheme or a resource of a standard, never an object or a patient.
_NAMES_NO_OBJECT: Final = re.compile(
    r"SOPClass|ClassUID|TransferSyntax|CodingSchemeUID|ContextUID|MappingResourceUID|SOPClassesIn"
)

# Free text among LO and SH by what the keyword ends with; other LO and SH are names of techniques,
# products and codes, which Table E.1-1 leaves alone.
_DESCRIBES: Final = re.compile(r"(Description|Comments?|Explanation|Label|Title|Summary|Text|Detail|Notes)$")
_ALSO_FREE_TEXT: Final = frozenset(
    [
        "AcquisitionProtocolName",
        "ApplicationSetupName",
        "BeamName",
        "BlockName",
        "DataSetName",
        "DataSetSource",
        "PatientAdditionalPosition",
        "PatientReliabilityIndicator",
        "PositionReferenceIndicator",
        "ProtocolElementName",
        "RTImageName",
        "SourceApplicatorName",
        "TargetPositionReferenceIndicator",
        "TreatmentProtocols",
    ]
)
_NO_FREE_TEXT: Final = frozenset(
    [
        "AlgorithmParameters",
        "BatteryLevel",
        "DetectorMode",
        "DeviceAlternateIdentifierFormat",
        "EXIFVersion",
        "FractionPattern",
        "GridAbsorbingMaterial",
        "GridSpacingMaterial",
        "IntendedStartDayOfWeek",
        "LongCodeValue",
        "OECFColumnNames",
        "PrivateDataElementEncoding",
        "PrivateDataElementKeyword",
        "PrivateDataElementName",
        "SpatialFrequencyResponseColumnNames",
        "SpectralSensitivity",
    ]
)

# Values that a dummy of the VR would not fit: PS3.3 allows only certain ones.
_FITTING_DUMMIES: Final = {
    "CodingSchemeDesignator": "99DEID",
    "ReasonForTheAttributeModification": "COERCE",
    "TimezoneOffsetFromUTC": "+0000",
}

# (mask, value, rule) of what is decided for whole groups, whatever the IOD says of single attributes.
# Clean Graphics does not change it: a curve or a bitmap cannot be cleaned without looking at it, and a
# plane without its data would break the IOD.
MASKS: Final = (
    (0x0000FFFF, 0x00000000, Rule(Action.X, "group lengths are not copied", "PS3.5 7.2")),
    (0xFF000000, 0x50000000, Rule(Action.X, "a curve can spell out text", "PS3.15 E.1-1 X: (50xx,xxxx)")),
    (
        0xFF000000,
        0x60000000,
        Rule(Action.X, "an overlay can show text; its plane goes as a whole", "PS3.15 E.1-1 X: (60xx,3000)"),
    ),
)

NEEDS_VALUE: Final = frozenset(("1", "1C"))
_NEEDS_PRESENCE: Final = frozenset(("2", "2C"))


@lru_cache(maxsize=200_000)
def decide(tag: int, type_: str | None, options: frozenset[Option]) -> Rule:
    """Return the rule for a public attribute.

    Args:
        tag: 0xGGGGEEEE, of the dictionary.
        type_: its Type in the IOD at the place in question, None when the IOD does not have it there.
        options: the options of the profile.
    """
    for mask, value, rule in MASKS:
        if tag & mask == value:
            return rule
    row = confidentiality.by_tag().get(tag)
    if row is not None:
        return _listed(row, type_, options, _SOURCE, "")
    if tag in own_rows():
        own, because = own_rows()[tag]
        return _listed(own, type_, options, _OWN, because)
    known = attribute(tag)
    assert known is not None
    return _unlisted(known, type_, options)


def _listed(
    row: Confidentiality, type_: str | None, options: frozenset[Option], source: str, why: str
) -> Rule:
    codes = [(option, row.options[option.column]) for option in options if option.column in row.options]
    cleaning = sorted(str(option) for option, code in codes if code == "C")
    if cleaning:
        return _cleaned(row, type_, source, cleaning)
    keeping = sorted(str(option) for option, code in codes if code == "K")
    if keeping:
        return _kept(row, type_, source, keeping)
    if row.basic in ("U", "X/Z/U*") or (row.vr == "UI" and "D" in row.basic):
        action = Action.K if row.vr == "SQ" else Action.U
        because = "the UIDs in its items are mapped, so that references still resolve"
        return Rule(
            action,
            because if row.vr == "SQ" else "a new UID, the same for the same original",
            f"{source} {row.basic}",
        )
    return _basic(row, type_, source, why)


def _cleaned(row: Confidentiality, type_: str | None, source: str, options: list[str]) -> Rule:
    by = f"{source}, {' and '.join(options)}: C"
    if row.vr in _BINARY:
        return Rule(Action.D, "a binary value cannot be cleaned, so a dummy stands for it", by)
    if row.vr == "SQ":
        return Rule(Action.C, "items stay, each cleaned", by)
    because = "identifiers are taken out, the rest stays"
    if row.vr in _DATE_VRS:
        because = "moved by the shift of the patient; time of day stays"
    return Rule(Action.C, because, by, needs_value=type_ in NEEDS_VALUE)


def _kept(row: Confidentiality, type_: str | None, source: str, options: list[str]) -> Rule:
    by = f"{source}, {' and '.join(options)}: K"
    if row.vr == "AS":
        return Rule(Action.C, "kept; an age over 89 becomes 090Y", by, Call("age_cap", {"limit": 89}))
    return Rule(Action.K, "the option keeps it", by, needs_value=type_ in NEEDS_VALUE)


def _basic(row: Confidentiality, type_: str | None, source: str, why: str) -> Rule:
    codes = row.basic.split("/")
    by = f"{source} {row.basic}; " + (f"Type {type_}" if type_ else "not in the IOD")
    if source == _OWN and codes == ["X"]:
        return Rule(Action.X, why, f"{by}: X")
    wanted = _resolve(codes, type_)
    by = f"{by}: {wanted}"
    because = why or _because(wanted, type_)
    if wanted.value not in codes:
        because = f"{because}; {codes[-1]} would break Type {type_}"
    if wanted is Action.D and row.vr == "SQ":
        return Rule(Action.D, "its items stay, with dummies for what identifies", by)
    dummy = _FITTING_DUMMIES.get(row.keyword)
    if wanted is Action.D and dummy is not None:
        return Rule(Action.D, because, by, Call("substitute", {"with": dummy, "fit": "fail"}))
    return Rule(wanted, because, by)


def _because(action: Action, type_: str | None) -> str:
    if action is Action.X:
        return "can identify; the IOD does not need it"
    if type_ in NEEDS_VALUE:
        return "can identify; the IOD asks for a value"
    if type_ in _NEEDS_PRESENCE:
        return "can identify; the IOD asks for the attribute, not for a value"
    return "can identify; PS3.15 asks to replace the value"


def _resolve(codes: list[str], type_: str | None) -> Action:
    """Return the emptiest action that the codes and the Type allow."""
    if type_ in NEEDS_VALUE or codes == ["D"]:
        return Action.D
    if type_ == "2C" and codes == ["X"]:
        return Action.X  # the condition cannot be told, and the attribute says nothing when empty
    if type_ in _NEEDS_PRESENCE:
        return Action.Z
    return Action(codes[0])


def _unlisted(known: Attribute, type_: str | None, options: frozenset[Option]) -> Rule:
    vr = known.vrs[0]
    group = known.tag >> 16
    if group in (0x0000, 0x0002) or group >= 0xFFFA:
        return Rule(Action.X, "belongs to the encoding, which is made anew", _OWN)
    if vr == "UI":
        return _unlisted_uid(known, options)
    if type_ is None:
        return _foreign(known, vr)
    needs_value = type_ in NEEDS_VALUE
    if _is_free_text(known, vr):
        because = "free text of the IOD; identifiers in it are taken out"
        return Rule(Action.C, because, f"{_OWN}: free text", needs_value=needs_value)
    because = "holds no identity (not listed in PS3.15 E.1-1)"
    return Rule(Action.K, because, f"in the IOD, Type {type_}", needs_value=needs_value)


def _is_free_text(known: Attribute, vr: str) -> bool:
    if known.keyword in _NO_FREE_TEXT:
        return False
    describes = vr in _SHORT_TEXTS and _DESCRIBES.search(known.keyword) is not None
    return vr in _TEXTS or describes or known.keyword in _ALSO_FREE_TEXT


def _unlisted_uid(known: Attribute, options: frozenset[Option]) -> Rule:
    if _NAMES_NO_OBJECT.search(known.keyword):
        return Rule(Action.K, "names a class or a resource of a standard, no object", _OWN)
    if Option.RETAIN_UIDS in options:
        return Rule(Action.K, "the option keeps it", f"{_OWN}, {Option.RETAIN_UIDS}: K")
    return Rule(Action.U, "may name an object; a new UID, the same for the same original", _OWN)


def _foreign(known: Attribute, vr: str) -> Rule:
    by = f"{_OWN}: not in the IOD"
    if known.tag in PROTECTED:
        return Rule(Action.K, "without it the object cannot be read", by)
    if vr == "SQ" and not known.retired:
        return Rule(Action.K, "each attribute of its items has a rule of its own", by)
    if vr in _NUMBERS and not set(known.vrs) & _BINARY:
        return Rule(Action.K, "a number or a defined term holds no identity", by)
    # Extended objects carry what other IODs define: Rescale Type in PET, Sequence Name in enhanced MR.
    if vr in _SHORT_TEXTS and known.tag in iod.all_tags() and not _is_free_text(known, vr):
        return Rule(Action.C, "a technical term that other IODs have; identifiers in it are taken out", by)
    return Rule(Action.X, "free text, a date or bytes, and this IOD does not have it", by)


CODE_TRIPLET: Final = tuple(
    keywords()[keyword]
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning", "CodingSchemeDesignator")
)


def code_dummy(tag: int) -> Rule:
    """Return the rule for a part of a code that names a person or an institution."""
    keyword = attribute(tag)
    assert keyword is not None
    text = _FITTING_DUMMIES.get(keyword.keyword)
    call = Call("substitute", {"with": text, "fit": "fail"}) if text is not None else None
    return Rule(Action.D, "the code names a person or an institution", f"{_SOURCE} D for the sequence", call)
