"""The packaged word lists."""

from __future__ import annotations

import lzma
from importlib import resources

import pytest

from deid_node.engine.text_fold import fold, spellings
from deid_node.engine.text_words import word_lists, words_of

WORDS = resources.files("deid_node.engine") / "words"


@pytest.mark.parametrize("name", ["names.txt.xz", "vocabulary.txt.xz"])
def test_a_made_list_is_sorted_folded_small_and_names_its_sources(name):
    data = (WORDS / name).read_bytes()
    lines = lzma.decompress(data).decode().splitlines()
    head = [line for line in lines if line.startswith("#")]
    words = lines[len(head) :]

    assert len(data) < 250_000
    assert all(": MIT" in line for line in head[1:])
    assert words == sorted(set(words))
    assert all(word == fold(word) for word in words)


def test_words_by_hand_count_whole_and_by_their_parts():
    assert words_of("# a comment\nvon-Willebrand Schädel") == {
        "von-willebrand",
        "von",
        "willebrand",
        "schadel",
    }


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("MÜLLER", "muller"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("Ørsted", "orsted"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("Ｓｍｉｔｈ", "smith"),
    ],
)
def test_spellings_of_one_word_fold_to_one_form(word, folded):
    assert fold(word) == folded


def test_umlauts_are_met_in_both_spellings():
    assert spellings("Müller") == {"muller", "mueller"}
    assert spellings("MUELLER") == {"muller", "mueller"}


def test_a_clinical_word_is_never_taken_for_a_name():
    lists = word_lists()

    assert not any(map(lists.is_name, lists.clinical))
    assert not any(map(lists.is_name, lists.common))
