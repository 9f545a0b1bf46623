"""Named secrets: where they are looked for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.errors import ConfigurationError
from deid_node.node.named_secrets import keep_secret, read_secrets
from deid_node.settings.load import load_settings


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with one secret."""
    (tmp_path / "secrets").mkdir()
    file = tmp_path / "secrets" / "site-hash"
    file.write_bytes(b"from state\n")
    file.chmod(0o600)
    return tmp_path


def test_a_secret_is_a_file_of_the_state(state: Path) -> None:
    assert read_secrets(["site-hash"], state, environment={}) == {"site-hash": b"from state"}


def test_a_credential_wins_over_the_state_and_the_environment_over_both(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "deid_node_secret_site-hash").write_bytes(b"from systemd")
    credentials = {"CREDENTIALS_DIRECTORY": str(folder)}

    assert read_secrets(["site-hash"], state, environment=credentials)["site-hash"] == b"from systemd"
    both = {**credentials, "DEID_NODE_SECRET_SITE_HASH": "from environment"}
    assert read_secrets(["site-hash"], state, environment=both)["site-hash"] == b"from environment"


def test_every_secret_that_is_missing_is_named(state: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_secrets(["a", "site-hash", "b"], state, environment={})

    assert [problem.split("'")[1] for problem in caught.value.problems] == ["a", "b"]
    assert "DEID_NODE_SECRET_A" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("mode", "content", "says"), [(0o640, b"x", "read by others"), (0o600, b"\n", "empty")]
)
def test_a_secret_that_others_read_or_that_is_empty_is_refused(
    state: Path, mode: int, content: bytes, says: str
) -> None:
    file = state / "secrets" / "site-hash"
    file.write_bytes(content)
    file.chmod(mode)

    with pytest.raises(ConfigurationError, match=says) as caught:
        read_secrets(["site-hash"], state, environment={})

    assert "from state" not in str(caught.value)


def test_a_secret_is_no_unknown_setting(tmp_path: Path) -> None:
    (tmp_path / "deid_node_secret_x").write_text("s")

    loaded = load_settings(
        environment={"DEID_NODE_SECRET_X": "s", "CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": str(tmp_path)}
    )

    assert loaded.settings.ae_title == "DEIDNODE"


def test_a_secret_is_kept_for_this_account_and_found_again(tmp_path: Path) -> None:
    file = keep_secret("site-hash", b"one", tmp_path)

    assert file.stat().st_mode & 0o777 == 0o600
    assert keep_secret("site-hash", b"one", tmp_path) == file
    assert read_secrets(["site-hash"], tmp_path, environment={}) == {"site-hash": b"one"}


def test_a_secret_never_replaces_another_of_its_name(tmp_path: Path) -> None:
    keep_secret("site-hash", b"one", tmp_path)

    file = keep_secret("site-hash", b"two", tmp_path)

    assert file.name == "site-hash-2"
    assert read_secrets(["site-hash", "site-hash-2"], tmp_path, environment={}) == {
        "site-hash": b"one",
        "site-hash-2": b"two",
    }
