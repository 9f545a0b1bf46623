"""Functions that other packages bring: found by entry point, checked when a profile is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.errors import ProfileError
from deid_node.profile import library, plugins
from deid_node.profile.functions import describe

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
CODE = """
from deid_node.profile import params
from deid_node.profile.plugins import Plugin
from deid_node.profile.procedure import Action

def coded(value, given, context):
    if given["prefix"] == "fail":
        raise ValueError(value)
    if given["prefix"] == "none":
        return None
    return given["prefix"] + context.pseudonyms.digest("site", value.encode()).hex()[:6]

PREFIX = params.Param(params.filled_text, "A", "prefix")
SITE_CODE = Plugin("site_code", Action.D, coded, "a code", {"prefix": PREFIX}, frozenset({"LO", "SH"}))
OTHER_NAME = Plugin("another", Action.D, coded)
KEEPS = Plugin("keeps", Action.K, coded)
NOTHING = object()
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs a distribution with entry points beside the others."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site_functions.py").write_text(CODE)

    def add(package: str = "site-functions", **entries: str) -> None:
        folder = tmp_path / "site" / f"{package.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[deid_node.functions]", *lines, ""]))
        _forget()

    yield add
    sys.modules.pop("site_functions", None)
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    plugins.offered.cache_clear()
    plugins.load.cache_clear()


def site(folder: Path, row: str) -> Path:
    file = folder / "site.toml"
    file.write_text(f'name = "site"\nextends = ["basic"]\n[attributes]\nPatientID = {row}\n')
    return file


def test_a_function_of_another_package_is_applied(install: Install, tmp_path: Path) -> None:
    install(site_code="site_functions:SITE_CODE")
    profile = site(tmp_path, '{ do = "site_code", prefix = "B" }')

    status = main(["deidentify", "-p", str(profile), str(CT), str(tmp_path / "out.dcm")])

    made = pydicom.dcmread(tmp_path / "out.dcm").PatientID
    assert status == ExitCode.OK
    assert made.startswith("B")
    assert len(made) == 7


def test_none_removes_the_attribute(install: Install, tmp_path: Path) -> None:
    install(site_code="site_functions:SITE_CODE")
    profile = site(tmp_path, '"K"\nAccessionNumber = { do = "site_code", prefix = "none" }')
    profile.write_text(profile.read_text() + 'StudyDescription = { do = "site_code", prefix = "none" }\n')

    main(["deidentify", "-p", str(profile), str(CT), str(tmp_path / "out.dcm")])

    assert "StudyDescription" not in pydicom.dcmread(tmp_path / "out.dcm")


def test_a_function_that_fails_fails_the_object_and_quotes_no_value(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site_code="site_functions:SITE_CODE")
    profile = site(tmp_path, '{ do = "site_code", prefix = "fail" }')

    status = main(["deidentify", "-p", str(profile), str(CT), str(tmp_path / "out.dcm")])

    told = "".join(capsys.readouterr())
    assert status == ExitCode.INCOMPLETE
    assert "the function site_code failed (ValueError)" in told
    assert "1CT1" not in told
    assert not (tmp_path / "out.dcm").exists()


def test_a_plug_in_that_is_called_as_a_built_in_function_is_an_error(install: Install) -> None:
    install(hash="site_functions:SITE_CODE")

    with pytest.raises(ProfileError, match="called as the built-in function 'hash'"):
        describe("uid", {})


def test_two_plug_ins_of_one_name_are_an_error(install: Install) -> None:
    install(site_code="site_functions:SITE_CODE")
    install("other-functions", site_code="site_functions:SITE_CODE")

    with pytest.raises(ProfileError, match="two plug-ins are called 'site_code'"):
        describe("site_code", {})


def test_an_unknown_function_names_the_nearest_plug_in(install: Install) -> None:
    install(site_code="site_functions:SITE_CODE")

    with pytest.raises(ProfileError, match="did you mean site_code"):
        describe("site_cod", {})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{ do = "site_code", prefx = "B" }', "did you mean prefix"),
        ('{ do = "site_code", prefix = "" }', "a text that is not empty"),
        ('"Z"\nPatientBirthDate = { do = "site_code" }', "cannot be applied to VR DA"),
    ],
)
def test_a_row_is_checked_against_what_the_plug_in_says(
    install: Install, tmp_path: Path, row: str, says: str
) -> None:
    install(site_code="site_functions:SITE_CODE")

    with pytest.raises(ProfileError) as caught:
        library.load(site(tmp_path, row))

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("gone", "nowhere_at_all:F", "cannot be loaded \\(ModuleNotFoundError\\)"),
        ("nothing", "site_functions:NOTHING", "is no deid_node.profile.plugins.Plugin"),
        ("one", "site_functions:OTHER_NAME", "calls itself 'another'"),
        ("keeps", "site_functions:KEEPS", "has the action 'K'; it is one of C, D, U, Z"),
    ],
)
def test_what_is_no_plug_in_is_told_with_its_package(
    install: Install, name: str, value: str, says: str
) -> None:
    install(**{name: value})

    with pytest.raises(ProfileError, match=f"of site-functions {says}"):
        describe(name, {})
