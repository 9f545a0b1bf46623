"""Logs say what happened and no value."""

from __future__ import annotations

import ast
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from deid_node.errors import Rejected
from deid_node.log import FIELDS, WITHHELD, configure_log, describe

PACKAGE = Path(__file__).resolve().parents[1] / "deid_node"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure_log(form="json", stream=out)
    yield out
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_time_and_level(stream: io.StringIO) -> None:
    structlog.get_logger().info("node.object_stored", route="default", item=3)

    [event] = events(stream)
    assert event["event"] == "node.object_stored"
    assert (event["level"], event["route"], event["item"]) == ("info", "default", 3)
    assert str(event["timestamp"]).endswith("Z")


def test_an_unknown_field_is_withheld(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", patient_name="Doe^Jane")

    assert events(stream)[0]["patient_name"] == WITHHELD
    assert "Doe" not in stream.getvalue()


def test_a_value_that_is_no_short_text_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", reason="a" * 1000, path={"a": "Doe^Jane"})

    [event] = events(stream)
    assert len(str(event["reason"])) < 400
    assert event["path"] == WITHHELD


def test_an_exception_is_told_without_its_text(stream: io.StringIO) -> None:
    try:
        raise ValueError("Doe^Jane")
    except ValueError:
        structlog.get_logger().error("x", exc_info=True)

    [event] = events(stream)
    assert event["error"] == "ValueError"
    assert "test_an_exception_is_told_without_its_text" in str(event["frames"])
    assert "Doe" not in stream.getvalue()


def test_messages_of_libraries_are_counted_and_dropped(stream: io.StringIO) -> None:
    for _ in range(25):
        logging.getLogger("pydicom").warning("value %s", "Doe^Jane")

    told = events(stream)
    assert [event["count"] for event in told] == [1, 10]
    assert told[0]["logger"] == "pydicom"
    assert "Doe" not in stream.getvalue()


def test_warnings_are_dropped_too(stream: io.StringIO) -> None:
    warnings.warn("Doe^Jane", stacklevel=1)

    assert "Doe" not in stream.getvalue()
    assert events(stream)[0]["logger"] == "py.warnings"


def test_the_code_of_our_errors_is_told() -> None:
    told = describe(Rejected("reason", code="no-sop-class"))

    assert (told["error"], told["code"]) == ("Rejected", "no-sop-class")


def test_every_field_that_the_program_logs_may_be_written() -> None:
    unknown = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            is_log = ast.unparse(node.func.value).lower().rstrip("()").endswith("log")
            if is_log and node.func.attr in {"debug", "info", "warning", "error", "bind"}:
                words = {keyword.arg for keyword in node.keywords if keyword.arg} - FIELDS - {"exc_info"}
                unknown |= {f"{path.name}: {word}" for word in words}

    assert not unknown
