"""The peer that a careful programmer writes in an afternoon: pynetdicom, pydicom, one handler.

Applies the Basic Profile of Table E.1-1 to a decoded dataset and saves it. Run as a program of its own:
`python -m benchmarks.pynetdicom_deid PORT FOLDER [HOST PORT]`; with HOST and PORT it forwards as well.
"""

from __future__ import annotations

import hashlib
import socket
import sys
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification

from deid_node.standard.rows import read_rows

_MAX_PDU = 131072
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70")


def _actions() -> dict[int, str]:
    found = {}
    for row in read_rows("confidentiality.tsv"):
        digits = row["tag"].strip("()").replace(",", "")
        if "x" not in digits and row["keyword"]:
            found[int(digits, 16)] = row["basic"][0]
    return found


_ACTIONS = _actions()


def _uid(value: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(value.encode()).digest()[:16])}"


def _change(ds: Dataset, elem: DataElement) -> None:
    action = _ACTIONS.get(int(elem.tag))
    if action == "X":
        del ds[elem.tag]
    elif action == "Z":
        elem.value = None if elem.VR != "SQ" else []
    elif action == "U" and elem.value:
        elem.value = [_uid(part) for part in elem.value] if elem.VM > 1 else _uid(elem.value)
    elif action == "D":
        elem.value = (
            "20000101" if elem.VR == "DA" else None if elem.VR in {"SQ", "DT", "TM"} else "DEIDENTIFIED"
        )


def deidentify(ds: Dataset) -> None:
    """Apply the Basic Profile in place."""
    ds.remove_private_tags()
    ds.walk(_change)
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "pynetdicom + pydicom"


def _no_delay(event: Event) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(port: int, folder: Path, downstream: tuple[str, int] | None) -> None:
    """Serve until killed."""
    _config.LOG_HANDLER_LEVEL = "none"
    forward: list[Association] = []

    def store(event: Event) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        deidentify(ds)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        if downstream is None:
            ds.save_as(folder / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
            return 0
        if not forward or not forward[0].is_established:
            sender = AE("FORWARD")
            sender.maximum_pdu_size = _MAX_PDU
            sender.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
            forward[:] = [sender.associate(*downstream, evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay)])]
        return int(forward[0].send_c_store(ds).Status)

    ae = AE("PEER")
    ae.maximum_pdu_size, ae.maximum_associations = _MAX_PDU, 1000
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, _SYNTAXES)
    ae.add_supported_context(Verification)
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_CONN_OPEN, _no_delay)]
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)


if __name__ == "__main__":
    _host = (sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 3 else None
    main(int(sys.argv[1]), Path(sys.argv[2]), _host)
