"""Commands in running tasks, as Mesos' CLI has them run: on a local engine and on Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import encode_basic_auth

from shim.protos.mesos_pb2 import TaskState
from tests.bench.kit import run_task
from tests.e2e.agents import AgentProcess
from tests.e2e.conftest import System
from tests.e2e.datacenter import shim
from tests.e2e.tasks import a_task, docker_task, running
from tests.http.operator_api.conftest import INPUT, JSON, STREAM, Input, Records
from tests.support.chromium import browser
from tests.support.wait import until
from tests.triton.simulator import TritonSimulator

ACCOUNTS = '{"credentials":[{"principal":"alice","secret":"sesame"}]}'
TTY = {"type": "MESOS", "tty_info": {}}


class Operator:
    """A client of one agent's operator API."""

    def __init__(self, agent: AgentProcess, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{agent.port}/api/v1"
        self._session = session

    async def post(self, body: Any, **headers: str) -> aiohttp.ClientResponse:
        given = {"Content-Type": JSON, **headers}
        kind = "json" if isinstance(body, dict) else "data"
        return await self._session.post(self._url, headers=given, **{kind: body})

    async def exec(self, container_id: dict[str, Any], *argv: str, **more: Any) -> Records:
        kind = "LAUNCH_NESTED_CONTAINER_SESSION"
        command = {"value": argv[0], "arguments": list(argv), "shell": False}
        body = {"container_id": container_id, "command": command, **more}
        return Records(await self.post({"type": kind, kind.lower(): body}, **STREAM))

    async def attach(self, container_id: dict[str, Any]) -> Records:
        kind = "ATTACH_CONTAINER_OUTPUT"
        body = {"type": kind, kind.lower(): {"container_id": container_id}}
        return Records(await self.post(body, **STREAM))

    async def wait(self, container_id: dict[str, Any]) -> int:
        body = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": container_id}}
        answer = await (await self.post(body)).json()
        return int(answer["wait_container"]["exit_status"])

    async def send(self, source: Input) -> int:
        return (await self.post(source.body(), **INPUT)).status


@asynccontextmanager
async def operator(agent: AgentProcess) -> AsyncIterator[Operator]:
    authorization = {"Authorization": encode_basic_auth("alice", "sesame")}
    async with aiohttp.ClientSession(headers=authorization) as session:
        yield Operator(agent, session)


async def container_of(agent: AgentProcess, task_id: str) -> dict[str, Any]:
    """Its ContainerID, as the CLI finds it in the task's statuses."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{agent.port}/state") as answer,
    ):
        state = await answer.json()
    executors = [e for framework in state["frameworks"] for e in framework["executors"]]
    (task,) = [t for e in executors for t in e["tasks"] if t["id"] == task_id]
    found: dict[str, Any] = task["statuses"][0]["container_status"]["container_id"]
    return found


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
async def test_commands_run_in_tasks_with_input_terminal_and_exit_status(system: System) -> None:
    agent = await system.agent(f"--http_credentials={ACCOUNTS}", "--authenticate_http_readwrite")
    terminal = docker_task(system, "terminal", "exec cat", container={"tty_info": {}})
    async with system.framework() as framework, operator(agent) as client:
        await running(system, framework, a_task(system, "plain"), terminal)
        parent = await container_of(agent, "plain")

        def child(name: str) -> dict[str, Any]:
            return {"value": name, "parent": parent}

        both = await client.exec(child("both"), "sh", "-c", "echo out; echo err >&2; exit 7")
        assert await both.output() == {"STDOUT": b"out\n", "STDERR": b"err\n"}
        assert await client.wait(child("both")) == 7 << 8
        await _with_input(client, child("cat"))
        await _on_a_terminal(client, child("terminal"))
        await _killed_with_its_client(client, system, child("sleep"))
        own = await container_of(agent, "terminal")
        output = await client.attach(own)
        source = Input(own)
        source.data(b"ping\n")
        source.end()
        assert await client.send(source) == 200
        assert b"ping" in (await output.output(b"ping"))["STDOUT"]
        output.answer.close()
        for task_id in ("plain", "terminal"):
            await framework.kill(task_id)
            await framework.end(task_id)
    assert "alice at 127.0.0.1 runs sh -c 'echo out; echo err >&2; exit 7' in task" in agent.log


async def _with_input(client: Operator, container_id: dict[str, Any]) -> None:
    records = await client.exec(container_id, "cat")
    probe = Input(container_id)
    probe.end()
    assert await client.send(probe) == 200  # as the CLI tries the connection first
    source = Input(container_id)
    for piece in (b"one\n", b"two\n", b""):
        source.data(piece)
    source.end()
    assert await client.send(source) == 200
    assert await records.output() == {"STDOUT": b"one\ntwo\n"}
    assert await client.wait(container_id) == 0


async def _on_a_terminal(client: Operator, container_id: dict[str, Any]) -> None:
    script = "echo ready; read line; stty size"
    records = await client.exec(container_id, "sh", "-c", script, container=TTY)
    await records.output(b"ready")
    source = Input(container_id)
    source.size(0, 0)
    source.size(33, 77)
    source.data(b"go\n")
    source.end()
    assert await client.send(source) == 200
    assert b"33 77" in (await records.output())["STDOUT"]


async def _killed_with_its_client(
    client: Operator, system: System, container_id: dict[str, Any]
) -> None:
    records = await client.exec(container_id, "sh", "-c", "echo up; sleep 1234 & wait")
    await records.output(b"up")
    records.answer.close()
    container = await asyncio.to_thread(system.container_of, "plain")

    def is_gone() -> bool:
        return b"1234" not in container.exec_run(["ps"]).output

    await until(lambda: asyncio.to_thread(is_gone), "the end of the process")
    assert await client.wait(container_id) == 9


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
@pytest.mark.needs_chromium
async def test_a_terminal_in_the_page_of_a_task(system: System) -> None:
    """A shell on a real terminal; then the task is killed, and its output is still there."""
    agent = await system.agent("--unsafe_exec")
    status = "document.querySelector('.terminal .status').textContent"
    screen = "document.querySelector('.screen').innerText"
    async with system.framework() as framework, browser() as page:
        await running(system, framework, a_task(system, "plain"))
        await page.open(f"http://127.0.0.1:{agent.port}/?task=plain")
        await page.until("Boolean(document.querySelector('.command'))")
        await page.evaluate("document.querySelector('.command').requestSubmit()")
        await page.until(f"{status}.startsWith('Running') && {screen}.includes('#')")
        await page.type("stty size; echo $((6*7))-$(id -u)")
        await page.press("Enter")
        await page.until(f"/\\n\\d\\d \\d\\d+\\n42-0/.test({screen})")
        await page.type("exit 5")
        await page.press("Enter")
        await page.until(f"{status} === 'The command has ended with exit status 5.'")
        await page.click("button.kill")
        await page.evaluate("document.querySelector('dialog select').value = '9'")
        await page.click("dialog button[value=send]")
        assert (await framework.end("plain"))["state"] == "TASK_FAILED"
        shown = "document.getElementById('task').textContent"
        await page.until(f"!document.querySelector('.terminal') && {shown}.includes('failed')")
    assert "anonymous at 127.0.0.1 runs sh in task" in agent.log


async def _attached_on_triton(
    client: Operator, agent: AgentProcess, triton: TritonSimulator
) -> None:
    """Output and input of the task itself, each over a connection of its own, and its terminal."""
    parent = await container_of(agent, "terminal")
    output = await client.attach(parent)
    source = Input(parent)
    source.size(33, 77)
    source.data("ping ä\r".encode())
    source.end()
    assert await client.send(source) == 200
    again = Input(parent)
    again.data(b"pong\r")
    again.end()
    assert await client.send(again) == 200, "the end of a request is none of the input"
    assert await output.output(b"pong\r") == {"STDOUT": "ping ä\rpong\r".encode()}
    output.answer.close()
    (machine,) = [each for each in triton.datacenter.machines if each.tty]
    assert machine.sizes == [(33, 77)]
    child = {"value": "terminal", "parent": parent}
    records = await client.exec(child, "cat", container=TTY)
    keys = Input(child)
    keys.size(24, 80)
    keys.data(b"keys\r")
    keys.end()
    assert await client.send(keys) == 200
    assert await records.output(b"keys\r") == {"STDOUT": b"keys\r"}
    records.answer.close()
    assert machine.sizes == [(33, 77), (24, 80)]


async def test_commands_run_in_tasks_on_triton(triton: TritonSimulator, tmp_path: Path) -> None:
    triton.options.provision_seconds = 0.1
    async with shim(triton, tmp_path, "one", "--unsafe_exec") as (master, agent):
        assert "--unsafe_exec: everybody who reaches" in agent.log
        terminal = run_task(master.agent_id, "terminal", "busybox:latest", "cat")
        terminal.task.container.tty_info.SetInParent()
        master.tell(terminal)
        master.launch("plain", "busybox:latest")
        await master.until(master.reached(["plain", "terminal"], TaskState.TASK_RUNNING))
        async with operator(agent) as client:
            parent = await container_of(agent, "plain")
            container_id = {"value": "cat", "parent": parent}
            records = await client.exec(container_id, "cat")
            source = Input(container_id)
            source.data("over TLS ä\n".encode())
            source.data(b"")
            source.end()
            assert await client.send(source) == 200
            assert await records.output() == {"STDOUT": "over TLS ä\n".encode()}
            assert await client.wait(container_id) == 0, "it read the end of its input"
            await _attached_on_triton(client, agent, triton)
            ended = {"value": "exit", "parent": parent}
            assert await (await client.exec(ended, "sh", "-c", "exit 5")).output() == {}
            assert await client.wait(ended) == 5 << 8
        for task_id in ("plain", "terminal"):
            master.kill(task_id)
        await master.until(master.reached(["plain", "terminal"], TaskState.TASK_KILLED))
        await until(lambda: triton.remaining == [], "nothing left")
