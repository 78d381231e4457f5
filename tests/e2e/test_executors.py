"""Custom executors in containers: pymesos' own driver (v1), and one that speaks v0."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.discovery.real_consul import RealConsul
from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.executors.image import executor_image, gateway
from tests.e2e.volumes import (
    ROLE,
    create,
    destroy,
    disk,
    everything,
    launch,
    reserve,
    total_disk,
    unreserve,
    volume,
    volumes_of,
)
from tests.support.tools import have
from tests.support.wait import until

LABEL_EXECUTOR = "org.apache.mesos.executor_id"


@pytest.fixture(scope="session")
def image(docker_client: docker.DockerClient) -> str:
    return executor_image(docker_client)


@pytest.fixture(scope="session", name="gateway")
def reached_at(docker_client: docker.DockerClient) -> str:
    return gateway(docker_client)


def scalars(**amounts: float) -> list[Json]:
    return [{"name": n, "type": "SCALAR", "scalar": {"value": v}} for n, v in amounts.items()]


def executor(name: str, framework: Framework, image: str, command: str, **env: str) -> Json:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    return {
        "type": "CUSTOM",
        "executor_id": {"value": name},
        "framework_id": {"value": framework.framework_id},
        "command": {"value": command, "environment": {"variables": variables}},
        "container": {"type": "DOCKER", "docker": {"image": image, "network": "BRIDGE"}},
        "resources": scalars(cpus=0.1, mem=64),
    }


def inner(task_id: str, executor: Json, what: str = "", mem: float = 32) -> Json:
    return {
        "task_id": {"value": task_id},
        "name": task_id,
        "resources": scalars(cpus=0.1, mem=mem),
        "executor": executor,
        "data": base64.b64encode(what.encode()).decode(),
    }


def container_of(system: System, executor_id: str) -> Any:
    """The one container of an executor."""
    (found,) = [c["Id"] for c in system.listed() if c["Labels"].get(LABEL_EXECUTOR) == executor_id]
    return system.engine.containers.get(found)


def memory_of(system: System, executor_id: str) -> int:
    limit: int = container_of(system, executor_id).attrs["HostConfig"]["Memory"]
    return limit // 2**20


async def message(framework: Framework, agent_id: str, executor_id: str, text: str) -> str:
    """Send a framework message; return the executor's next one."""
    seen = len(framework.events)
    data = base64.b64encode(text.encode()).decode()
    await framework.do("message", executor_id=executor_id, agent_id=agent_id, data=data)
    event = await framework.until(lambda e: e["event"] == "message", after=seen)
    assert event["executor_id"] == executor_id
    return base64.b64decode(event["data"]).decode()


async def test_the_driver_of_pymesos_runs_tasks_and_survives_the_agent(
    system: System, image: str, gateway: str
) -> None:
    agent = await system.agent(f"--ip={gateway}")
    async with system.framework(roles=[ROLE], principal=None) as framework:
        info = executor("E", framework, image, "exec python3 v1.py")
        info["resources"].append(volume("of-executor", 16, "/kept"))
        first = inner("a", info)
        first["resources"].append(volume("of-task", 16, "data"))
        volumes = create(volume("of-executor", 16), volume("of-task", 16))
        total = total_disk(await framework.until(lambda e: e["event"] == "offers"))
        await framework.accept(reserve(disk(32)), volumes, launch(first))
        status = await framework.state("a", "TASK_RUNNING")
        container = container_of(system, "E")
        address = container.attrs["NetworkSettings"]["IPAddress"]
        paths = "/kept/file $MESOS_SANDBOX/data/file"
        assert container.exec_run(["sh", "-c", f"touch {paths}"]).exit_code == 0
        assert len([each for each in container.attrs["Mounts"] if each["Type"] == "volume"]) == 3
        assert status["message"] == "hello"
        assert status["source"] == "SOURCE_EXECUTOR"
        assert status["executor_id"] == {"value": "E"}
        (network,) = status["container_status"]["network_infos"]
        assert network["ip_addresses"][0]["ip_address"] == address
        assert memory_of(system, "E") == 96
        agent_id = status["agent_id"]["value"]
        assert await message(framework, agent_id, "E", "ping") == "ping"

        # A further task: the container grows before it is handed over.
        await framework.launch(inner("b", info, mem=64))
        await framework.state("b", "TASK_RUNNING")
        assert memory_of(system, "E") == 160
        await framework.launch(inner("c", info, "finish"))
        assert (await framework.end("c"))["message"] == "done"
        await framework.kill("b")
        assert (await framework.end("b"))["message"] == "killed inside"

        # The agent dies and comes back: the same process, the same task.
        await agent.kill()
        await agent.start()
        await until(lambda: "reregistered" in container.logs().decode(), "the driver's return")
        assert await message(framework, agent_id, "E", "again") == "again"
        assert framework.states("a") == ["TASK_RUNNING"]
        await framework.kill("a")
        assert (await framework.end("a"))["state"] == "TASK_KILLED"

        # It leaves a task behind.
        await framework.launch(inner("d", info, "exit"))
        end = await framework.end("d")
        assert (end["state"], end["reason"]) == ("TASK_FAILED", "REASON_EXECUTOR_TERMINATED")
        assert end["message"] == "Executor terminated; Container exited with status 3"
        lost = await framework.until(lambda e: e["event"] == "executor_lost")
        assert (lost["executor_id"], lost["status"]) == ("E", 3 << 8)
        await everything(framework, total)
        kept = destroy(volume("of-executor", 16), volume("of-task", 16))
        await framework.accept(kept, unreserve(disk(32)))

        async def gone() -> bool:
            return not await asyncio.to_thread(volumes_of, system)

        await until(gone, "the end of the executor's volumes")


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[RealConsul | None]:
    """A Consul that the test starts; None where there is none to start."""
    (tmp_path / "consul").mkdir()
    made = RealConsul(tmp_path / "consul") if have("consul") else None
    yield made
    if made is not None:
        made.kill()


async def test_an_executor_that_speaks_v0_runs_tasks_and_follows_the_agent(
    system: System, image: str, gateway: str, consul: RealConsul | None
) -> None:
    flags = [f"--consul={consul.address}"] if consul is not None else []
    starting = asyncio.create_task(asyncio.to_thread(consul.start)) if consul is not None else None
    agent = await system.agent(f"--ip={gateway}", *flags)
    async with system.framework() as framework:
        info = executor("V0", framework, image, "exec python3 v0.py")
        await framework.launch(with_port(inner("a", info), 81), with_port(inner("b", info), 82))
        status = await framework.state("a", "TASK_RUNNING")
        await framework.state("b", "TASK_RUNNING")
        assert await message(framework, status["agent_id"]["value"], "V0", "ping") == "ping"
        container = container_of(system, "V0")
        address = container.attrs["NetworkSettings"]["IPAddress"]
        await found_in(consul, a=[(address, 81)], b=[(address, 82)])
        await agent.kill()
        await agent.start()
        await until(
            lambda: "ExecutorReregisteredMessage" in container.logs().decode(), "its return"
        )
        await found_in(consul, a=[(address, 81)], b=[(address, 82)])
        await framework.kill("a")
        assert (await framework.end("a"))["state"] == "TASK_KILLED"
        await found_in(consul, a=[], b=[(address, 82)])
        assert framework.states("b") == ["TASK_RUNNING"]
        variables = container.attrs["Config"]["Env"]
        token = next(v for v in variables if v.startswith("MESOS_EXECUTOR_AUTHENTICATION_TOKEN="))
        assert token.count(".") == 2
        assert token not in agent.log
        container.kill()
        end = await framework.end("b")
        assert (end["state"], end["reason"]) == ("TASK_FAILED", "REASON_EXECUTOR_TERMINATED")
        await found_in(consul, a=[], b=[])
        await framework.stop()
    if starting is not None:
        await starting


def with_port(task: Json, number: int) -> Json:
    ports = {"ports": [{"number": number, "protocol": "tcp"}]}
    return {**task, "discovery": {"visibility": "FRAMEWORK", "ports": ports}}


async def found_in(consul: RealConsul | None, **expected: list[tuple[str, int]]) -> None:
    """Wait until Consul's agent has these services at these addresses.

    The agent answers before it has a leader; its catalogue follows up to fifteen seconds later.
    """
    if consul is None:
        return

    async def found() -> bool:
        try:
            listed = (await asyncio.to_thread(consul.call, "GET", "/v1/agent/services")).values()
        except OSError:
            return False
        return expected == {
            name: [(each["Address"], each["Port"]) for each in listed if each["Service"] == name]
            for name in expected
        }

    await until(found, f"{expected} in Consul")


async def test_an_executor_that_cannot_reach_the_agent_is_told_so(
    system: System, image: str, gateway: str
) -> None:
    agent = await system.agent("--executor_registration_timeout=3secs")
    async with system.framework() as framework:
        lost = executor("lost", framework, image, "exec sleep 1000")
        await framework.launch(inner("n", lost))
        status = await framework.end("n")
        assert status["state"] == "TASK_FAILED"
        assert status["reason"] == "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
        text = status["message"]
        assert text.startswith("Executor did not register within 3secs: ")
        # On a busy machine the call from the container is given up: then no request arrived.
        assert "its container (" in text
        assert f" at 127.0.0.1:{agent.port}" in text
        assert text.endswith("see --advertise_ip")
        assert text in agent.log
        # No image: a process on a host, which this agent does not have.
        host = executor("host", framework, image, "true")
        del host["container"]
        await framework.launch(inner("h", host))
        refused = await framework.end("h")
        assert "no container image" in refused["message"]
