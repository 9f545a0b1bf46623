"""Valid objects for real peers, and a process that sends them until a failpoint strikes.

Run as `python -m tests.delivery.sending SPOOL PORT`: delivers what the spool holds and ends.
"""

from __future__ import annotations

import sys
import time
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from deid_node.delivery.cstore import CStoreDestination
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.dimse.peer import Peer
from deid_node.engine.deidentified import Deidentified, Heading
from deid_node.spool import Spool
from deid_node.standard.values import AETitle
from tests.spool.objects import CT, EXPLICIT, summary

QUICK = DestinationPolicy(first_pause_s=0.01, longest_pause_s=0.05, poll_s=0.01, linger_s=0.1)


def real_object(number: int, sop_class: str = CT) -> tuple[Heading, bytes]:
    ds = Dataset()
    ds.SOPClassUID = UID(sop_class)
    ds.SOPInstanceUID = UID(f"2.25.{1000 + number}")
    ds.PatientID = "PSEUDO"
    ds.StudyInstanceUID = "2.25.77"
    ds.SeriesInstanceUID = "2.25.78"
    ds.InstanceNumber = number
    ds.Rows = ds.Columns = 64
    ds.PixelData = bytes(range(256)) * 32
    ds["PixelData"].VR = "OW"
    out = BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True)
    return Heading(sop_class, str(ds.SOPInstanceUID), EXPLICIT, b""), out.getvalue()


def put_real(spool: Spool, number: int, sop_class: str = CT) -> None:
    head, content = real_object(number, sop_class)
    draft = spool.draft()
    draft.write(head._replace(meta=b"\0" * 128 + b"DICM"), Deidentified([content]))
    draft.commit(summary(number, head), route="r", destinations=["a"])


def peer_at(port: int, timeout_s: float = 5) -> Peer:
    return Peer("127.0.0.1", port, AETitle("DOWN"), AETitle("NODE"), timeout_s=timeout_s)


def main() -> None:
    spool = Spool.open(Path(sys.argv[1]))
    lane = Lane(spool, CStoreDestination("a", peer_at(int(sys.argv[2]))), QUICK)
    lane.start()
    while spool.desk.queue():
        time.sleep(0.01)
    lane.stop(10)
    spool.close()


if __name__ == "__main__":
    main()
