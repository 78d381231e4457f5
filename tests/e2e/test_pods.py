"""Task groups on the real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import docker

from shim.model.container import LABEL_CONTAINER
from tests.e2e.conftest import System
from tests.e2e.pods import group, member, shared_volume
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


async def test_one_that_fails_ends_its_group(shared: System) -> None:
    async with shared.framework() as framework:
        patient = member(shared, "patient", "trap 'exit 0' TERM; sleep 1000 & wait")
        await framework.accept(
            group(framework, "pod", member(shared, "fails", "sleep 1; exit 3"), patient)
        )
        failed = await framework.end("fails")
        assert (failed["state"], failed["message"]) == (
            "TASK_FAILED",
            "Command exited with status 3",
        )
        assert (await framework.end("patient"))["state"] == "TASK_KILLED"
