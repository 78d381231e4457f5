"""Health checks and checks end to end: what a framework hears, and when a task is killed."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.tasks import docker_task, running
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

SERVER = "httpd -f -p 8080 -h /www"
HTTP: Json = {"type": "HTTP", "http": {"port": 8080, "path": "/index.html"}}
TCP: Json = {"type": "TCP", "tcp": {"port": 8080}}
HEALTH = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
CHECK = "REASON_TASK_CHECK_STATUS_UPDATED"


def checked(system: System, task_id: str, command: str, check: Json, **timing: Any) -> Json:
    """With a health check, every 0.2 s, that kills at the second failure."""
    quick = {"delay_seconds": 0, "interval_seconds": 0.2, "timeout_seconds": PATIENCE}
    counted = {"consecutive_failures": 2, "grace_period_seconds": 0}
    info = docker_task(system, task_id, command)
    return {**info, "health_check": {**quick, **counted, **check, **timing}}


def shell(script: str) -> Json:
    return {"type": "COMMAND", "command": {"value": script}}


async def healthy(framework: Framework, task_id: str, value: bool, after: int = 0) -> Json:
    """The first update with this ``healthy``, of those after the first ``after``."""

    def wanted(event: Json) -> bool:
        if event["event"] != "update" or event["status"]["task_id"]["value"] != task_id:
            return False
        seen = framework.updates(task_id).index(event["status"])
        return seen >= after and event["status"].get("healthy") is value

    status: Json = (await framework.until(wanted))["status"]
    return status


async def inside(system: System, task_id: str, script: str) -> None:
    container = await asyncio.to_thread(system.container_of, task_id)
    done = await asyncio.to_thread(container.exec_run, ["sh", "-c", script])
    assert done.exit_code == 0, done.output


async def test_every_kind_becomes_healthy(shared: System) -> None:
    agent = await shared.agent()
    tasks = [
        checked(shared, "http", SERVER, HTTP),
        checked(shared, "tcp", SERVER, TCP),
        checked(shared, "command", "sleep 1000", shell("test -d /www")),
        checked(shared, "loopback", "httpd -f -p 127.0.0.1:8080 -h /www", HTTP),
        checked(shared, "no-network", SERVER, TCP),
        checked(shared, "none", "sleep 1000", TCP, grace_period_seconds=100),
    ]
    for info in tasks[:5]:
        # A server may be slower than two checks.
        info["health_check"]["consecutive_failures"] = 1000
    tasks[4]["container"]["docker"]["network"] = "NONE"
    async with shared.framework() as framework:
        await running(shared, framework, *tasks)
        for info in tasks[:5]:
            status = await healthy(framework, info["name"], True)
            assert (status["state"], status["reason"]) == ("TASK_RUNNING", HEALTH)
            assert "data" not in status
            assert status["container_status"]["network_infos"]
        assert all("healthy" not in status for status in framework.updates("none"))
        await framework.stop()
    assert "a probe inside the container" in agent.log


async def test_unhealthy_well_again_and_killed(shared: System) -> None:
    await shared.agent()
    info = checked(shared, "web", SERVER, HTTP, consecutive_failures=1000)
    doomed = checked(shared, "doomed", SERVER, shell("test ! -e /tmp/sick"))
    doomed["kill_policy"] = {"grace_period": {"nanoseconds": 0}}
    async with shared.framework() as framework:
        await running(shared, framework, info, doomed)
        await healthy(framework, "web", True)
        await inside(shared, "web", "mv /www/index.html /www/away")
        await healthy(framework, "web", False)
        await inside(shared, "web", "mv /www/away /www/index.html")
        await healthy(framework, "web", True, after=len(framework.updates("web")))

        await healthy(framework, "doomed", True)
        await inside(shared, "doomed", "touch /tmp/sick")
        ended = await framework.end("doomed")
        told = [(s["state"], s.get("healthy")) for s in framework.updates("doomed")]
        await framework.stop()
    assert told == [
        ("TASK_STARTING", None),
        ("TASK_RUNNING", None),
        ("TASK_RUNNING", True),
        ("TASK_RUNNING", False),
        ("TASK_RUNNING", False),
        ("TASK_KILLING", None),
        ("TASK_KILLED", False),
    ]
    judged = [s for s in framework.updates("doomed")[:-2] if "healthy" in s]
    assert {status["reason"] for status in judged} == {HEALTH}
    assert ended["message"] == "Container exited with status 137"
    assert "reason" not in ended


async def test_failures_in_the_grace_period_do_not_count(shared: System) -> None:
    """The server comes late: without the grace period the task would have been killed."""
    slow = f"until [ -e /tmp/go ]; do sleep 0.1; done; {SERVER}"
    graceful = checked(shared, "graceful", slow, TCP, grace_period_seconds=10 * PATIENCE)
    hasty = checked(shared, "hasty", slow, TCP)
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(graceful, hasty)
        assert (await framework.end("hasty"))["state"] == "TASK_KILLED"
        await asyncio.to_thread(shared.container_of("graceful").exec_run, ["touch", "/tmp/go"])
        await healthy(framework, "graceful", True)
        told = [status.get("healthy") for status in framework.updates("graceful")]
        await framework.stop()
    assert told == [None, None, True]


async def test_checks_tell_every_change_and_kill_nothing(shared: System) -> None:
    timing = {"delay_seconds": 0, "interval_seconds": 0.2, "timeout_seconds": PATIENCE}
    value = "until [ -s /tmp/code ]; do sleep 0.1; done; exit $(cat /tmp/code)"
    script = {"command": {"value": value}}
    info = docker_task(shared, "code", "echo 7 >/tmp/code; sleep 1000")
    info["check"] = {"type": "COMMAND", "command": script, **timing}
    page = docker_task(shared, "page", SERVER)
    page["check"] = {**HTTP, **timing}
    port = docker_task(shared, "port", SERVER)
    port["check"] = {**TCP, **timing}
    port["health_check"] = {**TCP, **timing}

    def results(task_id: str, kind: str) -> list[Json]:
        told = [s for s in framework.updates(task_id) if s["state"] == "TASK_RUNNING"]
        assert all(status.get("reason") in (None, CHECK, HEALTH) for status in told)
        assert all(status["check_status"]["type"] == kind.upper() for status in told)
        return [status["check_status"].get(kind) or {} for status in told]

    async def ended_with(task_id: str, kind: str, result: Json) -> None:
        async def there() -> bool:
            return results(task_id, kind)[-1:] == [result]

        await until(there, f"{task_id}: {result}")

    await shared.agent()
    async with shared.framework() as framework:
        await running(shared, framework, info, page, port)
        await ended_with("code", "command", {"exit_code": 7})
        await inside(shared, "code", "echo 0 >/tmp/code")
        await ended_with("code", "command", {"exit_code": 0})
        await ended_with("page", "http", {"status_code": 200})
        await inside(shared, "page", "rm /www/index.html")
        await ended_with("page", "http", {"status_code": 404})
        await healthy(framework, "port", True)
        await ended_with("port", "tcp", {"succeeded": True})
        await framework.stop()
    assert results("code", "command") == [{}, {"exit_code": 7}, {"exit_code": 0}]
    assert results("page", "http")[0] == {}


async def test_a_restart_in_the_middle(system: System) -> None:
    """Health goes on where it was: no grace period again, and no word that nothing changed."""
    agent = await system.agent()
    info = checked(system, "web", SERVER, shell("test ! -e /tmp/sick"), grace_period_seconds=1000)
    async with system.framework() as framework:
        await running(system, framework, info)
        await healthy(framework, "web", True)
        await agent.end(signal.SIGKILL)
        await agent.start()
        await agent.logged("re-registered with")
        await inside(system, "web", "touch /tmp/sick")
        ended = await framework.end("web")
    assert (ended["state"], ended["healthy"]) == ("TASK_KILLED", False)
