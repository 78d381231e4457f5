"""Registrations of custom executors: who may register, and what follows when none comes."""

from __future__ import annotations

import pytest

from shim import limits
from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from tests.core.executor_harness import V0, ExecutorShim, event_types
from tests.core.harness import of

Reason = TaskStatus.Reason
_SHUTDOWN = m.ShutdownExecutorMessage


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


def test_the_address_decides_who_of_those_that_registered_early_is_the_executor() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    early, late = (Pid("executor(1)", ip, 40000) for ip in ("10.6.6.6", "10.6.6.7"))
    for sender in (early, V0, V0, late):
        shim.register_v0(sender)
        assert shim.decision.orders == [], "nobody is turned away before the address is known"
    shim.executor_started()
    assert shim.custom().pid == V0
    away = [o.to for o in of(orders.Send, shim.decision.orders) if isinstance(o.message, _SHUTDOWN)]
    assert away == [early, late]
    assert shim.custom().waiting == {}


def test_of_one_address_the_first_is_the_executor() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    other = Pid("executor(1)", V0.ip, V0.port + 1)
    shim.register_v0()
    shim.register_v0(other)
    assert [order.to for order in of(orders.Send, shim.decision.orders)] == [other]
    shim.executor_started()
    assert shim.custom().pid == V0


def test_registrations_that_wait_are_bounded() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.register_v0()
    for number in range(2 * limits.EXECUTOR_CONTACTS):
        shim.register_v0(Pid("executor(1)", f"10.6.6.{number}", 40000))
    assert len(shim.custom().waiting) == limits.EXECUTOR_CONTACTS
    assert of(orders.Send, shim.decision.orders), "the last one is turned away at once"
    shim.executor_started()
    assert shim.custom().pid == V0


@pytest.mark.parametrize("started", [False, True], ids=["early", "late"])
def test_nobody_subscribes_without_a_token_as_an_executor_that_has_shown_it(started: bool) -> None:
    shim = ExecutorShim()
    shim.run_inside()
    if started:
        shim.executor_started()
    shim.subscribe(stream=1, authenticated=True)
    shim.subscribe(stream=2)
    assert event_types(shim.decision.orders) == ["SHUTDOWN"]
    assert {order.stream for order in of(orders.SendExecutorEvent, shim.decision.orders)} == {2}
    if not started:
        shim.executor_started()
    assert shim.custom().stream == 1


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
