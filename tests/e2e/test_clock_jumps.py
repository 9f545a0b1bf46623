"""The wall clock of a running node jumps by seconds, hours and days: it loses and repeats nothing, and
everything happens in its time."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from deid_node.dimse.negotiation import VERIFICATION
from deid_node.dimse.requestor import Requestor
from deid_node.node.quarantine import notes
from deid_node.node.sealing import make_key_pair
from deid_node.spool import DeliveryState, Desk, check
from tests.delivery.downstream import downstream
from tests.dimse.raw import IMPLICIT
from tests.e2e.clocks import NOTICED_S, WallClock, running_by
from tests.e2e.modality import Modality
from tests.e2e.objects import series
from tests.e2e.running import RunningNode, ae_destination
from tests.e2e.striking import Sender, scanner_at
from tests.node.running import CT, store_on
from tests.peers import wait_for

HOUR, DAY = 3600, 86400
JUMPS = (HOUR, 0, DAY, -DAY, -HOUR, 1, 0)
"""Where the clock is put: forward and back, by an hour, a day, two days, and a leap second."""


@pytest.mark.parametrize("acceptor", ["stream", "pynetdicom"])
def test_no_association_ends_and_nothing_is_sent_twice_when_the_clock_jumps(
    tmp_path: Path, acceptor: str
) -> None:
    files = series(tmp_path / "files", 160, pixel_bytes=8192)
    clock = WallClock(tmp_path / "clock")
    with downstream() as down:
        node = RunningNode(tmp_path / "node", ae_destination(down.port), extra=f'acceptor = "{acceptor}"\n')
        with running_by(clock, node):
            idle = Requestor.connect(scanner_at(node.port, 10), [(VERIFICATION, IMPLICIT)])
            parts = [files[at::8] for at in range(8)]
            acknowledged = 0
            for number, jump in enumerate(JUMPS):
                modality = Modality(node.port, parts[number], number)
                modality.thread.start()
                clock.set(jump)
                wait_for(lambda m=modality: not m.thread.is_alive(), "all is acknowledged", 30)  # type: ignore[misc]
                time.sleep(NOTICED_S)
                assert idle.echo() == 0, jump
                assert modality.other_answers == []
                acknowledged += len(modality.acknowledged)
            idle.release()
            desk = Desk(node.home / "state" / "spool")
            wait_for(lambda: not desk.queue(), "everything is delivered", 30)
            status = desk.status()
            found = check(node.home / "state" / "spool")
            log = node.log.read_text()

    assert acknowledged == sum(len(part) for part in parts[: len(JUMPS)])
    assert Counter(down.stored).total() == len(set(down.stored)) == acknowledged
    assert status.destinations["down"] == {DeliveryState.DELIVERED: acknowledged}
    assert found == []
    assert "node.recovered" not in log


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY])
def test_a_deferred_object_is_tried_neither_at_once_nor_much_later(tmp_path: Path, jump: int) -> None:
    clock = WallClock(tmp_path / "clock")
    pause_s = 8
    with downstream("A700") as down:
        pauses = f"first_pause_s = {pause_s}\nlongest_pause_s = {pause_s}\n"
        node = RunningNode(tmp_path / "node", ae_destination(down.port) + pauses)
        with running_by(clock, node):
            assert Sender(node.port).store() == 0
            desk = Desk(node.home / "state" / "spool")

            def left_s() -> float:
                """How long the pause is still; tried at once when it is too short to jump within it."""
                [entry] = desk.queue()
                if entry.state != DeliveryState.DEFERRED:
                    return 0
                if entry.not_before < time.time() + 1:
                    desk.retry()
                return entry.not_before - time.time()

            wait_for(lambda: left_s() > NOTICED_S + 1, "the next attempt is far away", 60)
            [entry] = desk.queue()
            attempts = len(down.asked_at)
            clock.set(jump)
            wait_for(lambda: len(down.asked_at) > attempts, "tried again", 3 * pause_s)

    tried_at = down.asked_at[attempts]
    assert entry.not_before - 0.2 <= tried_at <= entry.not_before + pause_s


def test_hours_are_those_of_the_clock_also_when_it_jumps(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "clock")

    def local(hour: int) -> int:
        """Return how far the clock has to be put ahead for this hour of tomorrow."""
        now = time.localtime()
        return DAY + (hour - now.tm_hour) * HOUR - now.tm_min * 60

    with downstream() as down:
        hours = 'hours = "20:00-06:00"\n'
        node = RunningNode(tmp_path / "node", ae_destination(down.port) + hours)
        clock.set(local(12))
        with running_by(clock, node):
            sender = Sender(node.port)
            assert sender.store() == 0
            time.sleep(NOTICED_S)
            at_noon = len(down.stored)
            clock.set(local(22))
            wait_for(lambda: len(down.stored) == 1, "sent at night", 60)

    assert at_noon == 0


def test_what_is_kept_for_days_does_not_go_when_the_clock_jumps(tmp_path: Path) -> None:
    """What goes by age is looked for at the start, and every hour from then on."""
    clock = WallClock(tmp_path / "clock")
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    make_key_pair(private, public)
    node = RunningNode(
        tmp_path / "node",
        extra=(
            f'[spool]\nhistory_days = 30\n[quarantine]\npublic_key = "{public}"\nkeep_days = 7\n'
            '[routes.r]\ncalled = "DEIDNODE"\ndestinations = "out"\non_reject = "quarantine"\n'
        ),
    )
    state = node.home / "state"
    burned_in = pydicom.dcmread(CT)
    burned_in.BurnedInAnnotation = "YES"
    burned_in.save_as(tmp_path / "rejected.dcm")

    def kept_at(ahead_s: int) -> tuple[int, int]:
        """Return how many objects are in quarantine and in the ledger some time after a start."""
        clock.set(ahead_s)
        with running_by(clock, node):
            time.sleep(1)
        return len(notes(state / "quarantine")), len(Desk(state / "spool").arrivals(0, 10))

    with running_by(clock, node):
        sender = Sender(node.port)
        for file in (*series(tmp_path / "files", 2), tmp_path / "rejected.dcm"):
            assert store_on(sender.assoc, file).status == 0
        wait_for(lambda: not Desk(state / "spool").queue(), "they are delivered")

    kept = [kept_at(days * DAY) for days in (6, -6, 8, 60, 0)]

    assert kept == [(1, 2)] * 5
