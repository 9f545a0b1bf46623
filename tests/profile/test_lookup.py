"""Lookup tables: CSV files that say what stands for a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.errors import ProfileError, Rejected
from deid_node.profile import library
from deid_node.profile.listing import show
from deid_node.profile.lookup import read_lookup
from deid_node.profile.procedure import Procedure
from deid_node.standard.sop_classes import find_sop_class

PROFILE = """
name = "site"
extends = ["basic"]

[attributes]
PatientID = { do = "lookup", table = "ids" }

[tables.ids]
file = "ids.csv"
key = "old"
value = "new"
"""


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ProfileError) as caught:
        read_lookup(text, "ids.csv", ("old",), "new")
    return caught.value.problems


def loaded(tmp_path: Path, csv: str | None, profile: str = PROFILE) -> Procedure:
    if csv is not None:
        (tmp_path / "ids.csv").write_text(csv, encoding="utf-8")
    (tmp_path / "site.toml").write_text(profile)
    return library.load(tmp_path / "site.toml")


def test_dc_v16_a_column_is_looked_up_by_another() -> None:
    table = read_lookup("old,new,ignore\noldV1,newV1,a\noldV2,newV2,b\n", "ids.csv", ("old",), "new")

    assert table.rows == {"oldV1": "newV1", "oldV2": "newV2"}


def test_dc_v16_rows_that_contradict_each_other_are_an_error_without_their_values() -> None:
    (problem,) = problems_of("old,new\nSECRET,X1\nB,2\nSECRET,X2\n")

    assert problem == "ids.csv line 4: contradicts line 2: one 'old', two 'new'"


def test_rows_that_say_the_same_are_a_note() -> None:
    table = read_lookup("old,new\nA,1\nA,1\n", "ids.csv", ("old",), "new")

    assert table.rows == {"A": "1"}
    assert table.notes == ("ids.csv: what a line above says stands again in line 3",)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('old,new\r\n"Doe, Jane",1\r\n', "Doe, Jane"),
        ('old,new\n"said ""no""",1\n', 'said "no"'),
        ('old,new\n"two\nlines",1\n', "two\nlines"),
        ("\ufeffold,new\n A ,1\n", "A"),
        ("new,old\n1,Müller", "Müller"),
    ],
)
def test_quotes_line_breaks_and_spaces_are_read_as_rfc_4180_says(text: str, key: str) -> None:
    assert read_lookup(text, "ids.csv", ("old",), "new").rows == {key: "1"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line with the names of the columns"),
        ("old,neu\nA,1\n", "no column 'new'"),
        ("old,new,new\nA,1,1\n", "several columns 'new'"),
        ("old;new\nA;1\n", "separated by commas"),
        ("old,new\nA\n", "line 2: has 1 cells"),
        ("old,new\n,1\n", "line 2: has no value in the column 'old'"),
        ('old,new\n"A,1\n', "a quote is not closed"),
        ('old,new\n"A"b,1\n', "something stands behind a closing quote"),
        (f"old,new\n{'A' * 200_000},1\n", "a cell is longer than 131072 characters"),
        ("old,new\nA,1\0\n", "line 2: has a control character in the column 'new'"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(text: str, says: str) -> None:
    assert says in problems_of(text)[0]


def test_a_row_that_nobody_filled_in_counts_as_not_there() -> None:
    assert read_lookup("old,new\nA,\n", "ids.csv", ("old",), "new").rows == {}


def test_a_table_lies_beside_the_profile_that_names_it(tmp_path: Path) -> None:
    procedure = loaded(tmp_path, "old,new\nA,1\n")

    assert procedure.lookups == {"ids": {"A": "1"}}
    assert "'A'" not in repr(procedure)


def test_a_table_of_a_profile_below_is_replaced_by_name(tmp_path: Path) -> None:
    loaded(tmp_path, "old,new\nA,1\n")
    (tmp_path / "mine.csv").write_text("k,v\nA,2\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nextends = ["site.toml"]\n[tables.ids]\nfile = "mine.csv"\nkey = "k"\nvalue = "v"\n'
    )

    assert library.load(tmp_path / "mine.toml").lookups == {"ids": {"A": "2"}}


@pytest.mark.parametrize(
    ("csv", "profile", "says"),
    [
        (None, PROFILE, "site.toml line 8: there is no table file 'ids.csv'"),
        ("old,new\nA,1\nA,2", PROFILE, "site.toml line 8: ids.csv line 3: contradicts"),
        (
            "old,new\n",
            PROFILE.replace('table = "ids"', 'table = "idz"'),
            "line 6: there is no lookup table 'idz'",
        ),
        ("old,new\n", PROFILE.replace('key = "old"\n', ""), "[tables.ids] needs key"),
        ("old,new\n", PROFILE.replace('"new"', '"old"'), "one column as key and value"),
        ("old,new\n", PROFILE.replace("value =", "values ="), "did you mean value?"),
    ],
)
def test_what_is_wrong_with_tables_of_a_profile_has_its_line(
    tmp_path: Path, csv: str | None, profile: str, says: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        loaded(tmp_path, csv, profile)

    assert says in str(caught.value)


def test_a_procedure_names_the_secrets_that_it_needs(tmp_path: Path) -> None:
    profile = PROFILE.replace('{ do = "lookup", table = "ids" }', '{ do = "hash", key = "site-hash" }')

    assert loaded(tmp_path, "old,new\n", profile).secrets == {"site-hash"}


@pytest.mark.parametrize("missing", ["reject", "hold"])
def test_a_value_without_a_row_rejects_or_holds_the_object(tmp_path: Path, missing: str) -> None:
    import pydicom

    from deid_node.engine.rewrite import Deidentifier
    from tests.rewriting import pseudonyms, rewrite

    profile = PROFILE.replace('"ids" }', f'"ids", missing = "{missing}" }}')
    file = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"

    with pytest.raises(Rejected) as caught:
        rewrite(Deidentifier(loaded(tmp_path, "old,new\nA,1\n", profile), pseudonyms()), file.read_bytes())
    done = rewrite(
        Deidentifier(loaded(tmp_path, "old,new\n1CT1,S-1\n", profile), pseudonyms()), file.read_bytes()
    )

    assert caught.value.code == {"reject": "rejected", "hold": "held"}[missing]
    assert b"S-1 " in done.file


def test_the_attributes_of_a_lookup_are_shown_by_their_keywords(tmp_path: Path) -> None:
    profile = PROFILE.replace('table = "ids" }', 'table = "ids", by = "AccessionNumber" }')

    rows = show(loaded(tmp_path, "old,new\nA,1\n", profile), find_sop_class("CT"))

    assert "lookup(table=ids, by=AccessionNumber)" in {row.how for row in rows}


def test_a_lookup_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    import pydicom

    from deid_node.engine.rewrite import Deidentifier
    from tests.rewriting import pseudonyms, rewrite

    profile = PROFILE.replace('"ids" }', '"ids", by = ["PatientID", "PatientComments"] }')
    profile = profile.replace('key = "old"', 'key = ["old", "note"]')
    file = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    procedure = loaded(tmp_path, "old,note,new\n1CT1,x,S-1\n", profile)

    with pytest.raises(Rejected, match="nothing is there to be looked up in the lookup table 'ids'"):
        rewrite(Deidentifier(procedure, pseudonyms()), file.read_bytes())
