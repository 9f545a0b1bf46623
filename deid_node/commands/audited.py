"""Deeds of people in the audit stream: written before they are done, with the account that does them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_audit(config: Path | None, event: str, **fields: object) -> None:
    """Write an event, unless the settings switch the audit stream off.

    Raises:
        SpoolError: it cannot be written; what it tells of must not be done.
    """
    from deid_node.node.audit import who
    from deid_node.node.records import open_audit
    from deid_node.settings.load import load_settings

    audit = open_audit(load_settings(config).settings)
    if audit is not None:
        audit.write(event, **fields, **who())
