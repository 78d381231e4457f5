from __future__ import annotations

import pytest

from shim.engine.checks.spec import (
    CheckTarget,
    CommandCheck,
    HttpCheck,
    TcpCheck,
    Timing,
    check_target,
    check_timing,
    grace_period,
)
from shim.errors import InvalidTask
from tests.engine.checks.orders import task


def health(text: str) -> CheckTarget:
    return check_target(task(f"health_check {{ {text} }}").health_check)


def check(text: str) -> CheckTarget:
    return check_target(task(f"check {{ {text} }}").check)


def test_default_timing_is_that_of_mesos() -> None:
    info = task("health_check { type: TCP tcp { port: 1 } }").health_check
    assert (check_timing(info), grace_period(info)) == (Timing(15, 10, 20), 10)
    assert check_timing(task("check { type: TCP }").check) == Timing(15, 10, 20)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('type: COMMAND command { value: "a b" }', CommandCheck(("/bin/sh", "-c", "a b"))),
        (
            'type: COMMAND command { shell: false value: "a" arguments: "b c" }',
            CommandCheck(("a", "b c")),
        ),
        ('type: COMMAND command { shell: false arguments: "a" }', CommandCheck(("a",))),
        ("type: HTTP http { port: 80 }", HttpCheck(80)),
        (
            'type: HTTP http { port: 80 path: "/x" scheme: "https" protocol: IPv6 }',
            HttpCheck(80, "/x", "https", ipv6=True),
        ),
        ("type: TCP tcp { port: 80 }", TcpCheck(80)),
        ("type: TCP tcp { port: 0 }", TcpCheck(0)),
        ("type: HTTP http { port: 65536 }", HttpCheck(65_536)),
        ("type: TCP tcp { port: 80 protocol: IPv6 }", TcpCheck(80, ipv6=True)),
    ],
)
def test_targets_of_health_checks(text: str, wanted: CheckTarget) -> None:
    assert health(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('type: COMMAND command { command { value: "a" } }', CommandCheck(("/bin/sh", "-c", "a"))),
        ('type: HTTP http { port: 80 path: "/x" }', HttpCheck(80, "/x")),
        ("type: TCP tcp { port: 80 }", TcpCheck(80)),
    ],
)
def test_targets_of_checks(text: str, wanted: CheckTarget) -> None:
    assert check(text) == wanted


def test_a_commands_environment_includes_secrets() -> None:
    found = health(
        """type: COMMAND command { value: "a" environment {
            variables { name: "A" value: "1" }
            variables { name: "B" type: SECRET secret { type: VALUE value { data: "2" } } } } }"""
    )
    assert isinstance(found, CommandCheck)
    assert found.env == {"A": "1", "B": "2"}
    assert "2" not in repr(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tcp { port: 1 }", "No type: health_check.type"),
        ("type: COMMAND", "No command to check with: health_check.command"),
        (
            "type: COMMAND command { }",
            "Shell specified but no command value provided: health_check.command.value",
        ),
        ("type: COMMAND command { shell: false }", "No command: health_check.command.value"),
        ("type: HTTP", "No http to check with: health_check.http"),
        (
            'type: HTTP http { port: 1 path: "x" }',
            "Not an absolute path: health_check.http.path 'x'",
        ),
        (
            'type: HTTP http { port: 1 scheme: "ftp" }',
            "Neither http nor https: health_check.http.scheme 'ftp'",
        ),
    ],
)
def test_a_wrong_field_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidTask) as caught:
        health(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["-1", "nan"])
def test_times_must_be_numbers_of_seconds(value: str) -> None:
    with pytest.raises(InvalidTask, match=r"Not a number of seconds: check.interval_seconds"):
        check_timing(task(f"check {{ interval_seconds: {value} }}").check)
