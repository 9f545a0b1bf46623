"""How this program names itself on the network (PS3.7 D.3.3.2), and the silence of pynetdicom.

pynetdicom's handlers log identifiers and the texts of exceptions, which can hold patient values.
"""

from __future__ import annotations

import logging
from typing import Final

IMPLEMENTATION_CLASS_UID: Final = "2.25.182179475162047165698647277163922708868"
IMPLEMENTATION_VERSION: Final = "DEID_NODE_01"


def silence_pynetdicom() -> None:
    """Let no record of pynetdicom's loggers reach any handler."""
    logger = logging.getLogger("pynetdicom")
    logger.handlers.clear()
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
