from __future__ import annotations

import pytest

from shim.engine.checks.probe_result import (
    ProbeResult,
    ProbeStatus,
    check_status,
    is_certain,
    passed,
)
from shim.engine.checks.spec import CheckTarget, CommandCheck, HttpCheck, TcpCheck
from shim.protos.mesos_pb2 import CheckStatusInfo

COMMAND, HTTP, TCP = CommandCheck(("true",)), HttpCheck(80), TcpCheck(80)


@pytest.mark.parametrize(
    ("target", "value", "good"),
    [
        (COMMAND, 0, True),
        (COMMAND, 1, False),
        (COMMAND, 126, False),
        (HTTP, 199, False),
        (HTTP, 200, True),
        (HTTP, 399, True),
        (HTTP, 400, False),
        (HTTP, 503, False),
        (TCP, 0, True),
    ],
)
def test_success_of_a_health_check(target: CheckTarget, value: int, good: bool) -> None:
    assert passed(target, ProbeResult(ProbeStatus.ANSWERED, value)) is good


@pytest.mark.parametrize(
    "status", [status for status in ProbeStatus if status is not ProbeStatus.ANSWERED]
)
@pytest.mark.parametrize("target", [COMMAND, HTTP, TCP])
def test_a_probe_without_an_answer_is_neither_success_nor_certain(
    target: CheckTarget, status: ProbeStatus
) -> None:
    assert not passed(target, ProbeResult(status))
    assert not is_certain(target, ProbeResult(status))


def test_a_failing_exit_code_is_uncertain_and_an_http_status_certain() -> None:
    assert is_certain(HTTP, ProbeResult(ProbeStatus.ANSWERED, 503))
    assert not is_certain(COMMAND, ProbeResult(ProbeStatus.ANSWERED, 137))
    assert is_certain(COMMAND, ProbeResult(ProbeStatus.ANSWERED, 0))


@pytest.mark.parametrize(
    ("target", "result", "text"),
    [
        (COMMAND, ProbeResult(ProbeStatus.ANSWERED, 3), "type: COMMAND command { exit_code: 3 }"),
        (COMMAND, ProbeResult(ProbeStatus.NO_ANSWER), "type: COMMAND command { }"),
        (HTTP, ProbeResult(ProbeStatus.ANSWERED, 404), "type: HTTP http { status_code: 404 }"),
        (HTTP, ProbeResult(ProbeStatus.REFUSED), "type: HTTP http { }"),
        (TCP, ProbeResult(ProbeStatus.ANSWERED), "type: TCP tcp { succeeded: true }"),
        (TCP, ProbeResult(ProbeStatus.REFUSED), "type: TCP tcp { succeeded: false }"),
        (TCP, ProbeResult(ProbeStatus.UNREACHABLE), "type: TCP tcp { succeeded: false }"),
        (TCP, ProbeResult(ProbeStatus.NO_ANSWER), "type: TCP tcp { }"),
    ],
)
def test_the_status_that_a_check_reports(
    target: CheckTarget, result: ProbeResult, text: str
) -> None:
    from google.protobuf import text_format

    found = CheckStatusInfo.FromString(check_status(target, result))
    assert found == text_format.Parse(text, CheckStatusInfo())
