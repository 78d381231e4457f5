from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from shim.telemetry.log import Metrics, Redactor, start_logging


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
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    found = Redactor()(text)
    assert "hunter2" not in found
    assert "***" in found


@pytest.mark.parametrize(
    "text", ["GET http://10.0.0.1:5051/state", "mail a@b.example", "basic auth", "image a@sha256:1"]
)
def test_what_does_not_is_left_alone(text: str) -> None:
    assert Redactor()(text) == text


def test_known_secrets_are_hidden_wherever_they_stand() -> None:
    hide = Redactor(["s3cret", "s3cret.longer", "abc", ""])
    assert hide("x=s3cret.longer y=s3cret abc") == "x=*** y=*** abc"


def logged(form: str, *secrets: str, error: Exception | None = None) -> str:
    stream = io.StringIO()
    start_logging("info", form, secrets, stream)
    logging.getLogger("shim.x").warning(
        "task said %s\n2026 INFO forged s3cret", "é\x1b[2J", exc_info=error
    )
    logging.getLogger("shim.x").debug("not heard")
    logging.getLogger("kazoo").info("chatter")
    return stream.getvalue()


def test_text_is_one_line_a_message() -> None:
    found = logged("text", "s3cret")
    assert found.count("\n") == 1
    assert found.endswith(r"Z WARNING shim.x: task said é\x1b[2J\n2026 INFO forged ***" + "\n")


def test_json_is_one_object_a_message() -> None:
    found = json.loads(logged("json", "s3cret", error=ValueError("s3cret")))
    assert (found["level"], found["logger"]) == ("warning", "shim.x")
    assert found["message"] == "task said é\x1b[2J\n2026 INFO forged ***"
    assert found["error"].endswith("ValueError: ***")
    assert found["time"].endswith("Z")


def test_a_traceback_is_redacted_too() -> None:
    found = logged("text", "s3cret", error=ValueError("s3cret"))
    assert found.endswith("ValueError: ***\n")


def lines(metrics: Metrics) -> list[str]:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


def test_figures_are_read_when_somebody_asks() -> None:
    metrics, figures = Metrics(), {"a": 1.0}
    metrics.gauge("unacknowledged", "Updates", lambda: figures["a"])
    metrics.counter("launches", "Launches", lambda: figures["a"])
    metrics.gauges("queue", "Depths", "queue", lambda: figures)
    metrics.counters("ignored", "Messages", "why", lambda: {'b"c': 3.0})
    figures["a"] = 2.0
    assert {
        "mesos_shim_unacknowledged 2.0",
        "mesos_shim_launches_total 2.0",
        'mesos_shim_queue{queue="a"} 2.0',
        'mesos_shim_ignored_total{why="b\\"c"} 3.0',
    } <= {*lines(metrics)}


def test_durations_have_buckets_for_engines_and_datacenters() -> None:
    metrics = Metrics()
    metrics.launch_seconds.labels("create").observe(0.02)
    metrics.engine_seconds.labels("create", "ok").observe(400)
    found = lines(metrics)
    assert 'mesos_shim_launch_seconds_bucket{le="0.025",stage="create"} 1.0' in found
    assert (
        'mesos_shim_engine_call_seconds_bucket{call="create",le="300.0",outcome="ok"} 0.0' in found
    )
    assert (
        'mesos_shim_engine_call_seconds_bucket{call="create",le="600.0",outcome="ok"} 1.0' in found
    )


def test_openmetrics_is_given_to_those_who_ask() -> None:
    body, content_type = Metrics().render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
