"""Status updates of custom executors: stored, forwarded, acknowledged; or ignored."""

from __future__ import annotations

import pytest

from shim.model import orders
from shim.model.records import AddUpdate
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import ExecutorShim, executor_info, inner_task, update_of
from tests.core.harness import AGENT, key_of, of, sent


def test_an_update_is_stored_forwarded_and_then_acknowledged_to_the_executor() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.subscribe()
    shim.report(update_of("t", TaskState.TASK_RUNNING, message="hello"))
    (record,) = [r for r in shim.decision.records if isinstance(r, AddUpdate)]
    (status,) = shim.statuses
    assert record.uuid == status.uuid == update_of("t", TaskState.TASK_RUNNING).uuid
    assert status.message == "hello"
    assert status.source == TaskStatus.SOURCE_EXECUTOR
    assert status.executor_id.value == "E"
    assert status.slave_id.value == "S1"
    container_id = status.container_status.container_id.value
    assert container_id == shim.custom().ref.container_id
    (network,) = status.container_status.network_infos
    assert network.ip_addresses[0].ip_address == "172.17.0.9"
    assert shim.events == ["ACKNOWLEDGED"]
    (update,) = sent(m.StatusUpdateMessage, shim.decision.orders)
    assert update.pid == str(AGENT)
    assert update.update.executor_id.value == "E"


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_no_time_is_replaced(timestamp: float) -> None:
    """JSON has no word for it, and pages show it."""
    shim = ExecutorShim()
    shim.running_v1()
    status = update_of("t", TaskState.TASK_FINISHED, 2)
    status.timestamp = timestamp
    shim.report(status)
    (update,) = sent(m.StatusUpdateMessage, shim.decision.orders)
    assert update.update.timestamp == update.update.status.timestamp == shim.now.wall


def test_a_v0_update_is_acknowledged_with_its_uuid() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    shim.report_v0(update_of("t", TaskState.TASK_FINISHED, 2))
    (message,) = sent(m.StatusUpdateAcknowledgementMessage, shim.decision.orders)
    assert message.uuid == update_of("t", TaskState.TASK_FINISHED, 2).uuid
    assert shim.pending_states() == ["TASK_FINISHED"]


def test_a_repeated_update_is_acknowledged_again_and_stored_once() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    status = update_of("t", TaskState.TASK_RUNNING)
    shim.report(status)
    assert shim.events == ["ACKNOWLEDGED"]
    assert shim.decision.records == []
    shim.subscribe(stream=2, updates=(status, update_of("t", TaskState.TASK_FINISHED, 2)))
    assert shim.events == ["SUBSCRIBED", "ACKNOWLEDGED", "ACKNOWLEDGED"]
    assert shim.pending_states() == ["TASK_FINISHED"]


def test_an_update_of_an_ended_task_is_acknowledged_and_forgotten() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.report(update_of("t", TaskState.TASK_FAILED, 3))
    assert shim.events == ["ACKNOWLEDGED"]
    shim.acknowledge_all()
    shim.report(update_of("t", TaskState.TASK_FAILED, 4))
    assert shim.events == ["ACKNOWLEDGED"]
    assert not shim.disk.updates.get(key_of())


@pytest.mark.parametrize(
    "state", [TaskState.TASK_STAGING, TaskState.TASK_UNREACHABLE, TaskState.TASK_UNKNOWN]
)
def test_a_state_that_only_masters_set_ends_the_executor(state: TaskState.ValueType) -> None:
    shim = ExecutorShim()
    shim.running_v0()
    shim.report_v0(update_of("t", state, 2))
    assert sent(m.ShutdownExecutorMessage, shim.decision.orders)
    assert not sent(m.StatusUpdateAcknowledgementMessage, shim.decision.orders)
    assert shim.core.ctx.counters["invalid_status_updates"] == 1
    assert not shim.disk.updates.get(key_of())


def test_updates_that_are_not_valid_are_neither_stored_nor_acknowledged() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    without_uuid = update_of("t", TaskState.TASK_FAILED)
    without_uuid.ClearField("uuid")
    short = update_of("t", TaskState.TASK_FAILED)
    short.uuid = b"short"
    elsewhere = update_of("t", TaskState.TASK_FAILED)
    elsewhere.slave_id.value = "S2"
    for number, status in enumerate((without_uuid, short, elsewhere), 1):
        shim.report_v0(status)
        assert not of(orders.Send, shim.decision.orders)
        assert shim.core.ctx.counters["invalid_status_updates"] == number
    assert shim.task().wire.state == TaskState.TASK_RUNNING


def test_an_executor_cannot_speak_for_the_task_of_another_one() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside(inner_task("u", executor_info("other")))
    shim.executor_started("other")
    shim.subscribe(stream=9, name="other")
    shim.report(update_of("t", TaskState.TASK_FAILED, 2), name="other")
    assert shim.events == []
    assert shim.task("t").wire.state == TaskState.TASK_RUNNING
