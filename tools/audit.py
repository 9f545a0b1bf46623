"""Ask for known vulnerabilities and forbidden licences of what an SBOM or a lock lists.

    python -m tools.audit FILE [--tell-unknown]

FILE is a CycloneDX SBOM (JSON) or a file of locks/. Advisories come from the package index's JSON API, that
of the index that pip asks by default. An index may answer for the newest version alone; what can then not be
known is no pass: exit status 3, or with --tell-unknown only told. Licences stand in SBOMs.

pip-audit was turned down: it passes over what the index does not know, and asks for no other version.

Exit status: 0 nothing found, 1 a vulnerability or licence, 2 FILE cannot be read, 3 not known.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pip._internal.models.index import PyPI

FORBIDDEN = re.compile(r"(?<![L])GPL|(?<!Lesser )General Public|SSPL|BUSL|Commons Clause", re.IGNORECASE)
_LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Package:
    """One package; `licence` is None where the file does not tell licences."""

    name: str
    version: str
    licence: str | None = None


@dataclass(slots=True)
class Findings:
    """What was found: a line for each package."""

    bad: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def packages_in(file: Path) -> list[Package]:
    """Return what an SBOM or lock lists, without the node itself.

    Raises:
        ValueError: it is neither, or lists nothing.
    """
    text = file.read_text()
    if file.suffix == ".json":
        components = json.loads(text).get("components", [])
        found = [Package(c["name"], c["version"], _licence(c)) for c in components if c.get("purl")]
    else:
        found = [Package(*match.groups()) for match in _LOCKED.finditer(text)]
    if not found:
        raise ValueError("no package in it")
    return found


def _licence(component: dict[str, Any]) -> str:
    """Return what a package declares: an expression, identifiers, or how the text begins."""
    told = []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        text = licence.get("text", {}).get("content", "").split("\n")
        if entry.get("acknowledgement", licence.get("acknowledgement")) == "declared":
            begins = " ".join(line.strip() for line in text[:2])
            told.append(entry.get("expression") or licence.get("id") or begins or licence["name"])
    return ", ".join(told)


def audit(packages: list[Package], index: str) -> Findings:
    """Ask for every package; `index` is the address of the JSON API."""
    found = Findings()
    for package in packages:
        head = f"{package.name} {package.version}"
        if package.licence is not None and (not package.licence or FORBIDDEN.search(package.licence)):
            found.bad.append(f"{head}: licence {package.licence or 'is not told'}")
        advisories = _advisories(package, index)
        if isinstance(advisories, str):
            found.unknown.append(f"{head}: {advisories}")
            continue
        for advisory in advisories:
            names = ", ".join(sorted({advisory["id"], *advisory.get("aliases", [])}))
            mended = ", ".join(advisory.get("fixed_in") or ()) or "no version"
            line = f"{head}: {names}; mended in {mended}"
            if not advisory.get("withdrawn") and line not in found.bad:  # two databases, one advisory
                found.bad.append(line)
    return found


def _advisories(package: Package, index: str) -> list[dict[str, Any]] | str:
    """Return the advisories of one version, or why they cannot be known."""
    answer = _get(f"{index}/{package.name}/{package.version}/json") or _get(f"{index}/{package.name}/json")
    if answer is None:
        return "the index does not know it"
    if isinstance(answer, str):
        return answer
    newest = answer.get("info", {}).get("version")
    if newest != package.version:
        return f"the index answers for {newest} alone"
    if "vulnerabilities" not in answer:
        return "the index tells no vulnerabilities"
    return answer["vulnerabilities"]


def _get(address: str) -> dict[str, Any] | str | None:
    """Return what is there, None for 404, or what went wrong."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # the index's own
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return None if error.code == 404 else f"the index answered {error.code}"
    except (OSError, ValueError) as error:
        return f"the index cannot be asked ({getattr(error, 'reason', error)})"


def main() -> int:
    """Audit one file and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tell-unknown", action="store_true", help="what cannot be known is told only")
    parser.add_argument("--index", default=PyPI.pypi_url, help="address of the JSON API (%(default)s)")
    asked = parser.parse_args()
    try:
        packages = packages_in(asked.file)
    except (OSError, ValueError, KeyError) as error:
        print(f"{asked.file}: no SBOM or lock: {error}", file=sys.stderr)
        return 2
    found = audit(packages, asked.index)
    for line in found.bad:
        print(f"BAD      {line}")
    for line in found.unknown:
        print(f"UNKNOWN  {line}")
    clear = len(packages) - len({line.split(":")[0] for line in found.bad + found.unknown})
    print(f"{asked.file.name}: {clear} of {len(packages)} packages are clear.")
    if found.bad:
        return 1
    return 3 if found.unknown and not asked.tell_unknown else 0


if __name__ == "__main__":
    sys.exit(main())
