"""Profiles written for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deid_node.errors import ProfileError
from deid_node.profile import library
from deid_node.profile.procedure import Procedure

Compile = Callable[..., Procedure]
Problems = Callable[..., tuple[str, ...]]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compile a profile from its text; others beside it are written as keyword arguments."""

    def compile_text(text: str, **others: str) -> Procedure:
        for name, other in others.items():
            (tmp_path / f"{name}.toml").write_text(other)
        (tmp_path / "site.toml").write_text(text if "name =" in text else f'name = "site"\n{text}')
        return library.load(tmp_path / "site.toml")

    return compile_text


@pytest.fixture
def problems_of(compiled: Compile) -> Problems:
    """Return every problem of a profile that must not load."""

    def load(text: str, **others: str) -> tuple[str, ...]:
        with pytest.raises(ProfileError) as caught:
            compiled(text, **others)
        return caught.value.problems

    return load
