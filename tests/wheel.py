"""The objects that come with pydicom's wheel, and no others.

pydicom's own `get_testdata_files` tries to download those that are not in the wheel: which ones there are
would depend on the network, and a machine without one waits for a minute.
"""

from __future__ import annotations

from pathlib import Path

import pydicom.data

_FOLDER = Path(pydicom.data.__file__).parent / "test_files"


def wheel_files(pattern: str = "**/*") -> list[Path]:
    """Return the files whose path matches a pattern, in a fixed order."""
    return sorted(path for path in _FOLDER.glob(pattern) if path.is_file())
