"""profiles/README.md is the reference of the language: nothing may be missing in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deid_node.profile import language, library
from deid_node.profile.conditions import ORIGINS
from deid_node.profile.functions import FUNCTIONS
from deid_node.profile.language import Base, Ties, UnlistedClass
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Dummies, Level
from deid_node.profile.template import FIELDS

README = (Path(__file__).resolve().parents[2] / "profiles" / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##? |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("key", language.KEYS)
def test_every_key_is_documented(key: str) -> None:
    assert re.search(rf"^\| `\[*{key}[\]`.]", section("Keys"), re.MULTILINE)


@pytest.mark.parametrize(
    "key",
    [*language.UNLISTED_KEYS, *language.DATE_KEYS, *language.STAMP_KEYS, *language.FORCED_UID_KEYS],
)
def test_every_key_of_a_section_is_documented(key: str) -> None:
    assert key in section("Keys")


@pytest.mark.parametrize("key", language.TABLE_KEYS)
def test_every_key_of_a_lookup_table_is_documented(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", section("Lookup tables"), re.MULTILINE)


@pytest.mark.parametrize("key", language.GATE_KEYS)
def test_every_key_of_a_gate_is_documented(key: str) -> None:
    assert f"`{key}`" in section("Conditions")


@pytest.mark.parametrize("key", [*language.VALIDATE_KEYS, *language.CHECK_KEYS])
def test_every_key_of_a_validation_and_every_check_is_documented(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", section("Validations and checks"), re.MULTILINE)


@pytest.mark.parametrize("word", [*Level, *language.Stage])
def test_every_level_and_stage_is_documented(word: str) -> None:
    assert f"`{word}`" in section("Validations and checks")


@pytest.mark.parametrize("word", language.Scope)
def test_every_scope_is_documented(word: str) -> None:
    assert f"`{word}`" in section("Rows")


@pytest.mark.parametrize("key", language.SET_KEYS)
def test_every_key_of_a_set_value_is_documented(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", section("Set values"), re.MULTILINE)


@pytest.mark.parametrize("key", [*language.ROW_KEYS, *Action])
def test_every_key_of_a_row_and_every_action_is_documented(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", section("Rows"), re.MULTILINE)


@pytest.mark.parametrize(
    "word", [*Base, *Ties, *UnlistedClass, *Dummies, *(option.text for option in Option)]
)
def test_every_word_and_option_is_documented(word: str) -> None:
    assert f"`{word}`" in section("Keys")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented_with_its_parameters(name: str) -> None:
    row = re.search(rf"^\| `{name}` \|([^|]*)\|", section("Functions"), re.MULTILINE)

    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == list(FUNCTIONS[name].params)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_a_template_is_documented(name: str) -> None:
    assert re.search(rf"`\{{{name}[:}}]", section("Templates"))


@pytest.mark.parametrize("name", ORIGINS)
def test_every_origin_of_a_condition_is_documented(name: str) -> None:
    assert f"`{name}`" in section("Conditions")


@pytest.mark.parametrize("name", library.shipped())
def test_every_shipped_profile_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", README, re.MULTILINE)


def test_the_example_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    (tmp_path / "ct-research.toml").write_text(example[1])

    procedure = library.load(tmp_path / "ct-research.toml")

    assert procedure.name == "ct-research"


def test_the_example_conditions_parse() -> None:
    from deid_node.profile.conditions import Condition

    example = re.search(r"```\n(.*?)```", section("Conditions"), re.DOTALL)
    assert example is not None

    for line in example[1].strip().splitlines():
        Condition.parse(line)
