"""dicom-curate specifications as profiles: rows DC-3 to DC-25, vectors DC-V12 to DC-V21."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import Dataset

from deid_node.errors import ProfileError
from deid_node.profile.imports import Imported
from tests.profile.imports.importing import Edit, imported, run


def specification(date_offset: str | None = None, **options: object) -> Imported:
    given: dict[str, object] = {"version": "3.0", "hostProps": {}, "dicomPS315EOptions": options}
    if date_offset is not None:
        given["dateOffset"] = date_offset
    return imported("dicom-curate", json.dumps(given, indent=1), "spec.json")


def with_values(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def codes_of(ds: Dataset) -> list[str]:
    return [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]


def test_a_small_specification_becomes_options_and_a_few_rows() -> None:
    result = specification(
        cleanDescriptorsOption=False,
        retainLongitudinalTemporalInformationOptions="Full",
        retainInstitutionIdentityOption=True,
        retainUIDsOption="On",
        retainPatientCharacteristicsOption=["PatientAge"],
    )

    assert result.toml.startswith("""\
# Imported from spec.json, a specification of dicom-curate.
name = "spec"
base = "PS3.15"
options = ["retain-institution-identity", "retain-longitudinal-full", "retain-uids"]
ties = "first"

[stamps]
codes = ["113108"]

[attributes]
# kept
PatientAge = "K"
""")
    assert not result.left_out


def test_dc_v12_dates_move_by_the_offset_and_those_of_devices_stay(tmp_path: Path) -> None:
    item = Dataset()
    item.DateOfLastCalibration = "20220301"
    values = with_values(
        StudyDate="20230415", DateOfLastCalibration="20220301", ReferencedImageSequence=[item]
    )
    options = {"retainLongitudinalTemporalInformationOptions": "Offset"}

    device = run(specification("P30D", retainDeviceIdentityOption=True, **options), tmp_path, values)
    plain = run(specification("P30D", retainDeviceIdentityOption=False, **options), tmp_path, values)

    assert device.StudyDate == plain.StudyDate == "20230515"
    assert device.DateOfLastCalibration == "20220301"
    assert device.ReferencedImageSequence[0].DateOfLastCalibration == "20220301"
    assert plain.DateOfLastCalibration == "20220331"
    assert plain.ReferencedImageSequence[0].DateOfLastCalibration == "20220331"
    assert device.LongitudinalTemporalInformationModified == "MODIFIED"


def test_c_11_the_birth_date_is_never_moved(tmp_path: Path) -> None:
    birth = with_values(PatientBirthDate="19630101")

    for dates in ("Offset", "Full"):
        result = specification("P1D", retainLongitudinalTemporalInformationOptions=dates)
        assert run(result, tmp_path, birth).PatientBirthDate == ""


def test_dc_v13_sequences_of_the_table_go(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientID = "OTHER"
    values = with_values(OtherPatientIDsSequence=[item], RequestAttributesSequence=[Dataset()])

    ds = run(specification(), tmp_path, values)

    assert "OtherPatientIDsSequence" not in ds
    assert "RequestAttributesSequence" not in ds


def test_dc_v14_only_listed_characteristics_of_the_column_stay(tmp_path: Path) -> None:
    listed = [
        "PatientAge",
        "PatientSex",
        "PatientWeight",
        "PatientID",
        "PatientComments",
        "ResponsiblePerson",
    ]
    values = with_values(
        PatientAge="044Y", PatientSex="F", PatientWeight="70", PatientComments="a", ResponsiblePerson="B^C"
    )

    result = specification(retainPatientCharacteristicsOption=listed)
    ds = run(result, tmp_path, values)

    assert (ds.PatientAge, ds.PatientSex, ds.PatientWeight) == ("044Y", "F", 70)
    assert ds.PatientID != "1CT1"
    assert "PatientComments" not in ds
    assert not ds.get("ResponsiblePerson")
    assert len(result.warnings) == 3


def test_dc_v15_the_device_stays_and_its_ae_title_goes(tmp_path: Path) -> None:
    values = with_values(
        CalibrationDate="20250101", DeviceSerialNumber="123", StationName="ST1", StationAETitle="CT1"
    )

    ds = run(specification(retainDeviceIdentityOption=True), tmp_path, values)

    assert (ds.DeviceSerialNumber, ds.StationName) == ("123", "ST1")
    assert "StationAETitle" not in ds


def test_dc_v18_private_attributes_stay_under_quarantine_only(tmp_path: Path) -> None:
    kept = run(specification(retainSafePrivateOption="Quarantine"), tmp_path)
    gone = run(specification(retainSafePrivateOption="Off"), tmp_path)

    assert any(element.tag.is_private for element in kept)
    assert not any(element.tag.is_private for element in gone)


def test_dc_v19_an_offset_that_is_missing_removes_the_dates_and_is_listed(tmp_path: Path) -> None:
    result = specification(retainLongitudinalTemporalInformationOptions="Offset")

    ds = run(result, tmp_path, with_values(StudyDate="20230415", SeriesDate="20230415"))

    assert "20230415" not in (ds.get("StudyDate"), ds.get("SeriesDate"))
    assert [one.what for one in result.left_out] == ["retainLongitudinalTemporalInformationOptions"]


def test_dc_20_descriptors_go_but_for_exceptions(tmp_path: Path) -> None:
    values = with_values(StudyDescription="a", SeriesDescription="b", ImageComments="c")

    result = specification(
        cleanDescriptorsOption=True, cleanDescriptorsExceptions=["SeriesDescription", "PatientName"]
    )
    ds = run(result, tmp_path, values)

    assert "StudyDescription" not in ds
    assert "ImageComments" not in ds
    assert ds.SeriesDescription == "b"
    assert ds.PatientName != "CompressedSamples^CT1"
    assert [one.what for one in result.left_out] == ["cleanDescriptorsExceptions PatientName"]


def test_dc_21_and_22_further_identifiers_go(tmp_path: Path) -> None:
    ds = run(specification(), tmp_path, with_values(GridID="G1", ContactURI="mailto:a", RepairID="R"))

    assert "GridID" not in ds
    assert "ContactURI" not in ds
    assert "RepairID" not in ds


def test_dc_25_the_codes_are_those_of_the_options(tmp_path: Path) -> None:
    result = specification(
        "P1D",
        cleanDescriptorsOption=True,
        retainLongitudinalTemporalInformationOptions="Offset",
        retainPatientCharacteristicsOption=[],
        retainDeviceIdentityOption=True,
        retainInstitutionIdentityOption=True,
        retainUIDsOption="Hashed",
    )

    codes = codes_of(run(result, tmp_path))

    assert codes == ["113100", "113105", "113107", "113108", "113109", "113112"]


def test_dc_v1_the_unkeyed_uids_only_come_when_asked_for(tmp_path: Path) -> None:
    text = json.dumps({"version": "3.0", "dicomPS315EOptions": {"retainUIDsOption": "Hashed"}})
    uid = with_values(StudyInstanceUID="1.2.3")

    keyed = run(imported("dicom-curate", text), tmp_path, uid)
    exact = run(imported("dicom-curate", text, exact=True), tmp_path, uid)

    assert exact.StudyInstanceUID == "2.25.232083091097019148112004190183129133073192176056014068096"
    assert keyed.StudyInstanceUID not in ("1.2.3", exact.StudyInstanceUID)
    assert exact.SOPClassUID == keyed.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def test_dc_v11_the_dummies_of_the_tool_only_come_when_asked_for(tmp_path: Path) -> None:
    values = with_values(
        AccessionNumber="A1",
        PatientSex="F",
        PatientAge="044Y",
        StudyDate="20230415",
        SeriesDate="20230415",
        AcquisitionTime="101112",
        SeriesDescription="a",
        InstitutionName="b",
        ProtocolName="c",
    )

    result = imported("dicom-curate", '{"version": "3.0"}', exact=True)
    ds = run(result, tmp_path, values)

    assert not result.left_out
    assert (ds.PatientName, ds.PatientID, ds.AccessionNumber, ds.PatientSex) == ("", "REDACTED", "", "")
    assert (ds.StudyDate, ds.SeriesDate, ds.AcquisitionTime) == ("", "99991231", "")
    assert "PatientAge" not in ds
    assert "SeriesDescription" not in ds
    assert (ds.InstitutionName, ds.ProtocolName) == ("REDACTED", "REDACTED")


def test_off_keeps_everything_and_says_so(tmp_path: Path) -> None:
    result = imported("dicom-curate", '{"version": "3.0", "dicomPS315EOptions": "Off"}')

    ds = run(result, tmp_path)

    assert ds.PatientID == "1CT1"
    assert "PatientIdentityRemoved" not in ds
    assert "NOTHING IS DE-IDENTIFIED" in result.toml
    assert result.warnings


def test_host_properties_and_file_names_are_told() -> None:
    text = json.dumps(
        {
            "version": "3.0",
            "hostProps": {"protocolNumber": "P1", "names": ["a"]},
            "excludedFiletypes": ["Thumbs.db", "scout.dcm"],
            "inputPathPattern": "a/b",
        }
    )

    result = imported("dicom-curate", text)

    assert [one.what for one in result.left_out] == ["excludedFiletypes scout.dcm", "inputPathPattern"]
    assert [warning.split(": ")[1] for warning in result.warnings] == [
        "hostProps.protocolNumber",
        "hostProps.names",
    ]
    assert '# hostProps.protocolNumber = "P1"' in result.toml


SCRIPT = """
import type { TCurationSpecification } from '../types'
// errors: none of this comment counts
export function mine() {
  const hostProps = { number: 'N-1 { inputPathPattern: }', id: /^[A-Z]{2}$/ }
  return {
    version: '3.0',
    hostProps,
    additionalData: { type: 'load', mapping: { id: { value: (parser) => parser.getDicom('PatientID') } } },
    dicomPS315EOptions: {
      cleanDescriptorsOption: false,  // as it is
      retainLongitudinalTemporalInformationOptions: 'Full',
      retainPatientCharacteristicsOption: ['PatientAge',],
    },
    modifyDicomHeader(parser) {
      return { PatientID: parser.getFilePathComp('id') }
    },
    outputFilePathComponents: (parser) => [parser.getFilePathComp('id')],
    errors(parser) { return [['Missing Modality', parser.missingDicom('Modality')]] },
    preExclude: (parser) => false,
  }
}
"""


def test_the_parts_of_a_script_are_listed_with_their_lines(tmp_path: Path) -> None:
    result = imported("dicom-curate", SCRIPT, "spec.ts")

    ds = run(result, tmp_path, with_values(PatientAge="044Y", StudyDate="20230415"))

    assert [(one.where, one.what) for one in result.left_out] == [
        ("spec.ts line 5", "hostProps"),
        ("spec.ts line 9", "additionalData"),
        ("spec.ts line 15", "modifyDicomHeader"),
        ("spec.ts line 18", "outputFilePathComponents"),
        ("spec.ts line 19", "errors"),
        ("spec.ts line 20", "preExclude"),
    ]
    assert (ds.PatientAge, ds.StudyDate) == ("044Y", "20230415")
    assert ds.PatientID != "1CT1"


def test_options_that_a_script_computes_are_listed_and_none_is_applied(tmp_path: Path) -> None:
    script = "module.exports = {\n dicomPS315EOptions: { ...defaults, retainUIDsOption: 'On' },\n}"

    result = imported("dicom-curate", script, "spec.js")

    assert [(one.where, one.what) for one in result.left_out] == [("spec.js line 2", "dicomPS315EOptions")]
    assert run(result, tmp_path).StudyInstanceUID.startswith("2.25.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "spec.json line 1: not JSON"),
        ("{", "not JSON"),
        ("[]", "the top is not an object"),
        ("{}", "a specification says its version"),
        ('{"version": "2.0"}', "spec.json line 1: version is '2.0'"),
        ('{"version": "3.0", "dateOffset": "30"}', "dateOffset: expected an ISO 8601 duration"),
        ('{"version": "3.0", "dicomPS315EOptions": 3}', "is an object, or 'Off'"),
        (
            '{"version": "3.0", "dicomPS315EOptions": {"retainUIDOption": "On"}}',
            "did you mean retainUIDsOption?",
        ),
        ('{"version": "3.0", "dicomPS315EOptions": {"retainUIDsOption": "x"}}', "is one of hashed, on, off"),
        (
            '{"version": "3.0", "dicomPS315EOptions": {"cleanDescriptorsExceptions": "A"}}',
            "a list of keywords",
        ),
    ],
)
def test_a_malformed_specification_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        imported("dicom-curate", text, "spec.json")

    assert len(caught.value.problems) == 1
    assert says in caught.value.problems[0]


# --- other forms ----------------------------------------------------------------------------------


def test_the_options_alone_are_a_specification() -> None:
    options = '{"retainDeviceIdentityOption": true, "retainUIDsOption": "On"}'

    alone = imported("dicom-curate", options, "spec.json")
    whole = imported("dicom-curate", f'{{"version": "3.0", "dicomPS315EOptions": {options}}}', "spec.json")

    assert alone.toml == whole.toml
    assert not alone.left_out


def test_a_specification_inside_the_settings_of_a_run_is_read_and_the_run_is_listed() -> None:
    text = '{"inputType": "directory",\n"curationSpec": {"version": "3.0", "dicomPS315EOptions": {}}}'

    result = imported("dicom-curate", text, "run.json")

    assert [(one.where, one.what) for one in result.left_out] == [("run.json line 1", "inputType")]
    assert 'base = "PS3.15"' in result.toml


COMPOSED = """import { parser } from 'x'
export const spec = () => [
  () => ({ spec: {
    version: '3.0',
    dicomPS315EOptions: {
      cleanDescriptorsExceptions: ['SeriesDescription'],
      retainPatientCharacteristicsOption: ['PatientAge'],
      retainDeviceIdentityOption: true,
    },
    somethingNew: { nested: 1 },
    modifyDicomHeaders(parser) { return { PatientID: 'x' } },
  } }),
  () => ({ spec: {
    version: '3.0',
    dicomPS315EOptions: {
      cleanDescriptorsExceptions: ['StudyDescription'],
      retainPatientCharacteristicsOption: false,
    },
  } }),
]
"""


def test_dc_v17_the_options_of_a_composed_script_are_composed() -> None:
    result = imported("dicom-curate", COMPOSED, "spec.ts")

    assert 'StudyDescription = "K"' in result.toml
    assert 'SeriesDescription = "K"' in result.toml
    assert "PatientAge" not in result.toml
    assert "retain-device-identity" in result.toml


def test_what_stands_beside_the_options_is_listed_whatever_it_is_called() -> None:
    result = imported("dicom-curate", COMPOSED, "spec.ts")

    assert [(one.where, one.what) for one in result.left_out] == [
        ("spec.ts line 10", "somethingNew"),
        ("spec.ts line 11", "modifyDicomHeaders"),
    ]


def test_a_script_inside_a_text_is_read_at_its_lines() -> None:
    result = imported("dicom-curate", f"export const sample = `\n{COMPOSED}`", "spec.ts")

    assert [one.where for one in result.left_out] == ["spec.ts line 11", "spec.ts line 12"]
    assert 'StudyDescription = "K"' in result.toml
