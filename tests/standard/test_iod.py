"""IODs: modules with usage, Types at each path."""

from __future__ import annotations

import subprocess
import sys

from deid_node.standard import iod
from deid_node.standard.dictionary import tag_of
from deid_node.standard.iod import Module, Use


def test_a_module_has_its_usage() -> None:
    modules = iod.modules("ct-image")

    assert Module("patient", "M") in modules
    assert Module("contrast-bolus", "C") in modules
    assert Module("clinical-trial-subject", "U") in modules


def test_an_attribute_has_its_type_and_module() -> None:
    assert iod.uses("ct-image", tag_of("PatientName")) == (Use("patient", "M", "2"),)


def test_an_attribute_in_a_sequence_has_a_type_of_its_own() -> None:
    path = [tag_of("ReferencedImageSequence")]

    assert iod.uses("ct-image", tag_of("ReferencedSOPInstanceUID"), path)[0].type == "1"
    assert iod.uses("ct-image", tag_of("ReferencedSOPInstanceUID")) == ()


def test_the_strictest_of_several_types_counts() -> None:
    types = {use.type for use in iod.uses("ct-image", tag_of("ImageType"))}

    assert types == {"1", "3"}
    assert iod.top("ct-image").types[tag_of("ImageType")] == "1"


def test_functional_groups_are_found_below_both_sequences() -> None:
    top = iod.top("enhanced-mr-image")

    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = top.items[tag_of(sequence)]
        assert tag_of("PixelSpacing") in items.items[tag_of("PixelMeasuresSequence")].types


def test_the_uses_anywhere_hold_the_types_of_all_paths() -> None:
    uses = iod.uses_anywhere("comprehensive-sr")[tag_of("ReferencedSOPInstanceUID")]

    assert {use.module for use in uses} >= {"sop-common", "sr-document-content"} - {"sop-common"}


def test_the_tables_load_lazily_and_fast() -> None:
    code = (
        "import time, pydicom, pydicom.datadict\n"
        "import deid_node.standard.rows\n"
        "t = time.perf_counter()\n"
        "from deid_node.standard import confidentiality, dictionary, iod, sop_classes\n"
        "imported = time.perf_counter() - t\n"
        "t = time.perf_counter()\n"
        "top = iod.top('enhanced-ct-image'); top.types; top.items\n"
        "print(imported, time.perf_counter() - t)\n"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    # 50 ms each is the promise; a busy machine gets some slack.
    imported_s, loaded_s = map(float, out.split())
    assert imported_s < 0.25
    assert loaded_s < 0.25
