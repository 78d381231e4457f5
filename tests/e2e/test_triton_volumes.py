"""Persistent volumes of the whole agent on the Triton simulator: one NFS server each, billed."""

from __future__ import annotations

from pathlib import Path

from shim.check.volumes_probe import volumes as check_volumes
from shim.config import Config, load
from shim.protos.mesos_pb2 import TaskState
from shim.protos.messages_pb2 import RunTaskMessage
from tests.bench.kit import run_task
from tests.core.reserved import ROLE, disk, volume
from tests.e2e.datacenter import Master, shim
from tests.support.wait import until
from tests.triton.simulator import TritonSimulator, client

IMAGE = "busybox:latest"
RUNNING, KILLED, FAILED = TaskState.TASK_RUNNING, TaskState.TASK_KILLED, TaskState.TASK_FAILED
SIZE = 20_000.0
RESOURCES = "--resources=cpus:4;mem:4096;disk:100000"


def with_volume(master: Master, name: str, persistence_id: str = "v") -> RunTaskMessage:
    message = run_task(master.agent_id, name, IMAGE, "sleep 1000")
    message.task.resources.append(volume(persistence_id, SIZE))
    message.task.resources[-1].allocation_info.role = ROLE
    return message


def config_of(triton: TritonSimulator, work_dir: Path, owner: str) -> Config:
    flags = [f"--docker_host={triton.endpoint.docker_host}", f"--docker_cert_path={triton.certs}"]
    flags += [f"--work_dir={work_dir}", f"--shim_id={owner}", "--ip=127.0.0.1"]
    return load(["--master=127.0.0.1:5050", *flags], {})


async def test_where_volumes_are_off_a_task_is_refused_by_the_volumes_name(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    why = "Volumes are not supported"
    async with shim(triton, tmp_path, "one", RESOURCES) as (master, agent):
        assert f"tasks with persistent volumes will fail: the endpoint has none: {why}" in agent.log
        await master.apply("RESERVE", disk(SIZE))
        await master.apply("CREATE", volume("v", SIZE))
        master.tell(with_volume(master, "a"))
        await master.until(master.reached(["a"], FAILED))
        assert f"This endpoint has no volumes ({why}" in master.said["a"]
        assert "resources.disk.persistence.id 'v'" in master.said["a"]
        await master.apply("DESTROY", volume("v", SIZE))
    assert not triton.datacenter.machines
    assert (await check_volumes(config_of(triton, tmp_path / "one", "one"))).startswith(
        f"none: {why}"
    )


async def test_a_volume_outlives_crashes_and_is_removed_when_nothing_uses_it(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    options, volumes = triton.options, triton.datacenter.volumes
    options.volumes = options.automount = True
    options.volume_seconds = 1.5
    async with client(triton) as call, shim(triton, tmp_path, "one", RESOURCES) as (master, agent):
        await master.apply("RESERVE", disk(SIZE))
        await master.apply("CREATE", volume("v", SIZE))
        assert not volumes.names, "made by the first launch"
        master.tell(with_volume(master, "a"))
        await until(lambda: volumes.names, "the create of the volume")
        await agent.kill()  # The volume is being made, and nothing waits for it.
        await agent.start()
        await master.until(master.reached(["a"], RUNNING))
        (name,) = volumes.names
        assert volumes.sizes == {name: "20G"}
        (machine,) = triton.datacenter.machines
        assert machine.volumes == {name}
        found = await check_volumes(config_of(triton, tmp_path / "one", "one"))
        assert found == "tritonnfs: 1 persistent volumes of this agent, all of them known"

        other = (await call.create("other", HostConfig={"Binds": [f"{name}:/data"]})).json["Id"]
        master.kill("a")
        await master.until(master.reached(["a"], KILLED))
        await master.apply("DESTROY", volume("v", SIZE))
        await agent.logged(f"volume {name} is not removed yet: ")
        await agent.kill()  # The removal is recorded, and refused while the volume is in use.
        await agent.start()
        assert volumes.names == {name}
        await call("DELETE", f"/containers/{other}?force=1")
        await until(lambda: not volumes.names, "the removal of the volume")
        await until(lambda: triton.remaining == [], "nothing left")
