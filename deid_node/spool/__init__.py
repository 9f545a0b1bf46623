"""The durable spool: bytes, ledger, and what happens between a crash and the next object."""

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
    Rerouted,
)
from deid_node.spool.reading import open_checked
from deid_node.spool.spool import Spool

__all__ = [
    "NEEDED_ATTRIBUTES",
    "Commit",
    "CommitKind",
    "Deferred",
    "Delivered",
    "DeliveryState",
    "Draft",
    "Entry",
    "Held",
    "ItemState",
    "Origin",
    "Outcome",
    "Refusal",
    "Refused",
    "Released",
    "Rerouted",
    "Spool",
    "open_checked",
]
