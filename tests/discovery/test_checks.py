from __future__ import annotations

import pytest

from shim.discovery.checks import Check, task_check
from shim.discovery.config import Checks
from tests.discovery.tasks import task

HTTP = 'health_check { type: HTTP http { port: 80 path: "/ok" } interval_seconds: 5 }'
TCP = "health_check { type: TCP tcp { port: 80 } interval_seconds: 0.2 timeout_seconds: 3 }"
COMMAND = 'health_check { type: COMMAND command { value: "true" } }'


def check(
    text: str,
    healthy: bool | None = None,
    mode: Checks = Checks.CONSUL,
    place: tuple[str, int] | None = ("10.0.0.7", 80),
) -> Check:
    return task_check(task(text), healthy, mode, lambda port: place)


def test_a_task_without_a_health_check_passes() -> None:
    for mode in Checks:
        made = check("", None, mode)
        assert (made.status, made.ttl, made.fields["TTL"]) == ("passing", 21600.0, "21600s")


@pytest.mark.parametrize("text", [HTTP, TCP, COMMAND])
@pytest.mark.parametrize(
    ("healthy", "status"), [(None, "critical"), (False, "critical"), (True, "passing")]
)
def test_one_with_a_health_check_is_critical_until_healthy(
    text: str, healthy: bool | None, status: str
) -> None:
    for mode in Checks:
        assert check(text, healthy, mode).status == status


def test_mesos_health_feeds_a_ttl() -> None:
    made = check(HTTP, mode=Checks.MESOS)
    assert "HTTP" not in made.fields
    assert made.ttl == 21600.0


def test_consul_runs_what_it_can_reach() -> None:
    assert check(HTTP).fields == {
        "Name": "HTTP 80",
        "HTTP": "http://10.0.0.7:80/ok",
        "TLSSkipVerify": True,
        "Interval": "5s",
        "Timeout": "20s",
        "DeregisterCriticalServiceAfter": "21600s",
    }
    assert check(TCP, place=("fd00::1", 80)).fields == {
        "Name": "TCP 80",
        "TCP": "[fd00::1]:80",
        "Interval": "1s",
        "Timeout": "3s",
        "DeregisterCriticalServiceAfter": "21600s",
    }
    assert check(HTTP).ttl is None


def test_a_command_and_an_unreachable_port_stay_with_mesos() -> None:
    assert check(COMMAND).ttl == 21600.0
    assert check(HTTP, place=None).ttl == 21600.0
    assert check(TCP, place=None).ttl == 21600.0


def test_the_revision_tells_definitions_apart_not_states() -> None:
    assert check(HTTP, True).revision == check(HTTP, False).revision
    assert check(HTTP).revision != check(TCP).revision
