"""Scheduler calls against the embedded and a real master, without pymesos."""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import pytest

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.fake_agent import SIMPLE, FakeAgent
from tests.dev.master.raw_framework import Json, RawFramework
from tests.e2e.client import task
from tests.support.wait import until


def executor(kind: str, **fields: object) -> Json:
    return {
        "type": kind,
        "executor_id": {"value": "ex"},
        "resources": amounts(cpus=0.5, mem=32.0, disk=32.0),
        **fields,
    }


def amounts(**values: float) -> list[Json]:
    return [
        {"name": name, "type": "SCALAR", "scalar": {"value": value}}
        for name, value in values.items()
    ]


def plain(name: str) -> Json:
    info = task(name)
    del info["container"]
    return info


def launch(*tasks: Json) -> Json:
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


def launch_group(pod: Json, *tasks: Json) -> Json:
    group = {"executor": pod, "task_group": {"tasks": list(tasks)}}
    return {"type": "LAUNCH_GROUP", "launch_group": group}


async def nothing(framework: RawFramework, kind: str, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await framework.next(kind, timeout=seconds)


async def test_declined_resources_are_offered_again_when_the_filter_expires(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        offer = await framework.offer()
        filters = {"refuse_seconds": 2.5}
        await framework.call("DECLINE", {"offer_ids": [offer["id"]], "filters": filters})
        await nothing(framework, "OFFERS", 2.0)
        again = await framework.offer()
        assert again["id"] != offer["id"]
        assert again["resources"] == offer["resources"]


async def test_revive_removes_filters(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        offer = await framework.offer()
        filters = {"refuse_seconds": 1000}
        await framework.call("DECLINE", {"offer_ids": [offer["id"]], "filters": filters})
        assert (await framework.call("REVIVE"))[0] == 202
        await framework.offer()


async def test_a_suppressed_framework_gets_no_offers(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        assert (await framework.call("SUPPRESS"))[0] == 202
        await agent.register()
        await nothing(framework, "OFFERS", 1.3)
        await framework.call("REVIVE")
        await framework.offer()


async def test_resources_of_an_ended_task_are_offered_again(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        await framework.accept(await framework.offer(), launch(task("one", cpus=4, mem=4096)))
        run = await agent.next(internal.RunTaskMessage)
        agent.send(agent.update(run, mesos.TASK_FINISHED))
        offer = await framework.offer()
        amounts = {r["name"]: r["scalar"]["value"] for r in offer["resources"]}
        assert (amounts["cpus"], amounts["mem"]) == (4.0, 4096.0)


async def test_the_framework_with_the_smaller_share_is_offered_first(master: str) -> None:
    async with (
        FakeAgent(master) as agent,
        RawFramework(master) as first,
        RawFramework(master) as second,
    ):
        await agent.register()
        await until(lambda: _has_offer(first) or _has_offer(second), "an offer")
        one, other = (first, second) if _has_offer(first) else (second, first)
        offer = await one.offer()
        await one.accept(offer, launch(task("one")), refuse=0)
        await agent.next(internal.RunTaskMessage)
        await other.offer()


def _has_offer(framework: RawFramework) -> bool:
    return any(e["type"] == "OFFERS" for e in framework.events)


async def test_every_role_has_its_own_offer(master: str) -> None:
    async with RawFramework(master, roles=["a", "b"]) as framework, FakeAgent(master) as agent:
        await agent.register()
        offer = await framework.offer()
        role = offer["allocation_info"]["role"]
        assert role in ("a", "b")
        assert {r["allocation_info"]["role"] for r in offer["resources"]} == {role}
        await framework.accept(offer, launch(task("one")))
        run = await agent.next(internal.RunTaskMessage)
        assert {r.allocation_info.role for r in run.task.resources} == {role}


async def test_a_framework_without_multi_role_has_one_role(master: str) -> None:
    old: Json = {"roles": [], "role": "web", "capabilities": []}
    async with FakeAgent(master) as agent, RawFramework(master, **old) as framework:
        await agent.register()
        await framework.accept(await framework.offer(), launch(task("one")))
        run = await agent.next(internal.RunTaskMessage)
        assert run.framework.role == "web"
        assert {r.allocation_info.role for r in run.task.resources} == {"web"}
        agent.send(internal.UnregisterSlaveMessage(slave_id=agent.info.id))
        assert (await framework.status())["state"] == "TASK_LOST"


async def test_a_task_group_is_sent_in_one_message(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        pod = executor("DEFAULT", framework_id=framework.id)
        offer = await framework.offer()
        await framework.accept(offer, launch_group(pod, plain("a"), plain("b")))
        run = await agent.next(internal.RunTaskGroupMessage)
        assert [t.name for t in run.task_group.tasks] == ["a", "b"]
        assert run.executor.framework_id.value == framework.id["value"]
        assert all(t.executor == run.executor for t in run.task_group.tasks)
        assert run.launch_executor
        await framework.accept(await framework.offer(), launch_group(pod, plain("c")))
        assert not (await agent.next(internal.RunTaskGroupMessage)).launch_executor


def _docker(image: str) -> Json:
    return {"type": "DOCKER", "docker": {"image": image}}


async def test_one_invalid_task_or_executor_rejects_the_whole_group(master: str) -> None:
    checked = {"type": "TCP", "tcp": {"port": 80}}
    network = {"type": "MESOS", "network_infos": [{"name": "own"}]}
    invalid: list[tuple[Json, Json, str]] = [
        ({}, {"resources": []}, "resources"),
        ({"framework_id": None}, {}, "framework_id"),
        ({"command": {"value": "x"}}, {}, "command"),
        ({"container": _docker("i")}, {}, "must be 'MESOS' for 'DEFAULT' executor"),
        ({}, {"container": _docker("i")}, "Docker ContainerInfo is not supported on the task"),
        ({}, {"container": network, "health_check": checked}, "not joining parent's network"),
        ({}, {"limits": {"cpus": {"value": 2.0}}}, "share_cgroups"),
        ({"resources": amounts(cpus=0.1, mem=16.0, disk=1.0)}, {}, "less mem"),
        ({"resources": amounts(cpus=0.1, mem=32.0)}, {}, "no disk"),
    ]
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        for number, (of_executor, of_task, text) in enumerate(invalid):
            pod = {**executor("DEFAULT", framework_id=framework.id), **of_executor}
            pod = {name: value for name, value in pod.items() if value is not None}
            first, second = plain(f"a{number}"), {**plain(f"b{number}"), **of_task}
            offer = await framework.offer()
            await framework.accept(offer, launch_group(pod, first, second))
            for _ in range(2):
                status = await framework.status()
                assert status["state"] == "TASK_ERROR"
                assert status["reason"] == "REASON_TASK_GROUP_INVALID"
                assert text in status["message"], text
        assert not agent.unread


async def test_the_executor_of_a_second_group_must_equal_the_first(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        pod = executor("DEFAULT", framework_id=framework.id)
        await framework.accept(await framework.offer(), launch_group(pod, plain("a")))
        await agent.next(internal.RunTaskGroupMessage)
        other = {**pod, "name": "other"}
        await framework.accept(await framework.offer(), launch_group(other, plain("b")))
        status = await framework.status()
        assert status["reason"] == "REASON_TASK_GROUP_INVALID"
        assert "not compatible" in status["message"]


async def test_a_custom_executor_uses_resources_until_it_exits(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        custom = executor("CUSTOM", command={"value": "run-me"})
        info = {**plain("one"), "executor": custom}
        del info["command"]
        await framework.accept(await framework.offer(), launch(info))
        run = await agent.next(internal.RunTaskMessage)
        assert run.launch_executor
        assert run.task.executor.framework_id.value == framework.id["value"]
        assert {r.allocation_info.role for r in run.task.executor.resources} == {"*"}
        offer = await framework.offer()
        amounts = {r["name"]: r["scalar"]["value"] for r in offer["resources"]}
        assert amounts["cpus"] == 3.4
        await framework.call(
            "SHUTDOWN", {"executor_id": {"value": "ex"}, "agent_id": offer["agent_id"]}
        )
        stop = await agent.next(internal.ShutdownExecutorMessage)
        assert (stop.executor_id.value, stop.framework_id.value) == ("ex", framework.id["value"])
        exited = internal.ExitedExecutorMessage(slave_id=agent.info.id, status=9)
        exited.framework_id.value = framework.id["value"]
        exited.executor_id.value = "ex"
        agent.send(exited)
        failure = await framework.next("FAILURE")
        assert failure["executor_id"] == {"value": "ex"}
        assert failure["status"] == 9


async def test_framework_messages_are_forwarded_in_both_directions(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        offer = await framework.offer()
        body = {
            "agent_id": offer["agent_id"],
            "executor_id": {"value": "ex"},
            "data": base64.b64encode(b"\0hello").decode(),
        }
        assert (await framework.call("MESSAGE", body))[0] == 202
        message = await agent.next(internal.FrameworkToExecutorMessage)
        assert (message.data, message.executor_id.value) == (b"\0hello", "ex")
        back = internal.ExecutorToFrameworkMessage(slave_id=agent.info.id, data=b"\1you")
        back.framework_id.value = framework.id["value"]
        back.executor_id.value = "ex"
        agent.send(back)
        received = await framework.next("MESSAGE")
        assert base64.b64decode(received["data"]) == b"\1you"
        assert received["agent_id"] == offer["agent_id"]


async def test_a_kill_call_may_carry_a_kill_policy(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        offer = await framework.offer()
        await framework.accept(offer, launch(task("one")))
        await agent.next(internal.RunTaskMessage)
        policy = {"grace_period": {"nanoseconds": 7}}
        body = {"task_id": {"value": "one"}, "agent_id": offer["agent_id"], "kill_policy": policy}
        await framework.call("KILL", body)
        kill = await agent.next(internal.KillTaskMessage)
        assert kill.kill_policy.grace_period.nanoseconds == 7


async def test_reconciliation_of_known_and_unknown_tasks(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        agent_id = await agent.register()
        await framework.call(
            "RECONCILE",
            {
                "tasks": [
                    {"task_id": {"value": "a"}, "agent_id": {"value": agent_id}},
                    {"task_id": {"value": "b"}, "agent_id": {"value": "unheard-of"}},
                    {"task_id": {"value": "c"}},
                ]
            },
        )
        statuses = [await framework.status() for _ in range(3)]
        assert [s["state"] for s in statuses] == ["TASK_GONE", "TASK_UNKNOWN", "TASK_UNKNOWN"]
        assert [s.get("agent_id") for s in statuses] == [
            {"value": agent_id},
            {"value": "unheard-of"},
            None,
        ]


async def test_a_framework_without_partition_aware_gets_task_lost(master: str) -> None:
    only: Json = {"capabilities": [{"type": "MULTI_ROLE"}]}
    async with RawFramework(master, **only) as framework:
        await framework.call("RECONCILE", {"tasks": [{"task_id": {"value": "a"}}]})
        assert (await framework.status())["state"] == "TASK_LOST"


async def test_tasks_on_a_rescinded_offer_are_dropped(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        offer = await framework.offer()
        filters = {"refuse_seconds": 0}
        await framework.call("DECLINE", {"offer_ids": [offer["id"]], "filters": filters})
        await framework.accept(offer, launch(task("one")))
        status = await framework.status()
        assert (status["state"], status["reason"]) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")
        assert "uuid" not in status


async def test_a_large_task_is_sent_completely(master: str) -> None:
    data = bytes(range(256)) * 20_000
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        info = task("one", data=base64.b64encode(data).decode())
        assert (await framework.accept(await framework.offer(), launch(info)))[0] == 202
        run = await agent.next(internal.RunTaskMessage)
        assert run.task.data == data
        agent.send(agent.update(run, mesos.TASK_RUNNING, data=data))
        status = await framework.status()
        assert base64.b64decode(status["data"]) == data
        await framework.call("RECONCILE", {"tasks": []})
        assert "data" not in await framework.status()


async def test_limits_need_the_agent_capability(master: str) -> None:
    limits = {"cpus": {"value": 1.0}, "mem": {"value": 64}}
    old = tuple(c for c in SIMPLE if c != mesos.SlaveInfo.Capability.TASK_RESOURCE_LIMITS)
    async with FakeAgent(master, capabilities=old) as agent, RawFramework(master) as framework:
        await agent.register()
        await framework.accept(await framework.offer(), launch(task("one", limits=limits)))
        assert (await framework.status())["state"] == "TASK_ERROR"


async def test_limits_are_sent_to_an_agent_with_the_capability(master: str) -> None:
    limits = {"cpus": {"value": "Infinity"}, "mem": {"value": 64}}
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        low = task("low", limits={"mem": {"value": 1}})
        await framework.accept(await framework.offer(), launch(low, task("one", limits=limits)))
        assert (await framework.status())["state"] == "TASK_ERROR"
        run = await agent.next(internal.RunTaskMessage)
        assert run.task.limits["cpus"].value == float("inf")


async def test_update_framework_is_sent_to_the_agents(master: str) -> None:
    async with FakeAgent(master) as agent, RawFramework(master) as framework:
        await agent.register()
        info = {**framework._info, "id": framework.id, "name": "renamed"}
        status, _ = await framework.call("UPDATE_FRAMEWORK", {"framework_info": info})
        assert status == 200
        update = await agent.next(internal.UpdateFrameworkMessage)
        assert update.framework_info.name == "renamed"
        info["checkpoint"] = False
        status, text = await framework.call("UPDATE_FRAMEWORK", {"framework_info": info})
        assert (status, "checkpoint" in text) == (400, True)


@pytest.mark.parametrize(
    ("info", "word"),
    [
        ({"roles": ["/bad"]}, "role"),
        ({"roles": ["a", "a"]}, "a"),
        ({"roles": ["a"], "capabilities": []}, "roles"),
        ({"failover_timeout": 1e300}, "failover_timeout"),
        ({"id": {"value": "a/b"}}, ""),
    ],
)
async def test_an_invalid_framework_gets_an_error_event(master: str, info: Json, word: str) -> None:
    framework = RawFramework(master, **info)
    starting = asyncio.create_task(framework.__aenter__())
    try:
        assert word in (await framework.next("ERROR"))["message"]
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await framework.__aexit__()


_NESTED = (
    b'{"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "", "name": "", "x": '
    + b"[" * 600
    + b"]" * 600
    + b"}}}"
)
"""JSON that parses, but is nested too deep for a message."""


async def test_a_call_that_is_not_json_is_rejected(master: str) -> None:
    url = f"http://{master}/api/v1/scheduler"
    async with aiohttp.ClientSession() as session:
        for data, kind, status in (
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (_NESTED, "application/json", 400),
            (b"{}", "application/json", 400),
            (b"{}", "text/plain", 415),
        ):
            headers = {"Content-Type": kind}
            async with session.post(url, data=data, headers=headers) as response:
                assert response.status == status, data
        async with session.get(url) as response:
            assert response.status == 405


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ACCEPT", None),
        ("KILL", None),
        ("KILL", {}),
        ("ACKNOWLEDGE", {"agent_id": {"value": "a"}, "task_id": {"value": "b"}, "uuid": "AAAA"}),
    ],
)
async def test_an_incomplete_call_is_rejected(master: str, kind: str, body: Json | None) -> None:
    async with RawFramework(master) as framework:
        status, text = await framework.call(kind, body)
        assert status == 400
        assert text
