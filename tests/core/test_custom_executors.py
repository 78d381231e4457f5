"""Custom executors from launch to exit: what they, the master and the engine are told."""

from __future__ import annotations

from typing import Any

import pytest

from shim import limits
from shim.core.executor_ends import duration_text
from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.container import Phase
from shim.model.ids import ExecutorKey, Pid
from shim.model.records import AddUpdate, SaveTask
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import (
    V0,
    ExecutorShim,
    container_of,
    event_types,
    executor_info,
    inner_task,
    update_of,
)
from tests.core.harness import AGENT, MASTER, key_of, of, sent, statuses

Reason = TaskStatus.Reason


# --- launch ---------------------------------------------------------------------------------


def test_a_launch_orders_the_container_with_the_resources_of_executor_and_task() -> None:
    shim = ExecutorShim()
    shim.run_inside(inner_task(mem=64))
    order = shim.last(orders.LaunchExecutor)
    assert isinstance(order.ref.key, ExecutorKey)
    assert order.executor == executor_info()
    assert sum(r.scalar.value for r in order.resources if r.name == "mem") == 96
    assert key_of() in shim.disk.tasks
    assert list(shim.disk.executors) == [order.ref.container_id]


def test_the_create_is_allowed_once_it_is_durable_that_the_container_may_exist() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    decision = shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    assert of(orders.AllowCreate, decision.orders) == [orders.AllowCreate(ref)]
    assert decision.records


def test_tasks_are_handed_over_after_the_registration_in_order() -> None:
    shim = ExecutorShim()
    for name in ("a", "b"):
        shim.run_inside(name)
    shim.executor_started()
    assert shim.events == []
    shim.subscribe()
    # The container was made for the first task only.
    assert shim.events == ["SUBSCRIBED"]
    grown = shim.last(orders.UpdateContainer)
    assert [(r.name, r.scalar.value) for r in grown.resources] == [("cpus", 2.1), ("mem", 32.0)]
    shim.resized()
    assert shim.events == ["LAUNCH", "LAUNCH"]
    events = of(orders.SendExecutorEvent, shim.decision.orders)
    assert [e.event.launch.task.task_id.value for e in events] == ["a", "b"]
    assert len([r for r in shim.decision.records if isinstance(r, SaveTask)]) == 2


def test_a_v0_executor_gets_messages() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.register_v0()
    registered, run = [o.message for o in of(orders.Send, shim.decision.orders)]
    assert isinstance(registered, m.ExecutorRegisteredMessage)
    assert registered.slave_info.id.value == "S1"
    assert isinstance(run, m.RunTaskMessage)
    assert run.task.task_id.value == "t"
    assert {order.to for order in of(orders.Send, shim.decision.orders)} == {V0}


def test_a_registration_waits_for_the_sight_of_the_container() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.subscribe(stream=1)
    assert shim.decision.orders == []
    shim.subscribe(stream=2)
    assert event_types(shim.decision.orders) == ["SHUTDOWN"], "the last one counts"
    shim.executor_started()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]
    assert {order.stream for order in of(orders.SendExecutorEvent, shim.decision.orders)} == {2}


def test_a_further_task_of_a_running_executor_is_handed_over_at_once() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.run_inside("u", launch=False)
    assert shim.events == ["LAUNCH"], "the room of the first task is free"


def test_a_container_that_cannot_grow_ends_the_executor() -> None:
    shim = ExecutorShim()
    shim.framework("F", "aware")
    shim.running_v1()
    shim.run_inside("u", launch=False)
    assert shim.events == []
    shim.resized("no such container")
    assert of(orders.Stop, shim.decision.orders)
    shim.executor_exited(137)
    for status in statuses(shim.decision.orders):
        assert status.state == TaskState.TASK_GONE
        assert status.reason == Reason.REASON_CONTAINER_UPDATE_FAILED
        assert status.message == "Failed to update resources for container: no such container"
        assert status.source == TaskStatus.SOURCE_SLAVE


def test_on_triton_a_task_that_needs_more_is_refused_by_name() -> None:
    shim = ExecutorShim(fixed_size=True)
    shim.running_v1()
    shim.run_inside("u", launch=False)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert "ExecutorInfo.resources" in status.message
    assert "cpus:1.1;mem:32" in status.message
    assert shim.exits == []
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.run_inside("v", launch=False)
    assert shim.events == ["LAUNCH"]


def test_a_group_is_handed_over_whole_and_only_over_v1() -> None:
    shim = ExecutorShim()
    shim.run_group_inside("a", "b")
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH_GROUP"]
    other = ExecutorShim()
    other.run_group_inside("a", "b")
    other.executor_started()
    other.register_v0()
    assert [s.reason for s in other.statuses] == [Reason.REASON_TASK_GROUP_INVALID] * 2


# --- refusals -------------------------------------------------------------------------------


def test_an_executor_without_an_image_is_refused_in_words_that_say_why() -> None:
    shim = ExecutorShim()
    info = executor_info()
    info.ClearField("container")
    task = inner_task(executor=info)
    task.container.docker.image = "image"
    shim.run_inside(task, launch=True)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert "no container image" in status.message
    assert "TaskInfo.container is not the executor's" in status.message
    assert shim.exits == [-1]
    assert not shim.has_executor


@pytest.mark.parametrize("launch", [None, False])
def test_an_executor_info_that_differs_is_refused(launch: bool | None) -> None:
    shim = ExecutorShim()
    shim.running_v1()
    info = executor_info()
    info.command.value = "./other"
    shim.run_inside(inner_task("u", info), launch=launch)
    (status,) = shim.statuses
    assert "differs from the one that runs" in status.message
    assert shim.exits == []
    assert shim.custom().phase is ExecutorPhase.RUNNING


def test_an_executor_of_another_framework_is_refused() -> None:
    shim = ExecutorShim()
    shim.run_inside(inner_task("u", executor_info(framework="G")), launch=True)
    (status,) = shim.statuses
    assert "framework_id is 'G', not 'F'" in status.message


def test_launching_an_executor_that_exists_ends_it() -> None:
    shim = ExecutorShim()
    shim.framework("F", "aware")
    shim.running_v1()
    shim.run_inside("u", launch=True)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_DROPPED
    assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
    assert status.message == "Master wants to launch executor, but one already exists"
    assert shim.events == ["SHUTDOWN"]
    assert shim.exits == []
    shim.executor_exited()
    assert shim.exits == [0]


def test_a_task_for_an_executor_that_is_not_there_or_ends_is_dropped() -> None:
    shim = ExecutorShim()
    shim.run_inside("u", launch=False)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_LOST
    assert status.message == "No executor is expected to launch and there is none running"
    assert shim.exits == []
    shim.running_v1()
    shim.shutdown_executor()
    shim.run_inside("v", launch=False)
    (status,) = shim.statuses
    assert status.message == "Executor terminating"


def test_during_a_drain_nothing_is_launched_and_the_master_is_told() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.drain()
    assert shim.events == ["KILL"]
    other = inner_task("u", executor_info("other"))
    shim.run_inside(other, launch=True)
    (status,) = shim.statuses
    assert status.reason == Reason.REASON_SLAVE_DRAINING
    assert shim.exits == [-1]
    shim.report(update_of("t", TaskState.TASK_KILLED, 2))
    assert shim.statuses[0].reason == Reason.REASON_SLAVE_DRAINING
    assert shim.events == ["SHUTDOWN", "ACKNOWLEDGED"], "an unused executor holds no drain up"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "1mins"), (90, "1.5mins"), (2, "2secs"), (0.5, "500ms"), (7200, "2hrs"), (0, "0ms")],
)
def test_durations_are_written_as_by_mesos(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


# --- registration ---------------------------------------------------------------------------


def test_an_executor_that_never_registers_is_stopped_and_its_tasks_say_why() -> None:
    shim = ExecutorShim(executor_registration_timeout=60.0)
    shim.run_inside()
    shim.executor_started()
    given = shim.wait(60)
    (explain,) = of(orders.ExplainSilence, given)
    shim.handle(facts.SilenceExplained(explain.ref, "10.9.9.9:5051 is not reachable"))
    assert of(orders.Stop, shim.decision.orders)
    shim.executor_exited(137)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT
    assert status.message == (
        "Executor did not register within 1mins: 10.9.9.9:5051 is not reachable"
    )
    assert shim.exits == [9]


def test_without_an_explanation_the_executor_is_given_up_all_the_same() -> None:
    shim = ExecutorShim(executor_registration_timeout=30.0)
    shim.run_inside()
    shim.executor_started()
    given = shim.wait(30 + limits.EXECUTOR_SILENCE_TIMEOUT)
    assert of(orders.Stop, given)
    shim.executor_exited(None)
    assert shim.statuses[0].message == "Executor did not register within 30secs"
    assert shim.exits == [-1]


def test_an_executor_whose_tasks_were_killed_meanwhile_is_not_launched_to_the_end() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.kill()
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_KILLED
    assert status.reason == Reason.REASON_TASK_KILLED_DURING_LAUNCH
    assert status.message == "Killed before delivery to the executor"
    ref = shim.custom().ref
    assert of(orders.CancelLaunch, shim.decision.orders) == [orders.CancelLaunch(ref)]
    shim.handle(facts.LaunchCancelled(ref))
    assert shim.exits == [-1]
    shim.acknowledge_all()
    assert not shim.has_executor
    assert not shim.core.frameworks.table


def test_a_launch_that_starts_after_its_cancellation_is_stopped() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.kill()
    ref = shim.custom().ref
    shim.handle(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))
    assert [order.ref for order in of(orders.Stop, shim.decision.orders)] == [ref]


def test_a_kill_of_a_queued_task_ends_its_group() -> None:
    shim = ExecutorShim()
    shim.run_inside("single")
    shim.run_group_inside("a", "b", launch=False)
    shim.kill("a")
    text = "A task within the task group was killed before delivery to the executor"
    assert [(s.task_id.value, s.message) for s in shim.statuses] == [("a", text), ("b", text)]
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]


def test_a_failed_launch_ends_the_tasks() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    shim.handle(facts.LaunchFailed(ref, facts.Failure.PULL, "no such image"))
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert status.message == "Failed to launch container: no such image"
    assert status.source == TaskStatus.SOURCE_SLAVE
    assert status.executor_id.value == "E"
    assert shim.exits == [-1]
    assert [order.ref for order in of(orders.Remove, shim.decision.orders)] == [ref]


def test_who_registers_twice_is_told_to_shut_down() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    for sender in (V0, Pid("executor(1)", "172.17.0.9", 40001)):
        shim.register_v0(sender)
        (order,) = of(orders.Send, shim.decision.orders)
        assert (order.to, type(order.message)) == (sender, m.ShutdownExecutorMessage)
    assert shim.custom().pid == V0


def test_who_registers_from_another_address_is_not_the_executor() -> None:
    shim = ExecutorShim(engine_ip="10.9.9.9")
    shim.run_inside()
    shim.executor_started()
    false = Pid("executor(1)", "10.6.6.6", 40000)
    shim.register_v0(false)
    (order,) = of(orders.Send, shim.decision.orders)
    assert (order.to, type(order.message)) == (false, m.ShutdownExecutorMessage)
    assert shim.custom().phase is ExecutorPhase.REGISTERING
    shim.register_v0(Pid("executor(1)", "10.9.9.9", 40000))
    assert shim.custom().phase is ExecutorPhase.RUNNING, "it may advertise its host's address"


def test_an_unknown_executor_is_turned_away() -> None:
    shim = ExecutorShim()
    shim.register_v0(name="nobody")
    assert sent(m.ShutdownExecutorMessage, shim.decision.orders)
    shim.subscribe(stream=4, name="nobody")
    assert shim.events == ["SHUTDOWN"]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(4)]


def test_the_last_subscription_counts() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.subscribe(stream=2)
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(1)]
    assert shim.events == ["SUBSCRIBED"]
    shim.kill()
    assert [order.stream for order in of(orders.SendExecutorEvent, shim.decision.orders)] == [2]


def test_a_task_that_never_arrived_is_dropped_at_the_next_subscription() -> None:
    shim = ExecutorShim()
    shim.framework("F", "aware")
    shim.run_inside()
    shim.executor_started()
    shim.subscribe()
    shim.subscribe(stream=2, tasks=("t",))
    assert shim.statuses == []
    shim.subscribe(stream=3)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_DROPPED
    assert status.reason == Reason.REASON_SLAVE_RESTARTED
    assert status.message == "Task launched during agent restart"


# --- updates --------------------------------------------------------------------------------


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


def test_an_executor_that_dies_between_launch_and_running_fails_its_task() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]
    shim.executor_exited(137)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
    assert status.message.startswith("Executor terminated")
    assert shim.exits == [9]


def test_an_executor_cannot_speak_for_the_task_of_another_one() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside(inner_task("u", executor_info("other")))
    shim.executor_started("other")
    shim.subscribe(stream=9, name="other")
    shim.report(update_of("t", TaskState.TASK_FAILED, 2), name="other")
    assert shim.events == []
    assert shim.task("t").wire.state == TaskState.TASK_RUNNING


def test_a_message_of_100_mb_is_dropped_and_counted() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    message = m.ExecutorToFrameworkMessage(data=bytes(100_000_000))
    message.slave_id.value, message.framework_id.value = "S1", "F"
    message.executor_id.value = "E"
    shim.receive(message, V0)
    assert not of(orders.Send, shim.decision.orders)
    assert shim.core.ctx.counters["oversized_executor_messages"] == 1


# --- kills ----------------------------------------------------------------------------------


def test_a_kill_of_a_delivered_task_is_passed_on_with_its_policy() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.kill(grace=3.0)
    (order,) = of(orders.SendExecutorEvent, shim.decision.orders)
    assert order.event.type == Event.KILL
    assert order.event.kill.kill_policy.grace_period.nanoseconds == 3_000_000_000
    assert shim.statuses == [], "the executor answers"
    shim.kill()
    assert shim.events == ["KILL"], "a repeated kill is passed on again"
    shim.report(update_of("t", TaskState.TASK_KILLED, 2))
    assert shim.pending_states() == ["TASK_KILLED"]
    assert shim.custom().phase is ExecutorPhase.RUNNING


# --- framework messages ---------------------------------------------------------------------


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


# --- ends -----------------------------------------------------------------------------------


def test_an_exit_ends_the_tasks_and_is_told_to_the_master() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside("queued", launch=False)
    ref = shim.custom().ref
    shim.executor_exited(3)
    assert [s.task_id.value for s in shim.statuses] == ["t", "queued"]
    for status in shim.statuses:
        assert status.state == TaskState.TASK_FAILED
        assert status.reason == Reason.REASON_EXECUTOR_TERMINATED
        assert status.message == "Executor terminated; Container exited with status 3"
        assert status.source == TaskStatus.SOURCE_SLAVE
    assert shim.exits == [3 << 8]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(1)]
    assert [order.ref for order in of(orders.Remove, shim.decision.orders)] == [ref]
    assert shim.custom().phase is ExecutorPhase.TERMINATED
    shim.acknowledge_all("t")
    assert shim.has_executor, "until the last update is acknowledged"
    shim.acknowledge_all("queued")
    assert not shim.has_executor
    assert not shim.disk.executors
    assert not shim.core.frameworks.table


def test_an_executor_without_tasks_that_exits_is_forgotten_at_once() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.acknowledge_all()
    assert shim.has_executor
    assert "F" in shim.core.frameworks.table
    shim.executor_exited(0)
    assert shim.exits == [0]
    assert not shim.disk.executors
    assert not shim.disk.frameworks


def test_the_memory_limit_is_named() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.executor_exited(137, oom_killed=True)
    (status,) = shim.statuses
    assert status.reason == Reason.REASON_CONTAINER_LIMITATION_MEMORY
    assert "cpus:1.1;mem:32" in status.message


def test_a_shutdown_is_passed_on_and_enforced_after_the_grace_period() -> None:
    shim = ExecutorShim(shutdown_grace=5.0)
    shim.running_v1()
    shim.shutdown_executor()
    assert shim.events == ["SHUTDOWN"]
    assert not of(orders.Stop, shim.decision.orders)
    assert not of(orders.Stop, shim.wait(4.9))
    assert of(orders.Stop, shim.wait(0.2)), "it ignores the shutdown"
    shim.subscribe(stream=2)
    assert shim.events == ["SHUTDOWN"]
    assert of(orders.EndStream, shim.decision.orders) == [orders.EndStream(2)]
    shim.executor_exited(137)
    assert shim.statuses[0].state == TaskState.TASK_FAILED


def test_an_executor_may_have_its_own_grace_period() -> None:
    shim = ExecutorShim()
    info = executor_info()
    info.shutdown_grace_period.nanoseconds = 60_000_000_000
    shim.run_inside(inner_task(executor=info))
    shim.executor_started()
    shim.subscribe()
    shim.shutdown_executor()
    assert not of(orders.Stop, shim.wait(59))
    assert of(orders.Stop, shim.wait(2))


def test_a_removed_framework_takes_its_executors_along_without_updates() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside("queued", launch=False)
    shim.shutdown_framework()
    assert shim.statuses == []
    assert shim.events == ["SHUTDOWN"]
    assert not shim.disk.tasks
    shim.executor_exited(0)
    assert shim.statuses == []
    assert not shim.has_executor
    assert not shim.disk.frameworks


def test_the_end_of_the_agent_ends_executors() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", TaskState.TASK_FINISHED, 2))
    shim.acknowledge_all()
    ref = shim.custom().ref
    shim.handle(facts.LeaveRequested())
    assert shim.events == ["SHUTDOWN"]
    shim.executor_exited(0)
    shim.removed(ref)
    assert of(orders.Exit, shim.decision.orders)


# --- restart of the agent -------------------------------------------------------------------


def test_a_v1_executor_that_comes_back_keeps_its_tasks() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert of(orders.Watch, given) == [orders.Watch(ref)]
    assert not of(orders.LaunchExecutor, given)
    shim.register()
    shim.subscribe(stream=1)
    assert shim.events == ["SUBSCRIBED"]
    shim.wait(3600)
    assert shim.custom().phase is ExecutorPhase.RUNNING
    assert shim.task().wire.state == TaskState.TASK_RUNNING


def test_a_v0_executor_is_asked_to_register_again_until_it_does() -> None:
    shim = ExecutorShim()
    shim.running_v0()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    (send,) = [o for o in of(orders.Send, given) if o.to == V0]
    assert isinstance(send.message, m.ReconnectExecutorMessage)
    assert len(sent(m.ReconnectExecutorMessage, shim.wait(2.5))) == 2
    shim.reregister_v0()
    assert sent(m.ExecutorReregisteredMessage, shim.decision.orders)
    shim.reregister_v0()
    assert not of(orders.Send, shim.decision.orders), "the answer to a repeated request"
    assert not sent(m.ReconnectExecutorMessage, shim.wait(60))


def test_an_executor_that_does_not_come_back_is_given_up() -> None:
    shim = ExecutorShim(executor_reregistration_timeout=2.0)
    shim.framework("F", "aware")
    shim.running_v0()
    ref = shim.custom().ref
    shim.restart(container_of(ref, Phase.RUNNING))
    assert of(orders.Stop, shim.wait(2.5))
    shim.register()
    shim.executor_exited(137)
    (status,) = shim.statuses
    assert status.state == TaskState.TASK_GONE
    assert status.reason == Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
    assert status.message == "Executor did not reregister within 2secs"


def test_a_task_delivered_before_the_crash_is_dropped_if_the_executor_never_got_it() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.register_v0()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.reregister_v0(tasks=("t",))
    assert shim.pending_states() == []
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.reregister_v0()
    assert shim.pending_states() == ["TASK_LOST"]


def test_a_kill_while_the_executor_is_away_is_passed_on_when_it_is_back() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.register()
    shim.kill()
    assert shim.events == []
    shim.subscribe(stream=1)
    assert shim.events == ["SUBSCRIBED", "KILL"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_launch_is_repeated_only_if_its_create_was_not_allowed(allowed: bool) -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    if allowed:
        shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    given = shim.restart().orders
    if allowed:
        assert shim.pending_states() == ["TASK_LOST"]
        assert shim.last_status().message == "Task launched during agent restart"
    else:
        assert [order.ref for order in of(orders.LaunchExecutor, given)] == [ref]


def test_a_container_that_started_during_the_restart_is_adopted() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    ref = shim.custom().ref
    shim.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    shim.restart(container_of(ref, Phase.RUNNING))
    shim.subscribe()
    assert shim.events == ["SUBSCRIBED", "LAUNCH"]


def test_an_executor_that_ended_during_the_restart_is_concluded() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.EXITED, 4))
    assert shim.last_status().message == "Executor terminated; Container exited with status 4"
    shim.register()
    shim.acknowledge_all()
    shim.running_v1("u")
    shim.restart()
    assert "removed by somebody else" in shim.last_status("u").message


def test_an_executor_under_shutdown_is_stopped_at_once_after_a_restart() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.shutdown_executor()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert [order.ref for order in of(orders.Stop, given)] == [ref]


def test_re_registration_lists_live_executors_and_their_tasks() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert [e.executor_id.value for e in request.executor_infos] == ["E"]
    assert request.executor_infos[0].framework_id.value == "F"
    assert request.tasks[0].executor_id.value == "E"
    shim.answer_registration()
    shim.executor_exited(0)
    shim.restart()
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert not request.executor_infos
    assert [task.state for task in request.tasks] == [TaskState.TASK_FAILED]
    assert len(request.frameworks) == 1


def test_a_framework_without_checkpoint_loses_its_executors() -> None:
    shim = ExecutorShim()
    shim.framework("F", checkpoint=False)
    shim.running_v1()
    ref = shim.custom().ref
    given = shim.restart(container_of(ref, Phase.RUNNING)).orders
    assert [order.ref for order in of(orders.Stop, given)] == [ref]
    assert not shim.disk.tasks


def test_facts_of_an_earlier_container_are_ignored() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    old = shim.custom().ref
    shim.executor_exited(0)
    shim.acknowledge_all()
    shim.run_inside("again")
    shim.handle(facts.ContainerExited(old, 1))
    assert shim.custom().phase is ExecutorPhase.REGISTERING
    assert shim.core.ctx.counters["late_facts"] == 1
