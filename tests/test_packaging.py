"""What is shipped: the wheel, the service unit, the container image, and what they depend on."""

from __future__ import annotations

import re
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import deid_node
from tests.peers import require, run

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_MOST_EXPOSED = 20  # tenths


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built now."""
    folder = tmp_path_factory.mktemp("wheel")
    built = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_has_every_profile_and_table(wheel: set[str]) -> None:
    profiles = {f"deid_node/profiles/{path.name}" for path in (ROOT / "profiles").glob("*.toml")}
    tables = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "deid_node").rglob("*")
        if path.suffix in {".tsv", ".txt", ".xz", ".json"}
    }

    assert profiles
    assert profiles | tables <= wheel


def test_the_wheel_has_licence_notice_and_nothing_of_the_tests(wheel: set[str]) -> None:
    names = {name.rsplit("/", 1)[-1] for name in wheel}

    assert {"LICENSE", "NOTICE"} <= names
    assert not [name for name in wheel if name.startswith(("tests/", "benchmarks/", "docs/"))]


def test_the_version_is_said_once() -> None:
    assert PROJECT["version"] == deid_node.__version__


def _runtime_packages() -> set[str]:
    """Names of all packages that an installation without extras brings."""
    found: set[str] = set()
    wanted = ["deid-node"]
    while wanted:
        name = re.split(r"[\s;<>=!~\[(]", wanted.pop(), maxsplit=1)[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            wanted += [line for line in requires(name) or () if "extra ==" not in line]
        except PackageNotFoundError:
            continue  # for another platform or Python
        found.add(name)
    return found


def test_no_runtime_package_has_a_licence_of_the_gpl_family() -> None:
    forbidden = []
    for name in sorted(_runtime_packages() - {"deid-node"}):
        metadata = distribution(name).metadata
        said = [metadata.get("License-Expression", ""), *metadata.get_all("Classifier", [])]
        text = " ".join(line for line in said if "GPL" in line or "General Public" in line)
        if text and "Lesser" not in text and "LGPL" not in text:
            forbidden.append(name)

    assert not forbidden


def test_every_dependency_is_known_by_its_lowest_version() -> None:
    loose = [line for line in PROJECT["dependencies"] if ">=" not in line]

    assert not loose


def _unit(tmp_path: Path) -> Path:
    """The service unit with the programs of this machine, as verify wants them to exist."""
    text = (ROOT / "systemd" / "deid-node.service").read_text()
    unit = tmp_path / "deid-node.service"
    unit.write_text(text.replace("/opt/deid-node/bin/deid-node", sys.executable))
    return unit


@pytest.mark.peer
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    said = run(require("systemd-analyze"), "verify", _unit(tmp_path))

    assert (said.stdout + said.stderr).strip() == ""


@pytest.mark.peer
def test_the_unit_is_exposed_by_two_tenths_of_the_scale_at_most(tmp_path: Path) -> None:
    said = run(
        require("systemd-analyze"),
        "security",
        "--offline=true",
        f"--threshold={_MOST_EXPOSED}",
        _unit(tmp_path),
    )

    assert said.returncode == 0, said.stdout[-300:]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = Path(sys.executable).parent / "hadolint"

    said = run(program if program.exists() else require("hadolint"), ROOT / "Dockerfile")

    assert said.stdout.strip() == ""


def test_the_image_is_built_from_files_that_are_there() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, flags=re.MULTILINE)
        for word in line.split()[:-1]
    ]

    assert copied
    assert not [word for word in copied if not (ROOT / word).exists() or f"!{word}" not in ignored]
