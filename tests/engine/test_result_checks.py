"""Validations of the input and of the result, checks of the result, and rows with conditions, on objects."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.engine.deidentified import Finding
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import Excluded, ProfileError, Rejected
from deid_node.profile import library
from deid_node.profile.procedure import Level
from tests.rewriting import Rewritten, pseudonyms, rewrite

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
KEEP = '[unlisted]\nsop_class = "catch-all"\nattribute = "K"\n'


@pytest.fixture
def done(tmp_path: Path):
    """De-identify CT_small with changes under a profile."""

    def run(profile: str, **changes: object) -> Rewritten:
        file = tmp_path / "site.toml"
        file.write_text(f'name = "site"\n{profile}')
        ds = pydicom.dcmread(CT)
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(tmp_path / "in.dcm")
        deidentifier = Deidentifier(library.load(file), pseudonyms())
        return rewrite(deidentifier, (tmp_path / "in.dcm").read_bytes())

    return run


def result(done: Rewritten) -> Dataset:
    from io import BytesIO

    return pydicom.dcmread(BytesIO(done.file))


@pytest.mark.parametrize("level", ["warn", "note"])
def test_a_validation_is_a_finding(done, level: str) -> None:
    rule = f'[[validate]]\nwhen = "SliceThickness > 3"\nmessage = "thick slices"\nlevel = "{level}"\n'

    found = done(f'extends = ["basic"]\n{rule}').summary.findings

    assert found == (Finding(Level(level), "validation", "thick slices"),)


@pytest.mark.parametrize("level", ["", 'level = "reject"\n'])
def test_a_validation_rejects_unless_it_says_otherwise(done, level: str) -> None:
    rule = f'[[validate]]\nwhen = "Modality == \'CT\'"\nmessage = "no CT"\n{level}'

    with pytest.raises(Rejected, match="no CT") as caught:
        done(f'extends = ["basic"]\n{rule}')

    assert caught.value.code == "validation"


@pytest.mark.parametrize(
    ("when", "rejects"), [("exists(PatientComments)", False), ("exists(PatientID)", True)]
)
def test_a_validation_of_the_result_sees_what_is_left(done, when: str, rejects: bool) -> None:
    rule = f'[[validate]]\nwhen = "{when}"\nmessage = "left"\nstage = "result"\n'
    if rejects:
        with pytest.raises(Rejected):
            done(f'extends = ["basic"]\n{rule}', PatientComments="x")
    else:
        assert done(f'extends = ["basic"]\n{rule}', PatientComments="x").summary.findings == ()


def test_an_exclusion_of_the_result_sees_every_depth(done) -> None:
    rule = '[[exclude]]\nwhen = "CodeValue == \'T-1\'"\nstage = "result"\n'
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-1", "99X", "x"

    with pytest.raises(Excluded):
        done(KEEP + rule, AnatomicRegionSequence=Sequence([item]))


def test_rp_v11_levels_of_values_that_are_left(done) -> None:
    profile = f"""{KEEP}[checks]
    values = "note"
    names = "reject"
    dates = "warn"
    [attributes]
    PatientName = "Z"
    """
    fields = {
        "StudyDate": "20200101",
        "ImageType": "abc",
        "StudyTime": "12h",
        "SliceThickness": "1.00000000000000001",
    }

    found = {
        (finding.path, finding.level)
        for finding in done(profile, **fields).summary.findings
        if finding.path in fields
    }
    with pytest.raises(Rejected) as caught:
        done(profile, OperatorsName="a")

    assert found == {
        ("StudyDate", Level.WARN),
        ("ImageType", Level.NOTE),
        ("StudyTime", Level.NOTE),
        ("SliceThickness", Level.NOTE),
    }
    assert (caught.value.code, caught.value.path) == ("name", "OperatorsName")


def test_a_date_that_was_moved_is_no_finding(done) -> None:
    profile = f'{KEEP}[checks]\ndates = "warn"\n[attributes]\n"vr:DA" = "C"\n'

    assert [f for f in done(profile, StudyDate="20200101").summary.findings if f.path == "StudyDate"] == []


def test_a_name_of_the_patient_that_a_row_writes_is_found(done) -> None:
    profile = """extends = ["basic"]
    [checks]
    identifiers = "warn"
    [attributes]
    StudyDescription = { value = "of {PatientName}" }
    """

    found = done(profile, PatientName="Cannavaro^Eva", StudyDescription="x").summary.findings

    assert found == (
        Finding(Level.WARN, "identifier", "a name or ID of the patient is left", "StudyDescription"),
    )


def test_an_attribute_that_must_be_there_is_missed(done) -> None:
    profile = f'{KEEP}[checks]\nrequired = "note"\n[attributes]\nPatientSex = "X"\nKVP = "K"\n'

    found = {(finding.code, finding.path) for finding in done(profile).summary.findings}

    assert ("required", "PatientSex") in found
    assert ("required", "PatientName") not in found


def test_a_row_with_a_condition_is_applied_to_objects_for_which_it_holds(done) -> None:
    profile = """extends = ["basic"]
    [attributes]
    BodyPartExamined = [{ action = "K", when = "PatientSex == 'F'" }, "X"]
    """

    kept = result(done(profile, PatientSex="F", BodyPartExamined="HEAD"))
    removed = result(done(profile, PatientSex="M", BodyPartExamined="HEAD"))

    assert kept.BodyPartExamined == "HEAD"
    assert "BodyPartExamined" not in removed


def test_objects_of_one_engine_are_decided_each_by_itself(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n[attributes]\n'
        'BodyPartExamined = [{ action = "K", when = "calling_ae == \'A\'" }, "X"]\n'
    )
    deidentifier = Deidentifier(library.load(tmp_path / "site.toml"), pseudonyms())
    ds = pydicom.dcmread(CT)
    ds.BodyPartExamined = "HEAD"
    ds.save_as(tmp_path / "in.dcm")
    dataset = (tmp_path / "in.dcm").read_bytes()[
        pydicom.dcmread(CT).file_meta.FileMetaInformationGroupLength + 144 :
    ]
    kept = []

    for calling in "ABABBA":
        going = deidentifier.begin(transfer_syntax_uid="1.2.840.10008.1.2.1", origin={"calling_ae": calling})
        first = going.feed(dataset)
        last, _ = going.finish()
        out = b"".join(bytes(part) for part in [*(first.buffers if first else ()), *last.buffers])
        kept.append(b"HEAD" in out)

    assert kept == [True, False, True, False, False, True]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[validate]]\nwhen = \"Modality == 'CT'\"\n", '[[validate]] needs when = "..." and message'),
        ('[[validate]]\nwhen = "Modalty == \'CT\'"\nmessage = "x"\n', "did you mean Modality"),
        ('[[validate]]\nwhen = "Modality == \'CT\'"\nmessage = "x"\nlevel = "wrn"\n', "did you mean warn"),
        ('[checks]\nvalue = "warn"\n', "did you mean values"),
        ('[checks]\nvalues = "fatal"\n', "not one of off, reject, warn, note"),
        ("validate = 1\n", "validate is a list of tables"),
        ("checks = 1\n", "checks is a table"),
    ],
)
def test_what_is_wrong_with_validations_and_checks_is_told(done, text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        done(f'extends = ["basic"]\n{text}')

    assert says in str(caught.value)
