"""Storage SOP classes: PS3.4 Table B.5-1, and the retired and foreign ones that a receiver may meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.errors import ConfigurationError
from deid_node.standard.rows import read_rows

CURRENT: Final = "B.5-1"

# Words of daily use that no keyword begins with, or that begin several keywords.
_SHORT_NAMES: Final = MappingProxyType(
    {
        "CR": "ComputedRadiographyImageStorage",
        "CT": "CTImageStorage",
        "DX": "DigitalXRayImageStorageForPresentation",
        "ECG": "TwelveLeadECGWaveformStorage",
        "GSPS": "GrayscaleSoftcopyPresentationStateStorage",
        "IO": "DigitalIntraOralXRayImageStorageForPresentation",
        "KO": "KeyObjectSelectionDocumentStorage",
        "MG": "DigitalMammographyXRayImageStorageForPresentation",
        "MR": "MRImageStorage",
        "NM": "NuclearMedicineImageStorage",
        "PDF": "EncapsulatedPDFStorage",
        "PET": "PositronEmissionTomographyImageStorage",
        "PR": "GrayscaleSoftcopyPresentationStateStorage",
        "PT": "PositronEmissionTomographyImageStorage",
        "RTDOSE": "RTDoseStorage",
        "RTIMAGE": "RTImageStorage",
        "RTPLAN": "RTPlanStorage",
        "RTSTRUCT": "RTStructureSetStorage",
        "SC": "SecondaryCaptureImageStorage",
        "SEG": "SegmentationStorage",
        "SM": "VLWholeSlideMicroscopyImageStorage",
        "SR": "ComprehensiveSRStorage",
        "US": "UltrasoundImageStorage",
        "WSI": "VLWholeSlideMicroscopyImageStorage",
        "XA": "XRayAngiographicImageStorage",
        "XC": "VLPhotographicImageStorage",
        "XRF": "XRayRadiofluoroscopicImageStorage",
    }
)


@dataclass(frozen=True, slots=True)
class SOPClass:
    """A storage SOP class.

    `iod` is the IOD as PS3.4 names it, "" where the standard has none (any more); `iod_key` names the
    attributes that are known for it, of the nearest IOD in that case. `group` is "B.5-1", "retired",
    "non-patient", "media-directory", or the other body: "DICOS", "DICONDE".
    """

    uid: str
    name: str
    keyword: str
    iod: str
    group: str
    retired: bool
    iod_key: str


@cache
def storage_sop_classes() -> Mapping[str, SOPClass]:
    """Return every storage SOP class by UID."""
    return MappingProxyType(
        {
            row["uid"]: SOPClass(
                row["uid"],
                row["name"],
                row["keyword"],
                row["iod"],
                row["group"],
                row["retired"] == "Y",
                row["iod_key"],
            )
            for row in read_rows("sop_classes.tsv")
        }
    )


@cache
def _by_word() -> Mapping[str, str]:
    """Return folded word to UID: names, keywords, keywords without "Storage", short names."""
    words: dict[str, str] = {}
    for sop_class in storage_sop_classes().values():
        words.setdefault(_fold(sop_class.keyword.removesuffix("Storage")), sop_class.uid)
        words[_fold(sop_class.name)] = sop_class.uid
        words[_fold(sop_class.keyword)] = sop_class.uid
    words.update({_fold(short): words[_fold(keyword)] for short, keyword in _SHORT_NAMES.items()})
    return MappingProxyType(words)


def find_sop_class(text: str) -> str:
    """Return the UID of the storage SOP class that `text` names.

    Args:
        text: UID, name, keyword, keyword without "Storage", or a short name such as "CT" or "SEG".

    Raises:
        ConfigurationError: nothing is named so; the message offers the nearest names.
    """
    if text in storage_sop_classes():
        return text
    uid = _by_word().get(_fold(text))
    if uid is not None:
        return uid
    names = {_fold(sop_class.keyword): sop_class.keyword for sop_class in storage_sop_classes().values()}
    near = [names[word] for word in get_close_matches(_fold(text), names, n=3)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ConfigurationError(f"No storage SOP class is called {text!r}.{hint}")


def sop_class_name(uid: str) -> str:
    """Return the name of a storage SOP class, the UID itself when it is not one of the standard."""
    known = storage_sop_classes().get(uid)
    return known.name if known is not None else uid


def _fold(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
