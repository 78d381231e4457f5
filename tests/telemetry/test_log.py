from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from shim.telemetry.log import Redactor, start_logging


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.parametrize(
    "text",
    [
        "connecting to zk://me:hunter2@zk1:2181/mesos",
        "Authorization: Basic aHVudGVyMg==hunter2",
        "headers {'Authorization': 'Bearer hunter2hunter2'}",
        "X-Consul-Token: hunter2",
        "{'X-Registry-Auth': 'hunter2'}",
        '{"principal": "p", "secret": "hunter2"}',
        "password=hunter2, user=x",
        "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----",
        "cut: -----BEGIN PRIVATE KEY-----\nhunter2",
    ],
)
def test_what_looks_like_a_secret_is_replaced(text: str) -> None:
    found = Redactor()(text)
    assert "hunter2" not in found
    assert "***" in found


@pytest.mark.parametrize(
    "text", ["GET http://10.0.0.1:5051/state", "mail a@b.example", "basic auth", "image a@sha256:1"]
)
def test_other_text_is_unchanged(text: str) -> None:
    assert Redactor()(text) == text


def test_known_secrets_are_replaced_everywhere() -> None:
    redact = Redactor(["s3cret", "s3cret.longer", "abc", ""])
    assert redact("x=s3cret.longer y=s3cret abc") == "x=*** y=*** abc"


def logged(form: str, *secrets: str, error: Exception | None = None) -> str:
    stream = io.StringIO()
    start_logging("info", form, secrets, stream)
    logging.getLogger("shim.x").warning(
        "task said %s\n2026 INFO forged s3cret", "é\x1b[2J", exc_info=error
    )
    logging.getLogger("shim.x").debug("below the level")
    logging.getLogger("kazoo").info("chatter")
    return stream.getvalue()


def test_no_library_logs_below_the_level_of_the_agent() -> None:
    stream = io.StringIO()
    start_logging("error", "text", (), stream)
    logging.getLogger("kazoo").warning("Connection dropped")
    logging.getLogger("kazoo").error("no way")
    assert stream.getvalue().endswith("ERROR kazoo: no way\n")
    assert stream.getvalue().count("\n") == 1


def test_text_has_one_line_a_record() -> None:
    found = logged("text", "s3cret")
    assert found.count("\n") == 1
    assert found.endswith(r"Z WARNING shim.x: task said é\x1b[2J\n2026 INFO forged ***" + "\n")


def test_json_has_one_object_a_record() -> None:
    found = json.loads(logged("json", "s3cret", error=ValueError("s3cret")))
    assert (found["level"], found["logger"]) == ("warning", "shim.x")
    assert found["message"] == "task said é\x1b[2J\n2026 INFO forged ***"
    assert found["error"].endswith("ValueError: ***")
    assert found["time"].endswith("Z")


def test_a_traceback_is_redacted_too() -> None:
    found = logged("text", "s3cret", error=ValueError("s3cret"))
    assert found.endswith("ValueError: ***\n")
