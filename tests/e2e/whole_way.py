"""A node that tells which of its threads is which; run as `python -m tests.e2e.whole_way STATE PORT`.

Delivers to a folder and to the AE that listens on PORT. Prints its own port, and for every line it reads
the system's numbers of its threads by name. Ends as `serve` does.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from deid_node.commands.exit_codes import ExitCode
from deid_node.log import configure_log
from deid_node.node.service import Node, run
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.load import Loaded
from tests.peers import LOOPBACK


def settings(state: Path, port: int) -> Settings:
    """Return the settings of a node with both kinds of destinations."""
    return Settings(
        state=state,
        host=LOOPBACK,
        port=0,
        destinations={
            "out": FolderSettings(
                kind="folder",
                path=state / "out",
                template="{SOPInstanceUID}.dcm",
                may_link=False,
                first_pause_s=0.2,
            ),
            "down": AESettings(
                kind="ae", host=LOOPBACK, port=port, ae_title="DOWN", timeout_s=5, first_pause_s=0.2
            ),
        },
    )


def _answer() -> None:
    for _ in sys.stdin:
        print(json.dumps({thread.name: thread.native_id for thread in threading.enumerate()}), flush=True)


def main() -> None:
    configure_log(stream=sys.stderr)
    loaded = Loaded(settings(Path(sys.argv[1]), int(sys.argv[2])), None)
    node = Node(loaded)
    threading.Thread(target=_answer, name="stdin", daemon=True).start()
    failed = run(node, lambda: loaded, ready=lambda: print(node.address[1], flush=True))
    sys.exit(ExitCode.IO_ERROR if failed else ExitCode.OK)


if __name__ == "__main__":
    main()
