"""A storage SCP as pynetdicom's documentation shows it, for comparison.

usage: python -m tests.peers.stock PORT FOLDER [CERTIFICATE KEY AUTHORITIES]
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]


def main(port: str, folder: str, *tls: str) -> None:
    """Serve until ended."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)

    def store(event: Any) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        ds.save_as(out / f"{ds.get('SOPInstanceUID', 'none')}.dcm", enforce_file_format=True)
        return 0

    ae = AE()
    ae.supported_contexts = AllStoragePresentationContexts
    for context in ae.supported_contexts:
        context.transfer_syntax = ALL_TRANSFER_SYNTAXES
    ae.add_supported_context(Verification)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[0], tls[1])
        context.load_verify_locations(tls[2])
        context.verify_mode = ssl.CERT_REQUIRED
    handlers = [(evt.EVT_C_STORE, store)]
    ae.start_server(("127.0.0.1", int(port)), block=True, evt_handlers=handlers, ssl_context=context)


if __name__ == "__main__":
    main(*sys.argv[1:])
