"""Who an object is of: the original values that a crosswalk records. Nothing else may take them."""

from __future__ import annotations

from dataclasses import dataclass

from deid_node.engine.subject import PATIENT_ID, PATIENT_NAME, STUDY_INSTANCE_UID, Subject


@dataclass(frozen=True, slots=True, repr=False)
class Original:
    """Original identifiers of one object; "" where it has none. `days` is None when no date moved."""

    patient_id: str
    patient_name: str
    study_uid: str
    days: int | None

    def __repr__(self) -> str:
        return "Original(...)"


def original_of(subject: Subject) -> Original:
    """Return the identifiers of an object whose header was read."""
    facts = subject.facts
    return Original(
        facts.text(PATIENT_ID),
        facts.text(PATIENT_NAME),
        facts.ascii(STUDY_INSTANCE_UID),
        subject.shifted_days,
    )
