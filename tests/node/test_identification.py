"""How the node names itself."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

from deid_node.settings import AcceptorKind
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.node.running import CT, running, store
from tests.peers import LOOPBACK, wait_for


@pytest.mark.parametrize("acceptor", list(AcceptorKind))
def test_an_association_names_the_implementation_that_the_files_name(
    tmp_path: Path, acceptor: AcceptorKind
) -> None:
    ae = AE()
    ae.add_requested_context("1.2.840.10008.1.1")

    with running(tmp_path, acceptor=acceptor) as node:
        assoc = ae.associate(LOOPBACK, node.address[1], ae_title="DEIDNODE")
        named = (assoc.acceptor.implementation_class_uid, assoc.acceptor.implementation_version_name)
        assoc.release()
        store(node, CT)
        wait_for(lambda: list((tmp_path / "out").rglob("*.dcm")), "the file")
    (file,) = (tmp_path / "out").rglob("*.dcm")
    meta = pydicom.dcmread(file).file_meta

    assert named == (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
    assert (meta.ImplementationClassUID, meta.ImplementationVersionName) == named
