"""The main job: an ordinary framework's Docker tasks, from launch to end, through a master."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal

import pytest

from tests.e2e.client import Framework, Json
from tests.e2e.conftest import System
from tests.e2e.tasks import STUBBORN, a_task
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


def docker_of(info: Json) -> Json:
    docker: Json = info["container"]["docker"]
    return docker


def grace(seconds: float) -> Json:
    return {"grace_period": {"nanoseconds": int(seconds * 1e9)}}


async def test_tasks_run_and_end_as_they_end(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(
            a_task(shared, "finishes", "sleep 0.3"),
            a_task(shared, "fails", "exit 3"),
            a_task(shared, "no-image", image="127.0.0.1:9/absent:1"),
            a_task(shared, "Long.Sleeper"),
        )
        running = await framework.state("Long.Sleeper", "TASK_RUNNING")
        assert (await framework.end("finishes"))["message"] == "Container exited with status 0"
        assert (await framework.end("fails"))["message"] == "Container exited with status 3"
        refused = await framework.end("no-image")
        await framework.kill("Long.Sleeper")
        await framework.end("Long.Sleeper")
        assert framework.states("finishes") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
        assert framework.states("fails") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
        assert framework.states("no-image") == ["TASK_FAILED"]
        assert framework.states("Long.Sleeper") == [
            "TASK_STARTING",
            "TASK_RUNNING",
            "TASK_KILLING",
            "TASK_KILLED",
        ]
    assert refused["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
    assert refused["source"] == "SOURCE_AGENT"
    assert running["executor_id"]["value"] == "Long.Sleeper"
    (network,) = running["container_status"]["network_infos"]
    assert network["ip_addresses"][0]["ip_address"].startswith("172.")
    await shared.no_containers()


async def test_running_carries_inspect_and_container_is_labelled(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(a_task(shared, "Up.Case"))
        status = await framework.state("Up.Case", "TASK_RUNNING")
        container = shared.container_of("Up.Case")
        await framework.kill("Up.Case")
        await framework.end("Up.Case")
        framework_id = framework.framework_id
    (inspect,) = json.loads(base64.b64decode(status["data"]))
    assert inspect["Id"] == container.id
    container_id = status["container_status"]["container_id"]["value"]
    assert container.name == f"mesos-{container_id}" == container.name.lower()
    labels = container.labels
    assert labels["org.apache.mesos.framework_id"] == framework_id
    assert labels["org.apache.mesos.executor_id"] == "Up.Case"
    assert labels["org.apache.mesos.container_id"] == container_id
    assert not container.attrs["HostConfig"]["Binds"]
    assert all(mount["Type"] == "volume" for mount in container.attrs["Mounts"])


async def test_a_stubborn_task_is_killed_by_force_after_its_grace(system: System) -> None:
    await system.agent("--executor_shutdown_grace_period=600secs")
    async with system.framework() as framework:
        await framework.launch(a_task(system, "stubborn", STUBBORN, kill_policy=grace(1)))
        await framework.state("stubborn", "TASK_RUNNING")
        before = asyncio.get_running_loop().time()
        await framework.kill("stubborn")
        ended = await framework.end("stubborn")
        took = asyncio.get_running_loop().time() - before
    assert ended["state"] == "TASK_KILLED"
    assert ended["message"] == "Container exited with status 137"
    assert 0.9 < took < 2 * PATIENCE, "its own grace, not the agent's"
    await system.no_containers()


async def test_a_kill_that_meets_the_launch(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        names = [f"t{number}" for number in range(8)]
        await framework.launch(*(a_task(shared, name) for name in names))
        for name in names:
            await framework.kill(name)
        for name in names:
            ended = await killed_for_certain(framework, name)
            assert ended["state"] == "TASK_KILLED"
    await shared.no_containers()


async def killed_for_certain(framework: Framework, name: str) -> Json:
    """pymesos sends each call on a connection of its own: a kill may overtake its launch."""
    for _ in range(40):
        with contextlib.suppress(AssertionError):
            return await framework.end(name, timeout=2)
        await framework.kill(name)
    raise AssertionError(f"{name} never ended: {framework.states(name)}")


async def test_without_killing_capability_no_killing(shared: System) -> None:
    await shared.agent()
    async with shared.framework(capabilities=[{"type": "MULTI_ROLE"}]) as framework:
        await framework.launch(a_task(shared, "plain"))
        await framework.state("plain", "TASK_RUNNING")
        await framework.kill("plain")
        await framework.end("plain")
        assert framework.states("plain") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]


async def test_the_memory_limit_is_named(shared: System) -> None:
    """Repeated until the engine tells it: a busy Docker 20.10 may hear of the exit before it hears
    of the reason, and its inspect then has an end by SIGKILL and no more."""
    await shared.agent()
    async with shared.framework() as framework:
        for name in (f"greedy-{number}" for number in range(10)):
            await framework.launch(a_task(shared, name, "tail /dev/zero", mem=32))
            ended = await framework.end(name)
            assert ended["state"] == "TASK_FAILED"
            if ended["message"] != "Container exited with status 137":
                break
    assert ended["reason"] == "REASON_CONTAINER_LIMITATION_MEMORY"
    (limit,) = ended["limitation"]["resources"]
    assert limit["scalar"]["value"] == 32


async def test_a_container_that_an_operator_removes_fails_its_task(shared: System) -> None:
    """A forced removal kills first: whether the agent sees an exit depends on when it looks."""
    agent = await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(a_task(shared, "seen"), a_task(shared, "unseen"))
        for name in ("seen", "unseen"):
            await framework.state(name, "TASK_RUNNING")
        await asyncio.to_thread(shared.container_of("seen").remove, force=True)
        seen = await framework.end("seen")
        container = shared.container_of("unseen")
        os.kill(agent.pid, signal.SIGSTOP)
        try:
            await asyncio.to_thread(container.remove, force=True)
        finally:
            os.kill(agent.pid, signal.SIGCONT)
        unseen = await framework.end("unseen")
        for name in ("seen", "unseen"):
            assert framework.states(name) == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    removed = "was removed from the Docker endpoint by somebody else"
    assert unseen["reason"] == "REASON_EXECUTOR_TERMINATED"
    assert unseen["source"] == "SOURCE_AGENT"
    assert unseen["message"] == f"Container {container.name} {removed}"
    assert seen["message"] == "Container exited with status 137" or removed in seen["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "127.0.0.1:9/Upper:1"}, "lower case"),
        ({"parameters": [{"key": "no-such-flag", "value": "1"}]}, "no-such-flag"),
        ({"parameters": [{"key": "memory", "value": "lots"}]}, "lots"),
        ({"parameters": [{"key": "network", "value": "no-such-network"}]}, "no-such-network"),
        ({"parameters": [{"key": "entrypoint", "value": "/no/such/program"}]}, "/no/such/program"),
    ],
)
async def test_what_cannot_run_fails_by_name(shared: System, change: Json, words: str) -> None:
    await shared.agent()
    bad, good = a_task(shared, "bad"), a_task(shared, "good", "exit 0")
    docker_of(bad).update(change)
    async with shared.framework() as framework:
        await framework.launch(bad, good)
        ended = await framework.end("bad")
        assert ended["state"] == "TASK_FAILED"
        assert words.lower() in ended["message"].lower()
        assert (await framework.end("good"))["state"] == "TASK_FINISHED"
    await shared.no_containers()


async def test_a_command_with_nul(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(a_task(shared, "nul", "echo \0"), a_task(shared, "good", "exit 0"))
        ended = await framework.end("nul")
        assert "NUL" in ended["message"]
        assert (await framework.end("good"))["state"] == "TASK_FINISHED"


async def test_groups_and_executors_are_answered_at_once(shared: System) -> None:
    await shared.agent()
    plain = a_task(shared, "own-executor")
    executor = {
        "executor_id": {"value": "e1"},
        "command": {"value": "run"},
        "resources": plain["resources"],
    }
    custom = {k: v for k, v in plain.items() if k not in ("command", "container")}
    members = [{k: v for k, v in a_task(shared, name).items() if k != "container"} for name in "ab"]
    async with shared.framework() as framework:
        await framework.launch({**custom, "executor": executor})
        assert (await framework.end("own-executor"))["state"] in ("TASK_FAILED", "TASK_ERROR")
        group_executor = {
            "executor_id": {"value": "g1"},
            "type": "DEFAULT",
            "framework_id": {"value": framework.framework_id},
            "resources": plain["resources"],
        }
        group = {"executor": group_executor, "task_group": {"tasks": members}}
        await framework.accept({"type": "LAUNCH_GROUP", "launch_group": group})
        for name in "ab":
            assert (await framework.end(name))["state"] in ("TASK_FAILED", "TASK_ERROR")


async def test_teardown_ends_everything(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(a_task(shared, "one"), a_task(shared, "two"))
        await framework.state("one", "TASK_RUNNING")
        await framework.state("two", "TASK_RUNNING")
        await framework.stop()
    await shared.no_containers()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_keeps_agent_and_tasks(system: System, how: signal.Signals) -> None:
    agent = await system.agent()
    before = await system.agent_id()
    async with system.framework() as framework:
        await framework.launch(
            a_task(system, "goes-on"),
            a_task(system, "ends-meanwhile", "sleep 1.5; exit 7", kill_policy=grace(1)),
        )
        await framework.state("goes-on", "TASK_RUNNING")
        await framework.state("ends-meanwhile", "TASK_RUNNING")
        started = system.container_of("goes-on").attrs["State"]["StartedAt"]
        await agent.end(how)
        await asyncio.sleep(2)
        await agent.start()
        ended = await framework.end("ends-meanwhile")
        assert (ended["state"], ended["message"]) == (
            "TASK_FAILED",
            "Container exited with status 7",
        )
        container = system.container_of("goes-on")
        assert container.attrs["State"]["StartedAt"] == started
        assert await system.agent_id() == before
        await framework.kill("goes-on")
        assert (await framework.end("goes-on"))["state"] == "TASK_KILLED"
    await system.no_containers()


async def test_environment_and_limits(shared: System) -> None:
    await shared.agent()
    info = a_task(shared, "env", cpus=0.5, mem=64)
    info["command"]["environment"] = {"variables": [{"name": "A", "value": "b=c"}]}
    async with shared.framework() as framework:
        await framework.launch(info)
        await framework.state("env", "TASK_RUNNING")
        attrs = shared.container_of("env").attrs
        await framework.kill("env")
        await framework.end("env")
    env = dict(entry.split("=", 1) for entry in attrs["Config"]["Env"])
    assert env["A"] == "b=c"
    assert env["MESOS_SANDBOX"] == "/mnt/mesos/sandbox"
    assert env["MESOS_CONTAINER_NAME"] == attrs["Name"].lstrip("/")
    assert env["MESOS_ALLOCATION_ROLE"] == "*"
    assert attrs["HostConfig"]["Memory"] == 64 * 2**20
    assert attrs["HostConfig"]["CpuShares"] == 512


async def test_ports_of_a_local_engine_are_bound(system: System) -> None:
    await system.agent("--ports=[31500-31510]")
    info = a_task(system, "web", "cd /www && httpd -f -p 80 & wait")
    info["resources"].append(
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31505, "end": 31505}]}}
    )
    docker_of(info)["port_mappings"] = [{"host_port": 31505, "container_port": 80}]
    async with system.framework() as framework:
        await framework.launch(info)
        await framework.state("web", "TASK_RUNNING")

        async def works() -> bool:
            """The engine takes connections before the server in the container does."""
            reader, writer = await asyncio.open_connection("127.0.0.1", 31505)
            try:
                writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
                return b"it works" in await reader.read()
            except ConnectionError:
                return False
            finally:
                writer.close()

        await until(works, "the page")
        await framework.kill("web")
        await framework.end("web")


@pytest.mark.parametrize("network", ["HOST", "NONE"])
async def test_other_networks(shared: System, network: str) -> None:
    await shared.agent()
    info = a_task(shared, "net")
    docker_of(info)["network"] = network
    async with shared.framework() as framework:
        await framework.launch(info)
        await framework.state("net", "TASK_RUNNING")
        attrs = shared.container_of("net").attrs
        await framework.kill("net")
        await framework.end("net")
    assert attrs["HostConfig"]["NetworkMode"] == network.lower()


async def test_an_unknown_task_is_unknown_to_kills_and_reconciliation(shared: System) -> None:
    """The master answers for it; a task that runs beside it is told as it is."""
    await shared.agent()
    async with shared.framework() as framework:
        await framework.launch(a_task(shared, "known"))
        await framework.state("known", "TASK_RUNNING")
        await framework.kill("unknown")
        await until(lambda: len(framework.updates("unknown")) == 1, "the answer to the kill")
        await framework.do("reconcile", tasks=["unknown", "known"])

        def reconciled(task_id: str) -> list[Json]:
            found = framework.updates(task_id)
            return [s for s in found if s.get("reason") == "REASON_RECONCILIATION"]

        await until(lambda: len(reconciled("unknown")) == 2, "the unknown task reconciled")
        await until(lambda: len(reconciled("known")) == 1, "the known task reconciled")
        for status in (*reconciled("unknown"), *reconciled("known")):
            assert status["source"] == "SOURCE_MASTER"
        assert framework.states("unknown") == ["TASK_UNKNOWN", "TASK_UNKNOWN"]
        assert [status["state"] for status in reconciled("known")] == ["TASK_RUNNING"]
        await framework.kill("known")
        assert (await framework.end("known"))["state"] == "TASK_KILLED"
