"""Messages and events between a framework, a master and an agent, in their order.

The framework is an unmodified pymesos in its own process; the agent is a fake. With
MESOS_MASTER_BIN set every test also runs against a real master.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.fake_agent import STOCK, FakeAgent, scalar, task_of
from tests.dev.master.http import get, post
from tests.e2e.client import Framework, Json, task
from tests.support.wait import patience


async def launched(
    agent: FakeAgent, framework: Framework, *names: str
) -> list[internal.RunTaskMessage]:
    await framework.launch(*[task(name) for name in names])
    return [await agent.next(internal.RunTaskMessage) for _ in names]


async def test_the_life_of_a_task_with_acknowledged_updates(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        (run,) = await launched(agent, framework, "one")
        assert run.task.slave_id == agent.info.id
        assert run.pid == "@0.0.0.0:0"
        assert run.launch_executor
        await agent.report(run, mesos.TASK_STARTING)
        await agent.report(run, mesos.TASK_RUNNING)
        await agent.report(run, mesos.TASK_FINISHED, message="Container exited with status 0")
        status = await framework.end("one")
        assert status["state"] == "TASK_FINISHED"
        assert framework.states("one") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


async def test_resources_are_sent_in_the_format_of_the_agents_capabilities(master: str) -> None:
    async with FakeAgent(master) as simple, Framework(master) as framework:
        await simple.register()
        (run,) = await launched(simple, framework, "old")
        assert [(r.role, r.HasField("role")) for r in run.task.resources] == [("*", True)] * 2
        assert {r.allocation_info.role for r in run.task.resources} == {"*"}
        assert [v.uuid.value for v in run.resource_version_uuids] == [simple.resource_version]


async def test_an_agent_without_a_resource_version_is_sent_none(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent.resource_version = b""
        await agent.register()
        (run,) = await launched(agent, framework, "one")
        assert not run.resource_version_uuids


async def test_a_stock_agent_is_sent_the_reservations_format(master: str) -> None:
    async with FakeAgent(master, capabilities=STOCK) as stock, Framework(master) as framework:
        await stock.register()
        (run,) = await launched(stock, framework, "new")
        assert not any(r.HasField("role") for r in run.task.resources)


async def test_an_offer_holds_all_available_resources(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        event = await framework.until(lambda e: e["event"] == "offers")
        (offer,) = event["offers"]
        amounts = {r["name"]: r["scalar"]["value"] for r in offer["resources"]}
        assert amounts == {"cpus": 4.0, "mem": 4096.0, "disk": 10000.0}
        assert offer["agent_id"] == {"value": agent_id}
        assert offer["allocation_info"] == {"role": "*"}
        assert all(r["allocation_info"] == {"role": "*"} for r in offer["resources"])
        assert offer["url"]["path"] == "/slave(1)"
        await framework.launch(task("one", cpus=0.1, mem=32))
        event = await framework.until(
            lambda e: e["event"] == "offers" and e["offers"][0]["id"] != offer["id"]
        )
        amounts = {r["name"]: r["scalar"]["value"] for r in event["offers"][0]["resources"]}
        assert amounts == {"cpus": 3.9, "mem": 4064.0, "disk": 10000.0}


async def test_a_kill_is_sent_to_the_agent_and_an_unknown_task_is_task_unknown(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        await framework.kill("one")
        kill = await agent.next(internal.KillTaskMessage)
        assert (kill.task_id.value, kill.framework_id) == ("one", run.framework.id)
        assert not kill.HasField("kill_policy")
        await agent.report(run, mesos.TASK_KILLED)
        await framework.kill("never-was")
        status = await framework.state("never-was", "TASK_UNKNOWN")
        assert "uuid" not in status
        assert status["reason"] == "REASON_RECONCILIATION"


async def test_reconciliation_sends_the_latest_state(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        run, other = await launched(agent, framework, "one", "two")
        await agent.report(run, mesos.TASK_RUNNING)
        await framework.do("reconcile", tasks=[])
        staging = await framework.state("two", "TASK_STAGING")
        assert staging["source"] == "SOURCE_MASTER"
        running = await framework.until(
            lambda e: (
                e["event"] == "update"
                and e["status"]["task_id"]["value"] == "one"
                and e["status"].get("reason") == "REASON_RECONCILIATION"
            )
        )
        assert running["status"]["state"] == "TASK_RUNNING"
        assert "uuid" not in running["status"]
        await agent.report(other, mesos.TASK_RUNNING)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"cpus": 99}, "more"),
        ({"resources": []}, "no resources"),
        ({"executor": {"executor_id": {"value": "x"}}}, "CommandInfo"),
        (
            {
                "container": {
                    "type": "DOCKER",
                    "docker": {"image": "a", "parameters": [{"key": "name", "value": "b"}]},
                }
            },
            "name",
        ),
        ({"container": {"type": "DOCKER"}}, "docker"),
        ({"health_check": {"delay_seconds": 1}}, "type"),
    ],
)
async def test_an_invalid_task_is_task_error_and_is_not_sent_to_the_agent(
    master: str, fields: Json, word: str
) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        await framework.launch(task("bad", **fields), task("good"))
        status = await framework.end("bad")
        assert (status["state"], status["reason"]) == ("TASK_ERROR", "REASON_TASK_INVALID")
        assert word.lower() in status["message"].lower()
        run = await agent.next(internal.RunTaskMessage)
        assert run.task.name == "good"


async def test_a_used_offer_is_no_longer_valid(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        event = await framework.until(lambda e: e["event"] == "offers")
        await launched(agent, framework, "one")
        await framework.accept({"type": "LAUNCH", "launch": {"task_infos": [task("one")]}})
        status = await framework.end("one")
        assert (status["state"], status["reason"]) == ("TASK_ERROR", "REASON_TASK_INVALID")
        assert event["offers"]


async def test_teardown_shuts_the_framework_down_everywhere(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        async with Framework(master) as framework:
            (run,) = await launched(agent, framework, "one")
            await agent.report(run, mesos.TASK_RUNNING)
            await framework.stop()
            message = await agent.next(internal.ShutdownFrameworkMessage)
            assert message.framework_id == run.framework.id


async def test_a_framework_is_torn_down_after_its_failover_timeout(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        async with Framework(master, failover_timeout=1) as framework:
            (run,) = await launched(agent, framework, "one")
            await framework.stop(failover=True)
            message = await agent.next(internal.ShutdownFrameworkMessage)
            assert message.framework_id == run.framework.id


async def test_a_failed_over_framework_is_sent_to_the_agents(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        async with Framework(master) as first:
            (run,) = await launched(agent, first, "one")
            await first.stop(failover=True)
        agent.send(agent.update(run, mesos.TASK_RUNNING))
        async with Framework(master, id={"value": run.framework.id.value}) as second:
            assert second.framework_id == run.framework.id.value
            message = await agent.next(internal.UpdateFrameworkMessage)
            assert message.framework_info.id == run.framework.id
            assert message.pid == "@0.0.0.0:0"
            await agent.report(run, mesos.TASK_RUNNING)
            assert second.states("one") == ["TASK_RUNNING"]


async def test_a_second_scheduler_of_a_framework_disconnects_the_first(master: str) -> None:
    async with Framework(master) as first, Framework(master, id={"value": first.framework_id}):
        event = await first.until(lambda e: e["event"] == "error")
        assert event["message"] == "Framework failed over"


async def test_a_removed_framework_may_not_subscribe_again(master: str) -> None:
    async with Framework(master) as first:
        await first.stop()
    second = Framework(master, id={"value": first.framework_id})
    await second.start()
    event = await second.until(lambda e: e["event"] == "error")
    assert event["message"] == "Framework has been removed"
    await second.__aexit__()


async def test_an_update_is_forwarded_after_the_one_before_is_acknowledged(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        await framework.do("acknowledging", on=False)
        (run,) = await launched(agent, framework, "one")
        update = agent.update(run, mesos.TASK_RUNNING)
        agent.send(update)
        status = await framework.state("one", "TASK_RUNNING")
        assert not agent.unread
        agent.send(update)
        await framework.until(lambda e: len(framework.updates("one")) == 2)
        await framework.do("acknowledge", status=status)
        ack = await agent.next(internal.StatusUpdateAcknowledgementMessage)
        assert ack.uuid == update.update.uuid


# ---- registration of agents --------------------------------------------------------------------


async def test_a_repeated_registration_gets_the_same_id(master: str) -> None:
    async with FakeAgent(master) as agent:
        first = await agent.register()
        agent.info.ClearField("id")
        assert await agent.register() == first


async def test_pings_come_from_a_slave_observer_and_carry_connected(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        async with patience():
            while len(agent.pings) < 2:
                await asyncio.sleep(0.05)
        assert {(p.id, connected) for p, connected in agent.pings} == {("slave-observer(1)", True)}


async def test_a_broken_connection_rescinds_offers_and_loses_uncheckpointed_tasks(
    master: str,
) -> None:
    async with (
        FakeAgent(master) as agent,
        Framework(master, checkpoint=False) as hasty,
        Framework(master) as careful,
    ):
        await agent.register()
        await asyncio.gather(hasty.launch(task("one")), careful.launch(task("two", mem=64)))
        runs = [await agent.next(internal.RunTaskMessage) for _ in range(2)]
        for run in runs:
            await agent.report(run, mesos.TASK_RUNNING)
        await agent.restart()
        status = await hasty.end("one")
        assert (status["state"], status["reason"]) == ("TASK_LOST", "REASON_AGENT_DISCONNECTED")
        (kept,) = [run for run in runs if run.task.name == "two"]
        await agent.reregister(
            task_of(kept, mesos.TASK_RUNNING),
            frameworks=(kept.framework,),
        )
        assert careful.states("two") == ["TASK_RUNNING"]


async def test_a_reregistration_from_memory_reconciles_and_repeats_kills(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        kept, lost = await launched(agent, framework, "kept", "lost")
        await agent.report(kept, mesos.TASK_RUNNING)
        await framework.kill("kept")
        await agent.next(internal.KillTaskMessage)
        await agent.restart()
        answer = await agent.reregister(
            task_of(kept, mesos.TASK_RUNNING), frameworks=(kept.framework,)
        )
        assert answer.slave_id.value == agent_id
        (reconciliation,) = answer.reconciliations
        assert [s.task_id.value for s in reconciliation.statuses] == ["lost"]
        assert reconciliation.framework.id == lost.framework.id
        assert (await agent.next(internal.KillTaskMessage)).task_id.value == "kept"
        update = await agent.next(internal.UpdateFrameworkMessage)
        assert update.framework_info == kept.framework
        assert not (await agent.next(internal.CheckpointResourcesMessage)).resources


async def test_missing_pongs_make_an_agent_unreachable_until_it_reregisters(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        agent.answers_pings = False
        status = await framework.state("one", "TASK_UNREACHABLE")
        assert status["reason"] == "REASON_AGENT_REMOVED"
        await framework.until(lambda e: e["event"] == "agent_lost")
        agent.answers_pings = True
        answer = await agent.reregister(
            task_of(run, mesos.TASK_RUNNING), frameworks=(run.framework,)
        )
        assert answer.slave_id.value == agent_id
        event = await framework.until(
            lambda e: (
                e["event"] == "update" and e["status"].get("reason") == "REASON_AGENT_REREGISTERED"
            )
        )
        assert event["status"]["state"] == "TASK_RUNNING"
        await agent.next(internal.UpdateFrameworkMessage)
        await agent.report(run, mesos.TASK_FINISHED)
        assert {p.id for p, _ in agent.pings} == {"slave-observer(1)", "slave-observer(2)"}


async def test_an_unknown_agent_id_is_admitted(master: str) -> None:
    async with FakeAgent(master) as agent:
        agent.info.id.value = "made-up"
        assert (await agent.reregister()).slave_id.value == "made-up"


async def test_a_known_agent_with_another_hostname_is_shut_down(master: str) -> None:
    async with FakeAgent(master) as agent:
        await agent.register()
        agent.info.hostname = "elsewhere"
        agent.send(agent.reregistration())
        assert "different" in (await agent.next(internal.ShutdownMessage)).message


async def test_tasks_of_an_unregistering_agent_are_lost(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        agent.send(internal.UnregisterSlaveMessage(slave_id=agent.info.id))
        status = await framework.end("one")
        assert status["state"] == "TASK_LOST"


async def test_a_task_with_an_unknown_executor_drops_the_reregistration(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.restart()
        bad = task_of(run, mesos.TASK_RUNNING)
        bad.executor_id.value = "one"
        agent.send(agent.reregistration(bad, frameworks=(run.framework,)))
        await asyncio.sleep(0.3)
        assert not agent.unread
        await agent.reregister(task_of(run, mesos.TASK_RUNNING), frameworks=(run.framework,))


# ---- operators ---------------------------------------------------------------------------------


async def test_a_gone_agent_is_shut_down_at_every_reregistration(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        gone = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent_id}}}
        assert (await post(master, gone))[0] == 200
        assert (await framework.end("one"))["state"] == "TASK_GONE_BY_OPERATOR"
        assert (await agent.next(internal.ShutdownMessage)).message == "Agent has been marked gone"
        agent.send(agent.reregistration())
        assert (await agent.next(internal.ShutdownMessage)).message == "Agent has been marked gone"


async def test_draining_sends_no_kills_and_stops_offers(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        body = {"agent_id": {"value": agent_id}}
        drain = {"type": "DRAIN_AGENT", "drain_agent": {**body, "mark_gone": False}}
        assert (await post(master, drain))[0] == 200
        assert not (await agent.next(internal.DrainSlaveMessage)).config.mark_gone
        (slave,) = (await get(master, "/slaves"))["slaves"]
        assert slave["drain_info"]["state"] == "DRAINING"
        await agent.report(run, mesos.TASK_KILLED)
        (slave,) = (await get(master, "/slaves"))["slaves"]
        assert slave["drain_info"]["state"] == "DRAINED"
        (slave,) = (await get(master, "/slaves"))["slaves"]
        back = {"type": "REACTIVATE_AGENT", "reactivate_agent": body}
        assert (await post(master, back))[0] == 200
        await launched(agent, framework, "two")


def reserved(role: str = "web", amount: float = 512, **disk: Json) -> Json:
    return {
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": role, "principal": "ops"}],
        **({"disk": disk} if disk else {}),
    }


async def test_reservations_are_checkpointed_by_a_simple_agent(master: str) -> None:
    async with FakeAgent(master) as agent:
        agent_id = await agent.register()
        body = {"agent_id": {"value": agent_id}, "resources": [reserved()]}
        call = {"type": "RESERVE_RESOURCES", "reserve_resources": body}
        assert (await post(master, call))[0] == 202
        (kept,) = (await agent.next(internal.CheckpointResourcesMessage)).resources
        assert (kept.role, kept.reservation.principal, kept.scalar.value) == ("web", "ops", 512)
        call = {"type": "UNRESERVE_RESOURCES", "unreserve_resources": body}
        assert (await post(master, call))[0] == 202
        assert not (await agent.next(internal.CheckpointResourcesMessage)).resources


async def test_operations_are_applied_and_acknowledged_by_a_stock_agent(master: str) -> None:
    async with FakeAgent(master, capabilities=STOCK) as agent:
        agent_id = await agent.register()
        body = {"agent_id": {"value": agent_id}, "resources": [reserved()]}
        call = {"type": "RESERVE_RESOURCES", "reserve_resources": body}
        assert (await post(master, call))[0] == 202
        apply = await agent.next(internal.ApplyOperationMessage)
        assert apply.operation_info.type == mesos.Offer.Operation.RESERVE
        assert apply.resource_version_uuid.uuid.value == agent.resource_version
        status = internal.UpdateOperationStatusMessage(slave_id=agent.info.id)
        status.operation_uuid.CopyFrom(apply.operation_uuid)
        status.status.state = mesos.OPERATION_FINISHED
        status.status.uuid.value = b"0123456789abcdef"
        status.latest_status.CopyFrom(status.status)
        agent.send(status)
        ack = await agent.next(internal.AcknowledgeOperationStatusMessage)
        assert ack.operation_uuid == apply.operation_uuid
        assert ack.status_uuid == status.status.uuid


async def test_a_framework_reserves_creates_a_volume_and_launches_on_it(master: str) -> None:
    roles = {"roles": ["web"], "principal": "ops"}
    async with FakeAgent(master) as agent, Framework(master, **roles) as framework:
        await agent.register()
        volume = reserved(
            persistence={"id": "v1", "principal": "ops"},
            volume={"container_path": "data", "mode": "RW"},
        )
        for resource in (plain := reserved()), volume:
            resource.pop("reservations")
            resource.update(role="web", reservation={"principal": "ops"})
        info = task("one")
        info["resources"].append(volume)
        await framework.accept(
            {"type": "RESERVE", "reserve": {"resources": [plain]}},
            {"type": "CREATE", "create": {"volumes": [volume]}},
            {"type": "LAUNCH", "launch": {"task_infos": [info]}},
        )
        assert len((await agent.next(internal.CheckpointResourcesMessage)).resources) == 1
        (kept,) = (await agent.next(internal.CheckpointResourcesMessage)).resources
        assert kept.disk.persistence.id == "v1"
        run = await agent.next(internal.RunTaskMessage)
        (disk,) = [r for r in run.task.resources if r.name == "disk"]
        assert disk.disk.persistence.id == "v1"


# ---- calls that are rejected --------------------------------------------------------------------


async def test_rejected_calls_have_a_status_and_a_text(master: str) -> None:
    path = "/api/v1/scheduler"
    revive: Json = {"type": "REVIVE", "framework_id": {"value": "nobody"}}
    assert await post(master, revive, path) == (400, "Framework cannot be found")
    status, _ = await post(master, {"type": "REVIVE"}, path)
    assert status == 400
    async with Framework(master) as framework:
        revive["framework_id"]["value"] = framework.framework_id
        status, text = await post(master, revive, path)
        assert (status, "Mesos-Stream-Id" in text) == (400, True)
        status, text = await post(master, revive, path, **{"Mesos-Stream-Id": "wrong"})
        assert (status, "stream ID" in text) == (400, True)
        await framework.stop(failover=True)
        assert await post(master, revive, path) == (403, "Framework is not subscribed")
    status, _ = await post(master, {"type": "NONSENSE"}, path)
    assert status == 400
    assert (await post(master, {"type": "SUBSCRIBE"}, path))[0] == 400


async def test_the_v0_endpoints(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        agent_id = await agent.register()
        (run,) = await launched(agent, framework, "one")
        await agent.report(run, mesos.TASK_RUNNING)
        state = await get(master, "/master/state")
        assert [s["id"] for s in state["slaves"]] == [agent_id]
        (listed,) = state["frameworks"]
        assert (listed["id"], listed["active"]) == (framework.framework_id, True)
        assert [t["state"] for t in listed["tasks"]] == ["TASK_RUNNING"]
        (shown,) = (await get(master, "/tasks"))["tasks"]
        assert (shown["id"], shown["executor_id"], shown["slave_id"]) == ("one", "", agent_id)
        assert shown["resources"]["cpus"] == 0.1
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{master}/redirect", allow_redirects=False) as response,
        ):
            assert response.status == 307
            assert response.headers["Location"].startswith("//")


async def test_an_agent_with_more_resources_after_a_restart_is_offered_completely(
    master: str,
) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        await agent.restart()
        agent.info.resources[0].CopyFrom(scalar("cpus", 8))
        await agent.reregister()
        await framework.until(
            lambda e: (
                e["event"] == "offers"
                and any(r.get("scalar") == {"value": 8.0} for r in e["offers"][0]["resources"])
            )
        )
