"""How this program names itself, in associations (PS3.7 D.3.3.2) and in files (PS3.10 section 7.1)."""

from __future__ import annotations

from typing import Final

from deid_node import __version__

_LONGEST_SH: Final = 16

IMPLEMENTATION_CLASS_UID: Final = "2.25.302674851968234786317543720894436127905"
IMPLEMENTATION_VERSION_NAME: Final = f"DEIDNODE_{__version__}"[:_LONGEST_SH]
