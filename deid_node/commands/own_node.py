"""The configured node as a peer to call from its own machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from deid_node.dimse.peer import Peer


def own_node(config: Path | None, calling: str, timeout_s: float) -> tuple[Peer, ssl.SSLContext | None]:
    """Return the node at its port, and what TLS to it needs.

    Args:
        config: the settings, None for the usual places.
        calling: AE title to call with.
        timeout_s: for each answer.

    Raises:
        ConfigurationError: the settings or the certificate cannot be used.
    """
    from deid_node.dimse.peer import Peer
    from deid_node.node.tls import own_context
    from deid_node.settings.load import load_settings
    from deid_node.standard.values import AETitle

    settings = load_settings(config).settings
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read, not bound
    host = anywhere.get(settings.host, settings.host)
    titles = [str(title) for route in settings.effective_routes.values() for title in route.called]
    called = str(settings.ae_title) if settings.ae_title in titles else titles[0]
    peer = Peer(host, settings.port, AETitle(called), AETitle(calling), timeout_s)
    return peer, own_context(settings)
