"""Action C on text: what identifies goes, what describes stays."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.engine.text import Cleaner, CleaningOptions, Identifiers, Kind, contains_any
from deid_node.engine.text_words import word_lists

FACTS = [
    (Kind.NAME, "Müller^Hans Peter^A^Dr.^"),
    (Kind.ID, "PAT-00123"),
    (Kind.ID, "4711815"),
    (Kind.DATE, "19631217"),
    (Kind.PERSON, "Xyzzyson^Indiana"),
    (Kind.PLACE, "St. Radboud University Hospital"),
    (Kind.CONTACT, "+49 228 2871234"),
    (Kind.NAME, "山田^太郎"),
    (Kind.NAME, "Люксембург^Роза"),
]
CLEANER = Cleaner(Identifiers.of(FACTS))
STRANGER = Cleaner(Identifiers.of([]))

KNOWN = [
    ("MULLER HANS knee", "knee"),
    ("Mueller, Hans: knee", "knee"),
    ("hans-peter müller knee", "knee"),
    ("knee mueller_h", "knee"),
    ("HMueller CT", "CT"),
    ("MuellerHans T2", "T2"),
    ("T2MULLER20", ""),
    ("MÜLLER^HANS^A brain", "brain"),
    ("Hans A. brain", "brain"),
    ("PAT00123 brain", "brain"),
    ("PAT 00123 brain", "brain"),
    ("pat.00123/brain", "brain"),
    ("47-11-815 brain", "brain"),
    ("brain (4711815)", "brain"),
    ("xyzzyson knee", "knee"),
    ("Radboud knee", "knee"),
    ("St. Radboud University Hospital knee", "knee"),
    ("knee 0228/2871234", "knee"),
    ("頭部山田太郎", "頭部"),
    ("山田 頭部", "頭部"),
    ("РОЗА люксембург мозг", "мозг"),
    ("17121963 brain", "brain"),
]
SHAPES = [
    ("MRT BRAIN W/WO Smith 12.03.2024 Dr Jones", "MRT BRAIN W/WO"),
    ("12.03.2024 brain", "brain"),
    ("brain 2024-03-12", "brain"),
    ("brain 03/12/24", "brain"),
    ("brain 3/4/24", "brain"),
    ("brain 12 Mar 2024", "brain"),
    ("brain 12MAR2024", "brain"),
    ("brain March 12, 2024 14:30", "brain"),
    ("brain 12. März 2024", "brain"),
    ("brain 3 janvier 2023", "brain"),
    ("brain 20240312", "brain"),
    ("brain_20240312123000", "brain"),
    ("brain 2024-03-12T12:30:15", "brain"),
    ("brain am 12.03.", "brain"),
    ("brain 03/2024", "brain"),
    ("brain 2024年3月12日", "brain"),
    ("brain 10:35:12", "brain"),
    ("brain 92 year old", "brain"),
    ("call 555-0123", ""),
    ("brain (555) 123-4567", "brain"),
    ("brain 555.123.4567", "brain"),
    ("brain +1 555 123 4567", "brain"),
    ("brain 030/1234567", "brain"),
    ("brain 01 23 45 67 89", "brain"),
    ("brain Tel: 1234", "brain"),
    ("brain john.doe@hospital.example", "brain"),
    ("see https://x.example/a?b", "see"),
    ("brain 192.168.1.20", "brain"),
    ("brain MRN 123456", "brain"),
    ("brain MRN: A12", "brain"),
    ("brain 1234567", "brain"),
    ("brain A1234567", "brain"),
    ("brain 123-45-6789", "brain"),
    ("brain Accession No. 7788", "brain Accession No"),
    ("brain 1.2.840.113619.2.55.3.28318", "brain"),
    ("12 Main Street, brain", "brain"),
    ("brain Musterstraße 12, 53127 Bonn", "brain"),
    ("brain 12 rue de la Paix, 75002 Paris", "brain"),
    ("brain Calle Mayor 5", "brain"),
    ("brain IL 62704", "brain"),
    ("brain SW1A 1AA", "brain"),
]
NAMES = [
    ("CT ABDOMEN SMITH JOHN", "CT ABDOMEN"),
    ("SMITH^JOHN^A knee", "knee"),
    ("DOE JANE", ""),
    ("knee Dr. Head", "knee"),
    ("Dr Long requested brain", "requested brain"),
    ("brain Prof. Dr. med. Qwertz-Uiop", "brain"),
    ("brain Frau Xqwertz", "brain"),
    ("brain Mme Dupont", "brain"),
    ("reported by Xqwertz brain", "reported by brain"),
    ("Operator: XQWERTZ", "Operator"),
    ("Patient: Xqwertz Asdfgh", "Patient"),
    ("Referred by J. Smith, MD", "Referred by"),
    ("SMITH'S knee", "knee"),
    ("brain (JOHNSON)", "brain"),
    ("ProtocolJohnsonBrain", "Protocol Brain"),
    ("brain Иванова", "brain"),
    ("John Brown brain", "brain"),
    ("WILSON chest", "chest"),
    ("brain van der Berg", "brain"),
    ("頭部 鈴木先生", "頭部"),
]
CLINICAL = [
    "MRT BRAIN W/WO",
    "T1 AX POST GAD",
    "t1_mprage_sag_p2_iso",
    "Head^01_HeadRoutine",
    "CT CHEST ABD PELVIS W/CONTRAST",
    "Hodgkin lymphoma staging",
    "FOLEY CATHETER",
    "SIEMENS MAGNETOM Vida_41510",
    "Wilson disease",
    "Circle of Willis MRA",
    "Bell's palsy",
    "T1 512x512 TR 5000 b1000",
    "5000 IU heparin",
    "DWI b500-1000 TE 90",
    "100-2000 Hz",
    "0.123456 mm",
    "MR BRAIN",
    "DR CHEST",
    "MS follow-up",
    "3 PHASE LIVER CT",
    "compared to 2019",
    "LONG AXIS",
    "T2 FLAIR dark fluid",
    "Thorax p.a. im Stehen",
    "Schädel nativ",
    "IRM rachis cervical",
    "RM de rodilla izquierda",
    "TC torace con mdc",
    "BREAST BILAT MLO",
    "white matter",
    "young adult",
    "May contain motion",
    "X-RAY LEFT HAND 3 VIEWS",
    "ax_dwi_b0_b800_ADC",
    "Software 3.1.62",
    "VB17A",
    "1.5T HD 8ch",
    "2 mm x 0.5",
    "98.5% SpO2",
    "ratio 1:2",
    "45Y",
    "Dixon",
    "T2*",
    "C2/C3",
    "Lossy JPEG compression, ratio 4.05407",
    "no. 3",
    "Series 5",
    "(0008,0060)",
    "99mTc MDP",
    "18F-FDG PET WB",
    "COR STIR 4mm",
    "Fluoro 12 BRAIN DR",
    "no comparison. Impression: 3.5 cm mass in the left lobe.",
    "Gadovist 7.5 ml i.v.",
    "Omnipaque 350",
    "Lastname, Firstname",
    "SCAPULA Y VIEW",
    "1.25 x 1.25",
    "TE 2.46/4.92",
    "kV 120, mAs 200",
    "R/O PE",
    "S/P MVA",
]


@pytest.mark.parametrize(("text", "cleaned"), KNOWN)
def test_known_identifiers_go_in_any_order_case_and_separation(text, cleaned):
    assert CLEANER.clean(text)[0] == cleaned


@pytest.mark.parametrize(("text", "cleaned"), SHAPES)
def test_what_looks_like_an_identifier_goes(text, cleaned):
    assert STRANGER.clean(text)[0] == cleaned


@pytest.mark.parametrize(("text", "cleaned"), NAMES)
def test_names_of_persons_go(text, cleaned):
    assert STRANGER.clean(text)[0] == cleaned


@pytest.mark.parametrize("text", CLINICAL)
def test_clinical_text_stays_as_it_is(text):
    assert STRANGER.clean(text) == (text, 0)
    assert CLEANER.clean(text) == (text, 0)


def test_a_clinical_word_goes_when_it_is_the_patients_name():
    cleaner = Cleaner(Identifiers.of([(Kind.NAME, "Bright^John")]))

    assert cleaner.clean("CT BRIGHT")[0] == "CT"


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Head^Julia", "CT HEAD", "CT HEAD"),
        ("Head^Julia", "CT Head of Julia Head", "CT Head of"),
        ("Hand^Peter", "Hand AP left, Hand P.", "Hand AP left, Hand P."),
        ("Foot^Ann", "Foot lateral FOOT, ANN", "Foot lateral"),
        ("Chest^Mary", "CHEST PA MARY CHEST", "CHEST PA"),
    ],
)
def test_a_word_of_anatomy_goes_only_beside_another_part_of_the_name(name: str, text: str, left: str) -> None:
    assert Cleaner(Identifiers.of([(Kind.NAME, name)])).clean(text)[0] == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Li^Na", "Li Na brain", "brain"),
        ("Li^Na", "NA, LI: brain", "brain"),
        ("Li^Na", "Na level, li re", "Na level, li re"),
        ("Ng^Wei", "MR Ng Wei", "MR"),
        ("Ma^Yo", "Yo-Yo Ma t2", "t2"),
        ("Müller^Jürgen", "MUELLER JUERGEN Thorax", "Thorax"),
        ("Mueller^Juergen", "Müller, Jürgen Thorax", "Thorax"),
        ("O'Brien^Kathleen", "OBRIEN K, knee", "knee"),
        ("van der Berg^Pieter", "vanderberg p t2", "t2"),
        ("García López^María", "GARCIALOPEZM abdomen", "abdomen"),
        ("Abdul Rahman^Mohammed", "MOHAMMED ABDUL-RAHMAN CT", "CT"),
        ("De^Souza", "de souza torax", "torax"),
    ],
)
def test_names_are_known_in_their_spellings_and_small_parts_beside_each_other(
    name: str, text: str, left: str
) -> None:
    assert Cleaner(Identifiers.of([(Kind.NAME, name)])).clean(text)[0] == left


def test_an_operator_named_by_function_takes_no_words():
    cleaner = Cleaner(
        Identifiers.of([(Kind.PERSON, "CT TECH"), (Kind.PLACE, "MR1"), (Kind.PLACE, "Radiology")])
    )

    assert cleaner.clean("MR1 CT TECH Radiology") == ("MR1 CT TECH Radiology", 0)


@pytest.mark.parametrize("value", ["ANONYMOUS", "Unknown^", "TEST^PATIENT", "^^^", ""])
def test_a_placeholder_identifies_nobody(value):
    cleaner = Cleaner(Identifiers.of([(Kind.NAME, value), (Kind.ID, value)]))

    assert cleaner.clean("TEST unknown patient") == ("TEST unknown patient", 0)


def test_the_places_taken_out_are_counted():
    assert STRANGER.clean("Smith brain 12.03.2024 knee Jones") == ("brain knee", 3)


def test_lines_stay_lines():
    assert STRANGER.clean("Findings: normal.\r\nDr Jones\r\nbrain")[0] == "Findings: normal.\r\n\r\nbrain"


def test_only_known_identifiers_go_where_nothing_else_is_asked():
    assert CLEANER.clean_known("Müller Smith 12.03.2024")[0] == "Smith 12.03.2024"


def test_unknown_words_go_when_asked():
    cleaner = Cleaner(Identifiers.of([]), CleaningOptions(unknown="drop"))

    assert cleaner.clean("brain Xqwzt T2")[0] == "brain T2"


def test_an_option_that_is_off_leaves_its_shapes():
    cleaner = Cleaner(Identifiers.of([]), CleaningOptions(dates=False, numbers=False, names=False))

    assert cleaner.clean("Smith 12.03.2024") == ("Smith 12.03.2024", 0)


def test_bytes_that_cannot_be_decoded_lose_the_words_that_cannot_be_judged():
    assert CLEANER.clean_bytes(b"brain M\xc3\xbcller HANS T2")[0] == b"brain T2"
    assert STRANGER.clean_bytes(b"brain \x1b$B;3ED\x1b(B T2") == (b"brain T2", 1)
    assert STRANGER.clean_bytes(b"brain T2") == (b"brain T2", 0)


def test_cleaning_twice_changes_nothing_more():
    for text, _ in (*KNOWN, *SHAPES, *NAMES):
        once = CLEANER.clean(text)[0]

        assert CLEANER.clean(once) == (once, 0), text


def test_a_cleaned_text_is_never_longer():
    for text, _ in (*KNOWN, *SHAPES, *NAMES):
        assert len(CLEANER.clean(text)[0]) <= len(text)


def test_needles_are_spellings_in_all_encodings():
    needles = Identifiers.of(FACTS).needles(("ISO_IR 100",))

    assert {b"M\xfcller", b"M\xc3\xbcller", b"HANS", b"PAT-00123", "山田^太郎".encode()} <= set(needles)
    assert all(len(needle) >= 4 for needle in needles)


def test_needles_leave_out_words_of_descriptions_and_short_numbers():
    needles = Identifiers.of([(Kind.NAME, "Head"), (Kind.ID, "12345"), (Kind.ID, "ANONYMOUS")]).needles()

    assert needles == ()


def test_a_needle_is_found_in_bytes_and_views():
    assert contains_any(b"..Smith..", (b"Jones", b"Smith"))
    assert contains_any(memoryview(b"..Smith.."), (b"Smith",))
    assert not contains_any(b"..Smith..", (b"Jones",))


def test_identifiers_do_not_print_themselves():
    assert "ller" not in repr(Identifiers.of(FACTS))


def test_equal_facts_share_their_compiled_identifiers():
    assert Identifiers.of(FACTS) is Identifiers.of(reversed(FACTS))


def test_the_word_lists_keep_names_and_words_apart():
    lists = word_lists()

    assert {"smith", "jones", "maria", "schneider"} <= lists.names
    assert {"brain", "schadel", "siemens", "flair", "hodgkin"} <= lists.clinical
    assert not any(
        map(
            lists.is_known_word,
            ("smith", "johnson", "williams", "garcia", "muller", "schmidt", "john", "mary"),
        )
    )


def test_a_description_is_cleaned_in_microseconds():
    CLEANER.clean("T1 AX POST GAD BRAIN")

    taken = min(timeit.repeat(lambda: CLEANER.clean("T1 AX POST GAD BRAIN"), number=200, repeat=5)) / 200

    assert taken < 100e-6


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1 ",
        "1.",
        "12-",
        "0 1",
        "(123) ",
        "a",
        "Abc ",
        "12 Abc ",
        "a@",
        "a-",
        "1/",
        "4711815",
        "id",
        "aB",
        "Smith ",
    ],
)
def test_a_long_text_of_one_kind_costs_no_more_than_its_length(piece):
    text = piece * (20_000 // len(piece))

    taken = min(timeit.repeat(lambda: CLEANER.clean(text), number=1, repeat=1))

    assert taken < 5


@given(st.text(max_size=60))
def test_any_text_is_cleaned_without_an_error_and_becomes_no_longer(text):
    cleaned, count = CLEANER.clean(text)

    assert len(cleaned) <= len(text)
    assert (count == 0) == (cleaned == text) or count > 0


@given(st.sampled_from(["CT", "knee", "T2", "w/o", "-", "_", "^", ","]), st.integers(0, 4))
def test_the_patients_name_never_survives(word, position):
    for name in ("Müller", "MULLER", "mueller", "Hans", "HANS", "PAT-00123", "PAT00123", "4711815"):
        words = ["brain", word, "axial", word]
        words.insert(position, name)

        for joiner in (" ", "_", "^", "-"):
            cleaned = CLEANER.clean(joiner.join(words))[0]

            assert name.lower() not in cleaned.lower()
