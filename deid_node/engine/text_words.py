"""The word lists of action C, read from packaged data once.

Clinical words stay, common words stay unless they stand beside a name, names go. Which word is where is
data: engine/words/*.txt by hand, *.txt.xz made by tools/make_word_lists.py from permissive sources.
"""

from __future__ import annotations

import lzma
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
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
_KNOWN: Final = 10_000  # beginnings that are remembered; a sender may ask for any number that no word has


class PackedWords(Set[str]):
    """Very many words in little memory: one text, of which those that begin alike are cut out when asked for.

    A hundred thousand names take 1 MB and no time to load; as a set of strings they would take 13.
    """

    def __init__(self, lines: bytes, also: Set[str], but: Set[str]) -> None:
        """Take sorted lines of one word each in UTF-8, the words of `also`, and none of `but`."""
        self._lines = lines
        self._alike: dict[str, str] = {}
        self._also = also - but
        self._but = but

    def __contains__(self, word: object) -> bool:
        if word in self._also:
            return True
        if not isinstance(word, str) or word in self._but:
            return False
        head = f"{word}\n"[:_ALIKE]
        alike = self._alike.get(head)
        if alike is None:
            alike = self._beginning(head.encode(errors="surrogatepass"))
            if len(alike) > 1 or len(self._alike) < _KNOWN:
                self._alike[head] = alike
        return f"\n{word}\n" in alike

    def _beginning(self, head: bytes) -> str:
        """Return the lines that begin with some bytes, with a line end before each."""
        lines, places = self._lines, range(len(self._lines))

        def begins(place: int) -> bytes:  # the order of UTF-8 is that of the characters
            start = lines.rfind(b"\n", 0, place) + 1
            return lines[start : start + len(head)]

        start, end = bisect_left(places, head, key=begins), bisect_right(places, head, key=begins)
        return "\n" + lines[start:end].decode()

    def __iter__(self) -> Iterator[str]:
        yield from self._also
        words = self._lines.decode().split()
        yield from (word for word in words if word not in self._also and word not in self._but)

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
        whole = fold(line).split()
        words.update(whole)
        for word in whole:
            if not word.isalnum():
                words.update(_WORD.findall(word))
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
    lines = lzma.decompress(data)
    while lines.startswith(b"#"):
        lines = lines[lines.index(b"\n") + 1 :]
    return PackedWords(lines, also, but)
