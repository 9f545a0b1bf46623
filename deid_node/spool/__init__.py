"""The durable spool: bytes, ledger, and what happens between a crash and the next object."""

from deid_node.spool.counts import StudyCounts
from deid_node.spool.desk import Desk, QueueEntry, RefusalCounts, Selection, SpoolStatus
from deid_node.spool.draft import Draft
from deid_node.spool.entry import NEEDED_ATTRIBUTES, Commit, CommitKind, Entry, Origin, Refusal
from deid_node.spool.outcomes import (
    Deferred,
    Delivered,
    DeliveryState,
    Held,
    ItemState,
    Outcome,
    Refused,
    Released,
)
from deid_node.spool.reading import Content, Reader
from deid_node.spool.spool import Spool
from deid_node.spool.upkeep import backup, check

__all__ = [
    "NEEDED_ATTRIBUTES",
    "Commit",
    "CommitKind",
    "Content",
    "Deferred",
    "Delivered",
    "DeliveryState",
    "Desk",
    "Draft",
    "Entry",
    "Held",
    "ItemState",
    "Origin",
    "Outcome",
    "QueueEntry",
    "Reader",
    "Refusal",
    "RefusalCounts",
    "Refused",
    "Released",
    "Selection",
    "Spool",
    "SpoolStatus",
    "StudyCounts",
    "backup",
    "check",
]
