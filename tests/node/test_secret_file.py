"""Files that hold secrets: read when they are safe, refused in words that show nothing of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deid_node.errors import ConfigurationError
from deid_node.node.key_file import read_key
from deid_node.node.named_secrets import read_secrets
from deid_node.node.secret_file import UnguardedError, read_secret_file
from deid_node.settings import Settings
from tests.e2e.running import RunningNode
from tests.node.running import CT, running, store
from tests.peers import LOOPBACK, listens, run, wait_for

DIGITS = "0123456789abcdef" * 4


def written(path: Path, text: str = DIGITS, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def _of_another_account(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(written(path), 12345, 12345)


def _in_a_loop(path: Path) -> None:
    path.symlink_to(path)


_UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "readable by the world": (lambda path: written(path, mode=0o644), "may be read by others (mode 0644)"),
    "readable by the group": (lambda path: written(path, mode=0o640), "may be read by others (mode 0640)"),
    "writable by the group": (lambda path: written(path, mode=0o620), "may be read by others (mode 0620)"),
    "missing": (lambda path: path, "is not there"),
    "short": (lambda path: written(path, DIGITS[:-2]), "too short (62 digits)"),
    "empty": (lambda path: written(path, ""), "too short (0 digits)"),
    "of blanks": (lambda path: written(path, " \n \n"), "too short (0 digits)"),
    "no digits": (lambda path: written(path, "x" * 64), "must be 64 or more hexadecimal digits"),
    "two keys": (
        lambda path: written(path, f"{DIGITS}\n{DIGITS}\n"),
        "must be 64 or more hexadecimal digits",
    ),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "is not there"),
    "a link to itself": (_in_a_loop, "cannot be read"),
    "a link to a readable file": (
        lambda path: path.symlink_to(written(path.with_name("wide"), mode=0o644)),
        "may be read by others",
    ),
    "of another account": (_of_another_account, "belongs to another account (uid 12345)"),
}


@pytest.mark.parametrize("state", _UNUSABLE)
def test_a_project_key_is_refused_that_is(state: str, tmp_path: Path) -> None:
    path = tmp_path / "project.key"
    make, expected = _UNUSABLE[state]
    make(path)

    with pytest.raises(ConfigurationError) as caught:
        read_key(path, environment={})

    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert DIGITS[:16] not in str(caught.value)


@pytest.mark.parametrize("state", _UNUSABLE)
def test_no_node_starts_and_no_key_is_made_in_place_of_one_that_is(state: str, tmp_path: Path) -> None:
    node = RunningNode(tmp_path, extra=f'key_file = "{tmp_path / "project.key"}"')
    make, expected = _UNUSABLE[state]
    make(tmp_path / "project.key")
    before = sorted(path.name for path in tmp_path.iterdir())

    done = run(sys.executable, "-m", "deid_node", "serve", "--config", node.config)

    assert done.returncode == 78
    assert expected in done.stderr
    assert DIGITS[:16] not in done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "state") == before
    assert not list((tmp_path / "state").rglob("*.key*"))
    assert not listens(node.port)


def test_a_link_to_a_safe_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(written(tmp_path / "key"))

    assert read_key(tmp_path / "link").epoch == read_key(tmp_path / "key").epoch


def test_what_a_container_engine_shows_is_read_also_through_its_links(tmp_path: Path) -> None:
    secrets = tmp_path / "credentials"
    (secrets / "..data").mkdir(parents=True)
    written(secrets / "..data" / "key", mode=0o444)
    (secrets / "key").symlink_to("..data/key")

    shown = {"CREDENTIALS_DIRECTORY": str(secrets)}

    assert read_secret_file(secrets / "key", 100, environment=shown) == DIGITS.encode()


def test_a_way_through_the_folder_of_secrets_makes_no_file_a_secret(tmp_path: Path) -> None:
    secrets = tmp_path / "credentials"
    secrets.mkdir()
    wide = written(tmp_path / "wide", mode=0o644)
    (secrets / "link").symlink_to(wide)
    shown = {"CREDENTIALS_DIRECTORY": str(secrets)}

    for path in (secrets / ".." / "wide", secrets / "link"):
        with pytest.raises(UnguardedError, match="may be read by others"):
            read_secret_file(path, 100, environment=shown)


def test_a_named_secret_is_held_to_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    os.mkfifo(tmp_path / "secrets" / "site")

    with pytest.raises(ConfigurationError, match="the secret 'site' is not a regular file"):
        read_secrets(["site"], tmp_path, environment={})


# --- while the node runs ------------------------------------------------------------------------------


def test_a_node_whose_key_is_lost_goes_on_with_it_and_does_not_start_again(tmp_path: Path) -> None:
    node = RunningNode(tmp_path)
    node.start()
    try:
        assert run("storescu", "-aec", "DEIDNODE", LOOPBACK, str(node.port), CT).returncode == 0
        wait_for(lambda: node.stored(), "delivered")
        first = node.stored()
        (tmp_path / "state" / "project.key").unlink()
        assert node.process is not None
        node.process.send_signal(signal.SIGHUP)
        assert run("storescu", "-aec", "DEIDNODE", LOOPBACK, str(node.port), CT).returncode == 0
    finally:
        node.stop()

    again = run(sys.executable, "-m", "deid_node", "serve", "--config", node.config)

    assert node.stored() == first
    assert again.returncode == 78
    assert "the project key is gone" in again.stderr
    assert not (tmp_path / "state" / "project.key").exists()


def test_a_node_whose_random_codes_are_lost_does_not_start_again(tmp_path: Path) -> None:
    with running(tmp_path / "state", pseudonyms="random") as node:
        store(node, CT)
    for path in (tmp_path / "state" / "crosswalk").iterdir():
        path.unlink()

    with (
        pytest.raises(ConfigurationError, match="the table of random codes is gone"),
        running(tmp_path / "state", pseudonyms="random"),
    ):
        pass

    (tmp_path / "state" / "random-codes").unlink()  # as the message says
    with running(tmp_path / "state", pseudonyms="random"):
        pass


# --- where a key is not to be seen ----------------------------------------------------------------------


def test_a_key_in_the_environment_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deid_node", "check"],
        env={"DEID_NODE_KEY": DIGITS, "DEID_NODE_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 78
    assert "DEID_NODE_KEY: key is not read from the environment" in done.stderr
    assert DIGITS[:16] not in done.stdout + done.stderr


def test_no_representation_shows_a_key(tmp_path: Path) -> None:
    key = read_key(written(tmp_path / "k"))
    settings = Settings(state=tmp_path, key=DIGITS)

    for shown in (
        repr(key),
        str(key),
        f"{key!r:>10}",
        repr(settings),
        str(settings),
        settings.model_dump_json(),
    ):
        assert DIGITS[:16] not in shown
        assert "\\x01#Eg" not in shown


def test_a_running_node_has_its_key_in_no_place_that_others_look_at(tmp_path: Path) -> None:
    node = RunningNode(tmp_path, extra=f'key_file = "{written(tmp_path / "k")}"')
    node.start()
    assert node.process is not None
    process = Path("/proc") / str(node.process.pid)
    try:
        seen = [(process / name).read_bytes() for name in ("cmdline", "environ", "comm")]
        said = [node.command(*words).stdout for words in (["check"], ["check", "--json"], ["key", "show"])]
    finally:
        node.stop()

    raw = bytes.fromhex(DIGITS)
    told = [*seen, *(text.encode() for text in said), node.log.read_bytes()]
    for content in told:
        assert content
        for form in (DIGITS.encode(), raw, raw[:8], DIGITS[:16].upper().encode()):
            assert form not in content
