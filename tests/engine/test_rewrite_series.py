"""An object never depends on those before it: what is remembered between objects changes no byte.

Every object of a mixed row goes once through one Deidentifier that has seen all before it, and once
through a fresh one; bytes, summary or refusal must be the same.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date, time
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import Excluded, ObjectRefused
from deid_node.node.part10 import read_part10
from deid_node.profile.basic import basic_procedure
from deid_node.profile.conditions import Condition
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Gate, Procedure, Rule
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, UNDEFINED, Form, procedure, run_with_summary
from tests.rewriting import pseudonyms
from tests.seeds.objects import KEEP_ALL
from tests.seeds.objects import procedure as seeded

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


@cache
def _procedures() -> dict[str, Procedure]:
    cleaning = frozenset(
        {Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED, Option.RETAIN_SAFE_PRIVATE}
    )
    burned = Gate(Condition.parse("BurnedInAnnotation not in ('', 'NO')"), "text may be burned in")
    return {
        "basic": basic_procedure(),
        "options": basic_procedure(cleaning),
        "hand": procedure(
            {0x00080018: Action.U, 0x00080020: Action.C, 0x00081030: Action.C, 0x00081155: Action.U,
             0x00100010: Action.Z, 0x00100020: Action.X, 0x00204000: Action.C},
            unlisted=Action.K,
            private={(0x0009, "ACME", 1): Rule(Action.K), (0x0009, "ACME", 2): Rule(Action.C)},
            identity_removed=True,
            rejects=(burned,),
        ),
        "private": procedure(
            {0x00080020: Action.K, 0x00100020: Action.D},
            private={(0x0009, "ACME", 1): Rule(Action.K), (0x0009, "ACME", 2): Rule(Action.C)},
            identity_removed=True,
        ),
        "forced": procedure(
            {0x00100010: Action.Z, 0x00100020: Action.Z}, unlisted=Action.K, identity_removed=True,
            forced_uids={0x00080018: "1.2.3", 0x0020000D: "1.2.4"},
        ),
    }  # fmt: skip


def outcome(deidentifier: Deidentifier, dataset: bytes, form: Form, piece_bytes: int | None = None) -> object:
    """Return the bytes and the summary of an object, or the kind of its refusal."""
    try:
        return run_with_summary(deidentifier, dataset, form, piece_bytes=piece_bytes)
    except ObjectRefused as refusal:
        return type(refusal), refusal.reason


def check(name: str, objects: Iterator[bytes] | list[bytes], form: Form) -> None:
    """Put objects through a Deidentifier that remembers, and each through a fresh one."""
    shared = Deidentifier(_procedures()[name], pseudonyms())
    sizes = random.Random(7)
    for number, one in enumerate(objects):
        remembered = outcome(shared, one, form, sizes.choice([None, 64, 1000]))

        assert remembered == outcome(Deidentifier(_procedures()[name], pseudonyms()), one, form), number


# --- objects made with pydicom --------------------------------------------------------------------------


def _bytes(ds: Dataset, form: Form) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, ds, implicit_vr=form is IMPLICIT, little_endian=True, force_encoding=True)
    return buffer.getvalue()


def _slices(count: int) -> Iterator[Dataset]:
    """Yield the slices of a series as a scanner sends them."""
    base = dcmread(get_testdata_file("CT_small.dcm"))
    base.PatientName, base.PatientID = "Zabrowska^Ilse", "MR-40815"
    base.SeriesDescription = "chest"
    base.ReferencedImageSequence = Sequence([Dataset()])
    for number in range(count):
        ds = Dataset(base)
        ds.SOPInstanceUID = f"1.2.3.4.{number}"
        ds.InstanceNumber, ds.SliceLocation = str(number), f"{number * 1.25:.2f}"
        ds.ImagePositionPatient = ["0", "0", f"{number * 1.25:.2f}"]
        ds.ContentTime = f"1015{number:02d}"
        ds.WindowCenter = str(40 + number % 3)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
            "1.2.840.10008.5.1.4.1.1.2",
            f"1.2.3.9.{number}",
        )
        ds.ReferencedImageSequence = Sequence([item])
        yield ds


def _change(ds: Dataset, choose: random.Random) -> None:
    """Change one thing, as the next object of another series or patient may have it."""
    changes: tuple[Callable[[], object], ...] = (
        lambda: setattr(ds, "PatientName", choose.choice(["Miller^Ann", "Zabrowska^Ilse", "Lee^Kim", ""])),
        lambda: setattr(ds, "PatientID", choose.choice(["4711", "MR-40815", ""])),
        lambda: setattr(ds, "PatientBirthDate", choose.choice(["19500101", ""])),
        lambda: setattr(ds, "StudyInstanceUID", f"1.2.3.7.{choose.randrange(3)}"),
        lambda: setattr(
            ds, "StudyDescription", choose.choice(["head of Miller", "ZABROWSKA chest", "chest", ""])
        ),
        lambda: setattr(
            ds, "SeriesDescription", choose.choice(["LEE", "chest 12.03.2024", "seen by Dr Kowalski"])
        ),
        lambda: setattr(ds, "ReferringPhysicianName", choose.choice(["Chest^Dr", "Kowalski^Jan"])),
        lambda: setattr(ds, "BurnedInAnnotation", choose.choice(["YES", "NO", ""])),
        lambda: setattr(ds, "Modality", choose.choice(["CT", "CT", "MR"])),
        lambda: setattr(
            ds, "SOPClassUID", choose.choice(["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"])
        ),
        lambda: setattr(ds, "SpecificCharacterSet", choose.choice(["ISO_IR 100", "ISO_IR 192"])),
        lambda: setattr(ds, "DeidentificationMethod", choose.choice(["deid_node: before", "other"])),
        lambda: setattr(ds, "StudyDate", choose.choice(["20240312", "20240101", "no date", ""])),
        lambda: setattr(ds, "ImageComments", choose.choice(["of Zabrowska", "Miller", "nothing"])),
        lambda: setattr(ds, "KVP", choose.choice(["120", "80", None])),
        lambda: ds.__delitem__(choose.choice([elem.tag for elem in ds if elem.tag > 0x00100030])),
        lambda: setattr(ds, "PixelData", bytes(2 * choose.randrange(1, 20000))),
        lambda: ds.add_new(0x00431027, "SH", choose.choice(["/1.0:1", "/0.5:1"])),
        lambda: ds.add_new(0x00091001, "LO", choose.choice(["Miller", "GE"])),
        lambda: ds.add_new(0x00190010, "LO", choose.choice(["GEMS_ACQU_01", "SOMEBODY"])),
        lambda: ds.add_new(0x00191023, "DS", choose.choice(["1.0", "2.0"])),
        lambda: ds.ReferencedImageSequence[0].add_new(0x00280301, "CS", choose.choice(["YES", "NO"])),
        lambda: ds.ReferencedImageSequence[0].add_new(
            0x00100010, "PN", choose.choice(["Chest^X", "Miller^Y"])
        ),
        lambda: ds.ReferencedImageSequence.append(Dataset()),
    )
    choose.choice(changes)()


@pytest.mark.parametrize("form", [EXPLICIT, IMPLICIT], ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["basic", "options", "hand"])
def test_the_slices_of_a_series_are_what_they_are_alone(name: str, form: Form) -> None:
    check(name, [_bytes(ds, form) for ds in _slices(12)], form)


@pytest.mark.parametrize("form", [EXPLICIT, IMPLICIT], ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["basic", "options", "hand"])
@pytest.mark.parametrize("seed", range(4))
def test_an_object_of_another_series_or_patient_is_what_it_is_alone(name: str, form: Form, seed: int) -> None:
    choose = random.Random(seed)
    objects = []
    for number, ds in enumerate(_slices(60)):
        if number > 3 and choose.random() < 0.7:
            _change(ds, choose)
        objects.append(_bytes(ds, form))

    check(name, objects, form)


@pytest.mark.parametrize("form", [EXPLICIT, IMPLICIT], ids=lambda form: form.name)
def test_pixels_are_measured_by_the_object_that_has_them(form: Form) -> None:
    objects = []
    for ds, rows in zip(_slices(12), (40, 40, 40, 20, 80, 40, 40, 80, 20, 40, 40, 40), strict=True):
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.SamplesPerPixel = rows, 40, 16, 1
        ds.PixelData = bytes(40 * 40 * 2)  # too many for 20 rows, too few for 80
        objects.append(_bytes(ds, form))

    check("basic", objects, form)


def test_pixels_are_followed_by_what_is_behind_them_in_each_object() -> None:
    padding, private = ((0xFFFCFFFC, "OB", b"Lee^Kim "), (0x7FE10010, "LO", b"ACME"))
    tails = [b"", EXPLICIT.element(*private), EXPLICIT.element(*padding), b""]
    objects = []
    for number, ds in enumerate(_slices(16)):
        ds.pop("DataSetTrailingPadding", None)
        objects.append(_bytes(ds, EXPLICIT) + tails[number % 4])

    check("hand", objects, EXPLICIT)


def test_frames_lose_their_comments_in_every_object_of_a_series() -> None:
    comment = b"\xff\xd8\xff\xfe\x00\x0aZABROWSK\xff\xda" + bytes(300)
    start = EXPLICIT.element(0x7FE00010, "OB", length=UNDEFINED)
    end = EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    objects = []
    for number, ds in enumerate(_slices(12)):
        ds.pop("PixelData", None)
        ds.pop("DataSetTrailingPadding", None)
        frame = comment if number % 3 else bytes(308)
        pixels = start + EXPLICIT.item() + EXPLICIT.item(frame) + end
        objects.append(_bytes(ds, EXPLICIT) + (pixels if number != 7 else pixels[:-8]))

    check("basic", objects, EXPLICIT)


# --- objects made of bytes ------------------------------------------------------------------------------


def _elements(form: Form, number: int) -> list[bytes]:
    item = form.item(
        form.element(0x00080104, "LO", b"left lobe"), form.element(0x00081155, "UI", b"1.2.%d" % (number % 2))
    )
    return [
        form.element(0x00080005, "CS", b"ISO_IR 100"),
        form.element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7"),
        form.element(0x00080018, "UI", b"1.2.3.%d" % number),
        form.element(0x00080020, "DA", b"20240312"),
        form.element(0x00080060, "CS", b"CT"),
        form.element(0x00081030, "LO", b"chest"),
        form.sequence(0x00081140, item),
        form.element(0x00090010, "LO", b"ACME"),
        form.element(0x00091001, "DS", b"1.%d" % (number % 3)),
        form.element(0x00091002, "LT", b"chest of nobody"),
        form.element(0x00091003, "LO", b"secret"),
        form.element(0x00100010, "PN", b"Zabrowska^Ilse"),
        form.element(0x00100020, "LO", b"MR-40815"),
        form.element(0x00200013, "IS", b"%d" % number),
        form.element(0x00204000, "LT", b"a remark"),
        form.element(0x00280010, "US", form.us(number)),
        form.element(0x7FE00010, "OW", bytes(100)),
    ]


def _spoil(elements: list[bytes], form: Form, choose: random.Random) -> bytes:
    """Return the dataset with one thing wrong or unusual."""
    number = choose.randrange(3, len(elements))
    element = elements[number]
    tag = 0x00200000 + choose.randrange(0x10, 0x3000)
    odd = choose.choice([b"odd", b"Zabrowska", b"1.5", b"x"])
    changed: tuple[Callable[[], list[bytes]], ...] = (
        lambda: [*elements[:number], *elements[number + 1 :]],
        lambda: [*elements[:number], element, *elements[number:]],
        lambda: [*elements[:number], elements[number - 1], *elements[number + 1 :]],
        lambda: [*elements[:14], form.element(tag, "LO", b"new"), *elements[14:]],
        lambda: [*elements[:14], form.element(0x00204000, "LT", odd, length=len(odd)), *elements[15:]],
        lambda: [*elements[:5], form.element(0x00081030, "LO", odd, length=len(odd)), *elements[6:]],
        lambda: [*elements[:5], form.element(0x00081030, "UT", b"of Zabrowska"), *elements[6:]],
        lambda: [*elements[:6], form.sequence(0x00081140, undefined=True), *elements[7:]],
        lambda: [
            *elements[:6],
            form.sequence(0x00081140, form.item(form.element(0x00280301, "CS", b"YES"))),
            *elements[7:],
        ],
        lambda: [
            *elements[:6],
            form.sequence(0x00081140, form.item(form.element(0x00100010, "PN", b"Chest^A"))),
            *elements[7:],
        ],
        lambda: [
            *elements[:7],
            form.element(0x00090010, "LO", choose.choice([b"OTHER", b"ACME  "])),
            *elements[8:],
        ],
        lambda: [*elements[:8], form.element(0x00091001, "DS", b"40815"), *elements[9:]],
        lambda: [*elements[:9], form.element(0x00091002, "LT", b"Zabrowska"), *elements[10:]],
        lambda: [*elements[:11], form.element(0x00100010, "PN", b"Chest^Remark"), *elements[12:]],
        lambda: [*elements[:13], form.element(0x00200013, "IS", b"Zabrowska "), *elements[14:]],
        lambda: [*elements[:-1], form.element(0x60003000, "OW", bytes(20)), elements[-1]],
        lambda: elements[:-1],
    )
    dataset = b"".join(choose.choice(changed)())
    if choose.random() < 0.15:
        return dataset[: choose.randrange(len(dataset))]
    if choose.random() < 0.15:
        position = choose.randrange(len(dataset))
        return dataset[:position] + bytes([choose.randrange(256)]) + dataset[position + 1 :]
    return dataset


@_PER_FORM
@pytest.mark.parametrize("seed", range(6))
def test_a_spoiled_object_is_what_it_is_alone(form: Form, seed: int) -> None:
    choose = random.Random(seed)
    objects = []
    for number in range(150):
        elements = _elements(form, number % 7)
        objects.append(_spoil(elements, form, choose) if choose.random() < 0.6 else b"".join(elements))

    check("hand", objects, form)


@_PER_FORM
def test_a_private_value_that_varies_is_known_by_its_creator(form: Form) -> None:
    objects = [b"".join(_elements(form, number)) for number in range(9)]
    other = form.element(0x00090010, "LO", b"ECMA")
    objects += [one.replace(form.element(0x00090010, "LO", b"ACME"), other) for one in objects]

    check("private", objects, form)


@_PER_FORM
def test_a_rule_of_the_sending_system_holds_for_every_object(form: Form) -> None:
    gate = Gate(Condition.parse("calling_ae == 'CT2'"), "not from there")
    shared = Deidentifier(procedure(unlisted=Action.K, excludes=(gate,)), pseudonyms())
    for number in range(9):
        calling = "CT2" if number in (4, 7) else "CT1"
        rewrite = shared.begin(transfer_syntax_uid=form.transfer_syntax_uid, origin={"calling_ae": calling})
        refusal: type[Exception] | None = None
        try:
            rewrite.feed(b"".join(_elements(form, number)))
            rewrite.finish()
        except ObjectRefused as one:
            refusal = type(one)

        assert refusal is (Excluded if calling == "CT2" else None)


def test_objects_in_other_encodings_between_those_of_a_series_change_nothing() -> None:
    shared = Deidentifier(_procedures()["hand"], pseudonyms())
    for number in range(12):
        for form in (EXPLICIT, BIG, IMPLICIT):
            dataset = b"".join(_elements(form, number))

            assert outcome(shared, dataset, form) == outcome(
                Deidentifier(_procedures()["hand"], pseudonyms()), dataset, form
            )


def test_the_files_of_two_series_in_turn_are_what_they_are_alone() -> None:
    content = Path(str(get_testdata_file("MR_small.dcm"))).read_bytes()
    other = content[read_part10(BytesIO(content)).offset :]
    objects = [one for ds in _slices(10) for one in (_bytes(ds, EXPLICIT), other)]

    check("options", objects, EXPLICIT)


@_PER_FORM
def test_an_object_with_very_many_attributes_spoils_nothing_for_others(form: Form) -> None:
    many = [form.element(0x00110000 + number, "LO") for number in range(0x1000, 0xE800)]
    hostile = b"".join([*_elements(form, 0)[:3], *many, *_elements(form, 0)[-2:]])
    series = [
        b"".join([*_elements(form, number)[:-2], form.element(0x00219999, "LO", b"%d" % number), pixels])
        for number in range(6)
        for pixels in _elements(form, number)[-1:]
    ]

    check("hand", [hostile, *series], form)


@_PER_FORM
def test_a_text_that_varies_loses_everybody_the_object_names(form: Form) -> None:
    def of(number: int, comment: bytes) -> bytes:
        elements = _elements(form, number)
        operator = form.element(0x00081070, "PN", b"Xyqwbrt^Uvz")
        text = form.element(0x00204000, "LT", b"seen by %b %d" % (comment, number))
        return b"".join([*elements[:6], operator, *elements[6:14], text, *elements[15:]])

    shared = Deidentifier(_procedures()["hand"], pseudonyms())
    for number in range(9):
        output = run_with_summary(shared, of(number, b"XYQWBRT" if number > 4 else b"nobody"), form)[0]

        assert b"XYQWBRT" not in output[output.index(b"seen by") :].upper()


@pytest.mark.parametrize("per", ["study", "series", "instance"])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_shift_per_study_series_or_instance_is_that_of_the_object(per: str, keyword: str) -> None:
    kept = '"vr:UI" = "K"\nPatientID = "K"\nPatientName = "K"\n'
    rows = f'{kept}StudyDate = {{ do = "date_shift", per = "{per}" }}\n'
    profile = seeded(f'{KEEP_ALL}private = "K"\n[attributes]\n{rows}')
    shared = Deidentifier(profile, pseudonyms())
    for number in range(4):
        ds = Dataset(dcmread(str(get_testdata_file("CT_small.dcm"))))
        setattr(ds, keyword, f"1.2.3.{10 + number}")
        dataset = _bytes(ds, EXPLICIT)

        alone = Deidentifier(profile, pseudonyms())

        assert run_with_summary(shared, dataset) == run_with_summary(alone, dataset)


def test_a_value_with_the_day_is_that_of_the_day() -> None:
    text = 'StudyDescription = { value = "{today:-} {initials:PatientName} {digits:PatientID:6}" }\n'
    profile = seeded(f"{KEEP_ALL}[attributes]\n{text}" + 'StudyDate = { value = "{today}" }\n')
    shared = Deidentifier(profile, pseudonyms())
    found = []
    for day in (1, 1, 2):
        dataset = _bytes(Dataset(dcmread(str(get_testdata_file("CT_small.dcm")))), EXPLICIT)
        rewriting = shared.begin(transfer_syntax_uid=EXPLICIT.transfer_syntax_uid, today=date(2026, 3, day))
        first = rewriting.feed(dataset)
        last, _ = rewriting.finish()
        parts = [*(first.buffers if first is not None else ()), *last.buffers]
        ds = dcmread(BytesIO(b"".join(bytes(part) for part in parts)), force=True)
        found.append((ds.StudyDate, ds.StudyDescription))

    assert [day for day, _ in found] == ["20260301", "20260301", "20260302"]
    assert all(re.fullmatch(r"2026-03-0[12] CC \d{6}", text) for _, text in found)


def test_what_is_made_of_another_attribute_and_of_the_time_is_that_of_the_object() -> None:
    rows = 'StationName = { value = "{now} {cut:-2:StudyID}" }\n'
    rows += 'SeriesDate = { do = "date_set", day = 15, of = "StudyDate" }\n'
    rows += 'StudyDescription = { do = "replace", pattern = "[0-9]", with = "#", of = "StudyID" }\n'
    shared = Deidentifier(seeded(f"{KEEP_ALL}[attributes]\n{rows}"), pseudonyms())
    found = []
    for number in range(4):
        ds = Dataset(dcmread(str(get_testdata_file("CT_small.dcm"))))
        ds.StudyID, ds.StudyDate = "AB"[number % 2] + f"x{number}", f"2020010{1 + number}"
        ds.SeriesDate, ds.StationName, ds.StudyDescription = "19990101", "S", "D"
        rewriting = shared.begin(
            transfer_syntax_uid=EXPLICIT.transfer_syntax_uid,
            today=date(2026, 3, 1),
            time_of_day=time(1, 2, number),
        )
        first = rewriting.feed(_bytes(ds, EXPLICIT))
        last, _ = rewriting.finish()
        parts = [*(first.buffers if first is not None else ()), *last.buffers]
        made = dcmread(BytesIO(b"".join(bytes(part) for part in parts)), force=True)
        found.append((made.StationName, made.SeriesDate, made.StudyDescription))

    assert found == [(f"01020{n} x{n}", "20200115", f"{'AB'[n % 2]}x#") for n in range(4)]


@_PER_FORM
@pytest.mark.parametrize("name", ["basic", "forced"])
def test_what_is_inserted_stands_once_also_where_the_original_varies(name: str, form: Form) -> None:
    objects = []
    for number in range(9):
        elements = _elements(form, number)
        own = form.element(0x00120062, "CS", b"YES" if number % 2 else b"NO")
        objects.append(b"".join([*elements[:13], own, *elements[13:]]))

    check(name, objects, form)


@_PER_FORM
def test_a_gate_sees_what_stands_in_a_sequence_that_is_coded_as_un(form: Form) -> None:
    def of(number: int, *more: bytes) -> bytes:
        code = IMPLICIT.element(0x00080100, "SH", b"C%03d" % number)
        item = IMPLICIT.item(code, *more, undefined=True) + IMPLICIT.tag(0xFFFEE0DD) + IMPLICIT.long(0)
        coded = form.element(0x00400260, "UN", item, length=UNDEFINED)
        nested = form.sequence(0x00400275, form.item(form.element(0x00400008, "UN", item, length=UNDEFINED)))
        elements = _elements(form, number)
        return b"".join([*elements[:-1], coded if number % 4 < 2 else nested, elements[-1]])

    burned = IMPLICIT.element(0x00280301, "CS", b"YES")
    for first in (0, 2):
        check("hand", [of(4 * n + first) for n in range(5)] + [of(20 + first, burned)], form)


def test_how_long_ago_a_date_is_is_asked_anew_every_day() -> None:
    rows = 'PatientName = "Z"\nPatientID = "Z"\nStudyDate = { do = "redact", partial_dates = true }\n'
    shared = Deidentifier(seeded(f"{KEEP_ALL}[attributes]\n{rows}"), pseudonyms())
    ds = Dataset(dcmread(str(get_testdata_file("CT_small.dcm"))))
    ds.StudyDate = "19370301"
    found = []
    for day in (1, 1, 2):
        rewriting = shared.begin(transfer_syntax_uid=EXPLICIT.transfer_syntax_uid, today=date(2026, 3, day))
        first = rewriting.feed(_bytes(ds, EXPLICIT))
        last, _ = rewriting.finish()
        parts = [*(first.buffers if first is not None else ()), *last.buffers]
        found.append(dcmread(BytesIO(b"".join(bytes(part) for part in parts)), force=True).StudyDate)

    assert found == ["19370101", "19370101", ""]


def test_two_objects_that_arrive_in_turn_on_one_thread_keep_apart() -> None:
    shared = Deidentifier(_procedures()["options"], pseudonyms())
    for ds in _slices(3):
        run_with_summary(shared, _bytes(ds, EXPLICIT))
    one, other = (deepcopy(ds) for ds in _slices(2))
    other.Manufacturer = "of something else"
    rewriting = shared.begin(transfer_syntax_uid=EXPLICIT.transfer_syntax_uid)
    rewriting.feed(_bytes(one, EXPLICIT))
    run_with_summary(shared, _bytes(other, EXPLICIT))
    rewriting.finish()

    assert rewriting.original().patient_id == one.PatientID


@_PER_FORM
def test_what_is_put_right_is_told_of_every_object(form: Form) -> None:
    def of(number: int) -> bytes:
        elements = _elements(form, number)
        odd = b"".join(form.element(tag, "LO", b"odd", length=3) for tag in (0x00080104, 0x00080115))
        nested = form.sequence(0x00400008, form.item(odd))
        return b"".join([*elements[:-1], form.sequence(0x00400275, form.item(nested)), elements[-1]])

    check("hand", [of(number) for number in range(5)], form)


@_PER_FORM
def test_what_must_not_be_put_right_is_refused_also_behind_an_alike_object(form: Form) -> None:
    odd = b"".join(form.element(tag, "LO", b"odd", length=3) for tag in (0x00080104, 0x00080115))
    for tag in (0x00400008, 0x00400275):
        odd = form.sequence(tag, form.item(odd))
    limits = Limits(repairs=frozenset())
    shared = Deidentifier(_procedures()["hand"], pseudonyms(), limits=limits)
    for number in range(3):
        elements = _elements(form, number)

        with pytest.raises(ObjectRefused):
            run_with_summary(shared, b"".join([*elements[:-1], odd, elements[-1]]), form)
