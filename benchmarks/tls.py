"""Certificates for the lines with TLS: one authority, one certificate for each side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: of the authority, of who is called, of who calls."""

    ca: Path
    node: Path
    node_key: Path
    caller: Path
    caller_key: Path


def issue(folder: Path) -> TlsFiles:
    """Make certificates for an hour; both sides have the name localhost."""
    folder.mkdir()
    authority = Authority(folder)
    node, caller = authority.issue("node"), authority.issue("caller")
    return TlsFiles(authority.file, node.file, node.key, caller.file, caller.key)
