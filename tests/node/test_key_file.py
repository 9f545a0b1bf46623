"""The project key on disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from deid_node.engine.keys import Pseudonyms
from deid_node.errors import ConfigurationError
from deid_node.node.epochs import check_keys
from deid_node.node.key_file import KEY_NAME, make_key, project_key, read_key
from deid_node.settings import Settings

DIGITS = "0123456789abcdef" * 4


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_made_on_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state")

    _, path = project_key(settings)

    assert path == tmp_path / "state" / KEY_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [KEY_NAME]


def test_the_second_use_takes_the_same_key(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)

    first, second = project_key(settings)[0], project_key(settings)[0]

    assert Pseudonyms(first).uid(b"1.2") == Pseudonyms(second).uid(b"1.2")


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "k", DIGITS)

    make_key(path)

    assert path.read_text() == DIGITS
    assert [entry.name for entry in tmp_path.iterdir()] == ["k"]


def test_a_configured_key_that_is_missing_is_an_error_and_none_is_made(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, key_file=tmp_path / "absent")

    with pytest.raises(ConfigurationError, match=r"absent: the project key is not there"):
        project_key(settings)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "k", DIGITS, mode)

    with pytest.raises(ConfigurationError, match="may be read by others"):
        read_key(path)


def test_a_credential_of_systemd_may_have_a_wider_mode(tmp_path: Path) -> None:
    path = write(tmp_path / "k", DIGITS, 0o440)

    read_key(path, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "too short"),
        (DIGITS[:-2], "too short"),
        (DIGITS[:-1], "must be 64 or more hexadecimal digits"),
        ("secret words, not digits " * 4, "must be 64 or more hexadecimal digits"),
    ],
)
def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path / "k", text)

    with pytest.raises(ConfigurationError) as caught:
        read_key(path)

    assert expected in str(caught.value)
    assert not text or text.strip() not in str(caught.value)


def test_a_newline_at_the_end_makes_no_other_key(tmp_path: Path) -> None:
    bare, lined = write(tmp_path / "a", DIGITS), write(tmp_path / "b", DIGITS + "\n")

    assert Pseudonyms(read_key(bare)).uid(b"1") == Pseudonyms(read_key(lined)).uid(b"1")


def test_the_key_can_come_as_a_secret(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, key=SecretStr(DIGITS))

    key, path = project_key(settings)

    assert path is None
    assert Pseudonyms(key).uid(b"1") == Pseudonyms(read_key(write(tmp_path / "k", DIGITS))).uid(b"1")


def test_checking_makes_no_key(tmp_path: Path) -> None:
    check_keys(Settings(state=tmp_path))

    assert list(tmp_path.iterdir()) == []
