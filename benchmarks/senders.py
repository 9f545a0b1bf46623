"""How objects get to a contender: by DCMTK's storescu, or by a sender that does not parse."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender, Running
from benchmarks.processes import ENVIRONMENT, FACTORY_ENVIRONMENT, HOST, find
from benchmarks.sender import write_index

LIMIT_S = 900.0
_ROOT = Path(__file__).resolve().parents[1]
_PROPOSALS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.90": "-xv",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """When the clock started, how long all took, and each object's milliseconds where they are known."""

    start: float
    elapsed_s: float
    latencies_ms: tuple[float, ...] = ()


def storescu(
    contender: Contender,
    running: Running,
    files: Sequence[Path],
    associations: int,
    transfer_syntax: str,
    *,
    factory: bool,
) -> Sent:
    """Send files with storescu, one process for each association."""
    program = find("storescu")
    if program is None:
        raise RuntimeError("storescu (DCMTK) is not installed")
    tls = running.tls
    secured = ["+tls", str(tls.caller_key), str(tls.caller), "+cf", str(tls.ca)] if tls else []
    words = ["-aec", contender.called, "-pdu", "131072", *secured, "-R", _PROPOSALS[transfer_syntax]]
    shares = [[str(path) for path in files[number::associations]] for number in range(associations)]
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            [program, *words, HOST, str(running.port), *share],
            env=FACTORY_ENVIRONMENT if factory else ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for share in shares
        if share
    ]
    said = [sender.communicate(timeout=LIMIT_S)[1] for sender in senders]
    elapsed = time.perf_counter() - start
    if any(sender.returncode for sender in senders):
        raise RuntimeError(f"storescu to {contender.name}: {b''.join(said)[-1000:].decode('latin-1')}")
    return Sent(start, elapsed)


def unparsed(
    contender: Contender,
    running: Running,
    files: Sequence[Path],
    index: Path,
    associations: int,
    ready: Callable[[], None] = lambda: None,
) -> Sent:
    """Send files with the sender that does not parse; `ready` is called when its associations stand."""
    write_index(files, index)
    words = ["benchmarks.sender", str(running.port), contender.called, str(index), str(associations)]
    tls = running.tls
    return told([*words, *([str(tls.ca), str(tls.caller), str(tls.caller_key)] if tls else [])], ready)


def told(words: list[str], ready: Callable[[], None] = lambda: None) -> Sent:
    """Run a sending program of ours: it says "ready", waits for a line, and prints what it took as JSON."""
    sender = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=ENVIRONMENT,
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert sender.stdout is not None
    if sender.stdout.readline() != "ready\n":
        _, said = sender.communicate(timeout=30)
        raise RuntimeError(f"{words[0]} cannot send: {said[-1000:]}")
    ready()
    start = time.perf_counter()
    out, said = sender.communicate("go\n", timeout=LIMIT_S)
    if sender.returncode:
        raise RuntimeError(f"{words[0]}: {said[-1000:]}")
    found = json.loads(out)
    return Sent(start, found["elapsed_s"], tuple(found["latencies_ms"]))
