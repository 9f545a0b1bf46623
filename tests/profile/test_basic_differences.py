"""Our basic profile and the released Grand-Challenge procedure: every difference is listed with a reason."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

from deid_node.profile.basic import resolve
from deid_node.profile.builder import tag_of_text
from deid_node.standard.dictionary import vr_of
from deid_node.standard.sop_classes import find_sop_class

LIST = Path(__file__).with_name("grand_challenge_differences.tsv")


def test_every_difference_is_listed_and_has_a_reason() -> None:
    text = (files("grand_challenge_dicom_de_id_procedure") / "procedure.json").read_text("utf-8")
    theirs = json.loads(text)["sopClass"]
    with LIST.open(encoding="utf-8", newline="") as lines:
        listed = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))

    found = set()
    for uid, table in theirs.items():
        ours = resolve(uid)
        for text, entry in table["tag"].items():
            tag = tag_of_text(text)
            action = ours.rule_for(tag, vr_of(tag)).action.value
            if action != entry["default"]:
                found.add((uid, text, action, entry["default"]))

    assert len(theirs) == 3
    assert {
        (find_sop_class(row["sop_class"]), row["tag"], row["ours"], row["theirs"]) for row in listed
    } == found
    assert all(row["reason"] for row in listed)
