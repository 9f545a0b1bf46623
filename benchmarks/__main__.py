"""`python -m benchmarks`: run the node and the peers that are installed, and print who was how fast."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.contenders import Node, PynetdicomDeid, Storescp
from benchmarks.end_to_end import Direct, NodeForward, OrthancForward, PynetdicomForward
from benchmarks.report import machine, table, write_json
from benchmarks.run import Line, measure
from benchmarks.workloads import WORKLOADS, prepared

_MEMORY = Path("/dev/shm")


def lines(scale: float) -> list[Line]:
    """Return the lines of the benchmark in the order in which they run."""
    loads = {name: workload.scaled(scale) for name, workload in WORKLOADS.items()}
    plain, node = Storescp("storescp", ()), Node()
    copy = Storescp()
    found = [
        Line(
            f"receive-{name}",
            "receive, de-identify and write without sync, against copying",
            loads[name],
            (node, copy, plain),
            aims=((copy.name, aim), (plain.name, 1.1)),
        )
        for name, aim in (
            ("ct", 1.0),
            ("mr", 0.9),
            ("mg", 1.0),
            ("implicit", 0.9),
            ("j2k", 0.9),
            ("jll", 0.9),
        )
    ]
    found += [
        Line(
            "storescu-ct",
            "the same with DCMTK's own sender, which parses what it sends",
            loads["ct"],
            (node, copy),
            sender="storescu",
            aims=((copy.name, 0.75),),
        ),
        Line(
            "four-ct",
            "four associations at once",
            loads["ct"],
            (node, copy),
            associations=4,
            aims=((copy.name, 1.0),),
        ),
        Line(
            "python-ct",
            "against a pynetdicom handler that de-identifies with pydicom",
            loads["ct"].scaled(0.5),
            (node, PynetdicomDeid()),
            aims=((PynetdicomDeid().name, 8.0),),
        ),
        Line(
            "large",
            "one object of 500 MB",
            loads["us500"],
            (node, copy),
            aims=((copy.name, 1.0),),
            peak_mb=100,
        ),
        Line(
            "enhanced",
            "one object with 20 MB of functional groups",
            loads["enhanced"],
            (node, copy),
            aims=((copy.name, 0.5),),
        ),
        Line(
            "durable-ct",
            "synced before the answer, against not",
            loads["ct"],
            (Node("deid_node durable", durable=True), node),
            aims=((node.name, 0.5),),
        ),
        Line(
            "durable-four-ct",
            "synced before the answer, against not, four associations",
            loads["ct"],
            (Node("deid_node durable", durable=True), node),
            associations=4,
            aims=((node.name, 0.8),),
        ),
    ]
    between = NodeForward()
    found += [
        Line(
            f"through-{name}",
            "from the sender through de-identification to a downstream AE, durable",
            loads[name],
            (between, Direct(), OrthancForward(), PynetdicomForward()),
            sender="storescu",
            aims=((OrthancForward().name, aim), (PynetdicomForward().name, 7.0), (Direct().name, 0.5)),
            end_to_end=True,
        )
        for name, aim in (("ct", 4.0), ("mr", 5.0))
    ]
    return found


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("lines", nargs="*", help="names of lines; all when none is given")
    parser.add_argument("--list", action="store_true", help="name the lines and end")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each line (7)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the number of objects (1)")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "deid_node-benchmarks",
        help="folder for the objects, kept between runs",
    )
    parser.add_argument("--scratch", type=Path, help="folder for the output (memory, where there is one)")
    chosen = parser.parse_args()
    every = lines(chosen.scale)
    unknown = set(chosen.lines) - {line.name for line in every}
    if unknown:
        parser.error(f"no such line: {', '.join(sorted(unknown))}")
    if chosen.list:
        for line in every:
            print(f"{line.name:18}{line.about}")
        return
    scratch = chosen.scratch or (_MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir()))
    before = machine()
    print(*(f"{name}: {value}" for name, value in before.items()), f"output under: {scratch}", sep="\n")
    results = []
    for line in every:
        if chosen.lines and line.name not in chosen.lines:
            continue
        files = prepared(line.workload, chosen.cache)
        results.append(measure(line, files, chosen.rounds, scratch))
        print(table(results[-1]), flush=True)
    if chosen.json is not None:
        write_json(chosen.json, results, before)


if __name__ == "__main__":
    main()
