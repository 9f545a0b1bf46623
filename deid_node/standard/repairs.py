"""What devices write although the standard forbids it, and the reader puts right: a name for each.

A repair is made by default only where an object of a real device or program needs it, its waiver; the rest
is off until somebody asks for it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

Repair = Literal[
    "odd-length",
    "sequence-delimiter",
    "deflate-trailer",
    "character-set-spelling",
    "uid-leading-zeros",
    "surplus-pixels",
    "frame-comments",
]

REPAIRS: Final = MappingProxyType[Repair, str](
    {
        "odd-length": "a value of odd length was padded or left out",  # PS3.5 7.1.1
        "sequence-delimiter": "a sequence delimiter in a sequence with a length was left out",  # 7.5
        "deflate-trailer": "bytes behind a deflated dataset were left out",  # PS3.5 A.5
        "character-set-spelling": "a misspelled character set was read as the one that can be meant",
        "uid-leading-zeros": "a UID with leading zeros was taken",  # PS3.5 9.1
        "surplus-pixels": "bytes behind the last native frame were cut",  # PS3.5 8.1.1
        "frame-comments": "comments in compressed frames, or bytes behind an image, were blanked",
    }
)
ALL_REPAIRS: Final = frozenset(REPAIRS)

# Which object needs it: of pydicom's wheel, or of a public collection (see docs/reference/defences.md).
WAIVERS: Final = MappingProxyType[Repair, str](
    {
        "odd-length": "FUJIFILM DR-ID 300CL, highdicom dx_image.dcm",
        "sequence-delimiter": "Philips Achieva 2.6.3, fo-dicom GH064.dcm",
        "deflate-trailer": "dicom3tools, pydicom image_dfl.dcm",
        "character-set-spelling": "ACUSON 1.06, dicomParser IM00001.fragmented_no_bot_jpeg_baseline.50.dcm",
        "surplus-pixels": "TOSHIBA MRT50H1 rewritten by dicom3tools, pydicom MR_small_padded.dcm",
        "frame-comments": "JPEG 2000 encoders that name themselves, as of Siemens, pydicom 693_J2KI.dcm",
    }
)
DEFAULT_REPAIRS: Final = frozenset(WAIVERS)
