"""Each malformed object has one status, each file one beginning; and there are as many as there should be."""

from __future__ import annotations

from collections import Counter

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.basic import basic_procedure
from tests.malformed_codes import codes, listed
from tests.malformed_files import PLANTED, files
from tests.rewriting import pseudonyms, rewrite

_AT_LEAST = {
    "truncated": 400,
    "lengths": 150,
    "nesting": 36,
    "delimiters": 80,
    "encapsulated": 120,
    "native": 60,
    "unknown_vrs": 80,
    "mismatched": 40,
    "dictionary": 60,
    "vrs": 80,
    "character_sets": 60,
    "uids": 60,
    "orders": 60,
    "surroundings": 50,
    "bombs": 24,
}
_PASS_AT_LEAST = 60
_FILES = dict(files())


def test_every_object_has_the_status_that_is_listed() -> None:
    wrong = [(was, now) for was, now in zip(listed(), codes(), strict=True) if tuple(was) != now]

    assert wrong == []


def test_every_family_is_as_large_as_it_should_be() -> None:
    counts = Counter(family for family, _, _ in listed())
    odd = [row for row in listed() if row[0] in ("odd", "delimiters", "lengths") and row[2] == "0000"]

    assert {family: counts[family] for family, least in _AT_LEAST.items() if counts[family] < least} == {}
    assert len(odd) >= _PASS_AT_LEAST
    assert {row[2] for row in listed()} <= {"0000", "A900", "C101", "C102", "C104"}


@pytest.mark.parametrize("name", _FILES)
def test_nothing_of_the_beginning_of_a_file_is_left(name: str) -> None:
    result = rewrite(Deidentifier(basic_procedure(), pseudonyms()), _FILES[name])

    assert result.file[:132] == bytes(128) + b"DICM"
    assert PLANTED not in result.file
    assert b"\2\0\0\1UI" not in result.file  # Private Information Creator UID


def test_there_are_twenty_files() -> None:
    assert len(_FILES) == 20
