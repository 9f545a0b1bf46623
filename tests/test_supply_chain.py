"""What an installation is made of: the locks, the SBOM, and the audit of both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_packaging import PROJECT, ROOT, runtime_packages
from tools.audit import packages_in

_ENTRY = re.compile(
    r"^(\S+)==(\S+?)(?: ; .*?)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def _locked(name: str) -> dict[str, str]:
    text = (ROOT / "locks" / name).read_text()
    found = {canonicalize_name(match[1]): match[2] for match in _ENTRY.finditer(text)}
    assert len(found) == len(re.findall("==", re.sub(" ; .*", "", text)))  # none is without hashes
    return found


def test_every_package_of_an_installation_is_locked_with_hashes() -> None:
    missing = runtime_packages() - {"deid-node"} - _locked("run.txt").keys()

    assert not missing, "run `python -m tools.make_locks`"


def test_what_is_locked_is_what_the_project_asks_for() -> None:
    locked = _locked("run.txt")
    asked = [
        Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["s3"])
    ]

    wrong = [str(one) for one in asked if not one.specifier.contains(locked[canonicalize_name(one.name)])]

    assert not wrong, "run `python -m tools.make_locks`"


def test_what_builds_the_wheel_is_locked() -> None:
    assert "hatchling" in _locked("build.txt")


def test_the_image_is_what_is_locked() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert "RUN tools/install_locked.sh /opt/deid-node" in dockerfile
    assert "pip install" not in dockerfile


class _Index(SimpleHTTPRequestHandler):
    """The JSON API of a package index, out of a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index that serves what lies in tmp_path/pypi."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/pypi"
        server.shutdown()
        thread.join()


def _publish(tmp_path: Path, path: str, version: str, *advisories: dict[str, Any]) -> None:
    place = tmp_path / "pypi" / path / "json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"info": {"version": version}, "vulnerabilities": advisories}))


def _audit(file: Path, index: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.audit", str(file), f"--index={index}", *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def _lock(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "lock.txt"
    file.write_text(text)
    return file


_ADVISORY = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": ["1.1"], "withdrawn": None}


def test_a_package_without_advisories_is_clear(tmp_path: Path, index: str) -> None:
    _publish(tmp_path, "one/1.0", "1.0")
    _publish(tmp_path, "two", "2.0", {**_ADVISORY, "withdrawn": "2026-01-01T00:00:00Z"})

    said = _audit(_lock(tmp_path, "one==1.0 \\\ntwo==2.0 ; sys_platform == 'linux' \\\n"), index)

    assert (said.returncode, said.stdout) == (0, "lock.txt: 2 of 2 packages are clear.\n")


def test_an_advisory_is_told_once_with_what_mends_it(tmp_path: Path, index: str) -> None:
    again = {**_ADVISORY, "id": "CVE-1", "aliases": ["PYSEC-1"]}
    _publish(tmp_path, "one/1.0", "1.0", _ADVISORY, again)

    said = _audit(_lock(tmp_path, "one==1.0\n"), index)

    assert said.returncode == 1
    assert said.stdout.count("one 1.0: CVE-1, PYSEC-1; mended in 1.1") == 1


def test_what_cannot_be_known_is_no_pass(tmp_path: Path, index: str) -> None:
    _publish(tmp_path, "older", "2.0")
    file = _lock(tmp_path, "older==1.0\nunheard-of==1.0\n")

    said = _audit(file, index)

    assert said.returncode == 3
    assert "older 1.0: the index answers for 2.0 alone" in said.stdout
    assert "unheard-of 1.0: the index does not know it" in said.stdout
    assert "0 of 2 packages are clear" in said.stdout
    assert _audit(file, index, "--tell-unknown").returncode == 0
    unreachable = _audit(file, "http://127.0.0.1:1", "--tell-unknown")
    assert unreachable.stdout.count("the index cannot be asked") == 2


def test_an_index_that_tells_no_vulnerabilities_is_no_pass(tmp_path: Path, index: str) -> None:
    place = tmp_path / "pypi" / "one" / "json"
    place.parent.mkdir(parents=True)
    place.write_text('{"info": {"version": "1.0"}}')

    assert _audit(_lock(tmp_path, "one==1.0\n"), index).returncode == 3


@pytest.mark.parametrize(
    ("licences", "status"),
    [
        ([{"license": {"id": "MIT", "acknowledgement": "declared"}}], 0),
        ([{"license": {"id": "LGPL-3.0-only", "acknowledgement": "declared"}}], 0),
        ([{"license": {"id": "GPL-3.0-or-later", "acknowledgement": "declared"}}], 1),
        ([{"expression": "MIT AND AGPL-3.0-only", "acknowledgement": "declared"}], 1),
        (
            [
                {
                    "license": {
                        "name": "text",
                        "acknowledgement": "declared",
                        "text": {"content": "GNU GENERAL PUBLIC LICENSE\n Version 3"},
                    }
                }
            ],
            1,
        ),
        ([], 1),
    ],
)
def test_a_licence_of_the_gpl_family_or_none_is_found(
    licences: list[dict[str, Any]], status: int, tmp_path: Path, index: str
) -> None:
    _publish(tmp_path, "one/1.0", "1.0")
    component = {"name": "one", "version": "1.0", "purl": "pkg:pypi/one@1.0", "licenses": licences}
    file = tmp_path / "sbom.json"
    file.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [component]}))

    assert _audit(file, index).returncode == status


@pytest.mark.parametrize("text", ["", "{}", "no lock\n"])
def test_a_file_that_lists_nothing_is_refused(text: str, tmp_path: Path, index: str) -> None:
    for name in ("sbom.json", "lock.txt"):
        file = tmp_path / name
        file.write_text(text)

        said = _audit(file, index)

        assert said.returncode == 2
        assert str(file) in said.stderr


def test_an_sbom_of_this_environment_lists_every_runtime_package_with_its_licence(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "cyclonedx-py"
    if not program.exists() and not os.environ.get("CI"):
        pytest.skip("cyclonedx-py is not installed")
    made = tmp_path / "sbom.json"

    subprocess.run(
        [
            program,
            "environment",
            sys.executable,
            "--gather-license-texts",
            "--output-reproducible",
            "-o",
            made,
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )

    listed = {canonicalize_name(package.name): package for package in packages_in(made)}
    assert runtime_packages() - {"deid-node"} <= listed.keys()
    assert not [name for name in runtime_packages() - {"deid-node"} if not listed[name].licence]
