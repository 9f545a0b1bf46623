"""Key epochs: their names, rotation, and that a key that is gone is never replaced behind one's back."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.errors import ConfigurationError
from deid_node.node.epochs import check_keys, former_files, key_ring, new_key, rotate, show
from deid_node.node.key_file import KEY_NAME, project_key, read_key
from deid_node.node.records import Records
from deid_node.settings import Settings
from deid_node.spool import Spool
from tests.spool.objects import put

DIGITS = "0123456789abcdef" * 4


def test_the_epoch_is_the_same_for_the_same_key_and_another_for_another() -> None:
    one, same, other = Key(b"1" * 32), Key(b"1" * 32), Key(b"2" * 32)

    assert one.epoch == same.epoch == Pseudonyms(one).epoch
    assert one.epoch != other.epoch
    assert len(one.epoch) == 8


def test_a_rotation_keeps_the_former_key_beside_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / KEY_NAME
    first = new_key(file)
    digits = file.read_text()

    former, epoch = rotate(file)

    assert (former, read_key(file).epoch) == (first, epoch)
    assert former != epoch
    assert (tmp_path / f"{KEY_NAME}.{former}").read_text() == digits
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 2


def test_the_ring_holds_every_epoch_and_makes_with_the_last(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    first, _ = project_key(settings)
    rotate(tmp_path / KEY_NAME)
    _, last = rotate(tmp_path / KEY_NAME)

    ring = key_ring(settings)

    assert ring.epoch == last
    assert len(list(ring.items())) == 3
    kept = ring.key(first.epoch)
    assert kept is not None
    assert Pseudonyms(kept).uid(b"1.2") == Pseudonyms(first).uid(b"1.2")
    assert ring.key("AAAAAAAA") is None


def test_a_former_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / KEY_NAME
    new_key(file)
    rotate(file)
    os.chmod(former_files(file)[0], 0o644)

    with pytest.raises(ConfigurationError, match="may be read by others"):
        key_ring(Settings(state=tmp_path))


def test_a_key_that_cannot_be_rotated_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / KEY_NAME
    file.write_text("short")
    file.chmod(0o600)

    with pytest.raises(ConfigurationError, match="must be 64 or more"):
        rotate(file)

    assert file.read_text() == "short"
    assert list(tmp_path.iterdir()) == [file]


def test_no_new_key_is_made_when_the_one_of_stored_objects_is_gone(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    project_key(settings)
    spool = Spool.open(settings.spool_folder, durable=False)
    put(spool, 1)
    spool.close()
    (tmp_path / KEY_NAME).unlink()

    with pytest.raises(ConfigurationError, match="the project key is gone"):
        project_key(settings)
    with pytest.raises(ConfigurationError, match="the project key is gone"):
        check_keys(settings)

    assert not (tmp_path / KEY_NAME).exists()
    new_key(tmp_path / KEY_NAME)
    project_key(settings)


def test_the_commands_show_epochs_and_never_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "k"
    arguments = ["--key-file", str(file)]

    assert main(["key", "new", *arguments]) == 0
    assert main(["key", "new", *arguments]) == 78
    digits = file.read_text().strip()
    assert main(["key", "rotate", "--yes", *arguments]) == 0
    assert main(["key", "show", *arguments]) == 0

    told = capsys.readouterr()
    assert all(key.epoch in told.out for key in show(file))
    for secret in (digits, file.read_text().strip()):
        assert secret not in told.out + told.err


def test_what_people_do_with_the_key_is_in_the_audit_stream(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\n')
    assert main(["key", "new", "--config", str(config)]) == 0
    first = read_key(tmp_path / "state" / KEY_NAME).epoch

    assert main(["key", "rotate", "--yes", "--config", str(config)]) == 0

    lines = (tmp_path / "state" / "audit" / "audit.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(one["event"], one.get("epoch"), one.get("former")) for one in told] == [
        ("key-made", first, None),
        ("key-rotated", None, first),
    ]
    assert all(one["user"] == os.getuid() for one in told)


def test_that_the_key_cannot_be_used_is_in_the_audit_stream(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(DIGITS)
    (tmp_path / "k").chmod(0o644)

    with pytest.raises(ConfigurationError, match="may be read by others"):
        Records.open(Settings(state=tmp_path / "state", key_file=tmp_path / "k"))

    [line] = (tmp_path / "state" / "audit" / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "key-refused"
