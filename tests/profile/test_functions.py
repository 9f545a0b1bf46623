"""The functions of rows: parameters are checked and completed when a profile is loaded."""

from __future__ import annotations

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.functions import FUNCTIONS, cannot_take, describe, is_compatible_only
from deid_node.profile.names import VRS
from deid_node.profile.procedure import Action, Call
from deid_node.profile.template import Template


def test_a_function_that_is_an_action_has_no_call() -> None:
    assert describe("keep", {}) == (Action.K, None)
    assert describe("remove", {}) == (Action.X, None)
    assert describe("dummy", {}) == (Action.D, None)


def test_empty_is_more_than_z() -> None:
    action, call = describe("empty", {})

    assert (action, call) == (Action.Z, Call("empty", {}))


def test_parameters_left_out_have_their_default() -> None:
    _, call = describe("hash", {"length": 8})

    assert call is not None
    assert dict(call.params) == {
        "algorithm": "sha256",
        "length": 8,
        "alphabet": "hex",
        "match_length": False,
        "key": "",
        "of": 0,
        "fit": "fail",
    }


def test_set_carries_a_parsed_template() -> None:
    _, call = describe("set", {"value": "{pseudonym}"})

    assert call is not None
    assert call.params["template"] == Template.parse("{pseudonym}")


def test_every_finding_is_reported_at_once() -> None:
    with pytest.raises(ProfileError) as caught:
        describe("hash", {"lenght": 8, "fit": "maybe", "match_length": "yes"})

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("hsh", {}, "did you mean hash?"),
        ("hash", {"lenght": 8}, "did you mean length?"),
        ("hash", {"length": 0}, "a whole number from 1 to 128"),
        ("hash", {"length": True}, "a whole number"),
        ("hash", {"algorithm": "sha1"}, "expected one of sha256"),
        ("mask", {}, "mask needs the parameter 'mask'"),
        ("set", {}, "set needs the parameter 'value'"),
        ("set", {"value": "{pseudonim}"}, "did you mean pseudonym?"),
        ("date_shift", {"duration": "30 days"}, "ISO 8601 duration"),
        ("date_shift", {"duration": "P"}, "ISO 8601 duration"),
        ("date_shift", {"per": "hospital"}, "expected one of patient"),
        ("perturb", {"span": -1}, "not negative"),
        ("fake_name", {"seed": "PatintID"}, "did you mean PatientID?"),
        ("map", {"cases": {"M": 1}}, "a table of texts"),
        ("keep", {"length": 3}, "it has none"),
    ],
)
def test_a_wrong_call_says_what_would_be_right(name: str, params: dict[str, object], says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        describe(name, params)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "duration", ["P7D", "-P7D", "PT24H", "P2W", "P1Y2M3DT4H5M6S", "-PT0.9S", "-P1DT1.123456S"]
)
def test_iso_8601_durations_are_understood(duration: str) -> None:
    _, call = describe("date_shift", {"duration": duration})

    assert call is not None
    assert call.params["duration"] == duration


@pytest.mark.parametrize(
    ("name", "vr", "can"),
    [
        ("hash", "LO", True),
        ("hash", "US", False),
        ("hash", "SQ", False),
        ("perturb", "DS", True),
        ("perturb", "LO", False),
        ("date_shift", "DA", True),
        ("date_shift", "LO", False),
        ("uid", "UI", True),
        ("uid", "LO", False),
        ("empty", "SQ", True),
        ("redact", "SQ", True),
        ("substitute", "SQ", False),
        ("age_cap", "AS", True),
    ],
)
def test_ms_v21_a_function_takes_certain_vrs(name: str, vr: str, can: bool) -> None:
    assert (cannot_take(Call(name), vr) == "") is can


def test_what_is_not_keyed_is_known() -> None:
    for name, params in [("hash", {"algorithm": "md5"}), ("uid", {"algorithm": "radiopaedia"})]:
        _, call = describe(name, params)

        assert call is not None
        assert is_compatible_only(call)


def test_every_function_names_vrs_that_exist_and_says_what_it_does() -> None:
    for function in FUNCTIONS.values():
        assert function.vrs <= VRS
        assert function.about
        assert all(param.about for param in function.params.values())
