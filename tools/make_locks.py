"""Make locks/run.txt and locks/build.txt: every package of an installation, with version and hashes.

`run.txt` is what the node needs, with its extra `s3`; `build.txt` is what builds its wheel. Both hold for
every Python and platform of pyproject.toml. Needs uv (in the extra `dev`).

    python -m tools.make_locks [--upgrade] [FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
LOCKS = ROOT / "locks"


def main() -> None:
    """Make both files in FOLDER, by default locks/; versions that are there stay without --upgrade."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=LOCKS)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads(PROJECT.read_text())
    lowest = project["project"]["requires-python"].removeprefix(">=")
    build = "\n".join(project["build-system"]["requires"])
    more = ["--upgrade"] if asked.upgrade else []
    _compile(asked.folder / "run.txt", [str(PROJECT), "--extra", "s3", *more], lowest)
    _compile(asked.folder / "build.txt", ["-", *more], lowest, build)


def _compile(lock: Path, asked: list[str], lowest: str, requirements: str = "") -> None:
    command = [
        find_uv_bin(),
        "pip",
        "compile",
        *asked,
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--no-annotate",
        f"--python-version={lowest}",
        "--custom-compile-command=python -m tools.make_locks",
        f"--output-file={lock}",
    ]
    made = subprocess.run(command, input=requirements, text=True, check=False, cwd=ROOT)  # noqa: S603
    if made.returncode:
        sys.exit(f"{lock} could not be made; it is as it was.")


if __name__ == "__main__":
    main()
