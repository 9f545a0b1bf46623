"""deid_node: a DICOM network node that de-identifies on the wire and loses nothing.

As a library: `from deid_node import Engine, deidentify, deidentify_many`. The rest is reached through the
command `deid-node`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deid_node.files import Engine, FileResult, Filters, Options, Outcome, deidentify, deidentify_many

__all__ = ["Engine", "FileResult", "Filters", "Options", "Outcome", "deidentify", "deidentify_many"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `deid-node version` must not wait for pydicom."""
    if name in __all__:
        from deid_node import files

        return getattr(files, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return also the names that are imported when they are asked for."""
    return sorted({*globals(), *__all__})
