"""Where identifiers hide in an object: each function plants some and remembers the places.

What a profile may keep on purpose is not planted; what the tests look for is what must be gone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from deid_node.standard.rows import read_rows
from tests.engine.identifiers import Planter
from tests.engine.objects import STUDY_DATE, code, content_item

_GROUPS_OF_THEIR_OWN = {0x0000, 0x0002, 0x0004, 0xFFFA, 0xFFFC}
_HELD = {"DeidentificationMethod", "PatientIdentityRemoved", "PatientSex"}
_TEXT_VRS = {"LO", "SH", "ST", "LT", "UT", "UC", "PN"}
# Content of these decides how the object is read; what hides in them has tests of its own.
_STRUCTURE = {"SOPClassUID", "SpecificCharacterSet", "Modality", "ContentSequence", "ValueType"}


def attributes_of_e1_1(option_columns: Iterable[str] = ()) -> list[tuple[int, str, str]]:
    """Return (tag, keyword, VR) of Table E.1-1, less those an option keeps or cleans."""
    columns = list(option_columns)
    found = []
    for row in read_rows("confidentiality.tsv"):
        text = row["tag"].strip("()").replace(",", "")
        if not row["keyword"] or "x" in text or int(text[:4], 16) in _GROUPS_OF_THEIR_OWN:
            continue
        if row["keyword"] in _HELD | _STRUCTURE or any(row[column] for column in columns):
            continue
        found.append((int(text, 16), row["keyword"], row["vr"]))
    return found


def _item(planter: Planter, place: str) -> Dataset:
    """An item with the identifiers that a nested dataset usually has."""
    ds = Dataset()
    ds.PatientName = planter.value("PN", f"{place}.PatientName")
    ds.PatientID = planter.value("LO", f"{place}.PatientID")
    ds.StudyDate = planter.value("DA", f"{place}.StudyDate")
    ds.ReferencedSOPInstanceUID = planter.value("UI", f"{place}.ReferencedSOPInstanceUID")
    ds.TextValue = planter.value("UT", f"{place}.TextValue")
    return ds


def _plant(ds: Dataset, planter: Planter, tag: int, vr: str, place: str) -> None:
    if vr == "SQ":
        ds.add_new(tag, "SQ", Sequence([_item(planter, place)]))
        return
    value = planter.value(vr, place)
    if value is not None:
        ds.add_new(tag, vr, value)


def confidential(ds: Dataset, planter: Planter, option_columns: Iterable[str] = ()) -> None:
    """Every attribute of Table E.1-1 at the root."""
    for tag, keyword, vr in attributes_of_e1_1(option_columns):
        _plant(ds, planter, tag, vr, f"E.1-1 {keyword}")


def nested(ds: Dataset, planter: Planter, option_columns: Iterable[str] = ()) -> None:
    """Attributes of Table E.1-1 in the items of sequences that are kept, three levels deep."""
    wanted = attributes_of_e1_1(option_columns)
    for keyword in ("SourceImageSequence", "AnatomicRegionSequence", "SharedFunctionalGroupsSequence"):
        outer = ds.get(keyword) or Sequence([Dataset()])
        inner, innermost = Dataset(), Dataset()
        for depth, item in enumerate((outer[0], inner, innermost)):
            for tag, name, vr in wanted:
                if vr != "SQ" and Tag(tag) not in item:
                    _plant(item, planter, tag, vr, f"{keyword} depth {depth} {name}")
        inner.PurposeOfReferenceCodeSequence = Sequence([innermost])
        outer[0].ReferencedFrameNumber = "1"
        outer[0].DerivationCodeSequence = Sequence([inner])
        setattr(ds, keyword, outer)


def private(ds: Dataset, planter: Planter) -> None:
    """Private blocks of known and unknown makers, with nested items, also after Pixel Data."""
    makers = [
        (0x0009, "GEMS_IDEN_01"),
        (0x0011, "ACME WARD"),
        (0x0019, "SIEMENS MR HEADER"),
        (0x0029, "SIEMENS CSA HEADER"),
        (0x2001, "Philips Imaging DD 001"),
        (0x7FE1, "GEMS_Ultrasound_MovieGroup_001"),
        (0x7FE3, "ACME TAIL"),
    ]
    for group, creator in makers:
        block = ds.private_block(group, creator, create=True)
        for element, vr in enumerate(("LO", "PN", "LT", "DA", "UI", "OB", "UN", "SH"), 0xE0):
            block.add_new(element, vr, planter.value(vr, f"private {creator} {vr}"))
        block.add_new(0xF0, "SQ", Sequence([_item(planter, f"private {creator} SQ")]))


def private_creator(ds: Dataset, planter: Planter) -> None:
    """A name in the private creator itself, and a private element that nobody reserved."""
    block = ds.private_block(0x0033, str(planter.value("SH", "private creator")), create=True)
    block.add_new(1, "DS", "1")
    ds.add_new(0x00351022, "LO", planter.value("LO", "private without creator"))
    ds.add_new(0x00370003, "LO", planter.value("LO", "private, illegal element number"))


def private_in_items(ds: Dataset, planter: Planter) -> None:
    """Private elements inside the items of a public sequence."""
    item = code("T-1", "99LOCAL", "local")
    block = item.private_block(0x0041, "ACME NESTED", create=True)
    block.add_new(1, "LO", planter.value("LO", "private in item LO"))
    block.add_new(2, "SQ", Sequence([_item(planter, "private in item SQ")]))
    ds.DerivationCodeSequence = Sequence([item])


def retired(ds: Dataset, planter: Planter) -> None:
    """Every retired text attribute of the data dictionary that Table E.1-1 does not speak of."""
    of_e1_1 = {tag for tag, _, _ in attributes_of_e1_1()}
    for tag, (vr, _, _, is_retired, keyword) in DicomDictionary.items():
        if is_retired and vr in _TEXT_VRS and tag >> 16 not in _GROUPS_OF_THEIR_OWN and tag not in of_e1_1:
            _plant(ds, planter, tag, vr, f"retired {keyword or hex(tag)}")


def unknown(ds: Dataset, planter: Planter) -> None:
    """Public tags that no edition has, with text VRs and as UN."""
    for tag, vr in ((0x00089EF0, "LO"), (0x0010EEEE, "UN"), (0x00209FFE, "OB"), (0x0040FFF0, "UT")):
        _plant(ds, planter, tag, vr, f"unknown {tag:08X}")


def _raw(ds: Dataset, tag: int, value: bytes) -> None:
    """Add an element as UN, which pydicom would turn into what it knows."""
    value += b"\0" * (len(value) % 2)
    ds[tag] = RawDataElement(Tag(tag), "UN", len(value), value, 0, False, True)


def disguised(ds: Dataset, planter: Planter) -> None:
    """Known attributes and a sequence under VR UN, and a text attribute under another VR."""
    last = planter.word()
    planter.plant("PatientBirthName as UN", last)
    _raw(ds, 0x00101005, f"{last}^X".encode())
    word = planter.word()
    planter.plant("sequence as UN", word)
    element = struct.pack("<HHI", 0x0010, 0x0010, len(word)) + word.encode()
    _raw(ds, 0x00081110, struct.pack("<HHI", 0xFFFE, 0xE000, len(element)) + element)
    ds.add_new(0x00081030, "UT", planter.value("UT", "StudyDescription as UT"))


def overlays(ds: Dataset, planter: Planter) -> None:
    """Overlays and curves, in the first and the last of their repeating groups."""
    for group in (0x6000, 0x601E):
        ds.add_new(group << 16 | 0x0010, "US", 8)
        ds.add_new(group << 16 | 0x0011, "US", 16)
        ds.add_new(group << 16 | 0x0040, "CS", "G")
        ds.add_new(group << 16 | 0x0022, "LO", planter.value("LO", f"{group:04X} overlay description"))
        ds.add_new(group << 16 | 0x1500, "LO", planter.value("LO", f"{group:04X} overlay label"))
        ds.add_new(group << 16 | 0x3000, "OW", planter.value("OW", f"{group:04X} overlay data") + b"\0")
        ds.add_new(group << 16 | 0x4000, "LT", planter.value("LT", f"{group:04X} overlay comments"))
    for group in (0x5000, 0x501E):
        ds.add_new(group << 16 | 0x0022, "LO", planter.value("LO", f"{group:04X} curve description"))
        ds.add_new(group << 16 | 0x2500, "LO", planter.value("LO", f"{group:04X} curve label"))
        ds.add_new(group << 16 | 0x3000, "OW", planter.value("OW", f"{group:04X} curve data") + b"\0")


def after_pixels(ds: Dataset, planter: Planter) -> None:
    """Digital signatures, their MACs, and padding at the end."""
    signature = Dataset()
    signature.MACIDNumber, signature.DigitalSignatureUID = 1, planter.value("UI", "DigitalSignatureUID")
    signature.CertificateOfSigner = planter.value("OB", "CertificateOfSigner")
    signature.DigitalSignatureDateTime = planter.value("DT", "DigitalSignatureDateTime")
    ds.DigitalSignaturesSequence = Sequence([signature])
    ds.add_new(0xFFFCFFFC, "OB", planter.value("OB", "DataSetTrailingPadding"))


def icon(ds: Dataset, planter: Planter) -> None:
    """An icon that is an image of its own."""
    item = Dataset()
    item.Rows, item.Columns, item.BitsAllocated, item.SamplesPerPixel = 4, 4, 8, 1
    item.PhotometricInterpretation = "MONOCHROME2"
    item.add_new(0x7FE00010, "OW", planter.value("OW", "pixels of the icon"))
    ds.IconImageSequence = Sequence([item])


def report(ds: Dataset, planter: Planter) -> None:
    """Each value type of an SR content tree, nested twice, and the people around it."""

    def items(place: str) -> list[Dataset]:
        concept = code("121106", "DCM", "Comment")
        text, person = (
            content_item("CONTAINS", "TEXT", concept),
            content_item("HAS OBS CONTEXT", "PNAME", concept),
        )
        day, moment = content_item("CONTAINS", "DATE", concept), content_item("CONTAINS", "DATETIME", concept)
        uid = content_item("HAS OBS CONTEXT", "UIDREF", concept)
        word = planter.word()
        planter.plant(f"{place} TEXT", word)
        text.TextValue = f"Patient {ds.PatientName.family_name} was seen by Dr {word}."
        person.PersonName = planter.value("PN", f"{place} PNAME")
        day.Date, moment.DateTime = (
            planter.value("DA", f"{place} DATE"),
            planter.value("DT", f"{place} DATETIME"),
        )
        uid.UID = planter.value("UI", f"{place} UIDREF")
        return [text, person, day, moment, uid]

    container = content_item("CONTAINS", "CONTAINER", code("121070", "DCM", "Findings"))
    container.ContinuityOfContent = "SEPARATE"
    container.ContentSequence = Sequence(items("SR depth 2"))
    ds.ContentSequence = Sequence([*ds.ContentSequence, *items("SR depth 1"), container])
    observer = Dataset()
    observer.VerifyingObserverName = planter.value("PN", "VerifyingObserverName")
    observer.VerifyingOrganization = planter.value("LO", "VerifyingOrganization")
    observer.VerificationDateTime = STUDY_DATE
    ds.VerifyingObserverSequence = Sequence([observer])


def document(ds: Dataset, planter: Planter) -> None:
    """The text inside a PDF, its title, and what it was made from."""
    word = planter.word()
    planter.plant("EncapsulatedDocument", word)
    text = f"%PDF-1.4\n% {word}\n/Title ({word})\n%%EOF\n"
    ds.EncapsulatedDocument = text.encode() + b"\0" * (len(text) % 2)
    ds.EncapsulatedDocumentLength = len(text)
    ds.DocumentTitle = planter.value("ST", "DocumentTitle")


def patient(ds: Dataset, planter: Planter) -> None:
    """The identity that the object itself declares."""
    ds.PatientName = planter.value("PN", "PatientName")
    ds.PatientID = planter.mrn()
    planter.plant("PatientID", ds.PatientID)
    ds.AccessionNumber = planter.value("SH", "AccessionNumber")
    ds.ReferringPhysicianName = planter.value("PN", "ReferringPhysicianName")
    ds.PatientBirthDate = planter.value("DA", "PatientBirthDate")
    ds.OtherPatientIDsSequence = Sequence([_item(planter, "OtherPatientIDsSequence")])


DESCRIPTORS = ("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments")


def descriptors(ds: Dataset, planter: Planter) -> dict[str, str]:
    """Free text that a profile may clean; return the words that a cleaner should leave by keyword."""
    family, given = ds.PatientName.family_name, ds.PatientName.given_name
    place = "free text"
    phone, email = planter.phone(), planter.email()
    planter.plant(f"{place} phone", phone)
    planter.plant(f"{place} mail", email)
    planter.plant(f"{place} surname on a list", "Kowalski")
    planter.plant(f"{place} surname after a title", "Hernandez")
    planter.plant(f"{place} date", "20110923")
    ds.StudyDescription = f"CT ABDOMEN {family.upper()} 23.09.2011"
    ds.SeriesDescription = f"MRT BRAIN W/WO Kowalski {ds.PatientID}"
    ds.ProtocolName = f"HEAD Dr Hernandez {given}"
    ds.ImageComments = f"LIVER call {phone} or {email}, {ds.AccessionNumber}"
    return dict(zip(DESCRIPTORS, ("CT ABDOMEN", "MRT BRAIN W/WO", "HEAD", "LIVER"), strict=True))


ANYWHERE: tuple[Callable[[Dataset, Planter], None], ...] = (
    *(private, private_creator, private_in_items, retired, unknown, disguised),
    *(overlays, after_pixels, icon),
)
"""Places that any object has; `confidential` and `nested` come with the options of the profile."""

OF_CLASS: dict[str, Callable[[Dataset, Planter], None]] = {"sr": report, "pdf": document}


def keyword(tag: int) -> str:
    """Return the keyword of a tag, or the tag."""
    return keyword_for_tag(tag) or f"{tag:08X}"
