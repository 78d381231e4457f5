"""Tasks: records, time limits, health, late facts, history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shim import limits
from shim.core.context import Decision
from shim.core.task import Task
from shim.core.timers import TaskExpiry
from shim.model import facts
from shim.model.container import ContainerPort, Phase, Ref
from shim.model.ids import AgentId, ContainerId
from shim.model.orders import (
    CancelLaunch,
    Publish,
    Remove,
    StartChecks,
    Stop,
    StopChecks,
    Watch,
)
from shim.protos.mesos_pb2 import CheckInfo, CheckStatusInfo, HealthCheck, TaskInfo, TaskState
from tests.core.harness import Shim, container, key_of, of, running, task_info


def limited(seconds: float) -> TaskInfo:
    info = task_info()
    info.max_completion_time.nanoseconds = int(seconds * 1e9)
    return info


def task_with_both_checks() -> TaskInfo:
    info = task_info()
    info.health_check.type = HealthCheck.COMMAND
    info.check.type = CheckInfo.COMMAND
    return info


# --- records come with what they justify --------------------------------------------------------


def test_every_change_of_a_task_is_recorded_with_its_update() -> None:
    shim = Shim()
    shim.run()
    for step in (shim.creating, shim.started, shim.exited):
        kinds = [type(record).__name__ for record in step().records]
        assert kinds[:2] == ["SaveTask", "AddUpdate"]
        shim.acknowledge_all()


def test_a_removal_is_pending_until_the_container_is_gone() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.exited()
    assert shim.last(Remove) == Remove(ref, 0.0)
    shim.acknowledge_all()
    assert not shim.disk.tasks
    shim.restart()
    assert shim.last(Remove) == Remove(ref, 0.0)
    shim.removed(ref)
    assert not shim.core.tasks.pending_removals
    shim.restart()
    assert not of(Remove, shim.decision.orders)


def test_a_removal_may_be_delayed() -> None:
    shim = Shim(remove_delay=3600.0)
    shim.running_task()
    shim.exited()
    assert shim.last(Remove).delay == 3600.0


def test_a_pending_removal_of_a_task_with_an_unusual_id() -> None:
    shim = Shim()
    info = task_info("a\nb")
    ref = shim.running_task(info)
    shim.handle(facts.ContainerExited(ref, 0))
    shim.restart()
    assert shim.last(Remove).ref == ref


# --- time limits --------------------------------------------------------------------------------


def test_an_expired_task_is_stopped_without_grace() -> None:
    shim = Shim()
    shim.framework("F", "killing")
    shim.running_task(limited(5.0))
    assert not of(Stop, shim.wait(4.9))
    (stop,) = of(Stop, shim.wait(0.1))
    assert stop.grace == 0.0
    assert shim.pending_states() == [], "no TASK_KILLING"


def test_max_completion_time_counts_from_the_launch() -> None:
    shim = Shim()
    shim.run(limited(5.0))
    assert of(CancelLaunch, shim.wait(5.0))


@pytest.mark.parametrize("seen", [Phase.RUNNING, Phase.CREATED, None])
def test_max_completion_time_goes_on_over_a_restart(seen: Phase | None) -> None:
    shim = Shim()
    shim.run(limited(60.0))
    ref = shim.ref()
    shim.wait(20.0)
    shim.restart(*([container(ref, seen)] if seen else []))
    early, late = shim.wait(39.9), shim.wait(0.2)
    assert not of(Stop, early)
    assert not of(CancelLaunch, early)
    assert any(isinstance(order, Stop | CancelLaunch) for order in late)


def test_max_completion_time_may_end_during_a_restart() -> None:
    shim = Shim()
    ref = shim.running_task(limited(60.0))
    shim.time += 1000.0
    shim.restart(running(ref))
    assert of(Stop, shim.wait(0.0))


def test_the_expiry_timer_ends_with_the_task() -> None:
    shim = Shim()
    shim.running_task(limited(60.0))
    shim.exited()
    shim.acknowledge_all()
    shim.ping()
    assert not [timer for timer in shim.core.ctx.timers if isinstance(timer, TaskExpiry)]


def test_a_kill_before_the_expiry_keeps_its_cause() -> None:
    shim = Shim()
    shim.running_task(limited(5.0))
    shim.kill(grace=30.0)
    assert not of(Stop, shim.wait(10.0))
    shim.exited(code=143)
    assert shim.pending_states() == ["TASK_KILLED"]


# --- health -------------------------------------------------------------------------------------


def test_checks_start_with_running_and_stop_with_the_kill() -> None:
    shim = Shim()
    info = task_info()
    info.health_check.type = HealthCheck.COMMAND
    shim.run(info)
    shim.started()
    order = shim.last(StartChecks)
    assert (order.ref, order.addresses, order.was_healthy) == (shim.ref(), ("172.17.0.2",), False)
    shim.kill()
    assert shim.last(StopChecks).ref == shim.ref()


def test_a_task_without_checks_starts_none() -> None:
    shim = Shim()
    shim.run()
    shim.started()
    assert not of(StartChecks, shim.decision.orders)


def test_checks_continue_after_a_restart() -> None:
    shim = Shim()
    info = task_info()
    info.health_check.type = HealthCheck.COMMAND
    ref = shim.running_task(info)
    shim.handle(facts.HealthReported(ref, healthy=True))
    shim.restart(running(ref))
    assert shim.last(StartChecks).was_healthy
    assert shim.last(Publish).healthy is True
    assert shim.last(Watch).ref == ref


def test_a_result_that_was_reported_before_a_restart_is_not_reported_again() -> None:
    shim = Shim()
    ref = shim.running_task(task_with_both_checks())
    result = CheckStatusInfo(type=CheckInfo.COMMAND)
    result.command.exit_code = 3
    checked = facts.CheckReported(ref, result.SerializeToString())
    for fact in (facts.HealthReported(ref, healthy=True), checked):
        shim.handle(fact)
        shim.acknowledge_all()
    shim.restart(running(ref))
    for fact in (facts.HealthReported(ref, healthy=True), checked):
        assert shim.handle(fact) == Decision()
    for healthy in (False, False, True):
        assert shim.handle(facts.HealthReported(ref, healthy=healthy)).records


def test_a_health_result_is_published() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.handle(facts.HealthReported(ref, healthy=False))
    assert shim.last(Publish).healthy is False


def test_the_ports_of_the_container_are_published_also_after_a_restart() -> None:
    shim = Shim()
    shim.run()
    ref, ports = shim.ref(), (ContainerPort(80, "tcp", 49153),)
    shim.creating()
    started = replace(running(ref), ports=ports)
    shim.handle(facts.ContainerStarted(ref, started))
    assert shim.last(Publish).ports == ports
    shim.restart(started)
    assert shim.last(Publish).ports == ports


def test_a_late_health_result_does_not_change_the_grace_of_a_kill() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.kill(grace=60.0)
    shim.handle(facts.HealthReported(ref, healthy=False, kill=True))
    assert not shim.decision.orders


def test_a_health_result_of_another_container_is_ignored() -> None:
    shim = Shim()
    shim.running_task()
    stranger = Ref(key_of(), ContainerId("another"))
    shim.handle(facts.HealthReported(stranger, healthy=False, kill=True))
    assert not shim.decision.orders
    shim.handle(facts.HealthReported(Ref(key_of("x"), ContainerId("y")), healthy=True, kill=True))
    assert not shim.decision.orders


# --- late facts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact",
    [facts.LaunchCancelled, facts.ContainerVanished, facts.ContainerRemoved],
    ids=lambda kind: kind.__name__,
)
def test_a_fact_about_an_unknown_container_is_ignored(fact: type) -> None:
    shim = Shim()
    shim.running_task()
    shim.handle(fact(Ref(key_of(), ContainerId("another"))))
    shim.handle(fact(Ref(key_of("nobody"), ContainerId("another"))))
    assert not shim.decision.records
    assert not shim.decision.orders


def test_the_stage_of_a_launch_is_noted() -> None:
    shim = Shim()
    shim.run()
    shim.handle(facts.LaunchAdvanced(shim.ref(), facts.Stage.PULLING, "12 %"))
    assert shim.task().stage == "pulling image 12 %"
    assert not shim.decision.records


# --- what is kept -------------------------------------------------------------------------------


def test_a_task_is_restored_unchanged() -> None:
    shim = Shim()
    ref = shim.running_task(task_with_both_checks())
    shim.handle(facts.HealthReported(ref, healthy=True))
    shim.drain(grace=3.0)
    before = shim.task()
    before.stage, before.steps = "", []  # for people, and for this life
    kept_info, kept_state = shim.disk.tasks[key_of()]
    after = Task.restore(key_of(), AgentId("S1"), kept_info, kept_state, lambda key, saved: None)
    assert after == before


def test_the_stages_of_a_launch_are_kept_with_their_beginning_and_newest_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shim = Shim()
    shim.run()
    ref, began = shim.task().ref, shim.core.ctx.now.wall
    for stage, detail in (
        (facts.Stage.FETCHING, ""),
        (facts.Stage.PULLING, "1 of 2 layers"),
        (facts.Stage.PULLING, "2 of 2 layers"),
    ):
        shim.handle(facts.LaunchAdvanced(ref, stage, detail))
    assert [(step.stage, step.detail) for step in shim.task().steps] == [
        ("fetching", ""),
        ("pulling image", "2 of 2 layers"),
    ]
    assert all(step.began >= began for step in shim.task().steps)
    monkeypatch.setattr(limits, "LAUNCH_STEPS", 3)
    for _ in range(5):
        for stage in (facts.Stage.FETCHING, facts.Stage.PULLING):
            shim.handle(facts.LaunchAdvanced(ref, stage, ""))
    assert len(shim.task().steps) == 3


def test_a_status_replaces_one_of_the_same_state() -> None:
    shim = Shim()
    ref = shim.running_task()
    for healthy in (True, False, True):
        shim.handle(facts.HealthReported(ref, healthy=healthy))
    wire = shim.task().wire
    assert [status.state for status in wire.statuses] == [0, 1]
    assert wire.statuses[-1].healthy is True
    assert wire.state == TaskState.TASK_RUNNING


def test_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPLETED_TASKS", 2)
    monkeypatch.setattr(limits, "COMPLETED_FRAMEWORKS", 2)
    shim = Shim()
    for framework in ("F", "G", "H"):
        for name in "abc":
            ref = shim.running_task(name, framework)
            shim.handle(facts.ContainerExited(ref, 0))
            shim.acknowledge_all(name, framework)
    history = shim.core.tasks.history
    assert list(history.frameworks()) == ["G", "H"]
    completed = history.tasks_of(key_of("a", "H").framework_id)
    assert [done.ref.task_key.task_id for done in completed] == ["b", "c"]
    assert completed[-1].wire.state == TaskState.TASK_FINISHED
    assert history.tasks_of(key_of("a", "F").framework_id) == []
