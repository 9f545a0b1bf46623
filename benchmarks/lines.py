"""All lines of the benchmark that compare the node with something, with what each aims at."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.aims import added_memory, core_share, faster, less_cpu, peak, per_core
from benchmarks.contenders import Node, OrthancReceive, PynetdicomDeid, Storescp
from benchmarks.end_to_end import Direct, NodeForward, NodeStalled, OrthancForward, PynetdicomForward, Relay
from benchmarks.folders import NODE, NODE_WITH_RECORDS, TOOLS, Folder
from benchmarks.growth import growth_lines
from benchmarks.line import Line
from benchmarks.loopback import Loopback
from benchmarks.trials import Idle, Store
from benchmarks.workloads import WORKLOADS, Workload

_COPY, _PLAIN = Storescp(), Storescp("storescp", ())
_PYTHON, _ORTHANC = PynetdicomDeid(), OrthancReceive()
_IDLE, _MANY = 500, 64
_MANY_CT, _MANY_MR = 1000, 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """What the lines are made of: workloads, the node, and the folder that is kept between runs."""

    loads: Mapping[str, Workload]
    node: Node
    cache: Path

    @property
    def durable(self) -> Node:
        return replace(self.node, name="deid_node durable", durable=True)

    def forward(self, name: str = "deid_node", *, durable: bool = True) -> NodeForward:
        return NodeForward(name, durable=durable, python=self.node.python)


def _receive(plan: Plan) -> list[Line]:
    """Receive, de-identify and write without sync: against copying."""
    aims = {"ct": 1.0, "mr": 0.9, "mg": 1.0, "us500": 1.0, "enhanced": 0.5}
    aims |= {"implicit": 0.9, "j2k": 0.9, "jll": 0.9}
    found = []
    for name, aim in aims.items():
        load = plan.loads[name]
        copying = faster(_COPY.name, aim)
        against_plain = name in {"ct", "mr", "mg", "us500"}
        trials = [Store(plan.node, load), Store(_COPY, load)]
        found.append(
            Line(
                f"receive-{name}",
                "receive, de-identify and write without sync, against copying",
                (*trials, *([Store(_PLAIN, load)] if against_plain else [])),
                (
                    copying,
                    *([faster(_PLAIN.name, 1.1)] if against_plain else []),
                    *([peak(100)] if name == "us500" else []),
                ),
            )
        )
    return found


def _senders(plan: Plan) -> list[Line]:
    """The same with DCMTK's sender, with several associations, with TLS, with Nagle's algorithm."""
    ct, mr = plan.loads["ct"], plan.loads["mr"]
    found = [
        Line(
            f"storescu-{load.name}",
            "receive with DCMTK's own sender, which parses what it sends",
            tuple(Store(c, load, "storescu") for c in (plan.node, _COPY, _PLAIN)),
            (faster(_COPY.name, aim), faster(_PLAIN.name, 1.1)),
        )
        for load, aim in ((ct, 1.0), (mr, 0.9))
    ]
    found += [
        Line(
            f"receive-ct-{count}",
            f"receive over {count} associations at once",
            tuple(Store(c, ct, associations=count) for c in (plan.node, _COPY)),
            (faster(_COPY.name, 1.0),),
        )
        for count in (4, _MANY)
    ]
    secured = (replace(plan.node, tls=True), replace(_COPY, tls=True))
    found.append(
        Line(
            "receive-ct-tls",
            "receive with TLS and certificates of both sides",
            tuple(Store(c, ct) for c in secured),
        )
    )
    few = ct.scaled(0.15)
    factory = (replace(plan.node, factory=True), replace(_PLAIN, factory=True), replace(_COPY, factory=True))
    found.append(
        Line(
            "factory-nagle-ct",
            "FACTORY SETTINGS: no TCP_NODELAY for anybody, as DCMTK is shipped",
            tuple(Store(c, few, "storescu", factory=True) for c in factory),
            (faster(_PLAIN.name, 10),),
        )
    )
    return found


def _peers(plan: Plan) -> list[Line]:
    """Against what Python programmers and Orthanc users have, and against what the machine can do."""
    ct, mr = plan.loads["ct"], plan.loads["mr"]
    return [
        Line(
            "python-ct",
            "receive against a pynetdicom handler that de-identifies with pydicom",
            tuple(Store(c, ct.scaled(0.5)) for c in (plan.node, _PYTHON)),
            (less_cpu(_PYTHON.name, 0.1),),
        ),
        Line(
            "python-mr",
            "receive against a pynetdicom handler that de-identifies with pydicom",
            tuple(Store(c, mr.scaled(0.25)) for c in (plan.node, _PYTHON)),
            (less_cpu(_PYTHON.name, 0.1),),
        ),
        Line(
            "orthanc-receive-ct",
            "receive against Orthanc's receiving alone",
            tuple(Store(c, ct.scaled(0.5)) for c in (plan.node, _ORTHANC)),
        ),
        Line(
            "orthanc-receive-mr",
            "receive against Orthanc's receiving alone",
            tuple(Store(c, mr.scaled(0.25)) for c in (plan.node, _ORTHANC)),
        ),
        Line(
            "limit-ct",
            "receive against one hop over the loopback interface, the physical limit",
            (Store(plan.node, ct), Loopback(ct)),
        ),
        Line(
            "research-ct",
            "the profile research (clean descriptors, dates, safe private) against basic",
            (
                Store(replace(plan.node, name="research", profile="research"), ct),
                Store(replace(plan.node, name="basic"), ct),
            ),
            (faster("basic", 0.6),),
        ),
    ]


def _durable(plan: Plan) -> list[Line]:
    """Synced before the answer, against not; on a real disk."""
    return [
        Line(
            f"durable-ct-{count}",
            f"synced before the answer, against not, {count} association{'s' if count > 1 else ''}",
            tuple(Store(c, plan.loads["ct"], associations=count) for c in (plan.durable, plan.node)),
            (faster(plan.node.name, aim),),
            disk=True,
        )
        for count, aim in ((1, 0.5), (4, 0.8))
    ]


def _end_to_end(plan: Plan) -> list[Line]:
    """From the sender through de-identification to a downstream AE; spool on a real disk, synced."""
    peers = (Direct(), OrthancForward(), PynetdicomForward())
    _, orthanc, python = peers
    found = [
        Line(
            f"through-{name}",
            "from storescu through de-identification to a downstream AE, durable",
            tuple(Store(c, plan.loads[name].scaled(part), "storescu") for c in (plan.forward(), *peers)),
            (faster(orthanc.name, aim), faster(python.name, 7), faster("direct", 0.5)),
            clock="done",
            disk=True,
        )
        for name, part, aim in (("ct", 1.0, 4.0), ("mr", 0.5, 5.0))
    ]
    ct = plan.loads["ct"]
    found.append(
        Line(
            "through-ct-4",
            "the same over four associations, against none between",
            tuple(Store(c, ct, "storescu", associations=4) for c in (plan.forward(), Direct())),
            (faster("direct", 0.5),),
            clock="done",
            disk=True,
        )
    )
    unsynced = plan.forward("deid_node unsynced", durable=False)
    found.append(
        Line(
            "through-ct-unparsed",
            "the same with a sender that does not parse, against a relay that only moves bytes",
            tuple(Store(c, ct) for c in (plan.forward(), unsynced, Relay(), Direct())),
            clock="done",
            disk=True,
        )
    )
    stalled = NodeStalled(python=plan.node.python)
    found.append(
        Line(
            "stalled-ct",
            "receiving while the downstream reads nothing, against while it reads",
            (Store(stalled, ct), Store(plan.forward("downstream reads"), ct)),
            (faster("downstream reads", 0.9),),
            disk=True,
        )
    )
    return found


def _folders(plan: Plan) -> list[Line]:
    """Files of a folder, one process each; few, and so many that start-up weighs little."""
    tools = tuple(tool.name for tool in TOOLS)
    found = []
    for name, load, part in (
        ("ct", plan.loads["ct"].scaled(0.5), 1.0),
        ("mr", plan.loads["mr"].scaled(0.25), 1.0),
        ("many-ct", plan.loads["ct"].scaled(_MANY_CT / WORKLOADS["ct"].count), 0.3),
        ("many-mr", plan.loads["mr"].scaled(_MANY_MR / WORKLOADS["mr"].count), 0.3),
    ):
        ours = (Folder(tool, load, plan.node.python) for tool in (NODE, NODE_WITH_RECORDS))
        trials = (*ours, *(Folder(tool, load) for tool in TOOLS))
        aims = (per_core(tools, 10), per_core(tools, 10, with_start=True))
        about = "de-identify the files of a folder into another"
        found.append(Line(f"folder-{name}", about, trials, aims, part=part))
    return found


def _idle(plan: Plan) -> list[Line]:
    load = plan.loads["mr"].scaled(0.05)
    return [
        Line(
            "idle",
            f"{_IDLE} associations that send nothing, then objects beside them",
            (
                Idle(plan.node, load, _IDLE),
                Idle(_COPY, load, _IDLE, "storescp, a process for each"),
                Idle(_PYTHON, load, _MANY, f"pynetdicom, {_MANY} only"),
            ),
            (core_share(2), added_memory(200)),
            part=0.5,
        )
    ]


def lines(scale: float, cache: Path, python: str = sys.executable) -> list[Line]:
    """Return the lines of the benchmark in the order in which they run.

    Args:
        scale: factor for the number of objects.
        cache: folder that is kept between runs.
        python: interpreter that runs the node.
    """
    loads = {name: workload.scaled(scale) for name, workload in WORKLOADS.items()}
    plan = Plan(loads, Node(python=python), cache)
    groups = (_receive, _senders, _peers, _durable, _end_to_end, _folders, _idle)
    return [line for group in groups for line in group(plan)] + growth_lines(plan.node, scale, cache)
