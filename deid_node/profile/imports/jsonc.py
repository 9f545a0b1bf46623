"""JSON as people write it: comments, trailing commas, and for every value the line it stands in.

With `relaxed` also the object literals of JavaScript: bare keys, single quotes. Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile.places import Place

_DEPTH: Final = 64
_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<single>'(?:[^'\\\n]|\\.)*')
      | (?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<mark>[{}\[\]:,])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Value:
    """A value and its line; of an object `members` are (key, line of the key, value) in order."""

    line: int
    plain: str | int | float | bool | None = None
    items: tuple[Value, ...] | None = None
    members: tuple[tuple[str, int, Value], ...] | None = None

    @property
    def is_object(self) -> bool:
        """Whether it is an object."""
        return self.members is not None

    @property
    def is_text(self) -> bool:
        """Whether it is a text."""
        return isinstance(self.plain, str)

    def get(self, key: str) -> Value | None:
        """Return the member of an object whose key is this in any case, the last of several."""
        found = [value for name, _, value in self.members or () if name.casefold() == key.casefold()]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def parse(text: str, file: str, *, relaxed: bool = False, missing_commas: list[int] | None = None) -> Value:
    """Return the value of a JSON text.

    Args:
        missing_commas: takes the lines in which a comma between two lines of an object is missing; without
            it a missing comma is an error.

    Raises:
        ProfileError: it is none; with the line.
    """
    reader = _Reader(file, list(_tokens(text)), relaxed, missing_commas)
    value = reader.value(0)
    reader.end()
    return value


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "other"
        if kind != "skip":
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")
    yield _Token("end", "the end of the text", line)


class _Reader:
    def __init__(
        self, file: str, tokens: list[_Token], relaxed: bool, missing_commas: list[int] | None
    ) -> None:
        self._file = file
        self._missing_commas = missing_commas
        self._tokens = tokens
        self._relaxed = relaxed
        self._at = 0

    def value(self, depth: int) -> Value:
        token = self._take()
        if depth > _DEPTH:
            raise self._wrong(token, "nested too deeply")
        if token.text == "{" and token.kind == "mark":
            return self._object(token, depth)
        if token.text == "[" and token.kind == "mark":
            return self._array(token, depth)
        if token.kind == "string" or (token.kind == "single" and self._relaxed):
            return Value(token.line, self._text(token))
        if token.kind == "number":
            return Value(token.line, json.loads(token.text))
        if token.kind == "word" and token.text in _WORDS:
            return Value(token.line, _WORDS[token.text])
        raise self._wrong(token, f"expected a value, found {_shown(token)}")

    def end(self) -> None:
        token = self._take()
        if token.kind != "end":
            raise self._wrong(token, f"expected the end of the text, found {_shown(token)}")

    def _object(self, begin: _Token, depth: int) -> Value:
        members: list[tuple[str, int, Value]] = []
        while not self._ends("}"):
            key = self._take()
            if key.kind == "word" and self._relaxed:
                name = key.text
            elif key.kind == "string" or (key.kind == "single" and self._relaxed):
                name = self._text(key)
            else:
                raise self._wrong(key, f"expected a key in quotes, found {_shown(key)}")
            self._expect(":", f"after {name!r}")
            members.append((name, key.line, self.value(depth + 1)))
            self._comma("}")
        return Value(begin.line, members=tuple(members))

    def _array(self, begin: _Token, depth: int) -> Value:
        items: list[Value] = []
        while not self._ends("]"):
            items.append(self.value(depth + 1))
            self._comma("]")
        return Value(begin.line, items=tuple(items))

    def _comma(self, closing: str) -> None:
        """Take a comma; none is needed before the closing mark, and one too many is allowed there."""
        if self._peek().text == closing and self._peek().kind == "mark":
            return
        last, token = self._tokens[self._at - 1], self._peek()
        is_next_line = closing == "}" and token.kind == "string" and token.line > last.line
        if self._missing_commas is not None and is_next_line:
            self._missing_commas.append(last.line)
            return
        self._expect(",", f"or '{closing}'")

    def _ends(self, closing: str) -> bool:
        if self._peek().kind == "mark" and self._peek().text == closing:
            self._at += 1
            return True
        return False

    def _expect(self, mark: str, where: str) -> None:
        token = self._take()
        if token.kind != "mark" or token.text != mark:
            raise self._wrong(token, f"expected '{mark}' {where}, found {_shown(token)}")

    def _text(self, token: _Token) -> str:
        body = token.text[1:-1]
        if token.kind == "single":
            body = re.sub(r'\\\'|(?<!\\)"', lambda found: "'" if found[0] == "\\'" else '\\"', body)
        try:
            return str(json.loads(f'"{body}"', strict=False))
        except json.JSONDecodeError:
            raise self._wrong(token, "a text with an escape that is none") from None

    def _peek(self) -> _Token:
        return self._tokens[min(self._at, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _wrong(self, token: _Token, text: str) -> ProfileError:
        return ProfileError(f"{Place(self._file, token.line)}: not JSON: {text}")


def _shown(token: _Token) -> str:
    if token.kind == "end":
        return token.text
    return "a text" if token.kind in ("string", "single") else f"'{token.text[:20]}'"
