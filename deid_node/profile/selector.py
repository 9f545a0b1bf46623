"""Selectors: which attributes a row of a profile is about. Parsed once, printed back as written.

A path ("A.B") names an attribute directly inside the items of a sequence; everything else matches at
every depth. Specificity orders rows: longer path, then tag over mask over regular expression over VR
over * (profiles/README.md, "Which row wins").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.standard import dictionary

_ALL_BITS: Final = 0xFFFFFFFF


class Kind(IntEnum):
    """What a selector is written as; a larger one is more specific."""

    ANY = 0
    VR = 1
    REGEX = 2
    MASK = 3
    TAG = 4
    PRIVATE = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One selector without a path.

    `mask` and `value` say which tags are meant (`tag & mask == value`) for TAG and MASK; `vr`,
    `pattern` and `private` (group, creator, low byte) serve their kind only.
    """

    kind: Kind
    mask: int = 0
    value: int = 0
    vr: str = ""
    pattern: re.Pattern[str] | None = None
    private: tuple[int, str, int] | None = None

    @property
    def tag(self) -> int | None:
        """The one public tag that is meant, None when the selector is wider."""
        return self.value if self.kind is Kind.TAG else None

    @property
    def is_wide(self) -> bool:
        """More than one attribute may match."""
        return self.kind < Kind.TAG

    def matches(self, tag: int, vr: str) -> bool:
        """Tell whether a public tag of this VR is meant."""
        match self.kind:
            case Kind.TAG | Kind.MASK:
                return tag & self.mask == self.value
            case Kind.VR:
                return vr == self.vr
            case Kind.REGEX:
                keyword = dictionary.keyword_of(tag)
                return bool(keyword and self.pattern and self.pattern.match(keyword))
            case Kind.ANY:
                return True
            case Kind.PRIVATE:
                return False


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; `text` is as written."""

    text: str
    last: Step = field(compare=False)
    path: tuple[Step, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Parse a selector.

        Raises:
            ProfileError: it names nothing that exists; says what would be right.
        """
        return _parsed(text)

    def __str__(self) -> str:
        return self.text

    @property
    def specificity(self) -> tuple[int, int, int]:
        """Larger wins: length of the path, kind, number of hexadecimal digits a mask fixes."""
        fixed = self.last.mask.bit_count() if self.last.kind is Kind.MASK else 0
        return len(self.path), int(self.last.kind), fixed

    @property
    def same_as(self) -> tuple[object, ...]:
        """Equal for two spellings of the same selector: a tag and its keyword."""
        return tuple(
            (step.kind, step.mask, step.value, step.vr, step.pattern and step.pattern.pattern, step.private)
            for step in (*self.path, self.last)
        )


@lru_cache(maxsize=8192)
def _parsed(text: str) -> Selector:
    *path, last = [_step(part, text) for part in _parts(text)]
    for step in path:
        _check_sequence(step, text)
    return Selector(text, last, tuple(path))


_TAG: Final = re.compile(r"\(?([0-9A-Fa-fXx]{4})\s*,\s*([0-9A-Fa-fXx]{4})\)?|([0-9A-Fa-fXx]{8})")
_PRIVATE: Final = re.compile(
    r"\(?([0-9A-Fa-f]{4})\s*,?\s*\[([^\]]+)\]\s*,?\s*(?:[Xx]{2})?([0-9A-Fa-f]{2})\)?"
)
_GROUP: Final = re.compile(r"[0-9A-Fa-fXx]{4}")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_FIRST_PART: Final = re.compile(
    r"(?:\([^)]*\)|[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}|[0-9A-Fa-f]{4}\[[^\]]*\][0-9A-Fa-fXx]+|[A-Za-z0-9]+)(?=\.)"
)


def _parts(text: str) -> Iterator[str]:
    rest = text.strip()
    while found := _FIRST_PART.match(rest):
        yield found[0]
        rest = rest[found.end() + 1 :]
    yield rest


def _step(part: str, whole: str) -> Step:
    if part == "*":
        return Step(Kind.ANY)
    if part.startswith("re:"):
        return _regex(part[3:], whole)
    if part.startswith("vr:"):
        return _vr(part[3:], whole)
    if part.startswith("group:"):
        return _group(part[6:], whole)
    private = _PRIVATE.fullmatch(part)
    if private is not None:
        return _private(int(private[1], 16), private[2].strip(), int(private[3], 16), whole)
    tag = _TAG.fullmatch(part)
    if tag is not None:
        return _masked(tag[3] or tag[1] + tag[2])
    return _keyword(part, whole)


def _masked(digits: str) -> Step:
    mask, value = dictionary.parse_mask(digits)
    return Step(Kind.TAG if mask == _ALL_BITS else Kind.MASK, mask, value)


def _private(group: int, creator: str, element: int, whole: str) -> Step:
    if not group & 1:
        raise ProfileError(f"Selector {whole!r}: a private group is odd, {group:04X} is not")
    return Step(Kind.PRIVATE, private=(group, creator, element))


def _keyword(word: str, whole: str) -> Step:
    tag = dictionary.tag_of(word)
    if tag is None:
        raise ProfileError(f"Selector {whole!r}: {_unknown(word)}")
    for mask, value, row in dictionary.repeating():
        if row.keyword == word and tag == value:
            return Step(Kind.MASK, mask, value)
    return Step(Kind.TAG, _ALL_BITS, tag)


def _unknown(word: str) -> str:
    if word in names.VRS:
        return f"{word!r} is no attribute; a VR is written vr:{word}"
    if not _KEYWORD.fullmatch(word):
        return (
            f"{word!r} is no selector; write a keyword, (gggg,eeee), a mask such as 60xx,3000, vr:PN,"
            " re:.*Name, group:0010, a private element such as 0019[CREATOR]xx23, a path A.B, or *"
        )
    return f"{word!r} is no attribute of the dictionary{names.nearest_keyword(word)}"


def _regex(pattern: str, whole: str) -> Step:
    try:
        return Step(Kind.REGEX, pattern=re.compile(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        why = getattr(error, "msg", error)
        raise ProfileError(f"Selector {whole!r}: not a regular expression: {why}") from error


def _vr(vr: str, whole: str) -> Step:
    if vr not in names.VRS:
        raise ProfileError(f"Selector {whole!r}: {vr!r} is no VR{names.did_you_mean(vr, names.VRS)}")
    return Step(Kind.VR, vr=vr)


def _group(group: str, whole: str) -> Step:
    if not _GROUP.fullmatch(group):
        raise ProfileError(f"Selector {whole!r}: a group has four hexadecimal digits, as in group:0010")
    return _masked(group + "xxxx")


def _check_sequence(step: Step, whole: str) -> None:
    if step.kind is Kind.PRIVATE:
        return
    if step.tag is None:
        raise ProfileError(f"Selector {whole!r}: only its last part may stand for several attributes")
    if dictionary.vr_of(step.tag) not in ("SQ", "UN"):
        raise ProfileError(f"Selector {whole!r}: {names.written(step.tag)} is no sequence")
