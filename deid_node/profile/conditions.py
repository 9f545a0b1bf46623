"""Conditions of gates: a small closed language over attributes, AE titles and SOP class.

Parsed once by an own tokenizer and parser, never by `eval`. An attribute stands for every value of
every occurrence at any depth; a comparison holds as soon as one value satisfies it, so
`BurnedInAnnotation not in ('', 'NO')` holds when any value anywhere is another one, and nothing
holds for an absent attribute. `not (...)` negates the whole. The grammar is in profiles/README.md.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from deid_node.errors import Fault, ProfileError
from deid_node.profile import names
from deid_node.standard import dictionary

Values = Callable[[int], tuple[str, ...]]
Literal = str | float

SOP_CLASS_UID: Final = 0x00080016
ORIGINS: Final = ("sop_class", "calling_ae", "called_ae", "address")
ALIASES: Final = {"modality": 0x00080060}
_ORDER: Final[Mapping[str, Callable[[Literal, Literal], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DEEPEST: Final = 50
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "matches")


class Node(Protocol):
    """One part of a parsed condition."""

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        """Tell whether this part is true for one object."""
        ...

    @property
    def tags(self) -> frozenset[int]:
        """The attributes that must be known to decide."""
        ...


@dataclass(frozen=True, slots=True)
class Operand:
    """What is compared: an attribute (`tag`) or a fact of the association (`origin`)."""

    tag: int | None
    origin: str = ""
    folds: bool = False  # VR CS: yes equals YES

    @property
    def tags(self) -> frozenset[int]:
        return frozenset() if self.tag is None else frozenset((self.tag,))

    def read(self, values: Values, origin: Mapping[str, str]) -> tuple[str, ...]:
        """Return every value, stripped of padding."""
        if self.origin and self.origin in origin:
            return (origin[self.origin],)
        found = values(self.tag) if self.tag is not None else ()
        return tuple(text.strip(" \0") for text in found)


@dataclass(frozen=True, slots=True)
class Comparison:
    """An operand, an operator and one or more literals."""

    operand: Operand
    operator: str
    literals: tuple[Literal, ...]
    pattern: re.Pattern[str] | None = None

    @property
    def tags(self) -> frozenset[int]:
        return self.operand.tags

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        return any(self._satisfied(text) for text in self.operand.read(values, origin))

    def _satisfied(self, text: str) -> bool:
        if self.pattern is not None:
            return self.pattern.search(text) is not None
        if self.operator in _ORDER:
            return self._ordered(text)
        equal = any(self._equal(text, literal) for literal in self.literals)
        return equal if self.operator in ("==", "in") else not equal

    def _equal(self, text: str, literal: Literal) -> bool:
        if isinstance(literal, float):
            return _number(text) == literal
        return text.casefold() == literal.casefold() if self.operand.folds else text == literal

    def _ordered(self, text: str) -> bool:
        (literal,) = self.literals
        if not text:
            return False
        if isinstance(literal, str):
            return _ORDER[self.operator](text, literal)
        number = _number(text)
        if number is None:
            where = names.written(self.operand.tag) if self.operand.tag is not None else self.operand.origin
            raise Fault("A condition compares with a number, and the value is none", path=where)
        return _ORDER[self.operator](number, literal)


@dataclass(frozen=True, slots=True)
class Exists:
    """True when the attribute occurs at any depth, with or without a value."""

    operand: Operand

    @property
    def tags(self) -> frozenset[int]:
        return self.operand.tags

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        return bool(self.operand.read(values, origin))


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    part: Node

    @property
    def tags(self) -> frozenset[int]:
        return self.part.tags

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        return not self.part.holds(values, origin)


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts joined by `and` (all) or `or` (any)."""

    every: bool
    parts: tuple[Node, ...]

    @property
    def tags(self) -> frozenset[int]:
        return frozenset().union(*(part.tags for part in self.parts))

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        results = (part.holds(values, origin) for part in self.parts)
        return all(results) if self.every else any(results)


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition; `text` is as written, `tags` are the attributes it needs."""

    text: str
    root: Node = field(repr=False, compare=False)
    tags: frozenset[int] = field(repr=False, compare=False, default=frozenset())

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Parse a condition.

        Raises:
            ProfileError: the text is no condition; says at which character, and what would be right.
        """
        root = _Parser(text).parse()
        return cls(text, root, root.tags)

    def __str__(self) -> str:
        return self.text

    def holds(self, values: Values, origin: Mapping[str, str]) -> bool:
        """Tell whether the condition is true for one object.

        Args:
            values: tag to every value of every occurrence at any depth; an occurrence without a
                value counts as "", absence as no value.
            origin: "calling_ae", "called_ae", "address" of the association; "sop_class" if known.

        Raises:
            Fault: an order comparison with a number meets a value that is none.
        """
        return self.root.holds(values, origin)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# --- parser ---------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<tag>\([0-9A-Fa-f]{4},\s*[0-9A-Fa-f]{4}\))
    | (?P<number>[-+]?[0-9]+(?:\.[0-9]+)?(?![\w.]))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<sign>==|!=|<=|>=|<|>|[()\[\],])
    | (?P<end>\Z)
    | (?P<wrong>.)
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int  # first character, from 1


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [self._token(found) for found in _TOKEN.finditer(text)]
        self._next = 0
        self._depth = 0

    @staticmethod
    def _token(found: re.Match[str]) -> _Token:
        kind = found.lastgroup or "end"
        return _Token(kind, found[kind], found.start(kind) + 1)

    @property
    def _here(self) -> _Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._here
        self._next += 1
        return token

    def _took(self, *texts: str) -> bool:
        """Take the next token if it is one of these words or signs."""
        here = self._here
        if here.kind in ("word", "sign") and here.text in texts:
            self._next += 1
            return True
        return False

    def _wrong(self, token: _Token, right: str) -> ProfileError:
        found = "the text ends" if token.kind == "end" else f"{token.text!r} is not understood"
        return ProfileError(f"Condition {self._text!r}, character {token.at}: {found}; {right}")

    def parse(self) -> Node:
        root = self._either()
        if self._here.kind != "end":
            raise self._wrong(self._here, "expected 'and', 'or' or the end")
        return root

    def _either(self) -> Node:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Joined(False, tuple(parts))

    def _both(self) -> Node:
        parts = [self._negation()]
        while self._took("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else Joined(True, tuple(parts))

    def _negation(self) -> Node:
        if self._here.text not in ("not", "("):
            return self._primary()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(self._here, f"not more than {_DEEPEST} 'not' and '(' may stand in each other")
        if self._took("not"):
            node: Node = Not(self._negation())
        else:
            self._take()
            node = self._either()
            self._expect(")")
        self._depth -= 1
        return node

    def _primary(self) -> Node:
        if self._here.text == "exists":
            self._take()
            self._expect("(")
            operand = self._operand()
            self._expect(")")
            return Exists(operand)
        return self._comparison()

    def _expect(self, sign: str) -> None:
        if not self._took(sign):
            raise self._wrong(self._here, f"expected {sign!r}")

    def _operand(self) -> Operand:
        token = self._take()
        if token.kind == "tag":
            digits = re.sub(r"[^0-9A-Fa-f]", "", token.text)
            return self._attribute(int(digits, 16))
        if token.kind == "word":
            if token.text in ORIGINS:
                return Operand(SOP_CLASS_UID if token.text == "sop_class" else None, token.text)
            tag = ALIASES.get(token.text) or dictionary.tag_of(token.text)
            if tag is not None:
                return self._attribute(tag)
            near = names.did_you_mean(token.text, (*ORIGINS, *ALIASES, *dictionary.keywords()))
            raise self._wrong(token, f"expected an attribute or one of {', '.join(ORIGINS)}{near}")
        raise self._wrong(token, f"expected an attribute, 'exists(...)' or one of {', '.join(ORIGINS)}")

    @staticmethod
    def _attribute(tag: int) -> Operand:
        return Operand(tag, folds=dictionary.vr_of(tag) == "CS")

    def _comparison(self) -> Comparison:
        operand = self._operand()
        token = self._take()
        sign = token.text
        if sign == "not" and self._took("in"):
            sign = "not in"
        if token.kind not in ("word", "sign") or sign not in _COMPARISONS:
            near = names.did_you_mean(sign, _COMPARISONS) if token.kind == "word" else ""
            raise self._wrong(token, f"expected one of {', '.join(_COMPARISONS)}{near}")
        if sign in ("in", "not in"):
            return Comparison(operand, sign, self._list(operand))
        at = self._here
        literal = self._literal(operand)
        if sign == "matches":
            return Comparison(operand, sign, (literal,), self._pattern(at, literal, operand))
        return Comparison(operand, sign, (literal,))

    def _list(self, operand: Operand) -> tuple[Literal, ...]:
        if self._here.kind == "tag":  # in (2020, 2021) looks like a tag to the tokenizer
            return tuple(float(part) for part in re.findall(r"[0-9]{4}", self._take().text))
        closing = ")" if self._here.text == "(" else "]"
        if not self._took("(", "["):
            raise self._wrong(self._here, "expected a list such as ('A', 'B')")
        literals = []
        while not self._took(closing):
            literals.append(self._literal(operand))
            if self._here.text != closing:
                self._expect(",")
        return tuple(literals)

    def _literal(self, operand: Operand) -> Literal:
        token = self._take()
        if token.kind == "number":
            return float(token.text)
        if token.kind == "string":
            text = re.sub(r"\\(['\"\\])", r"\1", token.text[1:-1])
            return self._sop_class(token, text) if operand.tag == SOP_CLASS_UID else text
        if token.kind == "word":
            if operand.tag == SOP_CLASS_UID:
                return self._sop_class(token, token.text)
            raise self._wrong(token, f"a text stands in quotes: '{token.text}'")
        raise self._wrong(token, "expected a text in quotes or a number")

    def _sop_class(self, token: _Token, text: str) -> str:
        uid = names.sop_class_uid(text)
        if uid is None:
            raise self._wrong(token, f"expected a SOP class{names.nearest_sop_class(text)}")
        return uid

    def _pattern(self, token: _Token, literal: Literal, operand: Operand) -> re.Pattern[str]:
        try:
            return re.compile(str(literal), re.IGNORECASE if operand.folds else 0)
        except (re.error, OverflowError, RecursionError) as error:
            raise self._wrong(token, f"not a regular expression: {getattr(error, 'msg', error)}") from error
