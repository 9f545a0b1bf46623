"""The process stands still, is asked to stop, and reads its settings again, all under load."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deid_node.commands.exit_codes import ExitCode
from deid_node.spool import DeliveryState, Desk, check
from tests.delivery.downstream import downstream
from tests.e2e.modality import Modality
from tests.e2e.objects import pixel_digests, series
from tests.e2e.running import RunningNode, ae_destination, running
from tests.e2e.striking import Sender
from tests.peers import wait_for

SENDERS = 4
SHORT = "[limits]\npdu_s = 2\nidle_s = 3\nsend_s = 2\nrate_window_s = 2\nrequest_s = 2\n"
STILL_S = 6.0


def acknowledged(modalities: list[Modality]) -> list[Path]:
    return [file for modality in modalities for file in modality.acknowledged]


@contextmanager
def sending(node: RunningNode, files: list[Path]) -> Iterator[list[Modality]]:
    """Send files from several modalities at once; all are acknowledged when the block ends."""
    modalities = [Modality(node.port, files[n::SENDERS], n) for n in range(SENDERS)]
    for modality in modalities:
        modality.thread.start()
    wait_for(lambda: len(acknowledged(modalities)) > 10, "objects are acknowledged")
    yield modalities
    wait_for(lambda: not any(m.thread.is_alive() for m in modalities), "everything is acknowledged", 90)
    assert sorted(acknowledged(modalities)) == files
    assert {answer for m in modalities for answer in m.other_answers} <= {0xA700}


def signalled(node: RunningNode, number: signal.Signals) -> None:
    assert node.process is not None
    os.kill(node.process.pid, number)


def test_a_process_that_stood_still_for_longer_than_every_deadline_has_lost_nothing(tmp_path: Path) -> None:
    files = series(tmp_path / "files", 240, pixel_bytes=8192)
    with downstream() as down:
        destinations = ae_destination(down.port) + "timeout_s = 2\nfirst_pause_s = 0.5\nsenders = 2\n"
        with running(tmp_path / "node", destinations, extra=SHORT) as node:
            desk = Desk(node.home / "state" / "spool")
            with sending(node, files):
                for _ in range(2):
                    signalled(node, signal.SIGSTOP)
                    time.sleep(STILL_S)
                    signalled(node, signal.SIGCONT)
                    before = len(down.stored)
                    wait_for(lambda before=before: len(down.stored) > before, "it goes on")  # type: ignore[misc]
            wait_for(lambda: not desk.queue(), "everything is delivered", 60)
            status = desk.status()
            found = check(node.home / "state" / "spool")

    times = Counter(down.stored)
    assert len(times) == len(files)
    assert sum(times.values()) <= len(files) + 2 * 2  # of each sender one that it had no answer for
    assert {state.value: n for state, n in status.destinations["down"].items()} == {"delivered": len(files)}
    assert sum(study.objects for study in status.studies) == len(files)
    assert found == []


def test_standing_still_makes_no_attempt_early_and_none_much_later(tmp_path: Path) -> None:
    with downstream("A700") as down:
        destinations = ae_destination(down.port) + "first_pause_s = 8\nlongest_pause_s = 8\n"
        with running(tmp_path / "node", destinations) as node:
            assert Sender(node.port).store() == 0
            desk = Desk(node.home / "state" / "spool")

            def is_paused() -> bool:
                [entry] = desk.queue()
                if entry.state == DeliveryState.DEFERRED and entry.not_before < time.time() + 1:
                    desk.retry()
                return entry.state == DeliveryState.DEFERRED and entry.not_before > time.time() + 2

            wait_for(is_paused, "an attempt is far away", 60)
            [entry] = desk.queue()
            attempts = len(down.asked_at)
            signalled(node, signal.SIGSTOP)
            time.sleep(3)
            signalled(node, signal.SIGCONT)
            awake = time.time()
            wait_for(lambda: len(down.asked_at) > attempts, "tried again")

    tried = down.asked_at[attempts]
    assert entry.not_before - 0.1 <= tried <= max(entry.not_before, awake) + 2


def test_sigterm_under_load_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    files = series(tmp_path / "files", 400, pixel_bytes=8192)
    with running(tmp_path / "node", extra="stop_limit_s = 20\n") as node:
        with sending(node, files):
            assert node.process is not None
            signalled(node, signal.SIGTERM)
            ended = node.process.wait(30)
            left = list((node.home / "state" / "spool" / "incoming").iterdir())
            node.start()
        desk = Desk(node.home / "state" / "spool")
        wait_for(lambda: not desk.queue(), "everything is delivered", 60)
        log = node.log.read_text(errors="replace")
        status = desk.status()

    assert ended == ExitCode.OK
    assert left == []
    assert '"node.stopped"' in log
    assert '"node.recovered"' not in log
    assert pixel_digests(node.stored()) == pixel_digests(files)
    assert {state.value: n for state, n in status.destinations["out"].items()} == {"delivered": len(files)}


@pytest.mark.parametrize("bad", ["port = [", 'profile = "no-such-profile"\n', "prot = 104\n"])
def test_a_hang_up_with_bad_settings_under_load_changes_nothing(tmp_path: Path, bad: str) -> None:
    files = series(tmp_path / "files", 120, pixel_bytes=8192)
    with running(tmp_path / "node") as node:
        good = node.config.read_text()
        with sending(node, files):
            node.config.write_text(bad + good)
            signalled(node, signal.SIGHUP)
            wait_for(lambda: '"node.reload_refused"' in node.log.read_text(), "it is told")
            node.config.write_text(good)
            signalled(node, signal.SIGHUP)
            wait_for(lambda: '"node.reloaded"' in node.log.read_text(), "good settings are taken")
        wait_for(lambda: len(node.stored()) == len(files), "everything is delivered", 60)
        profiles = {item["profile"] for item in Desk(node.home / "state" / "spool").arrivals(0, 1000)}

    assert len(profiles) == 1
