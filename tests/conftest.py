"""What every test gets: an account of its own, so that nothing of this machine decides a test.

Log events go to stderr, so that what a command prints stands alone on stdout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import structlog


@pytest.fixture(autouse=True)
def _own_account(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a home without settings or keys, and no settings in the environment."""
    for variable in list(os.environ):
        if variable.startswith("DEID_NODE_") or variable in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "account"))


@pytest.fixture(autouse=True)
def _log_to_stderr() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder for the state of one node."""
    return tmp_path / "state"
