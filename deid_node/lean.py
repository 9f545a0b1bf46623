"""Start without what libraries would load for others: memory that a node holds for as long as it runs.

structlog loads rich, and with it Pygments, for tracebacks that we never print; pydicom loads numpy for
pixels that we never decode. Both do without where they are not installed, and so they are told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

_NOT_NEEDED: Final = ("numpy", "rich")
_ASKING: Final = ("pydicom", "pynetdicom", "structlog")
_ENOUGH: Final = {"deidentify": ("pydicom",), "explain": ("pydicom",)}
"""Of commands that need less than a node: what they do not need takes a tenth of their start."""


def load_libraries(command: str = "") -> None:
    """Import the libraries that would load more than a command needs. For a process of our own, once."""
    with _without(_NOT_NEEDED):
        for name in _ENOUGH.get(command, _ASKING):
            import_module(name)


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Let imports of some packages fail as if they were not installed; afterwards they are again."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None stops an import
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
