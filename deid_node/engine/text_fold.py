"""Folding: one form for the spellings of one word, so that Müller, MÜLLER and muller are equal.

Case, width (half width katakana, full width Latin) and diacritics go; letters without a decomposition
(ø, ł, ß) become their usual Latin ones. `spellings` adds the German and Nordic two-letter forms.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from deid_node.engine.remembering import remembering

_SPECIAL: Final = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i",
        "ħ": "h", "ŋ": "n", "ə": "e", "’": "'", "ʼ": "'", "`": "'",
    }
)  # fmt: skip
_TWO_LETTERS: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"}


def fold(text: str) -> str:
    """Return the folded form of a word or text; ASCII only loses its case."""
    return text.lower() if text.isascii() else _folded(text)


@remembering(16_384)
def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_SPECIAL))
    kept = (
        character
        for character in decomposed
        if not (unicodedata.combining(character) and ord(character) < 0x0590)  # other scripts keep marks
    )
    return unicodedata.normalize("NFC", "".join(kept)).casefold().translate(_SPECIAL)


def spellings(word: str) -> frozenset[str]:
    """Return the folded forms under which a word of a name may be met.

    Müller is also written Mueller, and Mueller may be met as Müller.
    """
    folded = fold(word)
    found = {folded}
    if not word.isascii():
        two_letters = unicodedata.normalize("NFC", word).lower()
        for letter, pair in _TWO_LETTERS.items():
            two_letters = two_letters.replace(letter, pair)
        found.add(fold(two_letters))
    one_letter = folded
    for pair, letter in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        one_letter = one_letter.replace(pair, letter)
    if len(one_letter) >= 4:
        found.add(one_letter)
    return frozenset(found)
