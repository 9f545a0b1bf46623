"""Whatever happens to a process of ours, no text of an exception and no memory of it gets out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = "Canary^Quoted"

_GUARD = "from deid_node import log_discretion as d; d.keep_to_yourself(); d.ignore_libraries()"
_LOG = f"{_GUARD}; from deid_node.log import configure_log; configure_log(level='debug', form='json')"
_CONSOLE = f"{_GUARD}; from deid_node.log import configure_log; configure_log(level='debug', form='console')"

# What may fail where, and the class of the exception that is told of it.
_LAYERS = {
    "the main thread": ("raise KeyError(value)", "KeyError"),
    "another thread": (
        "import threading; threading.Thread(target={}.__getitem__, args=(value,)).start()",
        "Key",
    ),
    "a destructor": (
        "exec('class A:\\n def __del__(self): raise KeyError(value)'); a = A(); del a",
        "KeyError",
    ),
    "an object with a telling repr": (
        "exec('class A:\\n def __repr__(self): return value\\n def __del__(self): raise OSError(value)');"
        "a = A(); del a",
        "OSError",
    ),
    "a generator": (
        "exec('def g():\\n try: yield\\n finally: raise KeyError(value)'); x = g(); next(x); del x",
        "KeyError",
    ),
    "the end of the process": ("import atexit; atexit.register({}.__getitem__, value)", "KeyError"),
    "a cause": (
        "exec('try:\\n raise KeyError(value)\\nexcept KeyError as e:\\n raise OSError(value) from e')",
        "OSError",
    ),
    "a task of asyncio": (
        "import asyncio, gc; loop = asyncio.new_event_loop(); f = loop.create_future();"
        "f.set_exception(KeyError(value)); del f; gc.collect()",
        "",
    ),
    "a pool of threads": (
        "from concurrent.futures import ThreadPoolExecutor as P; f = P(1).submit({}.__getitem__, value);"
        "f.add_done_callback(lambda _: {}[value])",
        "",
    ),
    "an initializer of a pool": (
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "P(1, initializer={}.__getitem__, initargs=(value,)).submit(len, '')",
        "",
    ),
    "a warning": ("import warnings; warnings.warn(value)", ""),
    "a message that cannot be formatted": ("import logging; logging.getLogger('x').error('%d', value)", ""),
    "a handler of logging": (
        "import logging; h = logging.StreamHandler(None); h.stream = None;"
        "l = logging.getLogger('own'); l.addHandler(h); l.propagate = False; l.error(value)",
        "",
    ),
    "a library": (
        "import logging, pydicom, pynetdicom, cryptography\n"
        "for n in 'pydicom pynetdicom pynetdicom.acse cryptography asyncio concurrent.futures'.split():\n"
        " try: raise KeyError(value)\n"
        " except KeyError: logging.getLogger(n).exception(value)",
        "",
    ),
    "pydicom, with what it reads": (
        "import pydicom; d = pydicom.Dataset(); d.PatientBirthDate = value; d.PatientID = value * 9",
        "",
    ),
}


@pytest.mark.parametrize("setting", [_GUARD, _LOG, _CONSOLE], ids=["command", "json", "console"])
@pytest.mark.parametrize("layer", _LAYERS)
def test_a_value_in_an_exception_is_not_told_by(layer: str, setting: str) -> None:
    program, told = _LAYERS[layer]

    done = _python(f"{setting}\nvalue = '-'.join(('Canary^', 'Quoted')).replace('-', '')\n{program}")

    said = done.stdout + done.stderr
    assert CANARY not in said
    assert "Canary" not in said
    assert told in said


def test_a_worker_that_fails_tells_no_value() -> None:
    program = (
        f"{_GUARD}\nfrom deid_node.files import pool\nvalue = 'Canary^' + 'Quoted'\n"
        "p = pool._Forks().Process(target={}.__getitem__, args=(value,)); p.start(); p.join()\n"
        "print(p.exitcode)"
    )

    done = _python(program)

    assert done.stdout == "1\n"
    assert "KeyError" in done.stderr
    assert "Canary" not in done.stderr


def test_a_process_that_dies_leaves_no_core_file(tmp_path: Path) -> None:
    program = (
        "import resource as r\nmost = r.getrlimit(r.RLIMIT_CORE)[1]\nr.setrlimit(4, (most, most))\n"
        f"{_GUARD}\nimport os; os.abort()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.DEVNULL)

    _, status = os.waitpid(process.pid, 0)
    process.returncode = status

    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_the_program_and_its_workers_cannot_be_dumped() -> None:
    asked = "import ctypes, resource as r; print(ctypes.CDLL(None).prctl(3), *r.getrlimit(r.RLIMIT_CORE))"
    program = f"{_GUARD}\nimport os\n{asked}\nif not os.fork(): {asked}"

    assert _python(program).stdout.splitlines() == ["0 0 0", "0 0 0"]


def test_the_program_guards_itself_before_it_reads_anything() -> None:
    program = (
        "import sys, ctypes; from deid_node import cli; sys.argv = ['deid-node', 'check', '--config', '/']\n"
        "cli.main(); print('dumpable', ctypes.CDLL(None).prctl(3)); raise KeyError('Canary^' + 'Quoted')"
    )

    done = _python(program)

    assert "dumpable 0" in done.stdout
    assert "KeyError" in done.stderr
    assert "Canary" not in done.stdout + done.stderr


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
