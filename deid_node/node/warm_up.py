"""What a node does as soon as it listens: prepare what its first objects would otherwise wait for.

Tables, word lists and patterns are made when they are first needed, a second in all. A made-up object
of each common SOP class needs them first. What is there by then lives as long as the node, so the
garbage collector need not look at it again.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from deid_node.engine.encoding import EXPLICIT_LITTLE
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import DeidNodeError
from deid_node.profile.procedure import Procedure

_COMMON: Final = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.1.1",  # DX
)
_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_MADE_UP: Final = (
    (0x00080020, "DA", b"20000101"),
    (0x00080060, "CS", b"OT"),
    (0x00081030, "LO", b"ABDOMEN FOR DR. NEMO ON 2 JAN 2000 (555) 0100"),
    (0x00100010, "PN", b"NEMO^NOBODY"),
    (0x00100020, "LO", b"0"),
    (0x00204000, "LT", b"SEEN AT SOME HOSPITAL"),
)
# Objects of every association are made and dropped by counting references; cycles are few.
_COLLECT_AFTER: Final = (50_000, 20, 100)
_SWITCH_S: Final = 0.001


def warm_up(procedures: Iterable[Procedure]) -> threading.Thread:
    """Start preparing for objects of the procedures, beside those that come already."""
    thread = threading.Thread(target=_warm_up, args=(tuple(procedures),), name="warm-up", daemon=True)
    thread.start()
    return thread


def _warm_up(procedures: tuple[Procedure, ...]) -> None:
    for procedure in procedures:
        for sop_class_uid in _COMMON:
            with suppress(DeidNodeError):  # a procedure that has no table for it, or keys of its own
                _try_one(procedure, sop_class_uid)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_S)
    _give_back()


def _try_one(procedure: Procedure, sop_class_uid: str) -> None:
    """De-identify a made-up object, under a key that nobody uses, and forget it."""
    element = EXPLICIT_LITTLE.element
    uid = b"1.2.3"
    of_class = (0x00080016, "UI", sop_class_uid.encode())
    uids = [(tag, "UI", uid) for tag in (0x00080018, 0x0020000D, 0x0020000E)]
    rewrite = Deidentifier(procedure, Pseudonyms(Key(bytes(32)))).begin(
        transfer_syntax_uid=_EXPLICIT_VR_LITTLE_ENDIAN
    )
    rewrite.feed(b"".join(element(*one) for one in sorted([of_class, *uids, *_MADE_UP])))
    rewrite.finish()


def _give_back() -> None:
    """Give the memory that starting took and freed back to the system, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
