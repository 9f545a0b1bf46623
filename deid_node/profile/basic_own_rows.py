"""What the basic profile of deid_node adds to Table E.1-1, row by row.

PS3.15 E.1-1 lists attributes that are known to carry identity; these are not listed (2026d), but their
definition in PS3.3 or PS3.6 says that they can. A row has the columns of E.1-1; a plain "X" removes
whatever the Type, for attributes whose condition falls away with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.standard.confidentiality import Confidentiality
from deid_node.standard.dictionary import attributes, keywords

_DATES: Final = {"retain_long_full": "K", "retain_long_modified": "C"}
_DEVICE: Final = {"retain_device_id": "K"}
_INSTITUTION: Final = {"retain_institution_id": "K"}
_CONTENT: Final = {"clean_struct_cont": "C"}
_DESCRIPTOR: Final = {"clean_desc": "C"}
_NONE: Final[dict[str, str]] = {}

# keyword, codes as in E.1-1, option columns, why
_ROWS: Final = (
    ("PatientAlternativeCalendar", "X", _NONE, "goes with dates of birth and death in that calendar"),
    ("PatientBirthDateInAlternativeCalendar", "X", _NONE, "date of birth in another calendar"),
    ("PatientDeathDateInAlternativeCalendar", "X", _NONE, "date of death in another calendar"),
    ("SourcePatientGroupIdentificationSequence", "X", _NONE, "identifies patients"),
    ("GroupOfPatientsIdentificationSequence", "X", _NONE, "identifies patients"),
    ("BreedRegistrationNumber", "X/Z/D", _NONE, "number of one animal in a registry"),
    ("LocalNamespaceEntityID", "X/Z/D", _INSTITUTION, "names who issued an identifier"),
    ("UniversalEntityID", "X/Z/D", _INSTITUTION, "names who issued an identifier"),
    ("AssigningFacilitySequence", "X", _INSTITUTION, "names the facility that issued an identifier"),
    ("AssigningJurisdictionCodeSequence", "X", _INSTITUTION, "names who issued an identifier"),
    ("AssigningAgencyOrDepartmentCodeSequence", "X", _INSTITUTION, "names who issued an identifier"),
    ("HL7InstanceIdentifier", "X/Z/D", _NONE, "identifier of a document about the patient"),
    ("RetrieveURI", "X/Z/D", _NONE, "address inside the institution that may name the patient"),
    ("RetrieveURL", "X/Z/D", _NONE, "address inside the institution that may name the patient"),
    ("StorageURL", "X/Z/D", _NONE, "address inside the institution that may name the patient"),
    ("FileAccessURI", "X/Z/D", _NONE, "address inside the institution that may name the patient"),
    ("FolderAccessURI", "X/Z/D", _NONE, "address inside the institution that may name the patient"),
    ("FilenameInContainer", "X/Z/D", _NONE, "file name that may name the patient"),
    ("StoredInstanceBaseURI", "X/Z/D", _NONE, "address inside the institution"),
    ("PixelDataProviderURL", "X/Z/D", _NONE, "address inside the institution"),
    ("NTPSourceAddress", "X", _DEVICE, "network address of a device"),
    ("TimeSource", "X", _DEVICE, "name or network address of a device"),
    ("DeviceID", "X/Z/D", _DEVICE, "user's identifier of a device"),
    ("RadiationMachineName", "X/Z/D", _DEVICE, "names one machine of the institution"),
    ("AuthorizationEquipmentCertificationNumber", "X/Z/D", _DEVICE, "number of one device"),
    ("ImageID", "X", _DESCRIPTOR, "identifier given by a person or a device, free text"),
    ("StorageMediaFileSetID", "X/Z", _NONE, "label of one medium"),
    ("HangingProtocolCreator", "X/Z/D", _NONE, "name of a person or an institution"),
    ("HangingProtocolUserGroupName", "X/Z/D", _INSTITUTION, "name of a group of people"),
    ("SelectorUCValue", "X/Z/D", _DESCRIPTOR, "value of an attribute that may identify"),
    ("EncryptedAttributesSequence", "X", _NONE, "the identity itself, encrypted for somebody unknown"),
    ("MACParametersSequence", "X", _NONE, "belongs to the digital signatures, which go"),
    ("EncapsulatedDocumentLength", "X", _NONE, "counts bytes of the original document"),
    ("StudyUpdateDateTime", "X/Z/D", _DATES, "date of an event"),
    ("ItemInventoryDateTime", "X/Z/D", _DATES, "date of an event"),
    ("ExpirationDateTime", "X/Z/D", _DATES, "date of an event"),
    ("TextValue", "D", _CONTENT, "text of structured content, which E.1-1 asks to replace as a whole"),
    ("LengthToEnd", "X", _NONE, "counts bytes of the original"),
    ("SourceApplicationEntityTitle", "X", _NONE, "names a system inside the institution"),
)


@cache
def own_rows() -> Mapping[int, tuple[Confidentiality, str]]:
    """Return our rows by tag, each with its reason."""
    known = attributes()
    found = {}
    for keyword, codes, options, because in _ROWS:
        tag = keywords()[keyword]
        row = known[tag]
        printed = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        found[tag] = (
            Confidentiality(
                printed, keyword, row.name, row.vr, row.retired, True, codes, MappingProxyType(options)
            ),
            because,
        )
    return MappingProxyType(found)
