"""Where identifiers hide in content: requests, changes, annotations, documents, specimens, other scripts.

As in `places`: each function plants some and remembers the places. What stands beside them and has to
survive is returned, by dotted keyword.
"""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from tests.engine.identifiers import Planter
from tests.engine.objects import code

Survivors = dict[str, object]


def _person(planter: Planter, place: str) -> Dataset:
    ds = Dataset()
    ds.PersonIdentificationCodeSequence = Sequence([code(planter.word()[:10], "99HOSP", "Dr X")])
    planter.plant(f"{place} code of a person", ds.PersonIdentificationCodeSequence[0].CodeValue)
    ds.PersonAddress = planter.value("ST", f"{place} address")
    ds.PersonTelephoneNumbers = [planter.value("LO", f"{place} telephone")]
    ds.InstitutionName = planter.value("LO", f"{place} institution")
    ds.InstitutionAddress = planter.value("ST", f"{place} address of the institution")
    return ds


def request(ds: Dataset, planter: Planter) -> Survivors:
    """The request, its identifiers and the people around it."""
    item = Dataset()
    for keyword, vr in (
        ("RequestedProcedureID", "SH"),
        ("ScheduledProcedureStepID", "SH"),
        ("AccessionNumber", "SH"),
        ("StudyInstanceUID", "UI"),
        ("RequestingPhysician", "PN"),
        ("RequestingService", "LO"),
    ):
        if keyword != "RequestingService":
            setattr(item, keyword, planter.value(vr, f"request {keyword}"))
    patient = ds.PatientName.family_name
    item.RequestedProcedureDescription = f"MR BRAIN W/WO {patient}"
    item.ReasonForTheRequestedProcedure = f"headache, seen by Dr {_named(planter, 'reason for the request')}"
    item.ScheduledProtocolCodeSequence = Sequence([code("P1-0001", "99LOCAL", "MR BRAIN")])
    ds.RequestAttributesSequence = Sequence([item])
    ds.ReferringPhysicianIdentificationSequence = Sequence([_person(planter, "referring physician")])
    ds.OperatorIdentificationSequence = Sequence([_person(planter, "operator")])
    ds.OperatorsName = [planter.value("PN", "operator 1"), planter.value("PN", "operator 2")]
    ds.ConsultingPhysicianName = planter.value("PN", "consulting physician")
    return {}


def _named(planter: Planter, place: str) -> str:
    word = planter.word()
    planter.plant(place, word)
    return word


def changes(ds: Dataset, planter: Planter) -> Survivors:
    """Original and modified attributes, contributing equipment, digital signatures in items."""
    original, changed = Dataset(), Dataset()
    original.PatientName = planter.value("PN", "original attributes PatientName")
    original.PatientID = planter.value("LO", "original attributes PatientID")
    original.PatientBirthDate = planter.value("DA", "original attributes PatientBirthDate")
    changed.ModifiedAttributesSequence = Sequence([original])
    changed.SourceOfPreviousValues = planter.value("LO", "SourceOfPreviousValues")
    changed.ModifyingSystem = planter.value("LO", "ModifyingSystem")
    changed.AttributeModificationDateTime = planter.value("DT", "AttributeModificationDateTime")
    changed.ReasonForTheAttributeModification = "COERCE"
    ds.OriginalAttributesSequence = Sequence([changed])
    equipment = Dataset()
    equipment.Manufacturer, equipment.ManufacturerModelName = "SYNTH", "MODEL"
    equipment.StationName = planter.value("SH", "contributing equipment station")
    equipment.DeviceSerialNumber = planter.value("LO", "contributing equipment serial number")
    equipment.InstitutionName = planter.value("LO", "contributing equipment institution")
    equipment.OperatorsName = planter.value("PN", "contributing equipment operator")
    equipment.PurposeOfReferenceCodeSequence = Sequence([code("109102", "DCM", "Processing Equipment")])
    ds.ContributingEquipmentSequence = Sequence([equipment])
    return {}


def relatives(ds: Dataset, planter: Planter) -> Survivors:
    """Other identifiers, visits, insurance, responsible persons and trial subjects."""
    other = Dataset()
    other.PatientID = planter.value("LO", "other patient ID")
    other.IssuerOfPatientID = planter.value("LO", "issuer of other patient ID")
    ds.OtherPatientIDsSequence = Sequence([other])
    ds.OtherPatientIDs = [planter.value("LO", "other IDs 1"), planter.value("LO", "other IDs 2")]
    ds.OtherPatientNames = [planter.value("PN", "other name 1"), planter.value("PN", "other name 2")]
    for keyword, vr in (
        ("PatientBirthName", "PN"),
        ("PatientMotherBirthName", "PN"),
        ("PatientAddress", "LO"),
        ("PatientTelephoneNumbers", "SH"),
        ("PatientReligiousPreference", "LO"),
        ("MilitaryRank", "LO"),
        ("BranchOfService", "LO"),
        ("MedicalRecordLocator", "LO"),
        ("ResponsiblePerson", "PN"),
        ("ResponsibleOrganization", "LO"),
        ("AdmissionID", "LO"),
        ("ServiceEpisodeID", "LO"),
        ("CurrentPatientLocation", "LO"),
        ("ClinicalTrialSubjectID", "LO"),
        ("ClinicalTrialSubjectReadingID", "LO"),
        ("ClinicalTrialSiteName", "LO"),
        ("ClinicalTrialCoordinatingCenterName", "LO"),
        ("InsurancePlanIdentification", "LO"),
        ("RegionOfResidence", "LO"),
        ("CountryOfResidence", "LO"),
        ("IssuerOfPatientID", "LO"),
        ("PatientTelecomInformation", "LT"),
    ):
        setattr(ds, keyword, planter.value(vr, keyword))
    return {}


def annotations(ds: Dataset, planter: Planter) -> Survivors:
    """Texts drawn on images and waveforms, layers, and who made them."""
    text = Dataset()
    text.UnformattedTextValue = f"{ds.PatientName.family_name} seen by Dr {_named(planter, 'graphic text')}"
    text.AnchorPoint, text.AnchorPointVisibility, text.AnchorPointAnnotationUnits = [1, 1], "Y", "PIXEL"
    annotation = Dataset()
    annotation.GraphicLayer, annotation.TextObjectSequence = "LAYER1", Sequence([text])
    ds.GraphicAnnotationSequence = Sequence([annotation])
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER1", "1"
    layer.GraphicLayerDescription = f"drawn for {ds.PatientName.family_name}"
    ds.GraphicLayerSequence = Sequence([layer])
    ds.ContentLabel, ds.ContentCreatorName = "FINDINGS", planter.value("PN", "ContentCreatorName")
    ds.ContentDescription = f"for {ds.PatientName.family_name}"
    wave = Dataset()
    wave.UnformattedTextValue = f"ECG of {ds.PatientName.family_name}"
    wave.AnnotationGroupNumber, wave.ReferencedWaveformChannels = 1, [1, 1]
    ds.WaveformAnnotationSequence = Sequence([wave])
    return {}


def specimens(ds: Dataset, planter: Planter) -> Survivors:
    """Containers, specimens, devices with their unique identifiers."""
    specimen, device = Dataset(), Dataset()
    specimen.SpecimenIdentifier = planter.value("LO", "SpecimenIdentifier")
    specimen.SpecimenUID = planter.value("UI", "SpecimenUID")
    specimen.SpecimenDetailedDescription = f"biopsy of {ds.PatientName.family_name}"
    specimen.IssuerOfTheSpecimenIdentifierSequence = Sequence([])
    specimen.SpecimenPreparationSequence = Sequence([])
    ds.ContainerIdentifier = planter.value("LO", "ContainerIdentifier")
    ds.SpecimenDescriptionSequence = Sequence([specimen])
    device.DeviceSerialNumber = planter.value("LO", "device serial number")
    device.DeviceID = planter.value("LO", "device ID")
    udi = Dataset()
    udi.UniqueDeviceIdentifier = planter.value("UT", "UniqueDeviceIdentifier")
    device.UDISequence = Sequence([udi])
    ds.DeviceSequence = Sequence([device])
    return {}


def _undecoded(ds: Dataset, keyword: str, vr: str, value: bytes) -> None:
    tag = Tag(keyword)
    value += b" " * (len(value) % 2)
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def undeclared(ds: Dataset, planter: Planter) -> Survivors:
    """Names beyond ASCII in an object that declares no character set, or another one."""
    ds.pop("SpecificCharacterSet", None)
    for number, codec in enumerate(("latin-1", "utf-8")):
        name = f"Bjørn{planter.word()[:5].lower()}"
        planter.plant(f"undeclared {codec}", name)
        _undecoded(ds, ("ImageComments", "PatientComments")[number], "LT", f"LIVER {name}".encode(codec))
    return {}


SAFE: tuple[tuple[int, str, int, str, object], ...] = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "1000"),
    (0x0019, "SIEMENS MR HEADER", 0x0E, "FD", [0.0, 0.6, 0.8]),
    (0x0019, "SIEMENS MR HEADER", 0x27, "FD", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    (0x0043, "GEMS_PARM_01", 0x39, "IS", ["1000", "8", "0", "0"]),
    (0x2001, "Philips Imaging DD 001", 0x03, "FL", 800.0),
    (0x7053, "Philips PET Private Group", 0x00, "DS", "1.25"),
    (0x7053, "Philips PET Private Group", 0x09, "DS", "2.5"),
)
"""b-values, directions and PET factors: group, creator, element, VR, value (PS3.15 Table E.3.10-1)."""


def safe_private(ds: Dataset, planter: Planter) -> None:
    """Safe private attributes, each block with an identifier beside them."""
    for group, creator, element, vr, value in SAFE:
        ds.private_block(group, creator, create=True).add_new(element, vr, value)
    for group, creator in sorted({(group, creator) for group, creator, *_ in SAFE}):
        block = ds.private_block(group, creator)
        block.add_new(0xF1, "LO", planter.value("LO", f"beside safe private of {creator}"))


CONTENT: tuple[Callable[[Dataset, Planter], Survivors], ...] = (
    *(request, changes, relatives, annotations, specimens, undeclared),
)
