"""Attacks acceptors and prints what held: `python -m tests.peers.matrix [COLUMN ...]`.

The node has to pass everything; what the others do is for comparison, and changes with their versions.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.certificates import Authority
from tests.peers import attacks
from tests.peers.attacks import ATTACKS, Verdict
from tests.peers.targets import SECURED, TARGETS, Target


def fully(column: str, home: Path, names: Iterable[str] = ATTACKS) -> dict[str, Verdict]:
    """Attack one target; those that need it started in a special way get a new one."""
    found: dict[str, Verdict] = {}
    with TARGETS[column](home / "plain") as target:
        said = attacks.control(target)
        if said != "0000":
            return {name: Verdict("-", f"a sound object is answered {said}") for name in names}
        for name in names:
            found[name] = _attacked(name, target)
    return found


def specially(column: str, home: Path) -> dict[str, Verdict]:
    """Run those that need a target started in a special way: R17 to R19."""
    return {
        "R17 full disk": full_disk(column, home / "full"),
        "R18 synced before the answer": synced(column, home / "traced"),
        "R19 5 silent TLS clients": silent_tls(column, home / "tls"),
    }


def full_disk(column: str, home: Path) -> Verdict:
    """Let no file of the target grow beyond a limit, with the signal for that ignored."""
    blocks = attacks.FULL // 512
    shell = ("sh", "-c", f"trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"", "sh")
    with TARGETS[column](home, wrap=shell) as target:
        return attacks.r17_full_disk(target)


def synced(column: str, home: Path) -> Verdict:
    """Count what is synced for one object before it is answered."""
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode:
        return Verdict("-", "no strace")
    home.mkdir(parents=True)
    log = home / "calls"
    traced = (strace, "-f", "--seccomp-bpf", "-o", log, "-e", "trace=fsync,fdatasync,sync_file_range")
    with TARGETS[column](home / "target", wrap=traced) as target:
        before = len(log.read_text(errors="replace").splitlines())
        said = attacks.control(target)
        calls = log.read_text(errors="replace").splitlines()[before:]
    count = sum("sync(" in call and "resumed" not in call for call in calls)
    mark = "P" if count >= 3 else "~" if count else "F"
    return Verdict(mark if said == "0000" else "-", f"{said} after {count} syncs")


def silent_tls(column: str, home: Path) -> Verdict:
    """Let silent clients connect to a target with TLS."""
    if column not in SECURED:
        return Verdict("-", "not run")
    home.mkdir(parents=True)
    with TARGETS[column](home / "target", authority=Authority(home)) as target:
        return attacks.r19_silent_tls(target)


def _attacked(name: str, target: Target) -> Verdict:
    if not target.is_alive():
        return Verdict("F", "died before")
    return ATTACKS[name](target)


def main(columns: list[str]) -> None:
    """Print the matrix."""
    columns = columns or list(TARGETS)
    found: dict[str, dict[str, Verdict]] = {}
    for column in columns:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            found[column] = {}
            for name in ATTACKS:  # each on a target of its own: what one breaks is not the next one's fault
                found[column] |= fully(column, home / name.split()[0], [name])
                print(column, name, found[column][name].mark, file=sys.stderr, flush=True)
            found[column] |= specially(column, home)
    rows = sorted(found[columns[0]], key=lambda name: int(name.split()[0][1:]))
    print("| test |", " | ".join(columns), "|")
    print("| --- |", " | ".join("---" for _ in columns), "|")
    for row in rows:
        cells = (f"{found[column][row].mark} {found[column][row].seen}" for column in columns)
        print(f"| {row} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
