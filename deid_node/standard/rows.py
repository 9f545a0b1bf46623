"""Reads the packaged tables: tab-separated text with a notice in front.

`tools/make_standard_tables.py` writes them. Lines that begin with "#" are notice and source.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_FOLDER: Final = "data"


def read_text(name: str) -> str:
    """Return the text of a packaged table without its notice lines."""
    text = (files(__package__) / _FOLDER / name).read_text("utf-8")
    start = 0
    while text.startswith("#", start):
        start = text.index("\n", start) + 1
    return text[start:]


def read_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a packaged table by column name; an absent cell is ""."""
    header, *lines = read_text(name).splitlines()
    columns = header.split("\t")
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]
