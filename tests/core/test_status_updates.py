"""Delivery of status updates: one by one, unchanged, until the acknowledgement."""

from __future__ import annotations

import pytest

from shim import limits
from shim.model import facts
from shim.model.orders import Send
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from tests.core.harness import AGENT_ID, MASTER, Shim, key_of, of, running, sent


def updates(shim: Shim, seconds: float) -> list[tuple[float, bytes]]:
    """When which update was sent again."""
    times: list[tuple[float, bytes]] = []
    end = shim.time + seconds
    while (deadline := shim.core.deadline()) is not None and deadline <= end:
        again = sent(m.StatusUpdateMessage, shim.wait(deadline - shim.time))
        times += [(shim.time, message.SerializeToString()) for message in again]
    shim.time = end
    return times


def with_one_update() -> Shim:
    shim = Shim()
    shim.run()
    shim.creating()
    return shim


def test_the_head_is_sent_again_unchanged_at_doubling_intervals() -> None:
    shim = with_one_update()
    first = shim.last(Send).message.SerializeToString()
    began = shim.time
    again: list[tuple[float, bytes]] = []
    for _ in range(170):
        shim.ping()
        again += updates(shim, 15.0)
    times = [round(at - began) for at, _ in again]
    assert times == [10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
    assert {value for _, value in again} == {first}
    assert limits.UPDATE_RETRY_MAX == 600.0


def test_an_acknowledgement_sends_the_next_update() -> None:
    shim = with_one_update()
    shim.started()
    assert not shim.statuses, "TASK_RUNNING waits behind TASK_STARTING"
    shim.acknowledge()
    assert [status.state for status in shim.statuses] == [1]
    began = shim.time
    assert updates(shim, 10.0)[0][0] - began == 10.0, "with a fresh interval"


@pytest.mark.parametrize("uuid", [b"", b"x" * 16, b"\0" * 16])
def test_an_acknowledgement_of_another_uuid_changes_nothing(uuid: bytes) -> None:
    shim = with_one_update()
    shim.acknowledge(uuid=uuid)
    assert not shim.decision.records
    assert shim.pending_states() == ["TASK_STARTING"]


def test_an_acknowledgement_of_a_later_update_changes_nothing() -> None:
    shim = with_one_update()
    shim.started()
    _, second = shim.disk.updates[key_of()]
    shim.acknowledge(uuid=second)
    assert not shim.decision.records
    assert shim.pending_states() == ["TASK_STARTING", "TASK_RUNNING"]


def test_the_same_uuid_of_another_task_or_framework_changes_nothing() -> None:
    shim = with_one_update()
    shim.run("u")
    (uuid,) = shim.disk.updates[key_of()]
    shim.acknowledge("u", uuid=uuid)
    assert not shim.decision.records
    shim.acknowledge("t", "G", uuid=uuid)
    assert not shim.decision.records
    assert shim.pending_states() == ["TASK_STARTING"]


def test_a_second_acknowledgement_is_ignored() -> None:
    shim = with_one_update()
    (uuid,) = shim.disk.updates[key_of()]
    shim.acknowledge()
    shim.acknowledge(uuid=uuid)
    assert not shim.decision.records
    assert shim.core.ctx.counters["acknowledgements_ignored"] == 1


def test_heads_wait_for_the_registration_and_are_then_sent_at_once() -> None:
    shim = with_one_update()
    shim.run("u")
    shim.creating("u")
    shim.detect(None)
    shim.started()
    assert not of(Send, shim.wait(1000.0))
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert [status.task_id.value for status in shim.statuses] == ["t", "u"]
    assert [status.state for status in shim.statuses] == [0, 0], "heads only"


def test_nothing_is_sent_to_a_new_master_before_the_registration() -> None:
    shim = with_one_update()
    shim.run("u")
    shim.ping(connected=False)
    shim.creating("u")
    assert not of(Send, shim.decision.orders)
    assert not sent(m.StatusUpdateMessage, shim.wait(100.0))


def test_an_acknowledgement_while_not_registered_is_ignored() -> None:
    shim = with_one_update()
    shim.ping(connected=False)
    shim.acknowledge()
    assert not shim.decision.records


def test_heads_are_sent_at_once_when_a_framework_comes_back() -> None:
    shim = with_one_update()
    shim.run("u", "G")
    shim.handle(facts.LaunchAdvanced(shim.ref("u", "G"), facts.Stage.CREATING))
    shim.wait(35.0)
    message = m.UpdateFrameworkMessage(pid="@1.2.3.4:5")
    message.framework_id.value = "F"
    began = shim.time
    shim.receive(message)
    assert [status.task_id.value for status in shim.statuses] == ["t"]
    again = [at - began for at, value in updates(shim, 10.0) if b"F" in value]
    assert again[-1] == 10.0


def test_a_restart_sends_the_same_bytes() -> None:
    shim = with_one_update()
    shim.started()
    first, second = shim.disk.updates[key_of()].values()
    shim.restart(running(shim.ref()))
    shim.register()
    (again,) = sent(m.StatusUpdateMessage, shim.decision.orders)
    assert again.SerializeToString() == first
    shim.acknowledge()
    assert shim.last(Send).message.SerializeToString() == second


def test_latest_state_announces_the_end_early() -> None:
    """So that it frees the resources, though the framework acknowledges nothing."""
    shim = with_one_update()
    shim.started()
    shim.exited(code=3)
    assert not shim.statuses
    (_, value), *_ = updates(shim, 10.0)
    update = m.StatusUpdateMessage.FromString(value).update
    assert update.status.state == TaskState.TASK_STARTING
    assert update.latest_state == TaskState.TASK_FAILED
    shim.acknowledge()
    message = shim.last(Send).message
    assert isinstance(message, m.StatusUpdateMessage)
    update = message.update
    assert (update.status.state, update.latest_state) == (
        TaskState.TASK_RUNNING,
        TaskState.TASK_FAILED,
    )


def test_an_update_has_all_required_fields() -> None:
    shim = with_one_update()
    order = shim.last(Send)
    assert order.to == MASTER
    message = order.message
    assert isinstance(message, m.StatusUpdateMessage)
    assert message.pid == "slave(1)@10.9.9.9:5051"
    update = message.update
    assert (update.framework_id.value, update.executor_id.value) == ("F", "t")
    assert update.slave_id.value == update.status.slave_id.value == AGENT_ID
    assert len(update.uuid) == 16
    assert update.uuid == update.status.uuid
    assert update.timestamp == update.status.timestamp == shim.now.wall
    assert update.latest_state == update.status.state


def test_a_dropped_stream_is_not_sent_again() -> None:
    shim = with_one_update()
    shim.shutdown_framework()
    assert not shim.disk.updates
    assert not updates(shim, 70.0)


def test_an_unacknowledged_rejection_expires() -> None:
    shim = Shim()
    shim.running_task()
    shim.kill("unknown")
    assert shim.pending_states("unknown") == ["TASK_LOST"]
    shim.time += limits.REJECTION_AGE
    shim.wait(700.0)
    assert shim.pending_states("unknown") == []
    assert key_of() in shim.disk.tasks
    shim.register()
    shim.exited()
    shim.acknowledge_all()
    assert not shim.disk.frameworks


def test_an_accepted_tasks_terminal_update_never_expires() -> None:
    shim = Shim()
    shim.running_task()
    shim.exited()
    shim.time += 2 * limits.REJECTION_AGE
    shim.wait(700.0)
    assert shim.pending_states() == ["TASK_FINISHED"]
