"""What RSNA's Anonymizer does with dates of patients: offsets and events of a lookup table."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.errors import Rejected
from deid_node.profile.imports import Imported
from tests.profile.imports.importing import imported, run
from tests.profile.imports.scripts import RSNA, with_values

TABLE = "ptid/1CT1=SITE-1\ndateoffset/1CT1=42\ndateoffset/2=soon\nbasedate/1CT1=20040109\n"


def rsna(tag: str, action: str, text: str = RSNA) -> Imported:
    element = f'<e en="T" t="{tag}" n="X">{action}</e>\n</script>'
    kept = "\n".join(line for line in text.splitlines() if f't="{tag}"' not in line)
    return imported("ctp", kept.replace("</script>", element), "a.script", lookup_table=TABLE)


def test_dates_move_by_the_days_that_the_table_has_for_the_patient(tmp_path: Path) -> None:
    result = rsna("00080020", "@lookup(this,dateoffset)")

    ds = run(result, tmp_path, with_values(StudyDate="20040119"))

    assert ds.StudyDate == "20040301"
    assert [one.why for one in result.left_out] == ["1 rows with other numbers of days count as not there"]
    with pytest.raises(Rejected, match="no row for a value"):
        run(result, tmp_path, with_values(PatientID="2"))


@pytest.mark.parametrize(
    ("action", "day"), [("@rebasedate(this,20000101)", "20000111"), ("@rebasedate(this)", "19600111")]
)
def test_dates_are_counted_from_the_event_of_the_patient(tmp_path: Path, action: str, day: str) -> None:
    result = rsna("00080020", action)

    assert not result.left_out
    assert run(result, tmp_path, with_values(StudyDate="20040119")).StudyDate == day


def test_the_days_of_the_table_are_a_mark_of_rsnas_tool(tmp_path: Path) -> None:
    text = '<anonymizer-script>\n<e t="00100020">@lookup(this,ptid)</e>\n'
    text += '<e t="00080020">@lookup(this,dateoffset)</e>\n</anonymizer-script>'

    result = imported("ctp", text, "a.script", lookup_table=TABLE.replace("dateoffset/2=soon\n", ""))

    assert not result.left_out
    assert "a script of RSNA's Anonymizer" in result.toml


def test_names_are_looked_up_by_patient_id(tmp_path: Path) -> None:
    assert run(rsna("00100010", "@lookup(this,ptid)"), tmp_path).PatientName == "SITE-1"
