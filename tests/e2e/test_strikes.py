"""Every system call of one object, from first byte to last delivery: the process dies at it, or it fails.

The node runs as it is, without a hook; strace strikes. The first call of each kind, thread and stage
is struck here; with DEID_NODE_STRIKES=all every one is, which takes a quarter of an hour.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StoreStatus
from tests.e2e.striking import AGAIN, SETTLING, Strike, calls_of_one_object, strike
from tests.peers import require

ALL = os.environ.get("DEID_NODE_STRIKES") == "all"
ERRORS = {
    "writev": ("EIO", "ENOSPC", "EDQUOT"),
    "pwrite64": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO", "ENOSPC"),
    "fsync": ("EIO",),
    "fdatasync": ("EIO", "ENOSPC"),
    "openat": ("EMFILE", "EROFS"),
    "mkdirat": ("EROFS", "EDQUOT"),
    "renameat": ("EIO", "EROFS"),
    "linkat": ("EIO", "EDQUOT"),
    "sendfile": ("EIO", "ENOSPC"),
    "unlinkat": ("EIO", "EROFS"),
}
LASTING = ("writev", "ftruncate", "fsync", "fdatasync", "renameat")
pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600 if ALL else 900)]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Strike]:
    require("strace")
    found = calls_of_one_object(tmp_path_factory.mktemp("counted"))
    assert len(found) > 50
    planned = {(call.stage, call.call) for call in found}
    assert planned >= {(SETTLING, "renameat"), (AGAIN, "openat"), (AGAIN, "ftruncate"), (AGAIN, "renameat")}
    return found if ALL else [call for call in found if call.nth == 1]


def test_a_process_that_dies_at_any_system_call_has_lost_nothing_it_acknowledged(
    tmp_path: Path, calls: list[Strike]
) -> None:
    done = [strike(tmp_path / str(number), blow) for number, blow in enumerate(calls)]

    killed = [struck for struck in done if struck.struck]
    assert len(killed) > 0.9 * len(calls)
    assert {struck.ended for struck in killed} == {-9}
    assert {struck.status for struck in done} <= {StoreStatus.SUCCESS, None}
    print(f"{len(killed)} kills, {sum(struck.status == 0 for struck in done)} acknowledged, 0 lost")


def test_a_system_call_that_fails_loses_nothing_and_ends_the_node_at_most_once(
    tmp_path: Path, calls: list[Strike]
) -> None:
    blows = [
        replace(call, deed=f"error={error}")
        for call in calls
        for error in ERRORS.get(call.call, ())
        if not (error == "EROFS" and call.role.startswith("lane"))  # which opens to read
    ]

    done = {blow: strike(tmp_path / str(number), blow) for number, blow in enumerate(blows)}

    assert sum(struck.struck for struck in done.values()) > 0.9 * len(blows)
    assert {struck.status for struck in done.values()} <= {
        StoreStatus.SUCCESS,
        StoreStatus.OUT_OF_RESOURCES,
    }
    assert {struck.ended for struck in done.values()} <= {None, ExitCode.IO_ERROR}
    for blow, struck in done.items():
        is_lasting = blow.deed in ("error=EIO", "error=EROFS") and blow.role == "dimse-association"
        if is_lasting and struck.struck and blow.call in LASTING:
            assert (struck.status, struck.ended) == (StoreStatus.OUT_OF_RESOURCES, ExitCode.IO_ERROR), blow
    print(f"{len(blows)} failures, {sum(s.status == 0 for s in done.values())} acknowledged, 0 lost")
