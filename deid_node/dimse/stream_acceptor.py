"""The acceptor of choice: our own receive loop, with constant memory per association."""

from __future__ import annotations

from deid_node.dimse.accepted import AcceptedAssociation
from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.stream_association import StreamAssociation
from deid_node.dimse.wire import Wire


class StreamAcceptor(ListeningAcceptor):
    """Reads objects while they arrive; what one association needs does not grow with them."""

    def _association(self, wire: Wire) -> AcceptedAssociation:
        return StreamAssociation(wire, self._intake, self._limits, self._hall, self._tls)
