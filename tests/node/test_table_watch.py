"""The file of a lookup table that changes under a running node is read when nobody writes it any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deid_node.errors import ConfigurationError
from deid_node.node.table_watch import TableWatch, refuse_unfinished


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """One file that was read long ago, and its watch."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.file = folder / "ids.csv"
        self.write("old,new\n", at=1)
        self.watch = TableWatch(look_s=2, quiet_s=5, clock=self.clock)
        self.watch.take([str(self.file)], began_ns=10**18)

    def write(self, text: str, at: int) -> None:
        self.file.write_text(text)
        os.utime(self.file, (at, at))

    def after(self, seconds: float) -> list[str]:
        self.clock.now += seconds
        return self.watch.changed()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_file_that_stays_as_it_was_read_has_not_changed(watched: Watched) -> None:
    assert [watched.after(3) for _ in range(5)] == [[]] * 5


def test_a_changed_file_counts_once_when_it_is_quiet(watched: Watched) -> None:
    watched.write("old,new\nA,1\n", at=2)

    assert [watched.after(3) for _ in range(5)] == [[], [], [str(watched.file)], [], []]


def test_a_file_that_is_written_on_and_on_does_not_count(watched: Watched) -> None:
    found = []
    for second in range(2, 8):
        watched.write("old,new\n" + "A,1\n" * second, at=second)
        found += watched.after(4)

    assert found == []
    assert watched.after(4) == []
    assert watched.after(4) == [str(watched.file)]


def test_a_file_of_the_same_size_and_time_under_another_number_has_changed(watched: Watched) -> None:
    other = watched.file.with_name("other")
    other.write_text("old,neu\n")
    os.utime(other, (1, 1))
    other.rename(watched.file)

    assert [watched.after(3) for _ in range(3)] == [[], [], [str(watched.file)]]


def test_what_was_written_while_it_was_read_is_read_again(watched: Watched) -> None:
    watched.write("old,new\nA,1\n", at=20)
    watched.watch.take([str(watched.file)], began_ns=20 * 10**9)

    assert [watched.after(3) for _ in range(4)] == [[], [], [str(watched.file)], []]


def test_a_file_that_goes_has_changed_and_a_change_back_has_not(watched: Watched) -> None:
    watched.file.unlink()
    gone = [watched.after(3) for _ in range(3)]
    watched.write("old,new\n", at=1)

    assert gone == [[], [], [str(watched.file)]]
    assert [watched.after(3) for _ in range(3)] == [[], [], [str(watched.file)]]


def test_files_that_change_together_count_together(watched: Watched, tmp_path: Path) -> None:
    other = tmp_path / "sites.csv"
    other.write_text("old,new\n")
    os.utime(other, (1, 1))
    files = [str(watched.file), str(other)]
    watched.watch.take(files, began_ns=10**18)
    watched.write("old,new\nA,1\n", at=2)
    watched.after(3)
    other.write_text("old,new\nB,2\n")

    assert [watched.after(3) for _ in range(3)] == [[], [], files]


def test_a_file_whose_last_line_has_no_end_is_not_taken_unasked(watched: Watched) -> None:
    watched.write("old,new\nSECRET,1", at=2)

    with pytest.raises(ConfigurationError) as error:
        refuse_unfinished([str(watched.file)])

    assert "ids.csv: its last line has no end" in str(error.value)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("text", ["", "old,new\n", "old,new\r\nA,1\r\n"])
def test_a_file_of_whole_lines_is_taken(watched: Watched, text: str) -> None:
    watched.write(text, at=2)

    refuse_unfinished([str(watched.file), str(watched.file.with_name("gone"))])
