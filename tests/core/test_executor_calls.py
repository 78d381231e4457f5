"""Messages of custom executors: which senders count, and messages to and from frameworks."""

from __future__ import annotations

from typing import Any

import pytest

from shim.model import orders
from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from tests.core.executor_harness import V0, ExecutorShim, update_of
from tests.core.harness import MASTER, of, sent


def test_who_registers_twice_is_told_to_shut_down() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    for sender in (V0, Pid("executor(1)", "172.17.0.9", 40001)):
        shim.register_v0(sender)
        (order,) = of(orders.Send, shim.decision.orders)
        assert (order.to, type(order.message)) == (sender, m.ShutdownExecutorMessage)
    assert shim.custom().pid == V0


def test_an_unknown_executor_is_turned_away() -> None:
    shim = ExecutorShim()
    shim.register_v0(name="nobody")
    assert sent(m.ShutdownExecutorMessage, shim.decision.orders)
    shim.subscribe(stream=4, name="nobody")
    assert shim.events == ["SHUTDOWN"]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(4)]


def test_an_update_of_another_sender_is_ignored() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    shim.report_v0(update_of("t", TaskState.TASK_FAILED, 2), Pid("executor(1)", "172.17.0.9", 1))
    assert not of(orders.Send, shim.decision.orders)
    assert shim.core.ctx.counters["false_executors"] == 1


@pytest.mark.parametrize("known", [True, False], ids=["of another process", "of no executor"])
@pytest.mark.parametrize(
    "message",
    [
        m.StatusUpdateMessage(),
        m.ExecutorToFrameworkMessage(data=b"hi"),
        m.RegisterExecutorMessage(),
        m.ReregisterExecutorMessage(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_v0_message_of_another_process_has_an_effect(message: Any, *, known: bool) -> None:
    shim = ExecutorShim()
    shim.running_v0()
    said = type(message)()
    said.CopyFrom(message)
    inner = said
    if isinstance(said, m.StatusUpdateMessage):
        inner = said.update
        inner.uuid, inner.timestamp = update_of("t", TaskState.TASK_FAILED, 2).uuid, 1.0
        inner.status.CopyFrom(update_of("t", TaskState.TASK_FAILED, 2))
    elif isinstance(said, m.ExecutorToFrameworkMessage):
        said.slave_id.value = "S1"
    inner.framework_id.value, inner.executor_id.value = "F", "E" if known else "X"
    impostor = Pid("executor(1)", "172.17.0.9", 40001)
    decision = shim.receive(said, impostor)
    assert decision.records == []
    told = {(order.to, type(order.message)) for order in of(orders.Send, decision.orders)}
    assert told <= {(impostor, m.ShutdownExecutorMessage)}
    assert shim.custom().pid == V0
    assert shim.task().wire.state == TaskState.TASK_RUNNING


def test_a_message_of_100_mb_is_dropped_and_counted() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    message = m.ExecutorToFrameworkMessage(data=bytes(100_000_000))
    message.slave_id.value, message.framework_id.value = "S1", "F"
    message.executor_id.value = "E"
    shim.receive(message, V0)
    assert not of(orders.Send, shim.decision.orders)
    assert shim.core.ctx.counters["oversized_executor_messages"] == 1


def framework_message(data: bytes = b"ping") -> m.FrameworkToExecutorMessage:
    message = m.FrameworkToExecutorMessage(data=data)
    message.slave_id.value, message.framework_id.value = "S1", "F"
    message.executor_id.value = "E"
    return message


def test_framework_messages_go_both_ways_over_v1() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.receive(framework_message())
    (order,) = of(orders.SendExecutorEvent, shim.decision.orders)
    assert order.event.message.data == b"ping"
    shim.say(b"pong")
    (send,) = of(orders.Send, shim.decision.orders)
    assert send.to == MASTER
    assert isinstance(send.message, m.ExecutorToFrameworkMessage)
    assert (send.message.data, send.message.executor_id.value) == (b"pong", "E")
    assert shim.core.ctx.counters["valid_framework_messages"] == 2


def test_framework_messages_go_both_ways_over_v0() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    scheduler = Pid("scheduler-1", "10.0.0.7", 7000)
    shim.receive(framework_message(), scheduler)
    (order,) = of(orders.Send, shim.decision.orders)
    assert (order.to, order.message) == (V0, framework_message())
    moved = m.UpdateFrameworkMessage(pid=str(scheduler))
    moved.framework_id.value = "F"
    shim.receive(moved)
    reply = m.ExecutorToFrameworkMessage(data=b"pong")
    reply.slave_id.value, reply.framework_id.value, reply.executor_id.value = "S1", "F", "E"
    shim.receive(reply, V0)
    (order,) = of(orders.Send, shim.decision.orders)
    assert order.to == scheduler, "a v0 scheduler is sent it directly"


def test_a_framework_message_that_cannot_be_delivered_is_dropped_and_counted() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.receive(framework_message())
    shim.running_v1("u")
    shim.detect(None)
    shim.say(b"nobody hears")
    assert not of(orders.Send, shim.decision.orders)
    assert shim.core.ctx.counters["invalid_framework_messages"] == 2
