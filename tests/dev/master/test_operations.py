"""Offer operations of frameworks: checked, applied, reported, reconciled.

With MESOS_MASTER_BIN set every test also runs against a real master.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.dev.master.fake_agent import STOCK, FakeAgent
from tests.dev.master.raw_framework import RawFramework
from tests.e2e.client import Json, task
from tests.e2e.volumes import create, destroy, disk, launch, reserve, unreserve, volume

CAPABILITIES = [{"type": "MULTI_ROLE"}, {"type": "SHARED_RESOURCES"}]
SHARED: Json = {"shared": {}}
FEEDBACK = mesos.SlaveInfo.Capability.AGENT_OPERATION_FEEDBACK
UUID = b"012345\x4089abcdefg"[:16]


class Agent(FakeAgent):
    """A stock agent with a disk, which reports its operations after its registration."""

    def __init__(self, master: str) -> None:
        super().__init__(master, capabilities=(*STOCK, FEEDBACK))

    async def __aenter__(self) -> Agent:
        await super().__aenter__()
        return self

    def report_operations(self, *operations: mesos.Operation) -> None:
        message = internal.UpdateSlaveMessage(
            slave_id=self.info.id, update_oversubscribed_resources=False
        )
        message.resource_version_uuid.value = self.resource_version
        message.operations.operations.extend(operations)
        message.operations.SetInParent()
        message.resource_providers.SetInParent()
        self.send(message)

    async def applied(self) -> internal.ApplyOperationMessage:
        return await self.next(internal.ApplyOperationMessage)

    def finished(self, apply: internal.ApplyOperationMessage, uuid: bytes) -> None:
        message = internal.UpdateOperationStatusMessage(slave_id=self.info.id)
        message.framework_id.CopyFrom(apply.framework_id)
        message.operation_uuid.CopyFrom(apply.operation_uuid)
        message.status.state = mesos.OPERATION_FINISHED
        message.status.uuid.value = uuid
        if apply.operation_info.HasField("id"):
            message.status.operation_id.CopyFrom(apply.operation_info.id)
        message.latest_status.CopyFrom(message.status)
        self.send(message)


def framework(master: str, **info: Any) -> RawFramework:
    return RawFramework(master, roles=["db"], capabilities=CAPABILITIES, principal="ops", **info)


def allocated(*resources: Json) -> list[Json]:
    return [{**resource, "allocation_info": {"role": "db"}} for resource in resources]


async def status_of(scheduler: RawFramework) -> Json:
    status: Json = (await scheduler.next("UPDATE_OPERATION_STATUS"))["status"]
    return status


async def test_an_operation_with_an_id_is_reported_to_its_framework(master: str) -> None:
    async with Agent(master) as agent, framework(master) as scheduler:
        await agent.register()
        operation = reserve(*allocated(disk(100)), id={"value": "one"})
        assert (await scheduler.accept(await scheduler.offer(), operation))[0] == 202
        apply = await agent.applied()
        assert apply.framework_id.value == scheduler.id["value"]
        agent.finished(apply, UUID)
        status = await status_of(scheduler)
        assert (status["state"], status["operation_id"]["value"]) == ("OPERATION_FINISHED", "one")
        body = {
            "agent_id": {"value": agent.info.id.value},
            "operation_id": {"value": "one"},
            "uuid": base64.b64encode(UUID).decode(),
        }
        assert (await scheduler.call("ACKNOWLEDGE_OPERATION_STATUS", body))[0] == 202
        acknowledged = await agent.next(internal.AcknowledgeOperationStatusMessage)
        assert acknowledged.status_uuid.value == UUID
        assert acknowledged.operation_uuid == apply.operation_uuid


BAD = [
    reserve(*allocated({**disk(10), "reservations": [{"type": "DYNAMIC", "role": "other"}]})),
    reserve(*allocated(disk(100_000))),
    create(*allocated(volume("v", 10))),
    unreserve(*allocated(disk(10))),
    destroy(*allocated(volume("v", 10))),
]


@pytest.mark.parametrize("operation", BAD, ids=lambda operation: operation["type"])
async def test_an_invalid_operation_is_in_error_and_never_sent(
    master: str, operation: Json
) -> None:
    async with Agent(master) as agent, framework(master) as scheduler:
        await agent.register()
        named = {**operation, "id": {"value": "bad"}}
        assert (await scheduler.accept(await scheduler.offer(), named))[0] == 202
        assert (await status_of(scheduler))["state"] == "OPERATION_ERROR"
        assert not agent.unread


async def test_volumes_in_use_are_not_destroyed_and_shared_ones_are_used_at_once(
    master: str,
) -> None:
    async with Agent(master) as agent, framework(master) as scheduler:
        await agent.register()
        shared = allocated(volume("s", 100, **SHARED))
        tasks = [task("a"), task("b")]
        for info in tasks:
            info["resources"] += shared
        operations = [reserve(*allocated(disk(100))), create(*shared), launch(*tasks)]
        assert (await scheduler.accept(await scheduler.offer(), *operations))[0] == 202
        for _ in range(2):
            await agent.applied()
        runs = [await agent.next(internal.RunTaskMessage) for _ in tasks]
        assert all(run.task.resources[-1].HasField("shared") for run in runs)
        offer = await scheduler.offer()
        assert any("shared" in resource for resource in offer["resources"]), offer
        attempt = destroy(*shared, id={"value": "early"})
        assert (await scheduler.accept(offer, attempt))[0] == 202
        status = await status_of(scheduler)
        assert status["state"] == "OPERATION_ERROR"
        assert "in use" in status["message"]


async def test_an_operation_that_the_agent_does_not_report_is_asked_about(master: str) -> None:
    async with Agent(master) as agent, framework(master) as scheduler:
        await agent.register()
        operation = reserve(*allocated(disk(100)), id={"value": "lost"})
        await scheduler.accept(await scheduler.offer(), operation)
        apply = await agent.applied()
        agent.report_operations()
        (asked,) = (await agent.next(internal.ReconcileOperationsMessage)).operations
        assert asked.operation_uuid == apply.operation_uuid
        answer = internal.UpdateOperationStatusMessage(slave_id=agent.info.id)
        answer.operation_uuid.CopyFrom(apply.operation_uuid)
        answer.status.state = mesos.OPERATION_DROPPED
        agent.send(answer)
        status = await status_of(scheduler)
        assert (status["state"], status["operation_id"]["value"]) == ("OPERATION_DROPPED", "lost")
        ask = {"operations": [{"operation_id": {"value": "lost"}}]}
        assert (await scheduler.call("RECONCILE_OPERATIONS", ask))[0] in (200, 202)
        assert (await status_of(scheduler))["state"] == "OPERATION_UNKNOWN"
