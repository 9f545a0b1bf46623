"""Words that action C cannot judge: kept, dropped, or left to a person, as the profile says."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from deid_node.engine.text import Cleaner, CleaningOptions, Identifiers
from deid_node.errors import ProfileError
from deid_node.files import Outcome, deidentify
from deid_node.profile import library
from deid_node.profile.procedure import Cleaning, UnknownWords

UNKNOWN = "zzqx"
TEXT = f"MRT BRAIN {UNKNOWN} axial"
CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


def cleaner(unknown: UnknownWords, *words: str) -> Cleaner:
    options = CleaningOptions.of(Cleaning(unknown, frozenset(words)))
    return Cleaner(Identifiers.of({}), options)


@pytest.mark.parametrize(
    ("unknown", "cleaned", "undecided"),
    [
        (UnknownWords.KEEP, TEXT, False),
        (UnknownWords.DROP, "MRT BRAIN axial", False),
        (UnknownWords.HOLD, TEXT, True),
    ],
)
def test_an_unknown_word_follows_the_profile(unknown: UnknownWords, cleaned: str, undecided: bool) -> None:
    subject = cleaner(unknown)

    assert subject.clean(TEXT)[0] == cleaned
    assert subject.is_undecided(cleaned) is undecided


@pytest.mark.parametrize("unknown", list(UnknownWords))
def test_a_word_of_the_site_is_known(unknown: UnknownWords) -> None:
    subject = cleaner(unknown, "ZZQX")

    assert subject.clean(TEXT) == (TEXT, 0)
    assert not subject.is_undecided(TEXT)


def test_a_word_of_the_site_is_no_name() -> None:
    assert cleaner(UnknownWords.KEEP).clean("BRAIN Jones")[0] == "BRAIN"
    assert cleaner(UnknownWords.KEEP, "jones").clean("BRAIN Jones") == ("BRAIN Jones", 0)


def test_a_name_beside_a_word_of_the_site_still_goes() -> None:
    assert "Smith" not in cleaner(UnknownWords.KEEP, "jones").clean("BRAIN Smith, Jones")[0]


def test_a_text_of_known_words_is_decided() -> None:
    assert not cleaner(UnknownWords.HOLD).is_undecided("MRT BRAIN axial with contrast")


@pytest.mark.parametrize("word", ["Rescaled", "RESCALED", "Mammoscreening", "subtracted", "Knochenaufnahmen"])
def test_a_form_of_a_known_word_is_decided(word: str) -> None:
    assert not cleaner(UnknownWords.HOLD).is_undecided(f"MRT BRAIN {word}")
    assert cleaner(UnknownWords.DROP).clean(f"MRT BRAIN {word}") == (f"MRT BRAIN {word}", 0)


@pytest.mark.parametrize("word", ["zqx", "ZQX", "Zzqxed"])
def test_a_word_that_only_looks_like_a_form_is_undecided(word: str) -> None:
    assert cleaner(UnknownWords.HOLD).is_undecided(f"brain {word}")


def profile(folder: Path, clean: str) -> Path:
    file = folder / "site.toml"
    file.write_text(f'name = "site"\nextends = ["research"]\n[clean]\n{clean}\n')
    return file


def described(folder: Path, text: str) -> Path:
    ds = pydicom.dcmread(CT)
    ds.SeriesDescription = text
    ds.StudyDescription = ds.ProtocolName = ""
    ds.save_as(folder / "in.dcm")
    return folder / "in.dcm"


def test_an_object_is_held_with_the_attribute_and_without_the_word(tmp_path: Path) -> None:
    file = described(tmp_path, TEXT)

    result = deidentify(file, tmp_path / "out.dcm", profile=profile(tmp_path, 'unknown = "hold"'))

    assert result.outcome is Outcome.HELD
    assert "SeriesDescription" in f"{result.path} {result.reason}"
    assert UNKNOWN not in repr(result).casefold()
    assert not (tmp_path / "out.dcm").exists()


def test_an_object_goes_on_when_the_profile_knows_the_word(tmp_path: Path) -> None:
    file = described(tmp_path, TEXT)
    site = profile(tmp_path, f'unknown = "hold"\nwords = ["{UNKNOWN}"]')

    result = deidentify(file, tmp_path / "out.dcm", profile=site)

    assert result.outcome is Outcome.DEIDENTIFIED
    assert pydicom.dcmread(tmp_path / "out.dcm").SeriesDescription == TEXT


@pytest.mark.parametrize(
    ("clean", "told"),
    [
        ('unknown = "hodl"', 'one of keep, drop, hold; did you mean "hold"'),
        ("words = 3", "words is a list of words"),
        ('word = ["x"]', "unknown key 'word'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(tmp_path: Path, clean: str, told: str) -> None:
    with pytest.raises(ProfileError) as error:
        library.load(profile(tmp_path, clean))

    assert any("site.toml" in problem for problem in error.value.problems)
    assert any(told.split(";")[0] in problem for problem in error.value.problems), error.value.problems


def test_profiles_add_up_their_words(tmp_path: Path) -> None:
    profile(tmp_path, 'unknown = "hold"\nwords = ["one"]')
    upper = tmp_path / "upper.toml"
    upper.write_text('name = "u"\nextends = ["site.toml"]\n[clean]\nwords = ["two"]\n')

    cleaning = library.load(upper).cleaning

    assert cleaning == Cleaning(UnknownWords.HOLD, frozenset({"one", "two"}))
