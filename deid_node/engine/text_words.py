"""The word lists of action C, read from packaged data once.

Clinical words stay, common words stay unless they stand beside a name, names go. Which word is where is
data: engine/words/*.txt by hand, *.txt.xz made by tools/make_word_lists.py from permissive sources.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import StringIO
from itertools import dropwhile, groupby
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
_ALIKE: Final = 3


class PackedWords(Set[str]):
    """Very many words in little memory: those that begin alike stand in one text.

    A hundred thousand names take 2 MB; as a set of strings they would take 13.
    """

    def __init__(self, lines: Iterable[str], also: Set[str], but: Set[str]) -> None:
        """Take sorted lines of one word each, the words of `also`, and none of `but`."""
        alike = groupby(lines, lambda line: line.rstrip("\n")[:_ALIKE])
        self._texts = {head: "\n" + "".join(some) for head, some in alike}
        self._also = also - but
        self._but = but

    def __contains__(self, word: object) -> bool:
        if word in self._also:
            return True
        if not isinstance(word, str) or word in self._but:
            return False
        return f"\n{word}\n" in self._texts.get(word[:_ALIKE], "")

    def __iter__(self) -> Iterator[str]:
        yield from self._also
        for text in self._texts.values():
            yield from (word for word in text.split() if word not in self._also and word not in self._but)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class WordLists:
    """Folded words: `clinical` stay, `common` stay alone, `names` go, `eponyms` go without a disease.

    `anatomy` are those clinical words that a description is about: a patient named Head has head scans.
    """

    clinical: Set[str]
    common: Set[str]
    eponyms: Set[str]
    names: Set[str]
    anatomy: Set[str] = frozenset()

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
    text = _text("clinical.txt")
    clinical = words_of(text)
    sections = text.split("\n\n")
    anatomy = words_of("\n".join(one for one in sections if one.startswith("# anatomy")))
    eponyms = words_of(_text("eponyms.txt")) - clinical
    names = words_of(_text("institutions.txt")) - clinical | eponyms
    return WordLists(
        clinical,
        _made("vocabulary.txt.xz", frozenset(), but=eponyms),
        eponyms,
        _made("names.txt.xz", names, but=PLACEHOLDERS),
        anatomy,
    )


def _text(name: str) -> str:
    return (resources.files("deid_node.engine") / "words" / name).read_text(encoding="utf-8")


def _made(name: str, also: Set[str], *, but: Set[str]) -> PackedWords:
    data = (resources.files("deid_node.engine") / "words" / name).read_bytes()
    lines = dropwhile(lambda line: line.startswith("#"), StringIO(lzma.decompress(data).decode()))
    return PackedWords(lines, also, but)
