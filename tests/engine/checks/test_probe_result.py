from __future__ import annotations

import pytest

from shim.engine.checks.probe_result import (
    ProbeResult,
    ProbeStatus,
    check_status,
    is_certain,
    passed,
)
from shim.engine.checks.spec import Command, Http, Target, Tcp
from shim.protos.mesos_pb2 import CheckStatusInfo

COMMAND, HTTP, TCP = Command(("true",)), Http(80), Tcp(80)


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
def test_what_counts_as_success(target: Target, value: int, good: bool) -> None:
    assert passed(target, ProbeResult(ProbeStatus.ANSWERED, value)) is good


@pytest.mark.parametrize("sign", [sign for sign in ProbeStatus if sign is not ProbeStatus.ANSWERED])
@pytest.mark.parametrize("target", [COMMAND, HTTP, TCP])
def test_without_an_answer_there_is_no_success_and_no_certainty(
    target: Target, sign: ProbeStatus
) -> None:
    assert not passed(target, ProbeResult(sign))
    assert not is_certain(target, ProbeResult(sign))


def test_an_exit_code_may_be_the_containers_ending_an_http_status_may_not() -> None:
    assert is_certain(HTTP, ProbeResult(ProbeStatus.ANSWERED, 503))
    assert not is_certain(COMMAND, ProbeResult(ProbeStatus.ANSWERED, 137))
    assert is_certain(COMMAND, ProbeResult(ProbeStatus.ANSWERED, 0))


@pytest.mark.parametrize(
    ("target", "outcome", "text"),
    [
        (COMMAND, ProbeResult(ProbeStatus.ANSWERED, 3), "type: COMMAND command { exit_code: 3 }"),
        (COMMAND, ProbeResult(ProbeStatus.SILENT), "type: COMMAND command { }"),
        (HTTP, ProbeResult(ProbeStatus.ANSWERED, 404), "type: HTTP http { status_code: 404 }"),
        (HTTP, ProbeResult(ProbeStatus.REFUSED), "type: HTTP http { }"),
        (TCP, ProbeResult(ProbeStatus.ANSWERED), "type: TCP tcp { succeeded: true }"),
        (TCP, ProbeResult(ProbeStatus.REFUSED), "type: TCP tcp { succeeded: false }"),
        (TCP, ProbeResult(ProbeStatus.UNREACHABLE), "type: TCP tcp { succeeded: false }"),
        (TCP, ProbeResult(ProbeStatus.SILENT), "type: TCP tcp { }"),
    ],
)
def test_what_a_check_reports(target: Target, outcome: ProbeResult, text: str) -> None:
    from google.protobuf import text_format

    found = CheckStatusInfo.FromString(check_status(target, outcome))
    assert found == text_format.Parse(text, CheckStatusInfo())
