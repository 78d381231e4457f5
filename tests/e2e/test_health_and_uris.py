"""Health checks, checks and URIs as a framework sees them, from launch to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.client import Json, task
from tests.e2e.conftest import System
from tests.engine.fetch.archives import a_tar
from tests.engine.fetch.server import serving

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

QUICK: Json = {"delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 0}
SERVE = "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"
LOOPBACK = "trap 'exit 0' TERM; httpd -f -p 127.0.0.1:8080 -h /www & wait"
SLEEP = "trap 'exit 0' TERM; sleep 1000 & wait"


def a_task(system: System, task_id: str, command: str, **fields: Any) -> Json:
    return task(task_id, command, **{"image": system.image, **fields})


def http(path: str = "/index.html", **fields: Any) -> Json:
    return {"type": "HTTP", "http": {"port": 8080, "path": path}, **QUICK, **fields}


async def test_healthy_tasks_are_told_to_be(system: System) -> None:
    await system.agent()
    checks = {
        "exec": (SLEEP, {"type": "COMMAND", "command": {"value": "true"}, **QUICK}),
        "http": (SERVE, http(consecutive_failures=100)),
        "tcp": (SERVE, {"type": "TCP", "tcp": {"port": 8080}, **QUICK}),
        "loopback": (LOOPBACK, http(consecutive_failures=100)),
    }
    async with system.framework() as framework:
        await framework.launch(
            *(
                a_task(system, name, command, health_check={"consecutive_failures": 100, **check})
                for name, (command, check) in checks.items()
            )
        )
        for name in checks:
            await framework.until(healthy(name))
        for name in checks:
            await framework.kill(name)
            assert (await framework.end(name))["state"] == "TASK_KILLED"
    assert "a probe inside the container" in system.agents[0].log


def healthy(name: str) -> Callable[[Json], bool]:
    def wanted(event: Json) -> bool:
        status = event.get("status", {})
        return bool(status.get("task_id", {}).get("value") == name and status.get("healthy"))

    return wanted


async def test_an_unhealthy_task_is_killed(system: System) -> None:
    await system.agent()
    check = http("/nothing", consecutive_failures=3)
    async with system.framework() as framework:
        await framework.launch(a_task(system, "sick", SERVE, health_check=check))
        end = await framework.end("sick", timeout=40)
        unhealthy = [u for u in framework.updates("sick") if u.get("healthy") is False]
    assert (end["state"], end["healthy"]) == ("TASK_KILLED", False)
    assert end["message"].startswith("Container exited with status")
    running = [u for u in unhealthy if u["state"] == "TASK_RUNNING"]
    assert len(running) == 3
    assert {u["reason"] for u in running} == {"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"}


async def test_uris_are_in_the_sandbox_and_a_404_is_told(system: System) -> None:
    await system.agent()
    async with serving() as server, system.framework() as framework:
        server.files["x.tar"] = a_tar({"a.txt": b"hello"})
        good = a_task(system, "good", 'test "$(cat $MESOS_SANDBOX/a.txt)" = hello')
        good["command"]["uris"] = [{"value": server.url("x.tar"), "cache": True}]
        bad = a_task(system, "bad", "true")
        bad["command"]["uris"] = [{"value": server.url("nothing")}]
        await framework.launch(good, bad)
        assert (await framework.end("good"))["state"] == "TASK_FINISHED"
        failed = await framework.end("bad")
    assert failed["state"] == "TASK_FAILED"
    assert failed["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
    assert failed["message"].startswith("Failed to launch container: Failed to fetch all URIs for")
    assert failed["message"].endswith("nothing: the server answered 404 Not Found")
