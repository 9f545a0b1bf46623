"""Make deid_node/engine/words/{names,vocabulary}.txt.xz from packages with permissive licences.

Needs, beside pydicom, for making only: faker, names, wonderwords, mnemonic (see `_SOURCES` for their
licences; the word lists carry them in their heads). The result depends on nothing but the versions of
these packages: words are folded, filtered and sorted, and compressed without a time stamp.

    pip install faker==40.54.0 names==0.3.0 wonderwords==3.0.1 mnemonic==0.21 pydicom==3.0.2
    python tools/make_word_lists.py
"""

from __future__ import annotations

import importlib
import importlib.metadata
import lzma
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import PARTICLES, words_of

WORDS = Path(__file__).parents[1] / "deid_node" / "engine" / "words"
_SOURCES = {
    "faker": "MIT; person and lorem providers",
    "names": "MIT; United States Census 1990 names, public domain",
    "wonderwords": "MIT; nouns, adjectives, verbs",
    "mnemonic": "MIT; BIP-39 word lists",
    "pydicom": "MIT; code meanings and attribute names of DICOM",
}
_SURNAMES_TAKEN = 60_000  # of 88,799 by frequency; the tail holds slips of the pen of common words
_SHORT_SURNAMES_TAKEN = 3_000  # three letters are more often an abbreviation than a rare name
_COMMON_GIVEN_NAMES = 400
_LETTERS = re.compile(r"[^\W\d_]+")
_WESTERN = (
    "cs",
    "da",
    "de",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "hr",
    "hu",
    "is",
    "it",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sv",
)


def main() -> None:
    """Write both lists."""
    clinical = words_of((WORDS / "clinical.txt").read_text(encoding="utf-8"))
    common = words_of((WORDS / "common.txt").read_text(encoding="utf-8"))
    frequent = set(_census_given(_COMMON_GIVEN_NAMES)) | set(_census_surnames(1_500))
    names = {name for name in _names() if name not in PARTICLES}
    vocabulary = (set(_vocabulary(names, frequent)) | common) - clinical
    _write("names.txt.xz", names, ("faker", "names"))
    _write("vocabulary.txt.xz", vocabulary, ("wonderwords", "mnemonic", "faker", "pydicom"))


def _names() -> Iterator[str]:
    yield from _census_surnames(_SURNAMES_TAKEN)
    yield from _census_given(None)
    import faker.providers.person as person

    for locale in sorted(module.name for module in pkgutil.iter_modules(person.__path__)):
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for attribute in sorted(vars(provider)):
            if "name" in attribute and not any(
                word in attribute for word in ("format", "language", "romanized_f")
            ):
                yield from _parts(
                    _strings(getattr(provider, attribute)), 4 if locale[:2] not in _WESTERN else 3
                )


def _census_surnames(taken: int) -> Iterator[str]:
    for rank, name in enumerate(_census("dist.all.last"), 1):
        if rank <= (taken if len(name) > 3 else min(taken, _SHORT_SURNAMES_TAKEN)):
            yield from _parts([name], 3)


def _census_given(taken: int | None) -> Iterator[str]:
    for source in ("dist.female.first", "dist.male.first"):
        yield from _parts(list(_census(source))[:taken], 3)


def _census(source: str) -> Iterator[str]:
    import names

    for line in (Path(names.__file__).parent / source).read_text().splitlines():
        yield line.split()[0]


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple, set, dict)):
        return [text for part in value for text in _strings(part)]
    return []


def _parts(texts: Iterable[str], shortest_latin: int) -> Iterator[str]:
    """Yield the folded words of names; other scripts than Latin need only two letters."""
    for text in texts:
        for word in _LETTERS.findall(text):
            folded = fold(word)
            if len(folded) >= (shortest_latin if folded.isascii() else 2):
                yield folded


def _vocabulary(names: set[str], frequent: set[str]) -> Iterator[str]:
    """Yield words of the language that are not first of all names.

    A capital inside a code meaning marks an eponym: it is taken only when it is no name. A lower case
    English word is taken though it is a name as well (iris, palm), unless it is one of the most
    frequent; one of another language only when it is no name (oliveira).
    """
    for text, dependable in _texts():
        for word in _LETTERS.findall(text):
            folded = fold(word)
            if len(folded) < 2:
                continue
            if folded not in names or (dependable and word[0].islower() and folded not in frequent):
                yield folded


def _texts() -> Iterator[tuple[str, bool]]:
    """Yield texts, and whether they are English, where a small first letter marks a common word."""
    import mnemonic
    import wonderwords
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
    from pydicom.sr._concepts_dict import concepts

    for source in ("nounlist.txt", "adjectivelist.txt", "verblist.txt"):
        for line in (Path(wonderwords.__file__).parent / "assets" / source).read_text().splitlines():
            yield line.strip(), True
            if source == "nounlist.txt" and not line.strip().endswith("s"):
                yield line.strip() + "s", True
    for language in ("english", "french", "italian", "spanish", "portuguese"):
        yield from (
            (w, language == "english")
            for w in _lines(Path(mnemonic.__file__).parent / "wordlist" / f"{language}.txt")
        )
    for locale in ("en_US", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL"):
        provider = importlib.import_module(f"faker.providers.lorem.{locale}").Provider
        yield from ((word, locale == "en_US") for word in provider.word_list)
    for codes in concepts.values():
        for meanings in codes.values():
            yield from ((meaning[0], True) for meaning in meanings.values())
    for entry in (*DicomDictionary.values(), *RepeatersDictionary.values()):
        yield entry[2], False


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _write(name: str, words: set[str], sources: tuple[str, ...]) -> None:
    head = ["# Made by tools/make_word_lists.py; do not edit. Sources and their licences:"]
    head += [f"# {source} {importlib.metadata.version(source)}: {_SOURCES[source]}" for source in sources]
    text = "\n".join([*head, *sorted(words)]) + "\n"
    data = lzma.compress(text.encode(), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, preset=9)
    (WORDS / name).write_bytes(data)
    print(f"{name}: {len(words)} words, {len(data)} bytes")


if __name__ == "__main__":
    main()
