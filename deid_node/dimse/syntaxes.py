"""Transfer syntaxes in which objects are taken (PS3.5 section 10, PS3.6 Table A-1).

All of DICOM's, also encapsulated ones that are newer than this program: their pixel bytes pass
through untouched. Not those that carry no complete object, and no private ones: how their datasets
are encoded is not known.
"""

from __future__ import annotations

import re
from typing import Final

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"

_OF_DICOM: Final = re.compile(r"1\.2\.840\.10008\.1\.2(?:\.[1-9][0-9]*)*")
_ENCODES_NO_OBJECT: Final = re.compile(
    r"1\.2\.840\.10008\.1\.2\."
    r"(?:4\.94|4\.95|4\.204|4\.205"  # JPIP Referenced: the pixels stay at a URL of the original
    r"|6(?:\..*)?"  # RFC 2557 MIME encapsulation, XML encoding
    r"|7(?:\..*)?)"  # SMPTE ST 2110: live video, not storage
)
_MAX_UID: Final = 64


def is_supported(transfer_syntax_uid: str) -> bool:
    """Tell whether an object in this transfer syntax can be taken."""
    return (
        len(transfer_syntax_uid) <= _MAX_UID
        and _OF_DICOM.fullmatch(transfer_syntax_uid) is not None
        and _ENCODES_NO_OBJECT.fullmatch(transfer_syntax_uid) is None
    )
