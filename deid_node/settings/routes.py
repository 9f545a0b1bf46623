"""What happens to the objects of one called AE title."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from deid_node.settings.types import Section, Title, listed


class OnReject(StrEnum):
    """What becomes of an object that is rejected or cannot be de-identified."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class Acknowledge(StrEnum):
    """When a sender hears Success."""

    STORE = "store"
    THROUGH = "through"


class IntakeKind(StrEnum):
    """When an object is de-identified."""

    RAM = "ram"
    SEALED = "sealed"


class OnHold(StrEnum):
    """What becomes of an object that its profile holds."""

    REFUSE = "refuse"
    SEAL = "seal"


class CommitmentMode(StrEnum):
    """What a peer hears that asks for storage commitment."""

    OFF = "off"
    REFUSE = "refuse"
    DOWNSTREAM = "downstream"


class RouteSettings(Section):
    """What happens to objects sent to one called AE title: the profile, and where they go."""

    called: Annotated[tuple[Title, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="Called AE titles bound to this route; each belongs to one route."
    )
    profile: str = Field(
        default="basic", min_length=1, description="Built-in profile name, or path of a profile file."
    )
    destinations: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="Names of the destinations that get every object of this route."
    )
    peers: Annotated[tuple[str, ...], BeforeValidator(listed)] | None = Field(
        default=None,
        description="Names of the peers that may store here (others get 0124). Unset: every admitted peer.",
    )
    acknowledge: Acknowledge = Field(
        default=Acknowledge.STORE,
        description="`store`: Success means that the de-identified object is durable here. `through`: that "
        'the one destination, of kind "ae", has answered Success; the object is passed on while it arrives '
        "and never kept, and a destination that stalls or fails is the sender's to see (A700).",
    )
    intake: IntakeKind = Field(
        default=IntakeKind.RAM,
        description="`ram`: an object is de-identified while it arrives, and what identifies is never on the "
        "disk. `sealed`: it is kept first, encrypted with `sealed.key_file`, acknowledged when that is "
        "durable, and de-identified after; for objects larger than the memory, or work that is slow.",
    )
    on_hold: OnHold = Field(
        default=OnHold.REFUSE,
        description="An object that the profile holds, because a lookup table lacks a row or action C cannot "
        "judge a word. `refuse`: A700, so that it is sent again. `seal`: it is kept, encrypted with "
        "`sealed.key_file`, acknowledged, and goes on when the tables were read again or a person releases "
        'it. With `intake = "sealed"` it is kept in any case.',
    )
    commitment: CommitmentMode = Field(
        default=CommitmentMode.OFF,
        description="Storage commitment for senders. `off`: not offered. `refuse`: offered, and answered "
        "with a failure for every object. `downstream`: success for what every destination has committed "
        "itself to keep, de-identified.",
    )
    originals_are_kept_elsewhere: bool = Field(
        default=False,
        description='Has to be `true` for `commitment = "downstream"`: a sender that hears success may '
        "delete its original, which is not kept here.",
    )
    on_reject: OnReject = Field(
        default=OnReject.REFUSE,
        description="`refuse`: answer with a failure and keep nothing. `quarantine`: keep the object, sealed "
        "to `quarantine.public_key`, and acknowledge it.",
    )
