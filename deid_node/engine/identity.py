"""Which attributes of an object identify the patient and others, so that texts can be cleaned of them.

The kinds follow what PS3.15 Table E.1-1 removes: names, identifiers, dates of persons, places, contacts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deid_node.engine.charset import decode
from deid_node.engine.encoding import Encoding, vr_in
from deid_node.engine.nested import is_sequence, walk
from deid_node.engine.scan import Budget, Element
from deid_node.standard.dictionary import attributes, tag_of, vr_of

_PATIENT_NAMES: Final = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
_IDS: Final = (
    "PatientID OtherPatientIDs AccessionNumber AdmissionID StudyID MilitaryRank MedicalRecordLocator "
    "InsurancePlanIdentification IssuerOfPatientID FillerOrderNumberImagingServiceRequest "
    "PlacerOrderNumberImagingServiceRequest RequestedProcedureID ScheduledProcedureStepID "
    "PerformedProcedureStepID ServiceEpisodeID"
).split()
_PLACES: Final = (
    "InstitutionName InstitutionAddress InstitutionalDepartmentName PatientAddress StationName "
    "RegionOfResidence CountryOfResidence ReferringPhysicianAddress CurrentPatientLocation "
    "PatientInstitutionResidence"
).split()
_CONTACTS: Final = (
    "PatientTelephoneNumbers ReferringPhysicianTelephoneNumbers PersonTelephoneNumbers "
    "OrderCallbackPhoneNumber PatientTelecomInformation"
).split()
_DATES: Final = ("PatientBirthDate",)


Known = Callable[[str], tuple[tuple[str, str], ...]]
"""What is known of a patient besides what an object says: from Patient ID to (kind, text), of `kind_of`."""


def _tags(keywords: tuple[str, ...] | list[str]) -> frozenset[int]:
    return frozenset(tag for keyword in keywords if (tag := tag_of(keyword)) is not None)


PATIENT_NAME_TAGS: Final = _tags(_PATIENT_NAMES)
ID_TAGS: Final = _tags(_IDS)
PLACE_TAGS: Final = _tags(_PLACES)
CONTACT_TAGS: Final = _tags(_CONTACTS)
DATE_TAGS: Final = _tags(_DATES)
_NAMES: Final = frozenset(tag for tag, known in attributes().items() if known.vrs == ("PN",))
_LISTED: Final = ID_TAGS | PLACE_TAGS | CONTACT_TAGS | DATE_TAGS | _NAMES  # names may be coded as UN
NESTED_ID_TAGS: Final = _tags(("PatientID", "AccessionNumber"))
_PN: Final = ord("P") << 8 | ord("N")


def _identifies(code: int) -> bool:
    return code & 0xFF7F == _PN or code >> 16 in _LISTED


def kind_of(tag: int) -> str:
    """Return what an identifying attribute holds: name, person, id, place, contact or date."""
    if tag in PATIENT_NAME_TAGS:
        return "name"
    if tag in ID_TAGS:
        return "id"
    if tag in PLACE_TAGS:
        return "place"
    if tag in CONTACT_TAGS:
        return "contact"
    return "date" if tag in DATE_TAGS else "person"


def bears_identity(header: bytes, element: Element, encoding: Encoding) -> bool:
    """Tell whether an element identifies somebody, or may hold items that do."""
    code, _, start, end = element
    if not is_sequence(code):
        return _identifies(code)
    if not encoding.explicit or vr_in(code) != "SQ":
        return True
    # What is coded as UN may be a name, or items in implicit VR, which do not say what is one.
    if header.find(b"PN", start, end) >= 0 or header.find(b"UN", start, end) >= 0:
        return True
    return any(header.find(encoding.tag_bytes(tag), start, end) >= 0 for tag in NESTED_ID_TAGS)


def identity_values(
    header: bytes, elements: list[Element], encoding: Encoding, budget: Budget, charsets: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Return (kind, text) of every identifying value at every depth."""
    found: list[tuple[str, str]] = []
    chosen = [element for element in elements if bears_identity(header, element, encoding)]
    for element, value, own in walk(header, chosen, encoding, Budget(budget.limits), charsets, _identifies):
        if not value.strip(b" \0"):
            continue
        vr = vr_in(element[0])
        text = decode(value, own, (vr_of(element[0] >> 16) or vr) if vr == "UN" else vr)
        if text is None:
            text = value.decode("latin-1")
        kind = kind_of(element[0] >> 16)
        found += [(kind, part.strip(" \0")) for part in text.split("\\") if part.strip(" \0^=")]
    return found
