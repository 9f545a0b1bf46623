"""Delivery: lanes that take entries from the spool to destinations, and the destinations."""

from deid_node.delivery.cstore import CStoreDestination
from deid_node.delivery.destination import Destination, Parcel, Sender, UnusableError
from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.lane import Lane, LaneStatus
from deid_node.delivery.policy import DestinationPolicy, Hours
from deid_node.delivery.template import FILE_FIELDS, PathTemplate

__all__ = [
    "FILE_FIELDS",
    "CStoreDestination",
    "Destination",
    "DestinationPolicy",
    "FolderDestination",
    "Hours",
    "Lane",
    "LaneStatus",
    "Parcel",
    "PathTemplate",
    "Sender",
    "UnusableError",
]
