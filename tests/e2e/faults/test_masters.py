"""Masters that die, come back, fail over, lose sight of the agent, and send it away."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.e2e import tasks
from tests.e2e.agents import AgentProcess, agents_of
from tests.e2e.client import TERMINAL, Framework, Json, on_host
from tests.e2e.conftest import System
from tests.e2e.faults.conftest import NewMaster
from tests.e2e.faults.masters import CREDENTIALS, Gate, Master, is_active, operate
from tests.e2e.tasks import GENTLE
from tests.support.ports import free_port
from tests.support.wait import until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


def a_task(system: System, name: str, command: str = GENTLE) -> Json:
    """One of many: the smallest share of a CPU, and cheap to start."""
    return on_host(tasks.a_task(system, name, command, cpus=0.01))


async def run(system: System, framework: Framework, *names: str) -> None:
    """Launch tasks of these names, and wait until they run."""
    await framework.launch(*(a_task(system, name) for name in names))
    for name in names:
        await framework.state(name, "TASK_RUNNING")


async def kill(framework: Framework, *names: str) -> None:
    """A kill may be lost with a connection: it is repeated, as frameworks do."""

    async def ended() -> bool:
        left = [name for name in names if "TASK_KILLED" not in framework.states(name)]
        for name in left:
            await framework.kill(name)
        await asyncio.sleep(0.3)
        return not left

    await until(ended, f"the end of {names}")


async def until_active(master: Master, agent_id: str) -> None:
    async def it_is() -> bool:
        return await is_active(master, agent_id)

    await until(it_is, f"agent {agent_id} active again")


def started(system: System, name: str) -> str:
    """When its container was started."""
    at: str = system.container_of(name).attrs["State"]["StartedAt"]
    return at


@pytest.mark.parametrize("pings", [10])
async def test_a_master_dies_and_comes_back(system: System, registry_master: Master) -> None:
    """With its registry; tasks end while nobody leads."""
    await system.agent()
    agent_id = await system.agent_id()
    async with system.framework() as framework:
        await run(system, framework, "goes-on")
        await framework.launch(a_task(system, "ends", "sleep 1; exit 4"))
        await framework.state("ends", "TASK_RUNNING")
        since = started(system, "goes-on")
        await registry_master.kill()
        await asyncio.sleep(1.5)
        await registry_master.start()
        await until_active(registry_master, agent_id)
        ended = await framework.end("ends")
        assert ended["message"] == "Container exited with status 4"
        assert started(system, "goes-on") == since
        await kill(framework, "goes-on")


@pytest.mark.parametrize("pings", [8])
@pytest.mark.parametrize("way", ["to the master", "to the agent", "both"])
async def test_a_partition_longer_than_pings_allow(
    system: System, registry_master: Master, way: str
) -> None:
    """Tasks go on, and are told of again when it is over."""
    gate = await gated_agent(system)
    agent_id = await system.agent_id()
    async with system.framework() as framework:
        await run(system, framework, "partitioned")
        await framework.launch(a_task(system, "ends", "sleep 4; exit 5"))
        await framework.state("ends", "TASK_RUNNING")
        since = started(system, "partitioned")
        closed = {"to the master": [registry_master.gate], "to the agent": [gate]}
        for road in closed.get(way, [registry_master.gate, gate]):
            road.close()
        await framework.state("partitioned", "TASK_UNREACHABLE")
        registry_master.gate.open()
        gate.open()
        await until_active(registry_master, agent_id)
        ended = await framework.end("ends")
        assert ended["state"] == "TASK_FAILED"
        assert started(system, "partitioned") == since
        await kill(framework, "partitioned")
    await gate.stop()


async def gated_agent(system: System) -> Gate:
    """An agent that is known to masters by a gate's port."""
    port = free_port()
    gate = await Gate(port).start()
    flag = f"--advertise_port={gate.port}"
    agent = AgentProcess(system.master, system.directory / "agent", system.shim_id, flag)
    agent.port = port
    system.agents.append(agent)
    await agent.start()
    await agent.logged("registered with")
    return gate


@pytest.mark.needs_zookeeper
async def test_failover_through_zookeeper(
    system: System,
    registry_master: Master,
    new_master: NewMaster,
    zk: KazooClient,
    zookeeper: int,
) -> None:
    """To a master that has never heard of the agent."""
    url = f"zk://127.0.0.1:{zookeeper}/mesos"
    flags = (f"--zk={url}", "--registry=in_memory", "--zk_session_timeout=2secs")
    first = await new_master(*flags)
    await announce(zk, first)
    agent = AgentProcess(url, system.directory / "agent", system.shim_id)
    system.agents.append(agent)
    await agent.start()
    await agent.logged("registered with")
    (known,) = await agents_of(first.direct)
    second = await new_master(*flags)
    async with Framework(first.direct) as framework:
        await run(system, framework, "goes-on")
        framework_id = {"value": framework.framework_id}
        await framework.stop(failover=True)
    since = started(system, "goes-on")
    await first.kill()
    await announce(zk, second, instead=True)
    await until_active(second, str(known["id"]))
    async with Framework(second.direct, id=framework_id) as framework:
        assert started(system, "goes-on") == since
        await kill(framework, "goes-on")


async def announce(zk: KazooClient, master: Master, *, instead: bool = False) -> None:
    """What real masters do themselves, for embedded ones."""
    if master.announces:
        return
    if instead:
        for node in await asyncio.to_thread(zk.get_children, "/mesos"):
            await asyncio.to_thread(zk.delete, f"/mesos/{node}")
    host, port = master.address.split(":")
    info = {
        "id": master.address,
        "ip": 16777343,
        "port": int(port),
        "pid": f"master@{master.address}",
        "hostname": "localhost",
        "address": {"ip": host, "port": int(port)},
    }
    await asyncio.to_thread(
        zk.create,
        "/mesos/json.info_",
        json.dumps(info).encode(),
        sequence=True,
        ephemeral=True,
        makepath=True,
    )


async def test_marked_gone(system: System, registry_master: Master) -> None:
    """It ends, and everything with it; started again it is another agent."""
    agent = await system.agent()
    agent_id = await system.agent_id()
    async with system.framework() as framework:
        await run(system, framework, "goes-too")
        await operate(
            registry_master,
            {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent_id}}},
        )
        assert await agent.exit_code() == 1
        ended = await framework.end("goes-too")
        assert ended["state"] == "TASK_GONE_BY_OPERATOR"
        await system.no_containers()
        await agent.start()
        await agent.logged(f"registered with master@{system.master} as")

        async def another() -> bool:
            return any(a["id"] != agent_id and a["active"] for a in await agents_of(system.direct))

        await until(another, "another agent")


async def test_drained_and_reactivated(system: System, registry_master: Master) -> None:
    await system.agent()
    agent_id = {"value": await system.agent_id()}
    async with system.framework() as framework:
        await run(system, framework, "drained")
        await operate(
            registry_master, {"type": "DRAIN_AGENT", "drain_agent": {"agent_id": agent_id}}
        )
        ended = await framework.end("drained")
        assert (ended["state"], ended["reason"]) == ("TASK_KILLED", "REASON_AGENT_DRAINING")
        await system.no_containers()

        async def reactivated() -> bool:
            """Refused while the last acknowledgement is on its way."""
            call = {"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": agent_id}}
            try:
                await operate(registry_master, call)
            except AssertionError:
                return False
            return True

        await until(reactivated, "the agent to be reactivated")
        await run(system, framework, "after")
        await kill(framework, "after")


async def test_leaving(system: System, registry_master: Master) -> None:
    """SIGUSR1: tasks are killed and told of, the master forgets the agent."""
    agent = await system.agent()
    async with system.framework() as framework:
        await run(system, framework, "killed")
        assert await agent.end(signal.SIGUSR1) == 0
        ended = await framework.end("killed")
        assert ended["state"] == "TASK_KILLED"
        await system.no_containers()
        assert not [a for a in await agents_of(registry_master.direct) if a["active"]]


async def test_without_checkpointing(system: System, registry_master: Master) -> None:
    """When the agent dies the master gives its tasks up at once: their containers go as well."""
    agent = await system.agent()
    async with system.framework(checkpoint=False) as framework:
        await run(system, framework, "given-up")
        await agent.kill()
        ended = await framework.end("given-up")
        assert ended["source"] == "SOURCE_MASTER"
        await agent.start()
        await system.no_containers()
        assert [s for s in framework.states("given-up") if s in TERMINAL] == [ended["state"]]
        await run(system, framework, "after")
        await kill(framework, "after")


async def test_a_scheduler_fails_over(system: System, registry_master: Master) -> None:
    """What happened while it was away is told to its successor."""
    await system.agent()
    async with system.framework() as framework:
        await framework.launch(a_task(system, "ends", "sleep 1; exit 6"))
        await run(system, framework, "goes-on")
        framework_id = {"value": framework.framework_id}
        await framework.stop(failover=True)
    await asyncio.sleep(1.5)
    async with system.framework(id=framework_id) as successor:
        ended = await successor.end("ends")
        assert ended["message"] == "Container exited with status 6"
        await kill(successor, "goes-on")


@pytest.mark.parametrize("secret", ["right", "wrong"])
async def test_authentication(
    system: System, new_master: NewMaster, tmp_path: Path, secret: str
) -> None:
    """CRAM-MD5, with the master's credentials and with others."""
    master = await new_master(authenticate=True)
    (principal,) = CREDENTIALS
    text = CREDENTIALS[principal] if secret == "right" else "guessed"
    credential = tmp_path / "credential"
    credential.write_text(json.dumps({"principal": principal, "secret": text}))
    flag = f"--credential={credential}"
    agent = AgentProcess(master.address, system.directory / "agent", system.shim_id, flag)
    system.agents.append(agent)
    await agent.start()
    if secret == "right":
        await agent.logged("registered with")
    else:
        await agent.logged("unknown principal or wrong secret (--credential)")
        assert not await agents_of(master.direct)


async def test_reservations_and_volumes_outlive_agent_and_master(
    system: System, registry_master: Master
) -> None:
    """The master has the agent checkpoint them, and after a failover believes what it reports."""
    agent = await system.agent("--resources=cpus:4;mem:4096;disk:4096")
    agent_id = await system.agent_id()
    call = {"agent_id": {"value": agent_id}}
    reserved = [disk(), disk(persistence={"id": "data", "principal": "p"})]
    create = {"resources": reserved[:1]}, {"volumes": reserved[1:]}
    await operate(
        registry_master, {"type": "RESERVE_RESOURCES", "reserve_resources": {**call, **create[0]}}
    )
    await operate(
        registry_master, {"type": "CREATE_VOLUMES", "create_volumes": {**call, **create[1]}}
    )
    await asyncio.sleep(0.5)
    await agent.kill()
    await registry_master.kill()
    await registry_master.start()
    await agent.start()
    await until_active(registry_master, agent_id)
    async with system.framework(roles=["storage"]) as framework:
        offer = await framework.until(lambda e: e["event"] == "offers")
        resources = offer["offers"][0]["resources"]
        disks = [r for r in resources if r["name"] == "disk"]
        reserved = [r for r in disks if r.get("reservations") or r["role"] != "*"]
        sums = [sum(r["scalar"]["value"] for r in each) for each in (disks, reserved)]
        assert sums == [4096, 64]
        (volume,) = [r for r in resources if "disk" in r]
        assert volume["disk"]["persistence"]["id"] == "data"
        assert volume["role"] == "storage"
    await operate(
        registry_master, {"type": "DESTROY_VOLUMES", "destroy_volumes": {**call, **create[1]}}
    )
    await operate(
        registry_master,
        {"type": "UNRESERVE_RESOURCES", "unreserve_resources": {**call, **create[0]}},
    )


def disk(**fields: object) -> Json:
    """64 MB of disk, reserved for the role ``storage``."""
    resource: Json = {
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": 64},
        "reservations": [{"type": "DYNAMIC", "role": "storage", "principal": "p"}],
    }
    if fields:
        resource["disk"] = {
            **fields,
            "volume": {"mode": "RW", "container_path": "data"},
        }
    return resource
