"""Codes of patients cannot be found by trying all IDs; with a hash without key the same attack wins."""

from __future__ import annotations

import hashlib
import os

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.library import load
from tests.engine.dictionary_attack import recovered
from tests.engine.encoded import EXPLICIT, run
from tests.rewriting import pseudonyms

CT = "1.2.840.10008.5.1.4.1.1.2"
DIGITS = int(os.environ.get("DEID_NODE_ATTACK_DIGITS", "4"))
"""Of the IDs that are tried: 10 to this power. Seven take minutes."""

WIDTH = max(DIGITS, 7)
CANDIDATES = [b"%0*d" % (WIDTH, number) for number in range(10**DIGITS)]
PATIENTS = CANDIDATES[:: len(CANDIDATES) // 20]
UIDS = [b"1.2.840.99999.1.%d" % number for number in range(20)]


def original(patient: bytes, study: bytes) -> bytes:
    return EXPLICIT.dataset(
        EXPLICIT.element(0x00080050, "SH", patient),
        EXPLICIT.element(0x00100010, "PN", b"Doe^Jane"),
        EXPLICIT.element(0x00100020, "LO", patient),
        EXPLICIT.element(0x0020000D, "UI", study),
        EXPLICIT.element(0x0020000E, "UI", study + b".1"),
        sop_class_uid=CT,
        sop_instance_uid=study.decode() + ".1.1",
    )


@pytest.mark.parametrize("profile", ["basic", "research", "whitelist"])
def test_without_the_key_no_patient_or_study_is_found(profile: str) -> None:
    deidentifier = Deidentifier(load(profile), pseudonyms())
    outputs = [
        run(deidentifier, original(patient, study)) for patient, study in zip(PATIENTS, UIDS, strict=False)
    ]

    assert len({content[-200:] for content in outputs}) == len(outputs)
    assert recovered(outputs, [*CANDIDATES, *UIDS, *(uid + b".1.1" for uid in UIDS)]) == set()


@pytest.mark.parametrize("name", ["whole", "cut", "of a site", "as UID"])
def test_a_hash_without_key_loses_to_the_same_attack(name: str) -> None:
    def code(secret: bytes) -> bytes:
        digest = hashlib.md5(b"[site]" + secret if name == "of a site" else secret)
        if name == "as UID":
            return b"2.25.%d" % int.from_bytes(digest.digest(), "big")
        return digest.hexdigest()[: 10 if name == "cut" else 32].encode()

    outputs = [EXPLICIT.dataset(EXPLICIT.element(0x00100020, "LO", code(patient))) for patient in PATIENTS]

    assert recovered(outputs, CANDIDATES) == set(PATIENTS)
