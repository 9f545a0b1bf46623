"""Hospitals, practices and towns leave a text; the bare words for them stay."""

from __future__ import annotations

import pytest

from deid_node.engine.text import Cleaner, Identifiers

CLEANER = Cleaner(Identifiers.of([]))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT done at Massachusetts General Hospital", "CT done at"),
        ("MERCY GENERAL HOSPITAL CT CHEST", "CT CHEST"),
        ("Transferred from St. Joseph's Hospital for MRI", "Transferred from for MRI"),
        ("VA Medical Center brain tumor protocol", "brain tumor protocol"),
        ("UCSF brain tumor protocol", "brain tumor protocol"),
        ("Klinikum Großhadern Thorax", "Thorax"),
        ("Universitätsklinikum Heidelberg MRT Kopf", "MRT Kopf"),
        ("CHU de Lyon IRM", "IRM"),
        ("Hôpital Saint-Louis scanner thoracique", "scanner thoracique"),
        ("Dept. of Radiology, University of Iowa Hospitals", "Dept. of Radiology"),
        ("seen in Chicago, IL", "seen in"),
    ],
)
def test_names_of_institutions_and_towns_go(text: str, left: str) -> None:
    assert CLEANER.clean(text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        "hospital course uneventful",
        "HOSPITAL INPATIENT",
        "CT CHEST OUTSIDE HOSPITAL",
        "Emergency Hospital bed portable",
        "Klinik für Radiologie",
        "GE MEDICAL SYSTEMS",
        "SIEMENS HEALTHCARE",
        "Chest, PA and lateral",
        "clinic visit",
    ],
)
def test_bare_words_for_institutions_stay(text: str) -> None:
    assert CLEANER.clean(text) == (text, 0)


@pytest.mark.parametrize(
    "text",
    [
        "Salter-Harris II",
        "Hill-Sachs lesion",
        "Weber B",
        "Barrett esophagus",
        "Evans index",
        "Kirschner wire",
    ],
)
def test_names_that_are_words_of_medicine_stay(text: str) -> None:
    assert CLEANER.clean(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Name: Li Wei", "Name"),
        ("Patient: 王小明 CT", "CT"),
        ("Read by JKS", "Read by"),
        ("KNEE LEFT Lee J", "KNEE LEFT"),
        ("AHV 756.1234.5678.97", ""),
    ],
)
def test_short_names_and_initials_after_a_cue_go(text: str, left: str) -> None:
    assert CLEANER.clean(text)[0] == left
