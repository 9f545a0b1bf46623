"""The reference of the settings says what the program does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from deid_node.settings.load import load_settings
from deid_node.settings.reference import reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "settings.md"


def test_the_page_is_the_one_that_the_settings_make() -> None:
    assert PAGE.read_text() == reference(), (
        "python -m deid_node.settings.reference > docs/reference/settings.md"
    )


def test_the_example_on_the_page_is_right(tmp_path: Path) -> None:
    [example] = [part.split("```")[0] for part in PAGE.read_text().split("```toml\n")[1:]]
    file = tmp_path / "node.toml"
    file.write_text(example)

    settings = load_settings(file, environment={}).settings

    assert set(settings.peers) == set(tomllib.loads(example)["peers"])


@pytest.mark.parametrize("variable", ["DEID_NODE_PORT", "DEID_NODE_DESTINATIONS__PACS__HOST"])
def test_the_page_names_variables_that_exist(variable: str) -> None:
    assert variable in PAGE.read_text()
