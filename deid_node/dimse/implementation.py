"""How this program names itself on the network (PS3.7 D.3.3.2), and the silence of libraries.

pynetdicom logs identifiers and the texts of exceptions, pydicom warns of values by quoting them.
"""

from __future__ import annotations

import logging
import warnings
from typing import Final

IMPLEMENTATION_CLASS_UID: Final = "2.25.182179475162047165698647277163922708868"
IMPLEMENTATION_VERSION: Final = "DEID_NODE_01"


def silence_libraries() -> None:
    """Let no record of pynetdicom and pydicom reach any handler, and no warning of pydicom be shown."""
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)\b")
