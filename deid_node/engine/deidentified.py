"""Types that keep identified and de-identified bytes apart.

Only the engine makes `Deidentified`; the spool and the folder writer take nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, final

from deid_node.profile.procedure import Level
from deid_node.standard.repairs import REPAIRS, Repair

Buffers = list[bytes | memoryview]


@final
class Deidentified:
    """Bytes of a de-identified dataset, as buffers to be written in order.

    The buffers may be views of the receive buffer: write them before feeding the engine again.
    """

    __slots__ = ("buffers",)

    def __init__(self, buffers: Buffers) -> None:
        """For the engine only; a test holds that nothing outside `deid_node.engine` calls this."""
        self.buffers = buffers


class Heading(NamedTuple):
    """What is known of the de-identified object as soon as its first bytes leave the engine.

    UIDs are text without padding. `meta` is preamble, DICM and new file meta information
    (PS3.10 section 7.1), as bytes ready to stand before the dataset.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    meta: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a validation or a check of the profile found; no value of the object.

    `code` is a short fixed word for counting, `path` the attribute, where it is about one.
    """

    level: Level
    code: str
    message: str
    path: str = ""


class Summary(NamedTuple):
    """What was done to one object; no value of it is an original one.

    `attributes` holds the de-identified values of the tags that were asked for (0xGGGGEEEE to text,
    backslash between values), for path templates and conditions on the result.
    `original_uid_digest` is the keyed digest of the original SOP Instance UID, for recognizing a
    resent object. `cleaned` counts what action C took out. `findings` are those of validations and
    checks that did not reject the object, `repairs` names what was wrong with it and was put right.
    """

    heading: Heading
    attributes: Mapping[int, str]
    original_uid_digest: bytes
    kept: int
    changed: int
    removed: int
    cleaned: int
    warnings: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth telling, in words: repairs and warnings."""
        return (*(REPAIRS[name] for name in self.repairs), *self.warnings)


@dataclass(frozen=True, slots=True)
class PrivateElement:
    """One private attribute of a result, or one inside a private sequence.

    `creator` is empty for a creator itself, and where none reserves the block. `length` counts bytes, -1
    when it is not defined. `value` is what a person reads: a long one is cut, a binary one counted.
    """

    path: str
    creator: str
    vr: str
    length: int
    value: str = field(repr=False)
