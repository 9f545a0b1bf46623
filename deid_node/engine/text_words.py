"""The word lists of action C, read from packaged data once.

Clinical words stay, common words stay unless they stand beside a name, names go. Which word is where is
data: engine/words/*.txt by hand, *.txt.xz made by tools/make_word_lists.py from permissive sources.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import islice
from typing import Final

from deid_node.engine.text_fold import fold

PARTICLES: Final = frozenset(
    "van von der den de del della di da dos das du des la le les el al bin ibn ben bint mac mc zu zum zur "
    "ter ten op af av y e o san santa st saint abu abd".split()
)
"""Small words inside names: they go with a name, never alone."""

TITLES: Final = frozenset(
    "dr drs prof professor doctor doktor md phd mr mrs ms miss mister frau herr hr mme mlle monsieur "
    "madame sr sra srta senor senora don dona dott dottssa dottore sig signora signor dhr mevr mevrouw "
    "mevr meneer pan pani med habil univ dipl priv doz pd oa ca rn np pa do fr sir dame rev jr sen".split()
)
"""Titles and suffixes in components of PN: no part of a name that could be searched for."""

PLACEHOLDERS: Final = frozenset(
    "anonymous anonymized anonymised anonym anon unknown unk none null na nn test tests testing phantom "
    "qa qc noname deidentified removed redacted dummy patient patientname name xxx xxxx default demo "
    "sample unnamed unbekannt inconnu desconocido ignoto hospital doctor physician".split()
)
"""Values that stand for no person: they identify nobody and are not searched for."""

_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class WordLists:
    """Folded words: `clinical` stay, `common` stay alone, `names` go, `eponyms` go without a disease."""

    clinical: Set[str]
    common: Set[str]
    eponyms: Set[str]
    names: Set[str]

    def is_name(self, folded: str) -> bool:
        """Tell whether a word is a name and nothing else."""
        return folded in self.names and folded not in self.clinical and folded not in self.common

    def is_known_word(self, folded: str) -> bool:
        """Tell whether a word belongs to the language of descriptions."""
        return folded in self.clinical or folded in self.common


def words_of(text: str) -> frozenset[str]:
    """Return the folded words of a list: separated by blanks, `#` begins a comment line.

    A word with hyphens or other signs counts whole and by its parts.
    """
    words: set[str] = set()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        for word in line.split():
            words.add(fold(word))
            words.update(fold(part) for part in _WORD.findall(word))
    return frozenset(words)


@lru_cache(maxsize=1)
def word_lists() -> WordLists:
    """Return the packaged lists; the first call reads them."""
    clinical = words_of(_text("clinical.txt"))
    eponyms = words_of(_text("eponyms.txt")) - clinical
    common, names = _made("vocabulary.txt.xz"), _made("names.txt.xz")
    # In place: the large ones are tens of megabytes while there are three of each.
    common -= eponyms
    names |= words_of(_text("institutions.txt")) - clinical
    names |= eponyms
    names -= PLACEHOLDERS
    return WordLists(clinical, common, eponyms, names)


def _text(name: str) -> str:
    return (resources.files("deid_node.engine") / "words" / name).read_text(encoding="utf-8")


def _made(name: str) -> set[str]:
    data = (resources.files("deid_node.engine") / "words" / name).read_bytes()
    lines = lzma.decompress(data).decode().splitlines()
    heads = next(at for at, line in enumerate(lines) if not line.startswith("#"))
    return set(islice(lines, heads, None))
