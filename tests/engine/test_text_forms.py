"""Which words that no list holds are words of medicine or of the language, and which are taken for names."""

from __future__ import annotations

import pytest

from deid_node.engine.text_fold import fold
from deid_node.engine.text_forms import is_form, is_unknown_name
from deid_node.engine.text_words import word_lists


@pytest.mark.parametrize(
    "word",
    [
        "hepatoblastomas", "Tracheomalazie", "sphincteroplasty", "Koloskopien", "ureteroscopy", "enteropathy",
        "rescanning", "multislab", "Unterbauchzyste", "Mammascreening", "Kniegelenkspunktion", "Dopler",
        "tositumomab", "vemurafenib", "Verschlechterungen", "Beweglichkeit", "lymphangiomatosis",
    ],
)  # fmt: skip
def test_forms_and_compounds_of_known_words_are_no_names(word: str) -> None:
    assert not word_lists().is_known_word(fold(word)) and fold(word) not in word_lists().names
    assert is_form(fold(word))
    assert not is_unknown_name(word)


@pytest.mark.parametrize(
    "word",
    [
        "Vyshnevetskyi",
        "THORVALDSDOTTIR",
        "Quillfeather",
        "Brzezowska",
        "Iturrizaga",
        "Wuttkowski",
        "Mwangombe",
    ],
)
def test_a_capitalized_word_of_no_list_and_no_form_is_taken_for_a_name(word: str) -> None:
    assert is_unknown_name(word)


@pytest.mark.parametrize("word", ["zorblatt", "ZQR", "Zqr", "XYZAB", "mDIXON", "iQon"])
def test_small_letters_abbreviations_and_mixed_case_are_no_names(word: str) -> None:
    assert not is_unknown_name(word)
