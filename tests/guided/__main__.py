"""Runs one target: see the package."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["deid_node"]):
    from tests.guided.targets import TARGETS

_SECONDS_OF_ONE, _MEGABYTES, _LONGEST = 10, 1024, 40_000


def main() -> None:
    """Fuzz until the time is over; ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.guided")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="keeps what reached something new")
    parser.add_argument("--input", type=Path, help="run this one only")
    chosen = parser.parse_args()
    target = TARGETS[chosen.target]
    if chosen.input is not None:
        target.run(chosen.input.read_bytes())
        return
    folder: Path = chosen.corpus or Path(tempfile.mkdtemp(prefix="guided-"))
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        target.run(seed or b"\0")  # outside of the fuzzer an error has its whole traceback
        (folder / f"seed-{number:04d}").write_bytes(seed)
    options = [
        f"-max_total_time={chosen.seconds}",
        f"-timeout={_SECONDS_OF_ONE}",
        f"-rss_limit_mb={_inherited_mb() + _MEGABYTES}",
        f"-max_len={_LONGEST}",
        f"-artifact_prefix={folder}/found-",
        "-print_final_stats=1",
    ]
    if target.words:
        words = folder / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *options, str(folder)], lambda content: target.run(content or b"\0"))
    atheris.Fuzz()


def _inherited_mb() -> int:
    """Return the peak that this process has from the one that started it: the fuzzer takes it for its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main()
