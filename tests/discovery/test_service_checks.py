from __future__ import annotations

import pytest

from shim.discovery.service_checks import ConsulCheck, task_check
from shim.model.settings import CheckMode
from tests.discovery.tasks import task

HTTP = 'health_check { type: HTTP http { port: 80 path: "/ok" } interval_seconds: 5 }'
TCP = "health_check { type: TCP tcp { port: 80 } interval_seconds: 0.2 timeout_seconds: 3 }"
COMMAND = 'health_check { type: COMMAND command { value: "true" } }'


def check(
    text: str,
    healthy: bool | None = None,
    mode: CheckMode = CheckMode.CONSUL,
    address: tuple[str, int] | None = ("10.0.0.7", 80),
) -> ConsulCheck:
    return task_check(task(text), healthy, mode, lambda port: address)


def test_a_task_without_a_health_check_passes() -> None:
    for mode in CheckMode:
        made = check("", None, mode)
        assert (made.status, made.ttl, made.fields["TTL"]) == ("passing", 21600.0, "21600s")


@pytest.mark.parametrize("text", [HTTP, TCP, COMMAND])
@pytest.mark.parametrize(
    ("healthy", "status"), [(None, "critical"), (False, "critical"), (True, "passing")]
)
def test_a_task_with_a_health_check_is_critical_until_healthy(
    text: str, healthy: bool | None, status: str
) -> None:
    for mode in CheckMode:
        assert check(text, healthy, mode).status == status


def test_in_mode_mesos_every_check_is_a_ttl_check() -> None:
    made = check(HTTP, mode=CheckMode.MESOS)
    assert "HTTP" not in made.fields
    assert made.ttl == 21600.0


def test_in_mode_consul_http_and_tcp_checks_run_in_consul() -> None:
    assert check(HTTP).fields == {
        "Name": "HTTP 80",
        "HTTP": "http://10.0.0.7:80/ok",
        "TLSSkipVerify": True,
        "Interval": "5s",
        "Timeout": "20s",
        "DeregisterCriticalServiceAfter": "21600s",
    }
    assert check(TCP, address=("fd00::1", 80)).fields == {
        "Name": "TCP 80",
        "TCP": "[fd00::1]:80",
        "Interval": "1s",
        "Timeout": "3s",
        "DeregisterCriticalServiceAfter": "21600s",
    }
    assert check(HTTP).ttl is None


def test_command_checks_and_unreachable_ports_stay_ttl_checks() -> None:
    assert check(COMMAND).ttl == 21600.0
    assert check(HTTP, address=None).ttl == 21600.0
    assert check(TCP, address=None).ttl == 21600.0


def test_the_revision_depends_on_the_definition_and_not_on_the_status() -> None:
    assert check(HTTP, True).revision == check(HTTP, False).revision
    assert check(HTTP).revision != check(TCP).revision
