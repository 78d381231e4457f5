"""Task groups on the real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import docker

from shim.model.container import LABEL_CONTAINER
from tests.e2e.client import TERMINAL, Framework
from tests.e2e.conftest import System
from tests.e2e.faults.crashing import Crash
from tests.e2e.faults.survival import mortal_agent
from tests.e2e.pods import group, member, shared_volume
from tests.e2e.tasks import GENTLE
from tests.support.wait import until

SERVE = "echo hello > /data/index.html; trap 'exit 0' TERM; httpd -f -p 8080 -h /data & wait"
ASK = "until wget -qO- http://127.0.0.1:8080/ | grep hello; do sleep 0.1; done"


async def volumes_of(engine: docker.DockerClient, executor: str) -> list[Any]:
    """The volumes of the executor with this container id."""
    labels = {"label": f"{LABEL_CONTAINER}={executor}"}
    return await asyncio.to_thread(engine.volumes.list, filters=labels)


async def test_a_pod_shares_localhost_and_a_volume_and_takes_a_second_group(
    shared: System,
) -> None:
    system = shared
    async with system.framework() as framework:
        data = shared_volume("data", "/data")
        web = member(system, "web", SERVE, volumes=[data])
        client = member(system, "client", f"{ASK}; test -s /data/index.html", volumes=[data])
        await framework.accept(group(framework, "pod", web, client))
        status = await framework.state("web", "TASK_RUNNING")
        assert (await framework.end("client"))["state"] == "TASK_FINISHED"
        parent = status["container_status"]["container_id"]["parent"]["value"]
        assert len(await volumes_of(system.engine, parent)) == 1
        infra = await asyncio.to_thread(system.engine.containers.get, f"mesos-{parent}")
        network = infra.attrs["NetworkSettings"]["Networks"]["bridge"]
        (reported,) = status["container_status"]["network_infos"]
        assert reported["ip_addresses"][0]["ip_address"] == network["IPAddress"]
        assert framework.states("web") == ["TASK_STARTING", "TASK_RUNNING"]

        await framework.accept(group(framework, "pod", member(system, "late", ASK)))
        assert (await framework.end("late"))["state"] == "TASK_FINISHED"
        assert len(system.listed()) >= 2, "the infra container and the server"

        await framework.kill("web")
        assert (await framework.end("web"))["state"] == "TASK_KILLED"
        exited = await framework.until(lambda e: e["event"] == "executor_lost")
        assert (exited["executor_id"], exited["status"]) == ("pod", 0)
    await system.no_containers()

    async def gone() -> bool:
        return not await volumes_of(system.engine, parent)

    await until(gone, "the end of the pod's volumes")


async def test_one_that_fails_ends_its_group_on_the_hosts_network_as_well(shared: System) -> None:
    data = shared_volume("data", "/data")
    async with shared.framework() as framework:
        patient = member(shared, "patient", GENTLE, volumes=[data])
        fails = member(shared, "fails", "sleep 1; exit 3", volumes=[data])
        await framework.accept(group(framework, "pod", fails, patient, container=None))
        failed = await framework.end("fails")
        parent = failed["container_status"]["container_id"]["parent"]["value"]
        text = "Command exited with status 3"
        assert (failed["state"], failed["message"]) == ("TASK_FAILED", text)
        assert (await framework.end("patient"))["state"] == "TASK_KILLED"
    await shared.no_containers()

    async def gone() -> bool:
        return not await volumes_of(shared.engine, parent)

    await until(gone, "the end of the pod's volumes")


KILLED_AT = [
    Crash("pod-accept", "after", 1),  # accepted, and not durable
    Crash("create", "before", 1),  # accepted
    Crash("create", "after", 1),  # the infra container is created
    Crash("create", "after", 2),  # the first of the tasks is created
    Crash("start", "after", 4),  # all run
    Crash("acknowledgement", "before", 4),  # the first TASK_RUNNING is stored and told
]


async def test_a_pod_outlives_kill_9_at_every_point_of_its_launch(system: System) -> None:
    agent = await mortal_agent(system)
    names = ("a", "b", "c")
    async with system.framework() as framework:
        for crash in KILLED_AT:
            pod = f"{crash.point}-{crash.moment}-{crash.number}"
            tasks = [f"{pod}-{name}" for name in names]
            members = [member(system, task, GENTLE) for task in tasks]
            agent.forget_log()
            dying = asyncio.create_task(agent.live(crash))
            await agent.logged("registered with")
            await framework.accept(group(framework, pod, *members))
            await dying
            await agent.start()
            # All of it runs, or all of it is undone.
            last = await asyncio.gather(*(settled(framework, task) for task in tasks))
            assert len({state == "TASK_RUNNING" for state in last}) == 1, (pod, last, agent.log)
            await framework.kill(tasks[0])
            for task in tasks:
                await framework.end(task)
                told = [s for s in framework.updates(task) if s["state"] == "TASK_RUNNING"]
                assert len({status["uuid"] for status in told}) <= 1
            await system.no_containers()
            await agent.kill()


async def settled(framework: Framework, task_id: str) -> str:
    """TASK_RUNNING, or the state in which the task ended."""
    wanted = {"TASK_RUNNING", *TERMINAL}
    event = await framework.until(
        lambda e: (
            e["event"] == "update"
            and e["status"]["task_id"]["value"] == task_id
            and e["status"]["state"] in wanted
        )
    )
    return str(event["status"]["state"])
