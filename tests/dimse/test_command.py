"""Command sets, both ways, against pydicom's reading of them."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.command import CommandField, echo_request, read_command, response, store_request
from deid_node.dimse.pdu import ProtocolViolation, command_frames, fragment_bytes
from deid_node.dimse.status import StoreStatus
from tests.dimse.raw import CT, INSTANCE, store_rq


def test_a_store_request_is_what_pydicom_reads() -> None:
    ds = read_dataset(BytesIO(store_request(CT, INSTANCE, 7)), True, True)

    assert ds.CommandGroupLength == len(store_request(CT, INSTANCE, 7)) - 12
    assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == (CT, INSTANCE)
    assert (ds.CommandField, ds.MessageID, ds.CommandDataSetType != 0x0101) == (1, 7, True)


def test_what_is_written_is_read() -> None:
    command = read_command(echo_request(CT, 9))

    assert (command.field, command.message_id, command.has_dataset) == (CommandField.C_ECHO_RQ, 9, False)
    assert command.is_request


@pytest.mark.parametrize(
    ("answer", "comment"),
    [
        (StoreAnswer(StoreStatus.REJECTED, "odd"), "odd"),
        (StoreAnswer(StoreStatus.REJECTED, "x" * 100), "x" * 64),
        (StoreAnswer(StoreStatus.REJECTED), None),
        (StoreAnswer(StoreStatus.SUCCESS, "never said"), None),
    ],
)
def test_a_response_carries_status_uids_and_comment(answer: StoreAnswer, comment: str | None) -> None:
    ds = read_dataset(BytesIO(response(read_command(store_rq(message_id=5)), answer)), True, True)

    assert (ds.CommandField, ds.MessageIDBeingRespondedTo, ds.CommandDataSetType) == (0x8001, 5, 0x0101)
    assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == (CT, INSTANCE)
    assert ds.Status == answer.status
    assert ds.get("ErrorComment") == comment
    assert [elem.tag for elem in ds] == sorted(elem.tag for elem in ds)


@pytest.mark.parametrize("instance", ["1." * 50, "\x80\x81"], ids=["too long", "not ASCII"])
def test_a_uid_that_cannot_be_one_is_not_echoed(instance: str) -> None:
    ds = read_dataset(
        BytesIO(
            response(read_command(store_rq(instance=instance)), StoreAnswer(StoreStatus.INVALID_INSTANCE))
        ),
        True,
        True,
    )

    assert "AffectedSOPInstanceUID" not in ds


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_command_set_are_a_violation(content: bytes) -> None:
    try:
        command = read_command(content)
    except ProtocolViolation as violation:
        assert violation.word
    else:
        assert 0 <= command.field <= 0xFFFF


@settings(deadline=None)
@given(st.sampled_from([0, 128, 129, 500, 16384, 2**32 - 1]), st.integers(1, 300).map(lambda n: 2 * n))
def test_a_command_is_cut_into_even_fragments_that_fit(max_pdu: int, length: int) -> None:
    command = bytes(range(256)) * 3

    frames = command_frames(5, command[:length], max_pdu)

    gathered = b""
    while frames:
        size = int.from_bytes(frames[2:6], "big")
        assert max_pdu == 0 or size <= max_pdu
        assert (frames[10], frames[11] & 1) == (5, 1)
        fragment = frames[12 : 6 + size]
        assert fragment
        assert len(fragment) % 2 == 0
        gathered += fragment
        assert bool(frames[11] & 2) == (len(gathered) == length)
        frames = frames[6 + size :]
    assert gathered == command[:length]


def test_a_peer_without_a_limit_gets_our_own() -> None:
    assert fragment_bytes(0) == 128 * 1024 - 6
    assert fragment_bytes(16384) == 16378
    assert fragment_bytes(16383) == 16376


def test_a_remark_of_a_peer_does_nothing_to_a_terminal() -> None:
    remark = b"\x1b[2Jgone\x07" + b"x" * 100
    raw = response(read_command(store_rq()), StoreAnswer(StoreStatus.REJECTED, "odd "))
    raw = raw.replace(b"\x04\0\0\0odd ", len(remark).to_bytes(4, "little") + remark)

    assert read_command(raw).comment == "?[2Jgone?" + "x" * 55
