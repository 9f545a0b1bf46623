"""The README keeps its word: its commands exist, its tour works, its links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pydicom.data
import pytest

from deid_node.profile.library import load
from deid_node.settings.load import load_settings
from tests.peers import ENVIRONMENT, LOOPBACK, free_port, listens, require, stop, wait_for

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
_CT = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
_PROGRAMS = Path(sys.executable).parent


def _blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_two_commands_each_do_their_whole_set_up() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]

    assert len(commands) == 2
    assert commands[0].endswith("deid-node serve")
    assert commands[1].endswith("pytest")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]

    assert not [target for target in local if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    text = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    shown = set(re.findall(r"\bdeid-node ([a-z]+)", text))

    unknown = [word for word in shown if _run(_program("deid-node"), word, "--help").returncode]

    assert not unknown


def test_the_python_that_is_shown_works(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "STUDY").mkdir()
    shutil.copy(_CT, tmp_path / "STUDY" / "CT_small.dcm")

    done = _run(sys.executable, "-c", block, environment={"HOME": str(tmp_path)}, cwd=tmp_path)

    assert done.stdout.startswith("deidentified "), done.stderr


def _program(name: str) -> str:
    path = _PROGRAMS / name
    return str(path) if path.exists() else require(name)


def _run(
    *words: str, environment: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**ENVIRONMENT, **(environment or {})},
        cwd=cwd,
    )


@pytest.mark.peer
def test_the_tour_works_as_it_is_written(tmp_path: Path) -> None:
    for program in ("echoscu", "storescu", "bash"):
        require(program)
    tour = _blocks()[2:]
    port, state = free_port(), tmp_path / "state"
    environment = {"DEID_NODE_PORT": str(port), "DEID_NODE_STATE": str(state), "HOME": str(tmp_path)}
    (tmp_path / ".venv").symlink_to(_PROGRAMS.parent)
    node = subprocess.Popen(
        [_program("deid-node"), "serve"],
        env={**ENVIRONMENT, **environment},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: listens(port) or node.poll() is not None, "the node listens", 30)
        # The sender's block comes first in the text, for those who have a study at hand.
        said = [_shell(block, port, tmp_path, environment) for block in (tour[1], tour[0], tour[2])]
        wait_for(lambda: list(state.rglob("out/**/*.dcm")), "the object is in the folder store")
    finally:
        stop(node)

    assert [result.returncode for result in said] == [0, 0, 0], "\n".join(result.stderr for result in said)
    assert "PatientName" in said[2].stdout
    shutil.rmtree(state)


def _shell(
    block: str, port: int, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    script = block.replace("11112", str(port)).replace("127.0.0.1", LOOPBACK)
    return _run("bash", "-euo", "pipefail", "-c", script, environment=environment, cwd=folder)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    kinds = set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE))

    assert re.search(r"^## \[(Unreleased|\d+\.\d+\.\d+)\]", text, flags=re.MULTILINE)
    assert kinds <= {"Security", "Added", "Changed", "Deprecated", "Removed", "Fixed"}


def _toml_blocks() -> list[object]:
    found = []
    for page in [*PAGES, ROOT / "profiles" / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for number, (indent, block) in enumerate(
            re.findall(r"^( *)```toml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        ):
            lines = [line.removeprefix(indent) for line in block.splitlines()]
            found.append(pytest.param("\n".join(lines), id=f"{page.relative_to(ROOT)}-{number}"))
    return found


@pytest.mark.parametrize("text", _toml_blocks())
def test_every_configuration_and_profile_that_is_shown_can_be_used(text: str, tmp_path: Path) -> None:
    content = tomllib.loads(text)
    file = tmp_path / "shown.toml"
    file.write_text(text)

    if "name" in content and "version" in content:
        assert load(file).name == content["name"]
    elif content.keys() & {"routes", "peers", "destinations"}:
        assert load_settings(file, environment={}).file == file
