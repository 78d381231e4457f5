"""What frameworks and operators also do: odd names, odd sizes, odd moments."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal

import docker
import pytest

from tests.dev.master.conftest import BOTH
from tests.dev.master.raw_framework import RawFramework
from tests.e2e.agents import AgentProcess, agents_of
from tests.e2e.client import TERMINAL, Json, on_host
from tests.e2e.conftest import System
from tests.e2e.tasks import AT_ONCE, STUBBORN, a_task, running
from tests.support.wait import until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

ONLY_REAL = BOTH[1]
SPEAKS = "while :; do echo word; sleep 0.1; done"


ODD_IDS = [
    "with space",
    "ü-日本-🚀",
    "a:b@c#d?e%20&f=g",
    "UPPER.lower_1",
    "--rm",
    "$(reboot)`x`'\"",
    "...",
    "x" * 255,
    "%2F",
    "{json: [",
]


async def test_odd_ids(system: System) -> None:
    agent = await system.agent()
    async with system.framework() as framework:
        await framework.launch(*(on_host(a_task(system, task_id)) for task_id in ODD_IDS))
        for task_id in ODD_IDS:
            await framework.state(task_id, "TASK_RUNNING")
        await agent.kill()
        await agent.start()
        await agent.logged("re-registered with")
        for task_id in ODD_IDS:
            assert system.container_of(task_id).name.startswith("mesos-")
            await framework.kill(task_id)
        for task_id in ODD_IDS:
            await framework.end(task_id)
            assert framework.states(task_id)[-1] == "TASK_KILLED"


async def test_a_renamed_container_is_still_the_task(system: System) -> None:
    """``docker rename`` by hand changes nothing: not for a kill, not for a restart."""
    agent = await system.agent()
    async with system.framework() as framework:
        await framework.launch(a_task(system, "kept"), a_task(system, "killed"))
        for task_id in ("kept", "killed"):
            await framework.state(task_id, "TASK_RUNNING")
            container = system.container_of(task_id)
            await asyncio.to_thread(container.rename, f"{system.shim_id[:30]}-{task_id}")
        await framework.kill("killed")
        await framework.end("killed")
        assert framework.states("killed")[-1] == "TASK_KILLED"
        await agent.kill()
        await agent.start()
        await agent.logged("re-registered with")
        assert framework.states("kept")[-1] == "TASK_RUNNING"
        await framework.kill("kept")
        await framework.end("kept")
        assert framework.states("kept")[-1] == "TASK_KILLED"


async def test_the_same_id_in_two_frameworks(shared: System) -> None:
    await shared.agent()
    async with shared.framework(name="one") as one, shared.framework(name="two") as two:
        for framework in (one, two):
            await framework.launch(a_task(shared, "same"))
            await framework.state("same", "TASK_RUNNING")
            await framework.do("decline", refuse_seconds=0)
        await one.kill("same")
        await one.end("same")
        assert two.states("same")[-1] == "TASK_RUNNING"
        assert len([c for c in shared.containers() if c.status == "running"]) == 1
        await two.kill("same")
        assert (await two.end("same"))["state"] == "TASK_KILLED"


async def test_an_id_is_used_again_right_after_its_end(shared: System) -> None:
    await shared.agent()
    async with shared.framework() as framework:
        for turn in range(1, 9):
            before = len(framework.events)
            while True:
                await framework.launch(on_host(a_task(shared, "again", f"exit {turn}")))
                ended = await framework.until(lambda e: is_end_of(e, "again"), after=before)
                if ended["status"]["state"] != "TASK_ERROR":
                    break
                # The master has not seen the acknowledgement of the last end yet.
                assert "duplicate ID" in ended["status"]["message"]
                before = framework.events.index(ended) + 1
            assert ended["status"]["message"].endswith(f"status {turn}")
        states = [state for state in framework.states("again") if state != "TASK_ERROR"]
        assert states == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"] * 8


def is_end_of(event: Json, task_id: str) -> bool:
    status = event.get("status", {})
    return status.get("task_id", {}).get("value") == task_id and status["state"] in TERMINAL


async def test_many_in_one_accept_killed_at_once(system: System) -> None:
    await system.agent("--resources=cpus:100;mem:100000")
    names = [f"t{number}" for number in range(300)]
    tasks = [a_task(system, name, cpus=0.01, mem=16) for name in names]
    launch = {"type": "LAUNCH", "launch": {"task_infos": tasks}}
    async with system.framework() as framework:
        await framework.do("accept", operations=[launch], kill=names)
        for name in names:
            assert (await framework.end(name))["state"] == "TASK_KILLED"
        await system.no_containers()
        for name in names:
            states = framework.states(name)
            assert states.count("TASK_KILLED") == 1, (name, states)


async def test_a_task_of_megabytes(shared: System) -> None:
    await shared.agent()
    data = base64.b64encode(b"x" * 5_000_000).decode()
    info = a_task(shared, "large", 'test "$V1999" = "$(printf %01000d 0)" && exit 4', data=data)
    variables = [{"name": f"V{n}", "value": "0" * (1000 if n > 500 else 10)} for n in range(2000)]
    info["command"]["environment"] = {"variables": variables}
    async with shared.framework() as framework:
        await framework.launch(info)
        ended = await framework.end("large")
    assert ended["message"] == "Container exited with status 4"


@pytest.mark.parametrize(
    "who",
    [
        {"capabilities": [], "roles": None, "role": "web"},
        {"capabilities": [], "roles": None},
        {"capabilities": [{"type": "MULTI_ROLE"}], "roles": ["eng/web/a", "ops"]},
        {"capabilities": [{"type": "MULTI_ROLE"}], "roles": ["eng/web/a"], "checkpoint": False},
    ],
)
async def test_frameworks_of_all_kinds(system: System, who: Json) -> None:
    agent = await system.agent()
    async with system.framework(**who) as framework:
        await framework.launch(a_task(system, "one"), a_task(system, "fails", "exit 3"))
        await framework.state("one", "TASK_RUNNING")
        await framework.end("fails")
        env = system.container_of("one").attrs["Config"]["Env"]
        await agent.kill()
        await agent.start()
        await agent.logged("re-registered with")
        if who.get("checkpoint", True):
            await framework.kill("one")
            assert (await framework.end("one"))["state"] == "TASK_KILLED"
        else:
            assert (await framework.end("one"))["state"] == "TASK_LOST"
        # Never stopped: what the master thinks of the agent's use must be nothing again.
        await framework.launch(a_task(system, "two", "exit 0"))
        assert (await framework.end("two"))["state"] == "TASK_FINISHED"
    role = next(e for e in env if e.startswith("MESOS_ALLOCATION_ROLE="))
    assert role.partition("=")[2] in (who.get("role", "*"), *(who["roles"] or ()))


class Latin(RawFramework):
    """Writes its bytes as they are, as frameworks in C++ do."""

    @staticmethod
    def encoded(call: Json) -> bytes:
        return json.dumps(call, ensure_ascii=False).encode("latin-1")

    @staticmethod
    def decoded(event: bytes) -> Json:
        read: Json = json.loads(event.decode("latin-1"))
        return read


@pytest.mark.parametrize("where", ["id", "name", "env", "label", "command", "image", "framework"])
@pytest.mark.parametrize("master", [ONLY_REAL], indirect=True)
async def test_text_that_is_no_utf8(system: System, where: str) -> None:
    """The embedded master reads JSON as Python does: as UTF-8, or not at all."""
    agent = await system.agent()
    word = "café"
    info = a_task(system, word if where == "id" else "odd", "exit 3")
    info["command"]["environment"] = {"variables": [{"name": "A", "value": "x"}]}
    match where:
        case "name":
            info["name"] = word
        case "env":
            info["command"]["environment"]["variables"][0]["value"] = word
        case "label":
            info["labels"] = {"labels": [{"key": word, "value": word}]}
        case "command":
            info["command"]["value"] = f"exit 3 # {word}"
        case "image":
            info["container"]["docker"]["image"] = word
    name = word if where == "framework" else "latin"
    async with Latin(system.master, name=name) as framework:
        for task_info in (info, a_task(system, "plain", "exit 3")):
            offer = await framework.offer()
            await framework.accept(offer, {"type": "LAUNCH", "launch": {"task_infos": [task_info]}})
            status = await framework.ended()
            assert status["state"] == "TASK_FAILED"
            assert status["task_id"] == task_info["task_id"]
            if where != "image" or task_info is not info:
                assert status["message"] == "Container exited with status 3"
        await agent.kill()
        await agent.start()
        await agent.logged("re-registered with")


def reserved(name: str, amount: float, role: str) -> Json:
    reservations = [{"type": "DYNAMIC", "role": role, "principal": "shim"}]
    scalar = {"type": "SCALAR", "scalar": {"value": amount}}
    return {
        "name": name,
        **scalar,
        "allocation_info": {"role": role},
        "reservations": reservations,
    }


async def test_reserved_and_launched_in_one_accept_then_offered_less(system: System) -> None:
    agent = await system.agent("--resources=cpus:2;mem:1000")
    room = [reserved("cpus", 1, "eng/x"), reserved("mem", 64, "eng/x")]
    async with RawFramework(system.master, roles=["eng/x"], principal="shim") as framework:
        await framework.accept(
            await framework.offer(),
            {"type": "RESERVE", "reserve": {"resources": room}},
            {
                "type": "LAUNCH",
                "launch": {"task_infos": [a_task(system, "r", "exit 3", resources=room)]},
            },
        )
        assert (await framework.ended())["message"] == "Container exited with status 3"
    await agent.end()
    less = AgentProcess(
        system.master, system.directory / "agent0", system.shim_id, "--resources=cpus:0.5;mem:1000"
    )
    less.port = agent.port
    await less.start()
    assert await less.exit_code() == 1
    assert "--resources: reserved: more cpus" in less.log.splitlines()[-1]
    await agent.start()
    await agent.logged("re-registered with")


async def test_all_that_is_beside_the_journal_is_deleted(system: System) -> None:
    agent = await system.agent()
    async with system.framework() as framework:
        await framework.launch(
            a_task(system, "speaks", SPEAKS, kill_policy=AT_ONCE),
            a_task(system, "ends", "sleep 2; echo last; exit 3"),
        )
        await framework.state("speaks", "TASK_RUNNING")
        await framework.state("ends", "TASK_RUNNING")
        for entry in (system.directory / "agent0").iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        assert (await framework.end("ends"))["message"] == "Container exited with status 3"
        await framework.launch(a_task(system, "later", "echo more; exit 4"))
        assert (await framework.end("later"))["message"] == "Container exited with status 4"
        await framework.kill("speaks")
        assert (await framework.end("speaks"))["state"] == "TASK_KILLED"
        await agent.end()
        await agent.start()
        await agent.logged("re-registered with")


async def test_an_ended_task_holds_no_resources_though_nobody_acknowledges(
    shared: System,
) -> None:
    await shared.agent()
    async with RawFramework(shared.master) as framework:
        offer = await framework.offer()
        ending = a_task(shared, "ends", "exit 3", cpus=0.5)
        await framework.accept(offer, {"type": "LAUNCH", "launch": {"task_infos": [ending]}})

        async def used() -> bool:
            (agent,) = await agents_of(shared.master)
            return bool(agent["used_resources"]["cpus"])  # type: ignore[index]

        async def free() -> bool:
            return not await used()

        await until(used, "the launch")
        await until(free, "the end, told with the first update's repetition")
        heard = {e["update"]["status"]["state"] for e in framework.events if e["type"] == "UPDATE"}
        assert heard == {"TASK_STARTING"}


def policy(nanoseconds: int) -> Json:
    return {"grace_period": {"nanoseconds": nanoseconds}}


async def test_kills_of_all_kinds(shared: System) -> None:
    """A later kill with another grace replaces the first; the executor of a task is the task."""
    await shared.agent()
    names = ["at-once", "negative", "for-centuries", "thrice", "by-executor"]
    async with RawFramework(shared.master) as framework:
        offer = await framework.offer()
        tasks = [on_host(a_task(shared, name, STUBBORN, mem=16)) for name in names]
        await framework.accept(offer, {"type": "LAUNCH", "launch": {"task_infos": tasks}})
        for _ in names:
            await framework.reaches("TASK_RUNNING")

        async def kill(name: str, nanoseconds: int) -> None:
            wanted = {"task_id": {"value": name}, "kill_policy": policy(nanoseconds)}
            assert (await framework.call("KILL", wanted))[0] == 202

        await kill("for-centuries", 2**63 - 1)
        for name, grace in [("at-once", 0), ("negative", -(10**9))]:
            await kill(name, grace)
            assert (await framework.ended())["task_id"]["value"] == name
        for _ in range(3):
            await kill("thrice", 10**9)
        assert (await framework.ended())["task_id"]["value"] == "thrice"
        await kill("for-centuries", 1)
        assert (await framework.ended())["task_id"]["value"] == "for-centuries"
        executor = {"executor_id": {"value": "by-executor"}, "agent_id": offer["agent_id"]}
        assert (await framework.call("SHUTDOWN", executor))[0] == 202
        assert (await framework.ended())["state"] == "TASK_KILLED"


async def test_what_an_operator_does_with_docker(shared: System) -> None:
    """A paused container is killed all the same; one stopped by hand has ended."""
    await shared.agent()
    async with shared.framework() as framework:
        names = ["paused", "stopped"]
        await running(shared, framework, *(a_task(shared, name, mem=16) for name in names))
        await until(lambda: paused(shared, "paused"), "the pause")
        await framework.kill("paused")
        await asyncio.to_thread(shared.container_of("stopped").stop)
        assert (await framework.end("paused"))["state"] == "TASK_KILLED"
        assert (await framework.end("stopped"))["state"] == "TASK_FINISHED"


async def paused(system: System, task_id: str) -> bool:
    """Whether the container could be paused: on a busy machine the kernel may refuse it."""
    container = await asyncio.to_thread(system.container_of, task_id)
    try:
        await asyncio.to_thread(container.pause)
    except docker.errors.APIError:
        return False
    return True


@pytest.mark.parametrize("pings", [8])
async def test_an_agent_that_is_frozen_past_its_pings(system: System) -> None:
    agent = await system.agent()
    async with system.framework() as framework:
        await framework.launch(a_task(system, "stays"), a_task(system, "ends", "sleep 4; exit 4"))
        await framework.state("stays", "TASK_RUNNING")
        await framework.state("ends", "TASK_RUNNING")
        os.kill(agent.pid, signal.SIGSTOP)
        await framework.state("stays", "TASK_UNREACHABLE")
        os.kill(agent.pid, signal.SIGCONT)
        await agent.logged("re-registered with")
        assert (await framework.end("ends"))["state"] == "TASK_FAILED"
        await framework.kill("stays")
        assert (await framework.end("stays"))["state"] == "TASK_KILLED"
