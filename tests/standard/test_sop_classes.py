"""Storage SOP classes are found by UID, name, keyword and short name."""

from __future__ import annotations

import pytest

from deid_node.errors import ConfigurationError
from deid_node.standard import iod
from deid_node.standard.sop_classes import find_sop_class, sop_class_name, storage_sop_classes

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    "text", [CT, "CT", "ct", "CTImageStorage", "CT Image Storage", "ctimage", "CT image storage"]
)
def test_a_class_has_many_names(text: str) -> None:
    assert find_sop_class(text) == CT


def test_every_keyword_and_name_finds_its_class() -> None:
    for uid, sop_class in storage_sop_classes().items():
        assert find_sop_class(sop_class.keyword) == uid
        # The retired ultrasound classes share their names with those that replaced them.
        assert sop_class.retired or find_sop_class(sop_class.name) == uid


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(ConfigurationError, match="MRImageStorage"):
        find_sop_class("MRImagStorage")


def test_a_foreign_uid_is_its_own_name() -> None:
    assert sop_class_name("1.2.3") == "1.2.3"


def test_table_b_5_1_is_complete_and_every_class_has_attributes() -> None:
    classes = storage_sop_classes().values()

    assert sum(sop_class.group == "B.5-1" for sop_class in classes) == 173
    assert all(iod.top(sop_class.iod_key).types for sop_class in classes)
