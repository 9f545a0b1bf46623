"""Libraries that would tell of values are made silent.

pynetdicom logs identifiers and the texts of exceptions, pydicom warns of values by quoting them.
"""

from __future__ import annotations

import logging
import warnings


def silence_libraries() -> None:
    """Let no record of pynetdicom and pydicom reach any handler, and no warning of pydicom be shown."""
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)\b")
