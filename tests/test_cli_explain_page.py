"""The page of `deid-node explain --html`: complete, escaped, without any network."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
_VOID = {"meta", "input", "br", "link", "img", "wbr"}


class Reader(HTMLParser):
    """Reads a page: every element with its attributes, the rows of the table, whether all is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and ("td" in self.open or "th" in self.open):
            self.rows[-1][-1] += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of an object with hostile values, also in an item."""
    ds = pydicom.dcmread(CT)
    ds.PatientComments = "<script>alert(1)</script>"
    ds.StudyDescription = "\"><img src=x onerror='x'>&amp;"
    ds.PatientName = "Cannavaro^Eva"
    ds.ImageType = "abc"
    item = Dataset()
    item.PatientID, item.CodeMeaning = "\u202eabc", "</td></table>"
    ds.ReferencedPatientSequence = Sequence([item])
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.save_as(tmp_path / "in.dcm")
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["research"]\n[attributes]\nStudyDescription = "K"\n'
        'ReferencedPatientSequence = "K"\n"ReferencedPatientSequence.CodeMeaning" = "K"\n'
    )
    out = tmp_path / "page.html"
    status = main(
        ["explain", str(tmp_path / "in.dcm"), "-p", str(tmp_path / "site.toml"), "--html", str(out)]
    )
    assert status == ExitCode.OK
    return out


def test_every_attribute_is_there_before_and_after_with_its_row_and_reason(page: Path) -> None:
    rows = {row[0].split()[0]: row for row in read(page).rows[1:]}

    before = pydicom.dcmread(page.parent / "in.dcm")
    assert {elem.keyword for elem in before if elem.keyword and elem.tag.group < 0x7FE0} <= rows.keys()
    name = rows["PatientName"]
    assert name[1] == "Cannavaro^Eva"
    assert name[2] not in ("", name[1])
    assert name[3] == "D"
    assert "PS3.15" in name[4] or "toml" in name[4]
    assert rows["OtherPatientIDsSequence"][2] == "absent"
    assert rows["PatientIdentityRemoved"][1:3] == ["absent", "YES"]


def test_values_are_text_and_nothing_else(page: Path) -> None:
    reader = read(page)

    assert {tag for tag, _ in reader.elements} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "p", "dl", "dt", "dd", "form", "input"),
        *(
            "label",
            "select",
            "option",
            "span",
            "table",
            "thead",
            "tbody",
            "tfoot",
            "tr",
            "th",
            "td",
            "wbr",
            "script",
        ),
    }
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    assert "\u202e" not in page.read_text(encoding="utf-8")
    assert any(row[1] == "<script>alert(1)</script>" for row in reader.rows)


def test_nothing_is_asked_from_a_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    reader = read(page)
    (policy,) = [
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]

    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for element in ("style", "script"):
        (inline,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    used = {name for _, attributes in reader.elements for name in attributes}
    assert not used & {"src", "href", "action", "srcset", "data", "poster"}
    assert "http://" not in text
    assert "https://" not in text


def test_it_says_that_it_identifies_and_is_for_its_owner_only(page: Path) -> None:
    assert "identify the patient" in " ".join(" ".join(read(page).texts).split())
    assert page.stat().st_mode & 0o777 == 0o600


def test_findings_stand_at_their_attributes_by_level(page: Path) -> None:
    reader = read(page)

    levels = {attributes.get("class") for tag, attributes in reader.elements if tag == "span"}
    image_type = next(row for row in reader.rows if row[0].startswith("ImageType"))
    assert "finding note" in levels
    assert image_type[4].startswith("note: the value is none of VR CS")


def test_every_action_that_occurs_can_be_chosen_and_is_explained(page: Path) -> None:
    offered = re.findall(r'<option value="action-(\w)">([^<]*)<', page.read_text(encoding="utf-8"))
    reader = read(page)

    taken = [row[3] for row in reader.rows[1:-1]]
    classes = [str(given.get("class")).split() for tag, given in reader.elements if tag == "tr"]
    assert {action for action, _ in offered} == set(taken)
    assert ("X", f"X, removed ({taken.count('X')})") in offered
    assert sum("action-X" in words for words in classes) == taken.count("X")


def test_the_page_names_the_profile_that_was_applied(tmp_path: Path) -> None:
    out = tmp_path / "page.html"

    main(["explain", str(CT), "--html", str(out)])

    assert "basic 2026.1" in read(out).texts


def test_a_path_may_be_broken_between_its_parts_and_reads_the_same(page: Path) -> None:
    row = next(
        row for row in read(page).rows if row[0].startswith("ReferencedPatientSequence[0].CodeMeaning")
    )

    assert row[1] == "</td></table>"
    assert "ReferencedPatientSequence[0].<wbr>" in page.read_text(encoding="utf-8")


def test_a_rejected_object_has_a_page_too(tmp_path: Path) -> None:
    out = tmp_path / "page.html"

    status = main(["explain", str(FILES / "rtplan.dcm"), "-p", "grand-challenge", "--html", str(out)])

    assert status == ExitCode.INCOMPLETE
    assert "rejected" in " ".join(read(out).texts)


def test_a_page_replaces_a_page_and_nothing_else(page: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")

    again = main(["explain", str(CT), "--html", str(page)])
    other = main(["explain", str(CT), "--html", str(mine)])

    assert (again, other) == (ExitCode.OK, ExitCode.CANNOT_CREATE)
    assert mine.read_text() == "mine"
