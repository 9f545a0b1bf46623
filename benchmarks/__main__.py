"""`python -m benchmarks`: run the node and the peers that are installed, and print who was how fast."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.check import WrongOutput
from benchmarks.line import Line, Objects, Result
from benchmarks.lines import lines
from benchmarks.report import machine, summary, table, write_json
from benchmarks.run import measure, provide

_MEMORY = Path("/dev/shm")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("lines", nargs="*", help="names of lines, or how they begin; all when none is given")
    parser.add_argument("--list", action="store_true", help="name the lines and how long each takes")
    parser.add_argument("--prepare", action="store_true", help="make objects and ledgers, measure nothing")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each line (7)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the number of objects (1)")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs the node (this one)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "deid_node-benchmarks",
        help="folder for the objects, kept between runs",
    )
    parser.add_argument("--scratch", type=Path, help="folder for the output (memory, where there is one)")
    parser.add_argument("--disk", type=Path, help="folder on a real disk, for lines that sync (the cache)")
    return parser


def in_memory(folder: Path) -> bool:
    """Whether a folder lies in memory, where a sync costs nothing."""
    best, kind = "", ""
    for mount in Path("/proc/self/mounts").read_text().splitlines():
        place, found = mount.split()[1:3]
        if folder.resolve().is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind in {"tmpfs", "ramfs"}


def chosen(every: list[Line], names: list[str]) -> list[Line]:
    """Return the lines of some names, each a whole one or a beginning.

    Raises:
        ValueError: there is none of a name.
    """
    found = []
    for name in names:
        exact = [line for line in every if line.name == name]
        begun = exact or [line for line in every if line.name.startswith(name)]
        if not begun:
            raise ValueError(f"no such line: {name}; --list names them")
        found += begun
    return [line for line in every if line in found] if names else every


def _bytes(objects: Objects) -> int:
    return sum(path.stat().st_size for path in objects.files)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure the node and its peers in turns, check what each wrote, and print who was how fast."""
    parser = _parser()
    asked = parser.parse_args()
    try:
        todo = chosen(lines(asked.scale, asked.cache, asked.python), asked.lines)
    except ValueError as error:
        parser.error(str(error))
    estimate = sum(line.expected_s(asked.rounds) for line in todo)
    if asked.list:
        for line in todo:
            print(f"{line.name:22}{line.expected_s(asked.rounds):6.0f} s  {line.about}")
        print(f"{'all':22}{estimate:6.0f} s  about, once the objects are made")
        return 0
    asked.cache.mkdir(parents=True, exist_ok=True)
    scratch = asked.scratch or (_MEMORY if _MEMORY.is_dir() else asked.cache)
    disk = asked.disk or asked.cache
    if asked.prepare:
        for line in todo:
            print(
                f"{line.name}: {sum(map(_bytes, provide(line, asked.cache, scratch).values())) / 1e6:.0f} MB"
            )
        return 0
    before = machine()
    print(*(f"{name}: {value}" for name, value in before.items()), sep="\n")
    print(f"output under {scratch}; of lines that sync under {disk}")
    print(
        f"about {estimate / 60:.0f} minutes, and some more the first time, when objects are made", flush=True
    )
    results: list[Result] = []
    failed: dict[str, str] = {}
    for line in todo:
        if line.disk and in_memory(disk):
            failed[line.name] = f"{disk} lies in memory; --disk names a folder on a real disk"
            print(f"\n{line.name}: skipped, {failed[line.name]}", flush=True)
            continue
        begun = time.monotonic()
        try:
            results.append(measure(line, asked.cache, asked.rounds, disk if line.disk else scratch, _tell))
            _tell("")
            print(table(results[-1]), f"  took {time.monotonic() - begun:.0f} s", sep="\n", flush=True)
        except (WrongOutput, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            failed[line.name] = f"{type(error).__name__}: {error}"
            print(f"\n{line.name}: FAILED, {failed[line.name]}", flush=True)
        if asked.json is not None:
            how = {"rounds": asked.rounds, "scale": asked.scale, "failed": failed}
            write_json(asked.json, results, before, how)
    print(summary(results))
    for name, why in failed.items():
        print(f"{name}: no result, {why.splitlines()[0]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
