"""The walls of the house, held by reading the source: who may import whom, and what stays out.

Nothing is imported here; every file is parsed, so that a wall also stands where no test walks.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "deid_node"

_CORE = {"errors", "standard", "profile", "engine"}
_MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "standard": {"errors"},
    "profile": {"errors", "standard"},
    "engine": {"errors", "standard", "profile"},
    "spool": _CORE,
    "dimse": _CORE,
    "delivery": _CORE | {"spool", "dimse"},
    "settings": {"errors", "standard", "profile"},
    "log": {"errors"},
    "node": _CORE | {"spool", "dimse", "delivery", "settings", "log"},
    "files": _CORE | {"delivery", "node", "log"},
    "admin": _CORE | {"spool", "dimse", "delivery", "settings", "log", "node"},
    "commands": _CORE
    | {"spool", "dimse", "delivery", "settings", "log", "node", "files", "admin"}
    | {"__version__"},
    "lean": set(),
    "cli": {"errors", "lean", "log", "commands", "__version__"},
    "__main__": {"cli"},
    "__init__": {"files"},
    "profiles": set(),
}
_IMPURE = {
    *("socket", "socketserver", "ssl", "select", "selectors", "asyncio", "http", "urllib"),
    *("os", "pathlib", "shutil", "tempfile", "glob", "mmap", "fcntl", "subprocess", "sqlite3"),
    *("time", "random", "secrets", "logging", "structlog", "pynetdicom"),
}
_IMPURE_CALLS = {"now", "today", "utcnow", "fromtimestamp", "uuid1", "uuid4"}
_VAGUE_NAMES = {"utils", "util", "helper", "helpers", "manager", "common", "misc", "process", "data"}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _part(module: str) -> str:
    """The first name below the package: deid_node.engine.walk and deid_node.engine_x -> engine."""
    names = module.split(".")
    part = names[1] if len(names) > 1 else "__init__"
    return part if part.startswith("__") else part.split("_")[0]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported module with its line, relative imports resolved, also inside functions."""
    package = _module(path).split(".")[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "deid_node":
                for alias in node.names:
                    if alias.name != "__version__":
                        yield node.lineno, f"deid_node.{alias.name}"
            else:
                yield node.lineno, module


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_imports_only_look_down(path: Path) -> None:
    here = _part(_module(path))

    upward = [
        f"line {line}: {module}"
        for line, module in _imports(path)
        if module.split(".")[0] == "deid_node"
        and _part(module) != here
        and _part(module) not in _MAY_IMPORT[here]
    ]

    assert not upward


@pytest.mark.parametrize("part", ["standard", "profile", "engine"])
def test_the_core_knows_no_socket_file_clock_or_randomness(part: str) -> None:
    found = []
    for path in sorted((PACKAGE / part).rglob("*.py")):
        found += [
            f"{_module(path)} line {line}: import {module}"
            for line, module in _imports(path)
            if module.split(".")[0] in _IMPURE
        ]
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call):
                continue
            opens = isinstance(node.func, ast.Name) and node.func.id == "open"
            draws = isinstance(node.func, ast.Attribute) and node.func.attr in _IMPURE_CALLS
            if opens or draws:
                found.append(f"{_module(path)} line {node.lineno}: {ast.unparse(node.func)}()")

    assert not found


def test_only_the_engine_makes_deidentified_bytes() -> None:
    makers = []
    for path in SOURCES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else None
                name = node.func.id if isinstance(node.func, ast.Name) else name
                if name == "Deidentified" and _part(_module(path)) != "engine":
                    makers.append(f"{_module(path)} line {node.lineno}")

    assert not makers


def test_no_source_file_is_longer_than_600_lines() -> None:
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]

    long = {_module(path): count for path in files if (count := len(path.read_text().splitlines())) > 600}

    assert not long


def test_every_module_says_what_it_is_for() -> None:
    silent = [_module(path) for path in SOURCES if path.stat().st_size and not ast.get_docstring(_tree(path))]

    assert not silent


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [_module(path) for path in SOURCES if path.stem in _VAGUE_NAMES]

    assert not vague


def test_no_rule_is_ever_evaluated_as_python() -> None:
    found = [
        f"{_module(path)} line {node.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
    ]

    assert not found


# Written in pieces, so that this file does not hold what it looks for.
_NOT_OURS = re.compile(
    "|".join(
        re.escape(first + second)
        for first, second in [
            ("/wo", "rk/"),
            ("/ro", "ot/"),
            ("/tmp/ba", "sh_jobs"),
            ("/far", "m/"),
            ("py", "pi.org"),
            ("pythonho", "sted.org"),
            ("registry.npm", "js"),
            ("deb.deb", "ian.org"),
            ("--index-", "url"),
        ]
    )
)


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_tracked_file_names_a_path_of_one_machine_or_a_registry() -> None:
    found = []
    for path in _tracked():
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if _NOT_OURS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")

    assert not found
