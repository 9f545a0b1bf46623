"""The action language of CTP scripts: text and calls such as @hashuid(@UIDROOT,this), parsed, not run.

A call is @name(arguments), behind @if, @select and @append with blocks in braces. RSNA's script also has
bare words: @uid, @ptid. A backslash makes the next character plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*(?=\()|([A-Za-z][A-Za-z0-9]*)")
_MOST_BRACES: Final = 64
_WITH_BLOCKS: Final = frozenset({"if", "select", "append"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `is_bare` without parentheses."""

    name: str
    arguments: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    is_bare: bool = False

    def argument(self, number: int) -> str:
        """Return an argument without its quotes, empty when there is none."""
        if number >= len(self.arguments):
            return ""
        text = self.arguments[number].strip()
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


Node = str | Call


def parse(text: str) -> list[Node]:
    """Return the parts of an action.

    Raises:
        ValueError: a parenthesis or a brace is not closed, or there are too many braces to follow.
    """
    if text.count("{") > _MOST_BRACES:
        raise ValueError(f"more than {_MOST_BRACES} blocks in one action")
    nodes: list[Node] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            _add_text(nodes, text[position + 1])
            position += 2
        elif character == "@" and (word := _WORD.match(text, position + 1)):
            call, position = _call(text, word)
            nodes.append(call)
        else:
            _add_text(nodes, character)
            position += 1
    return nodes


def _add_text(nodes: list[Node], text: str) -> None:
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] += text
    else:
        nodes.append(text)


def _call(text: str, word: re.Match[str]) -> tuple[Call, int]:
    name, position = word[1] or word[2], word.end()
    if text[position : position + 1] != "(":
        return Call(name.lower(), is_bare=True), position
    end = _closing(text, position)
    arguments = _split(text[position + 1 : end])
    position = end + 1
    blocks = []
    while name.lower() in _WITH_BLOCKS and text[position:].lstrip()[:1] == "{":
        begin = text.index("{", position)
        end = _closing(text, begin)
        blocks.append(text[begin + 1 : end])
        position = end + 1
    return Call(name.lower(), arguments, tuple(blocks)), position


def _closing(text: str, begin: int) -> int:
    """Return where the bracket at `begin` is closed; quoted and escaped ones do not count."""
    opening = text[begin]
    closing = {"(": ")", "{": "}"}[opening]
    depth, position, is_quoted = 0, begin, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == '"' and opening == "(":
            is_quoted = not is_quoted
        elif not is_quoted and character == opening:
            depth += 1
        elif not is_quoted and character == closing:
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise ValueError(f"a {opening!r} is not closed")


def _split(text: str) -> tuple[str, ...]:
    if not text.strip():
        return ()
    parts = [""]
    is_quoted, depth = False, 0
    for character in text:
        is_quoted ^= character == '"'
        depth += {"[": 1, "]": -1}.get(character, 0) if not is_quoted else 0
        if character == "," and not is_quoted and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip() for part in parts)
