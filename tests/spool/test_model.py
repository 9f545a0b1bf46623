"""Whatever is done with a spool, in whatever order, it does what a plain model of it does.

DEID_NODE_EXAMPLES says how many histories are tried (40 unless told).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from deid_node.spool import (
    CommitKind,
    Content,
    Deferred,
    Delivered,
    Entry,
    Held,
    Outcome,
    Reader,
    Refused,
    Selection,
    Spool,
    check,
)
from deid_node.spool.outcomes import Released
from tests.spool.objects import META, dataset, objects_in, put

NAMES = ("a", "b")
ON_ITS_WAY = {"pending", "leased", "deferred"}
SETTLED = {"delivered", "warned", "dropped"}
OUTCOMES: tuple[tuple[Outcome, str], ...] = (
    (Delivered(), "delivered"),
    (Delivered(0xB000, warning=True), "warned"),
    (Deferred("busy", 0.0), "deferred"),
    (Refused("no", 0xA900), "refused"),
    (Held("poison"), "held"),
    (Released(), "pending"),
)


class Revision:
    """One content of one object: where it goes and how far it came."""

    def __init__(self, content: bytes, names: set[str]) -> None:
        self.content = content
        self.states = dict.fromkeys(names, "pending")

    @property
    def needs_its_file(self) -> bool:
        return not set(self.states.values()) <= SETTLED


class Machine(RuleBasedStateMachine):
    """The spool beside its model: the revisions of every object, by the number it was made of."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.spool = Spool.open(self.folder, durable=False, water=None)
        self.model: dict[int, list[Revision]] = {}
        self.claimed: list[tuple[Entry, Revision]] = []

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)

    @rule(
        number=st.integers(0, 3), version=st.integers(0, 1), names=st.sets(st.sampled_from(NAMES), min_size=1)
    )
    def receive(self, number: int, version: int, names: set[str]) -> None:
        content = dataset(number + 100 * version, 64)

        commit = put(self.spool, number, content=content, destinations=sorted(names))

        revisions = self.model.setdefault(number, [])
        if revisions and revisions[-1].content == content:
            assert commit.kind == CommitKind.DUPLICATE
            for name in names - revisions[-1].states.keys():
                revisions[-1].states[name] = "pending"
        else:
            assert commit.kind == (CommitKind.REVISION if revisions else CommitKind.NEW)
            revisions.append(Revision(content, names))
        assert commit.revision == len(revisions) - 1

    @rule(name=st.sampled_from(NAMES))
    def claim(self, name: str) -> None:
        free = {
            (number, at): revision
            for number, revisions in self.model.items()
            for at, revision in enumerate(revisions)
            if revision.states.get(name) in {"pending", "deferred"}
            and not (at and revisions[at - 1].states.get(name) in ON_ITS_WAY)
        }

        entries = self.spool.claim(name, 100)

        found = {(int(e.sop_instance_uid.removeprefix("2.25.")) - 1000, e.revision): e for e in entries}
        assert found.keys() == free.keys()
        for key, entry in found.items():
            opened = Reader().open(entry)
            assert isinstance(opened, Content)
            with os.fdopen(opened.fd, "rb") as stream:
                assert stream.read() == META + free[key].content
            free[key].states[name] = "leased"
            self.claimed.append((entry, free[key]))

    @rule(which=st.integers(0, 20), outcome=st.sampled_from(OUTCOMES))
    def settle(self, which: int, outcome: tuple[Outcome, str]) -> None:
        if not self.claimed:
            return
        entry, revision = self.claimed.pop(which % len(self.claimed))
        self.spool.settle(entry, outcome[0])
        revision.states[entry.destination] = outcome[1]

    @rule(name=st.sampled_from(NAMES))
    def retry(self, name: str) -> None:
        self.spool.flush()
        self.spool.desk.retry(Selection(destination=name))
        self.move(name, {"deferred", "held", "refused"}, "pending")

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        self.spool.flush()
        self.spool.desk.drop(Selection(destination=name))
        self.move(name, {"pending", "deferred", "held", "refused"}, "dropped")

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool.open(self.folder, durable=False, water=None, max_pause_s=0)
        self.claimed.clear()
        for name in NAMES:
            self.move(name, {"leased"}, "pending")

    def move(self, name: str, states: set[str], to: str) -> None:
        for revisions in self.model.values():
            for revision in revisions:
                if revision.states.get(name) in states:
                    revision.states[name] = to

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        self.spool.flush()
        every = [revision for revisions in self.model.values() for revision in revisions]
        status = self.spool.desk.status()
        for name in NAMES:
            counted = {state.value: n for state, n in status.destinations.get(name, {}).items()}
            assert counted == Counter(r.states[name] for r in every if name in r.states)
        assert sum(study.objects for study in status.studies) == len(every)
        assert len(objects_in(self.folder)) == sum(revision.needs_its_file for revision in every)
        assert check(self.folder, contents=False) == []


TestSpool = Machine.TestCase
TestSpool.settings = settings(
    max_examples=int(os.environ.get("DEID_NODE_EXAMPLES", "40")), stateful_step_count=30, deadline=None
)
