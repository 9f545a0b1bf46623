"""Small, well-formed objects of several SOP classes, before anything identifying is planted.

Each comes with the attributes that have to survive de-identification: geometry, acquisition, pixel
description and codes. Values are invented; pixels are a pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ROOT = "1.2.826.0.1.3680043.10.9999"
SEX, BORN, STUDY_DATE = "F", "19470613", "20240312"


@dataclass(frozen=True, slots=True)
class Sample:
    """One object, and the keywords (dotted through sequences) whose values must come out unchanged."""

    ds: Dataset
    survivors: tuple[str, ...]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence."""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def reference(sop_class: str, number: int) -> Dataset:
    """Return an item that refers to an object of the same study."""
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class, f"{ROOT}.5.{number}"
    return ds


def _general(modality: str, sop_class: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"{ROOT}.{sum(map(ord, sop_class))}.1"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101500"
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "", modality, "SYNTH MEDICAL"
    ds.ReferringPhysicianName = ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "", "", BORN, SEX
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.2", f"{ROOT}.3"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "", "4", "17"
    return ds


_IMAGE = (
    *(
        "Modality",
        "SOPClassUID",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "SamplesPerPixel",
    ),
    *("PixelRepresentation", "PhotometricInterpretation", "ImageType", "PixelData"),
)


def _image(modality: str, sop_class: str, rows: int = 16, columns: int = 16) -> Dataset:
    ds = _general(modality, sop_class)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.add_new(0x7FE00010, "OW", bytes(index * 7 % 256 for index in range(rows * columns * 2)))
    return ds


def _geometry(ds: Dataset) -> tuple[str, ...]:
    ds.ImagePositionPatient, ds.ImageOrientationPatient = (
        ["-180", "-180.5", "33"],
        ["1", "0", "0", "0", "1", "0"],
    )
    ds.PixelSpacing, ds.SliceThickness, ds.FrameOfReferenceUID = ["0.7", "0.7"], "1.25", f"{ROOT}.4"
    ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", ""
    return (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "PatientPosition",
    )


def ct() -> Sample:
    """CT Image Storage."""
    ds = _image("CT", "1.2.840.10008.5.1.4.1.1.2")
    geometry = _geometry(ds)
    ds.KVP, ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "120", "-1024", "1", "HU"
    ds.AcquisitionNumber, ds.BodyPartExamined = "1", "CHEST"
    ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1200"]
    ds.ConvolutionKernel, ds.ExposureTime, ds.XRayTubeCurrent = "B30f", "500", "240"
    ds.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Chest")])
    ds.SourceImageSequence = Sequence([reference("1.2.840.10008.5.1.4.1.1.2", 801)])
    kept = ("KVP", "RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth")
    return Sample(ds, (*_IMAGE, *geometry, *kept, "ConvolutionKernel", "AnatomicRegionSequence.CodeValue"))


def mr() -> Sample:
    """MR Image Storage."""
    ds = _image("MR", "1.2.840.10008.5.1.4.1.1.4")
    geometry = _geometry(ds)
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "SP", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.MagneticFieldStrength = "500", "12.5", "1", "3"
    ds.FlipAngle = "90"
    kept = ("ScanningSequence", "SequenceVariant", "MRAcquisitionType", "RepetitionTime", "EchoTime")
    return Sample(ds, (*_IMAGE, *geometry, *kept, "MagneticFieldStrength", "FlipAngle"))


def us() -> Sample:
    """Ultrasound Multi-frame Image Storage, with a region."""
    ds = _image("US", "1.2.840.10008.5.1.4.1.1.3.1")
    ds.NumberOfFrames, ds.FrameIncrementPointer, ds.FrameTime = "1", 0x00181063, "33.3"
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 15, 15
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    ds.SequenceOfUltrasoundRegions = Sequence([region])
    kept = ("SequenceOfUltrasoundRegions.PhysicalDeltaX", "SequenceOfUltrasoundRegions.RegionLocationMaxX1")
    return Sample(ds, (*_IMAGE, "NumberOfFrames", "FrameTime", *kept))


def mg() -> Sample:
    """Digital Mammography X-Ray Image Storage - For Presentation."""
    ds = _image("MG", "1.2.840.10008.5.1.4.1.1.1.2")
    ds.ImageLaterality, ds.PresentationIntentType, ds.BodyPartExamined = "L", "FOR PRESENTATION", "BREAST"
    ds.ImagerPixelSpacing, ds.KVP, ds.PositionerType = ["0.07", "0.07"], "28", "MAMMOGRAPHIC"
    ds.ViewCodeSequence = Sequence([code("399162004", "SCT", "cranio-caudal")])
    kept = ("ImageLaterality", "PresentationIntentType", "ImagerPixelSpacing", "ViewCodeSequence.CodeValue")
    return Sample(ds, (*_IMAGE, *kept))


def sc() -> Sample:
    """Secondary Capture Image Storage."""
    ds = _image("OT", "1.2.840.10008.5.1.4.1.1.7")
    ds.ConversionType = "WSD"
    return Sample(ds, (*_IMAGE, "ConversionType"))


def enhanced_mr() -> Sample:
    """Enhanced MR Image Storage: functional groups of two frames."""
    ds = _image("MR", "1.2.840.10008.5.1.4.1.1.4.1", rows=16, columns=8)
    ds.NumberOfFrames, ds.Rows = "2", 8
    frames = []
    for number in (1, 2):
        position, plane, content = Dataset(), Dataset(), Dataset()
        plane.ImagePositionPatient = ["0", "0", str(number * 3)]
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = (
            "1",
            number,
            [1, number],
        )
        position.PlanePositionSequence, position.FrameContentSequence = Sequence([plane]), Sequence([content])
        frames.append(position)
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["0.9", "0.9"], "3"
    shared.PixelMeasuresSequence = Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    kept = (
        "SharedFunctionalGroupsSequence.PixelMeasuresSequence.PixelSpacing",
        "PerFrameFunctionalGroupsSequence.PlanePositionSequence.ImagePositionPatient",
        "PerFrameFunctionalGroupsSequence.FrameContentSequence.InStackPositionNumber",
    )
    return Sample(ds, (*_IMAGE, "NumberOfFrames", *kept))


def rtstruct() -> Sample:
    """RT Structure Set Storage: one contour."""
    ds = _general("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3")
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "", STUDY_DATE, "111213"
    roi, contour, slice_ = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID = "1", f"{ROOT}.4"
    roi.ROIName, roi.ROIGenerationAlgorithm = "", "MANUAL"
    slice_.ContourGeometricType, slice_.NumberOfContourPoints = "CLOSED_PLANAR", "3"
    slice_.ContourData = ["0", "0", "5", "9", "0", "5", "9", "9", "5"]
    contour.ROIDisplayColor, contour.ReferencedROINumber = ["255", "0", "0"], "1"
    contour.ContourSequence = Sequence([slice_])
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence([roi]), Sequence([contour])
    kept = ("ROIContourSequence.ContourSequence.ContourData", "StructureSetROISequence.ROINumber")
    return Sample(ds, ("Modality", "SOPClassUID", *kept))


def presentation_state() -> Sample:
    """Grayscale Softcopy Presentation State Storage."""
    ds = _general("PR", "1.2.840.10008.5.1.4.1.1.11.1")
    ds.PresentationLUTShape = "IDENTITY"
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [512, 512]
    area.PresentationSizeMode = "SCALE TO FIT"
    ds.DisplayedAreaSelectionSequence = Sequence([area])
    kept = ("DisplayedAreaSelectionSequence.DisplayedAreaBottomRightHandCorner", "PresentationLUTShape")
    return Sample(ds, ("Modality", "SOPClassUID", *kept))


def content_item(relation: str, kind: str, concept: Dataset) -> Dataset:
    """Return an item of an SR content tree without its value."""
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = relation, kind
    ds.ConceptNameCodeSequence = Sequence([concept])
    return ds


def sr() -> Sample:
    """Comprehensive SR Storage: a title, a measurement and a code."""
    ds = _general("SR", "1.2.840.10008.5.1.4.1.1.88.33")
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ConceptNameCodeSequence = Sequence([code("126000", "DCM", "Imaging Measurement Report")])
    number = content_item("CONTAINS", "NUM", code("103355008", "SCT", "Width"))
    measured = Dataset()
    measured.NumericValue = "12.5"
    measured.MeasurementUnitsCodeSequence = Sequence([code("mm", "UCUM", "millimeter")])
    number.MeasuredValueSequence = Sequence([measured])
    finding = content_item("CONTAINS", "CODE", code("121071", "DCM", "Finding"))
    finding.ConceptCodeSequence = Sequence([code("4147007", "SCT", "Mass")])
    ds.ContentSequence = Sequence([number, finding])
    kept = (
        "ContentSequence.MeasuredValueSequence.NumericValue",
        "ContentSequence.ConceptCodeSequence.CodeValue",
    )
    return Sample(ds, ("Modality", "SOPClassUID", "ValueType", "ConceptNameCodeSequence.CodeValue", *kept))


def pdf() -> Sample:
    """Encapsulated PDF Storage."""
    ds = _general("DOC", "1.2.840.10008.5.1.4.1.1.104.1")
    ds.ConversionType, ds.DocumentTitle, ds.BurnedInAnnotation = "WSD", "", "NO"
    ds.ConceptNameCodeSequence = Sequence([])
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocument = b"%PDF-1.4\n%%EOF\n\0"
    return Sample(ds, ("Modality", "SOPClassUID", "ConversionType"))


def ecg() -> Sample:
    """General ECG Waveform Storage: one channel."""
    ds = _general("ECG", "1.2.840.10008.5.1.4.1.1.9.1.2")
    group, channel = Dataset(), Dataset()
    channel.ChannelSourceSequence = Sequence([code("5.6.3-9-1", "SCPECG", "Lead I")])
    channel.WaveformBitsStored = 16
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = (
        "ORIGINAL",
        1,
        8,
    )
    group.SamplingFrequency, group.WaveformBitsAllocated, group.WaveformSampleInterpretation = "500", 16, "SS"
    group.ChannelDefinitionSequence = Sequence([channel])
    group.add_new(0x54001010, "OW", bytes(range(16)))
    ds.WaveformSequence = Sequence([group])
    kept = ("WaveformSequence.SamplingFrequency", "WaveformSequence.WaveformData")
    return Sample(ds, ("Modality", "SOPClassUID", *kept))


SAMPLES: dict[str, Callable[[], Sample]] = {
    make.__name__: make
    for make in (ct, mr, us, mg, sc, enhanced_mr, rtstruct, presentation_state, sr, pdf, ecg)
}
