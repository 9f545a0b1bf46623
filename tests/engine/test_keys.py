"""Pseudonyms are keyed functions: equal for equal keys, unlike for unlike ones, and never the original."""

from __future__ import annotations

import re

import pytest

from deid_node.engine.keys import MIN_KEY_BYTES, Key, Pseudonyms
from deid_node.errors import ConfigurationError

_KEY, _OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))
_UIDS = [f"1.2.840.113619.2.{number}".encode() for number in range(500)]


def test_a_short_key_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="at least 32"):
        Key(bytes(MIN_KEY_BYTES - 1))


def test_keys_and_pseudonyms_do_not_print_their_bytes() -> None:
    secret = b"correct horse battery staple, 32!"

    for shown in (Key(secret), Pseudonyms(Key(secret))):
        assert "horse" not in f"{shown!r}{shown}"


def test_purposes_have_keys_of_their_own() -> None:
    assert len({_KEY.derive(purpose) for purpose in ("uid", "patient", "date", "duplicate")}) == 4


def test_a_uid_is_a_valid_uuid_derived_uid() -> None:
    pseudonyms = Pseudonyms(_KEY)

    for uid in map(pseudonyms.uid, _UIDS):
        assert re.fullmatch(rb"2\.25\.(0|[1-9][0-9]*)", uid) and len(uid) <= 44
        assert int(uid[5:]) < 1 << 128


def test_a_uid_is_the_same_for_a_key_and_another_for_another() -> None:
    first, again, other = Pseudonyms(_KEY), Pseudonyms(_KEY), Pseudonyms(_OTHER)

    assert list(map(first.uid, _UIDS)) == list(map(again.uid, reversed(_UIDS)))[::-1]
    assert len({*map(first.uid, _UIDS), *map(other.uid, _UIDS)}) == 2 * len(_UIDS)


def test_known_values_never_change() -> None:
    """These hold for years: a project that is continued finds its patients again."""
    pseudonyms = Pseudonyms(_KEY)

    assert pseudonyms.uid(b"1.2.3") == b"2.25.102712834592296093305493118329399433995"
    assert pseudonyms.patient("0815") == "7MJCVWXD2BN3LRR6"
    assert pseudonyms.days("0815", 365) == -169


def test_a_pseudonym_is_valid_in_every_text_vr() -> None:
    pseudonyms = Pseudonyms(_KEY)
    made = {pseudonyms.patient(f"P{number}") for number in range(500)}

    assert len(made) == 500
    assert all(re.fullmatch("[A-Z2-7]{16}", one) for one in made)


def test_a_date_shift_lies_in_the_past_and_within_its_range() -> None:
    pseudonyms = Pseudonyms(_KEY)
    shifts = {pseudonyms.days(f"P{number}", 30) for number in range(1000)}

    assert shifts == set(range(-30, 0))
    assert {pseudonyms.days("P", longest) for longest in (0, 1)} == {-1}


def test_a_digest_stands_for_a_value_under_one_purpose() -> None:
    pseudonyms = Pseudonyms(_KEY)

    digests = {
        pseudonyms.digest(purpose, value) for purpose in ("duplicate", "other") for value in (b"1", b"2")
    }

    assert len(digests) == 4 and all(len(digest) == 32 for digest in digests)
    assert pseudonyms.digest("duplicate", b"1") == Pseudonyms(_KEY).digest("duplicate", b"1")


def test_many_uids_do_not_fill_the_memory() -> None:
    pseudonyms = Pseudonyms(_KEY)
    first = pseudonyms.uid(b"1.2.3")

    for number in range(100_010):
        pseudonyms.uid(b"1.9.%d" % number)

    assert pseudonyms.uid(b"1.2.3") == first
