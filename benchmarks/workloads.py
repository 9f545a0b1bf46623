"""Deterministic synthetic objects: the same seed gives the same bytes on every machine.

The header is that of a busy CT: about 150 top-level elements, nested sequences, three private blocks,
13 KB. Pixels are random, so that nothing on the way can compress or cache them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

ROOT = "1.2.826.0.1.3680043.10.9998"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
MG, US = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.3.1"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
_POOL_BYTES = 16 << 20
_FORMAT = 4  # raise when the objects change, so that stored ones are made anew

IDENTIFIERS = ("DOE^JOHN", "PID0000123", "ACC0012345", "REFERRER^ALICE", "1 Privacy Lane", "OLD123")
"""Texts of every object that no de-identified one may contain."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Some objects of one kind. `make` changes the common header; `pixel_bytes` are of one object."""

    name: str
    modality: str
    sop_class: str
    count: int
    rows: int
    columns: int
    frames: int = 1
    series: int = 1
    transfer_syntax: str = ExplicitVRLittleEndian
    encapsulated_bytes: int = 0
    header_bytes: int = 13_000
    make: Callable[[Dataset], None] | None = None

    def scaled(self, factor: float) -> Workload:
        """Return the same with another number of objects, at least one."""
        return replace(self, count=max(1, round(self.count * factor)))

    @property
    def megabytes(self) -> float:
        """About how many MB all objects have together."""
        pixels = self.encapsulated_bytes or self.rows * self.columns * 2 * self.frames
        return self.count * (pixels + self.header_bytes) / 1e6


def _frame_groups(number: int) -> list[tuple[str, Dataset]]:
    """Return the functional group macros of one frame, each with its only item."""
    content, position, plane, value, timing, frame, anatomy = (Dataset() for _ in range(7))
    content.StackID, content.InStackPositionNumber = "1", number + 1
    content.DimensionIndexValues, content.TemporalPositionIndex = [1, number + 1], 1
    content.FrameAcquisitionNumber, content.FrameAcquisitionDuration = number, 12.5
    position.ImagePositionPatient = [-100, -100, round(number * 0.5, 2)]
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    value.RescaleIntercept, value.RescaleSlope, value.RescaleType = "0", "1", "US"
    timing.RepetitionTime, timing.FlipAngle, timing.EchoTrainLength = 500.0, 90.0, 1
    frame.FrameType, frame.PixelPresentation = ["ORIGINAL", "PRIMARY", "DIXON", "WATER"], "MONOCHROME"
    anatomy.FrameLaterality = "U"
    return [
        ("FrameContentSequence", content),
        ("PlanePositionSequence", position),
        ("PlaneOrientationSequence", plane),
        ("PixelValueTransformationSequence", value),
        ("MRTimingAndRelatedParametersSequence", timing),
        ("MRImageFrameTypeSequence", frame),
        ("FrameAnatomySequence", anatomy),
    ]


def _functional_groups(ds: Dataset) -> None:
    frames: list[Dataset] = []
    for number in range(ds.NumberOfFrames):
        group = Dataset()
        for keyword, item in _frame_groups(number):
            setattr(group, keyword, Sequence([item]))
        frames.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)


def _nested_elements(ds: Dataset, elements: int) -> None:
    """Add functional groups until there are so many elements; what each frame has varies."""
    frames: list[Dataset] = []
    count = 0
    while count < elements:
        group, left_out = Dataset(), len(frames) * 5 % 128
        for at, (keyword, item) in enumerate(_frame_groups(len(frames))):
            if at and left_out >> at & 1:
                continue
            setattr(group, keyword, Sequence([item]))
            count += 1 + len(item)
        frames.append(group)
    ds.NumberOfFrames = len(frames)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)


def _private_elements(ds: Dataset, elements: int) -> None:
    """Add so many private elements in blocks of 200."""
    blocks = -(-elements // 200)
    for at in range(blocks):
        block = ds.private_block(0x1001 + at // 200 * 2, f"SYNTH BLOCK {at}", create=True)
        for element in range(min(200, elements - at * 200)):
            block.add_new(element, "LO", f"value {element}")


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("ct", "CT", CT, 400, 512, 512, series=4),
        Workload("mr", "MR", MR, 1200, 256, 256, series=10),
        Workload("mg", "MG", MG, 12, 4096, 3662),
        Workload("us500", "US", US, 1, 1000, 1000, frames=250),
        Workload("implicit", "CT", CT, 400, 512, 512, series=4, transfer_syntax=ImplicitVRLittleEndian),
        Workload(
            "j2k", "CT", CT, 400, 512, 512, transfer_syntax=JPEG2000Lossless, encapsulated_bytes=180_000
        ),
        Workload("jll", "MR", MR, 600, 256, 256, transfer_syntax=JPEGLosslessSV1, encapsulated_bytes=60_000),
        # 20 MB of functional groups before 5.8 MB of pixels.
        Workload(
            *("enhanced", "MR", ENHANCED_MR, 1, 8, 8),
            frames=45_000,
            header_bytes=20_000_000,
            make=_functional_groups,
        ),
    )
}

SIZES_MB = (0.5, 2, 10, 52, 524)
ELEMENTS = (100, 1_000, 10_000, 98_000)
"""With the rest of the header no more than the 100,000 that a node takes in one dataset."""


def of_size(megabytes: float) -> Workload:
    """Return a multi-frame workload whose objects have about so many MB."""
    frames = max(1, round(megabytes / 0.524))
    return Workload(f"us-{frames}", "US", US, max(1, round(100 / megabytes)), 512, 512, frames=frames)


def with_elements(elements: int, *, nested: bool) -> Workload:
    """Return small objects with so many elements: in nested sequences, or private ones at the top."""
    make = partial(_nested_elements if nested else _private_elements, elements=elements)
    return Workload(
        f"{'nested' if nested else 'private'}-{elements}",
        *("MR", ENHANCED_MR if nested else MR, max(4, min(400, 400_000 // elements)), 8, 8),
        header_bytes=13_000 + elements * 20,
        make=make,
    )


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def _reference(sop_class: str, uid: str) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class, uid
    return ds


def _identity(ds: Dataset) -> None:
    ds.AccessionNumber, ds.InstitutionName = "ACC0012345", "General Hospital of Nowhere"
    ds.InstitutionAddress, ds.StationName = "12 Example Street, Nowhere", "SCANNER01"
    ds.ReferringPhysicianName, ds.PhysiciansOfRecord = "REFERRER^ALICE^^DR", "RECORD^BOB"
    ds.PerformingPhysicianName, ds.OperatorsName = "PERFORM^CAROL", "OPER^EVE"
    ds.NameOfPhysiciansReadingStudy, ds.InstitutionalDepartmentName = "READ^DAVE", "Radiology"
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = "DOE^JOHN^Q", "PID0000123", "NOWHERE"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19600229", "M", "064Y"
    ds.OtherPatientIDs, ds.OtherPatientNames = "OLD123", "DOE^JACK"
    ds.PatientSize, ds.PatientWeight, ds.EthnicGroup = "1.82", "81.5", "X"
    ds.PatientAddress, ds.PatientTelephoneNumbers = "1 Privacy Lane", "555 0100"
    ds.PatientComments, ds.AdditionalPatientHistory = "Patient says hello", "Smoker"
    ds.AdmittingDiagnosesDescription, ds.RequestingPhysician = "Cough", "REQ^FRANK"
    ds.RequestingService, ds.CurrentPatientLocation = "PULM", "WARD 3"
    ds.DeviceSerialNumber, ds.ImageComments = "SN55512", "synthetic"


def _acquisition(ds: Dataset, study: str, series: str, sop_class: str, index: int) -> None:
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(ds, keyword, "20240312")
    ds.StudyTime, ds.SeriesTime, ds.InstanceCreationTime = "095501.120000", "100102.230000", "101112.345000"
    ds.AcquisitionTime = ds.ContentTime = f"1002{index % 60:02d}.{index % 1000:03d}000"
    ds.StudyDescription, ds.SeriesDescription = "Thorax^CT routine with contrast", "Thorax 1.0 B30f"
    ds.ProtocolName, ds.ManufacturerModelName, ds.SoftwareVersions = "6.1 ThoraxRoutine", "Synth 64", "VA40A"
    ds.ProcedureCodeSequence = Sequence([_code("CTCHEST", "99LOCAL", "CT of chest")])
    ds.ReferencedStudySequence = Sequence([_reference("1.2.840.10008.3.1.2.3.1", f"{study}.9")])
    ds.ReferencedImageSequence = Sequence([_reference(sop_class, f"{series}.{900 + n}") for n in range(3)])
    ds.SourceImageSequence = Sequence([_reference(sop_class, f"{series}.{800 + n}") for n in range(2)])
    ds.IrradiationEventUID, ds.ContrastBolusAgent, ds.BodyPartExamined = f"{series}.5", "Omnipaque", "CHEST"
    ds.ScanOptions, ds.KVP, ds.DataCollectionDiameter = "HELICAL MODE", "120", "500"
    ds.ReconstructionDiameter, ds.DistanceSourceToDetector = "360", "1040"
    ds.DistanceSourceToPatient, ds.GantryDetectorTilt, ds.TableHeight = "570", "0", "151"
    ds.RotationDirection, ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure = "CW", "500", "240", "120"
    ds.FilterType, ds.GeneratorPower, ds.FocalSpots, ds.ConvolutionKernel = "WEDGE_3", "50", "1.2", "B30f"
    ds.DateOfLastCalibration, ds.TimeOfLastCalibration = "20240101", "080000"
    ds.RevolutionTime, ds.SingleCollimationWidth, ds.TotalCollimationWidth = 0.5, 0.6, 38.4
    ds.SpiralPitchFactor, ds.CTDIvol, ds.EstimatedDoseSaving = 1.2, 7.7, 12.0
    ds.ExposureModulationType, ds.PatientPosition = "XYZ_EC", "HFS"
    ds.CTDIPhantomTypeCodeSequence = Sequence([_code("113691", "DCM", "IEC Body Dosimetry Phantom")])
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"
    request.ScheduledProcedureStepDescription = "CT Thorax for John Doe"
    request.ScheduledProtocolCodeSequence = Sequence([_code("CTCHEST", "99LOCAL", "CT of chest")])
    ds.RequestAttributesSequence = Sequence([request])
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20240312", "095501"
    ds.PerformedProcedureStepID, ds.PerformedProcedureStepDescription = "PPS1", "CT Thorax"


def _private(ds: Dataset, rng: random.Random) -> None:
    block = ds.private_block(0x0009, "SYNTH MED HEADER", create=True)
    for element in range(8):
        block.add_new(element, "LO", f"private value {element}")
    block = ds.private_block(0x0019, "SYNTH MED ACQ", create=True)
    for element in range(12):
        block.add_new(element, "DS", str(rng.randrange(1000)))
    block.add_new(0x20, "OB", rng.randbytes(1024))
    block = ds.private_block(0x0029, "SYNTH CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", rng.randbytes(6144))
    block.add_new(0x20, "OB", rng.randbytes(2048))


def _pixels(ds: Dataset, workload: Workload, pool: bytes, index: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = workload.rows, workload.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = [40, -600], [400, 1200]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelSpacing, ds.SliceThickness = [0.703125, 0.703125], "1.0"
    ds.ImagePositionPatient = [-180, -180, round(index * 0.7 - 300, 3)]
    ds.ImageOrientationPatient, ds.SliceLocation = [1, 0, 0, 0, 1, 0], f"{index * 0.7 - 300:.3f}"
    size = workload.encapsulated_bytes or workload.rows * workload.columns * 2 * ds.get("NumberOfFrames", 1)
    start = index * 15838 % (len(pool) - min(size, len(pool) - 1))
    content = (pool * (size // len(pool) + 1))[:size] if size > len(pool) else pool[start : start + size]
    if workload.encapsulated_bytes:
        ds.PixelData = encapsulate([content])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    else:
        ds.add_new(0x7FE00010, "OW", content)


def _object(workload: Workload, index: int, pool: bytes, rng: random.Random) -> Dataset:
    study = f"{ROOT}.{sum(map(ord, workload.name))}.1"
    series = f"{study}.{2 + index * workload.series // workload.count}"
    ds = Dataset()
    ds.SpecificCharacterSet, ds.ImageType = "ISO_IR 100", ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    ds.SOPClassUID, ds.SOPInstanceUID = workload.sop_class, f"{series}.{index + 1}"
    ds.Modality, ds.Manufacturer = workload.modality, "SYNTH MEDICAL"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, f"{study}.3"
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "1", 4, 1, index + 1
    _identity(ds)
    _acquisition(ds, study, series, workload.sop_class, index)
    if workload.frames > 1:
        ds.NumberOfFrames = workload.frames
    if workload.make is not None:
        workload.make(ds)
    _private(ds, rng)
    _pixels(ds, workload, pool, index)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = workload.transfer_syntax
    return ds


def prepared(workload: Workload, cache: Path) -> list[Path]:
    """Return the files of a workload, making them where they are not there yet.

    The first is a small one of the same SOP class, for warming up: it is sent before the clock starts.
    """
    folder = cache / f"{workload.name}-{workload.count}"
    stamp = folder / "complete.json"
    wanted = {"format": _FORMAT, "count": workload.count}
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(20240312)
        pool = rng.randbytes(_POOL_BYTES)
        small = replace(workload, rows=32, columns=32, frames=min(workload.frames, 2))
        for index in range(workload.count + 1):
            ds = _object(workload if index else small, index, pool, rng)
            ds.save_as(folder / f"{index:05d}.dcm", enforce_file_format=True)
        stamp.write_text(json.dumps(wanted))
    return sorted(folder.glob("*.dcm"))
