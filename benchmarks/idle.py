"""Holds associations that send nothing: `python -m benchmarks.idle PORT CALLED COUNT`.

Says "ready" when all stand, waits for a line, verifies each by C-ECHO, and prints how many answered.
"""

from __future__ import annotations

import sys

from benchmarks.processes import HOST
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle

_VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")


def main(port: int, called: str, count: int) -> None:
    """Hold them until a line comes."""
    peer = Peer(HOST, port, AETitle(called), AETitle("IDLE"), timeout_s=120)
    held = [Requestor.connect(peer, [_VERIFICATION]) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.readline()
    answered = 0
    for requestor in held:
        try:
            answered += requestor.echo() == 0
        except AssociationError:
            continue
    print("answered", answered, flush=True)
    for requestor in held:
        requestor.release()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
