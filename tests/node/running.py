"""A node inside the test process, and senders to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.node.part10 import read_part10
from deid_node.node.service import Node
from deid_node.settings import Settings
from deid_node.settings.load import Loaded
from deid_node.spool.desk import Desk
from deid_node.standard.values import AETitle
from tests.peers import LOOPBACK

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"


@contextmanager
def running(state: Path, **settings: Any) -> Iterator[Node]:
    """Run a node on a free port while the block runs."""
    node = Node(Loaded(Settings(state=state, host=LOOPBACK, port=0, **settings), None))
    node.start()
    try:
        yield node
    finally:
        node.stop()


def peer(node: Node, called: str = "DEIDNODE", calling: str = "TEST") -> Peer:
    """Return the node as a peer to call."""
    return Peer(LOOPBACK, node.address[1], AETitle(called), AETitle(calling), 10)


def store(node: Node, file: Path, called: str = "DEIDNODE", **request: str) -> StoreAnswer:
    """Send one file; `request` replaces UIDs of the C-STORE-RQ."""
    uids = {**uids_of(file), **request}
    with Requestor.connect(
        peer(node, called), [(uids["sop_class_uid"], uids["transfer_syntax_uid"])]
    ) as assoc:
        return store_on(assoc, file, **request)


def store_on(assoc: Requestor, file: Path, **request: str) -> StoreAnswer:
    """Send one file over an association."""
    with file.open("rb") as stream:
        offset = read_part10(stream).offset
        length = stream.seek(0, 2) - offset
        return assoc.store_file(stream, offset=offset, length=length, **{**uids_of(file), **request})


def uids_of(file: Path) -> dict[str, str]:
    """Return what a C-STORE-RQ says of a file."""
    with file.open("rb") as stream:
        part10 = read_part10(stream)
    return {
        "sop_class_uid": part10.sop_class_uid,
        "sop_instance_uid": part10.sop_instance_uid,
        "transfer_syntax_uid": part10.transfer_syntax_uid,
    }


def refusals(node: Node) -> list[str]:
    """Return the codes of what the node did not take."""
    return [refusal.code for refusal in Desk(node.settings.spool_folder).status().refusals]
