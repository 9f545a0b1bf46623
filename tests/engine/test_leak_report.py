"""The checks of the leak report that no other test makes all pass; the report itself gives percentages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from tests.engine import leak_report, places, places_content
from tests.engine.checks import Check, deidentified, deidentifier, planted_checks, summary
from tests.engine.checks_rows import row_checks
from tests.engine.checks_texts import text_checks
from tests.engine.identifiers import Planter
from tests.engine.objects import SAMPLES

PROFILES = sorted(leak_report.ON_PURPOSE)


def _failed(checks: list[Check]) -> list[str]:
    return [f"{check.category}: {check.what}" for check in checks if not check.passed]


def test_every_row_of_table_e_1_1_comes_out_as_each_option_prints_it() -> None:
    assert _failed(list(row_checks())) == []


def test_texts_lose_what_identifies_and_keep_clinical_words() -> None:
    assert _failed(list(text_checks(deidentifier("research")))) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_safe_private_attributes_survive_in_every_encoding_where_the_option_is_on(profile: str) -> None:
    assert _failed(list(leak_report.private_checks(profile))) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("plant", places_content.CONTENT, ids=lambda plant: plant.__name__)
def test_nothing_planted_in_content_comes_out(
    plant: Callable[[Dataset, Planter], object], profile: str
) -> None:
    for kind, make in SAMPLES.items():
        sample, planter = make(), Planter()
        places.patient(sample.ds, planter)
        plant(sample.ds, planter)

        result = deidentified(deidentifier(profile), sample.ds)

        assert _failed(planted_checks("content", result, planter, kind)) == []


def test_the_summary_counts_by_category_and_in_all() -> None:
    checks = [Check("names", "a", True), Check("names", "b", False), Check("dates", "c", True)]

    lines = summary(checks).splitlines()

    assert [line.split()[-2] for line in lines] == ["100.00", "50.00", "66.67", "75.00"]
