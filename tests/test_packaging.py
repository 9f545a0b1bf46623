"""What is shipped: the wheel, the service unit, the container image, and what they depend on."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import deid_node
from tests.peers import require, run
from tools.audit import FORBIDDEN

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


def test_a_wheel_is_the_same_bytes_whenever_and_wherever_it_is_built(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("deid_node", "profiles"):
        shutil.copytree(
            ROOT / name,
            elsewhere / name,
            copy_function=shutil.copyfile,  # which takes the time of now
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore"):
        shutil.copyfile(ROOT / name, elsewhere / name)

    built = [
        Path(next(WheelBuilder(str(source)).build(directory=str(tmp_path / into), versions=["standard"])))
        for source, into in ((ROOT, "first"), (elsewhere, "second"))
    ]

    assert built[0].read_bytes() == built[1].read_bytes()


def test_the_version_is_said_once() -> None:
    assert PROJECT["version"] == deid_node.__version__


def runtime_packages() -> set[str]:
    """Names of all packages that an installation brings, with every extra but that of developers."""
    found: set[str] = set()
    extras = [name for name in PROJECT["optional-dependencies"] if name != "dev"]
    wanted = ["deid-node", *(line for name in extras for line in PROJECT["optional-dependencies"][name])]
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


def _licence(name: str) -> str:
    """What a package says of its licence, in any of the three places for it."""
    metadata = distribution(name).metadata
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    first_line = (metadata.get("License") or "").strip().split("\n")[0]
    return " ".join((metadata.get("License-Expression", ""), first_line, *classifiers)).strip()


def test_no_runtime_package_has_a_licence_of_the_gpl_family() -> None:
    licences = {name: _licence(name) for name in sorted(runtime_packages() - {"deid-node"})}

    assert len(licences) > 10
    assert not [name for name, licence in licences.items() if not licence]
    assert not {name: licence for name, licence in licences.items() if FORBIDDEN.search(licence)}


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


def test_no_file_of_the_image_lets_an_account_become_another() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    last = dockerfile.rsplit("\nFROM ", 1)[1]

    assert "-perm /6000 -exec chmod a-s" in last
    assert re.search(r"^USER \d+:\d+$", last, flags=re.MULTILINE)
    health = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])", last, flags=re.DOTALL)
    assert health is not None  # a list: no shell runs it
    assert re.search(r'^ENTRYPOINT \["', last, flags=re.MULTILINE)
