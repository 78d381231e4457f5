"""Tasks: what is durable when, time limits, health, late facts, history."""

from __future__ import annotations

import pytest

from shim import limits
from shim.core.task import Task
from shim.core.timers import TaskExpiry
from shim.model import facts
from shim.model.container import Phase, Ref
from shim.model.ids import AgentId, ContainerId
from shim.model.orders import CancelLaunch, Publish, Remove, StartChecks, Stop, StopChecks, Watch
from shim.protos.mesos_pb2 import TaskInfo, TaskState
from tests.core.harness import Shim, container, key_of, of, running, task_info


def limited(seconds: float) -> TaskInfo:
    info = task_info()
    info.max_completion_time.nanoseconds = int(seconds * 1e9)
    return info


# --- records come with what they justify --------------------------------------------------------


def test_every_change_is_recorded_with_its_update() -> None:
    shim = Shim()
    shim.run()
    for step in (shim.creating, shim.started, shim.exited):
        kinds = [type(record).__name__ for record in step().records]
        assert kinds[:2] == ["SaveTask", "AddUpdate"]
        shim.acknowledge_all()


def test_the_end_dooms_the_container_until_it_is_certainly_gone() -> None:
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


def test_removal_may_wait() -> None:
    shim = Shim(remove_delay=3600.0)
    shim.running_task()
    shim.exited()
    assert shim.last(Remove).delay == 3600.0


def test_a_doomed_container_of_a_task_with_a_strange_id() -> None:
    shim = Shim()
    info = task_info("a\nb")
    ref = shim.running_task(info)
    shim.tell(facts.ContainerExited(ref, 0))
    shim.restart()
    assert shim.last(Remove).ref == ref


# --- time limits --------------------------------------------------------------------------------


def test_a_task_whose_time_is_over_is_stopped_without_grace() -> None:
    shim = Shim()
    shim.framework("F", "killing")
    shim.running_task(limited(5.0))
    assert not of(Stop, shim.wait(4.9))
    (stop,) = of(Stop, shim.wait(0.1))
    assert stop.grace == 0.0
    assert shim.said() == [], "no TASK_KILLING"


def test_the_time_counts_from_the_launch() -> None:
    shim = Shim()
    shim.run(limited(5.0))
    assert of(CancelLaunch, shim.wait(5.0))


@pytest.mark.parametrize("seen", [Phase.RUNNING, Phase.CREATED, None])
def test_the_time_goes_on_over_a_restart(seen: Phase | None) -> None:
    shim = Shim()
    shim.run(limited(60.0))
    ref = shim.ref()
    shim.wait(20.0)
    shim.restart(*([container(ref, seen)] if seen else []))
    early, late = shim.wait(39.9), shim.wait(0.2)
    assert not of(Stop, early)
    assert not of(CancelLaunch, early)
    assert of(Stop, late) or of(CancelLaunch, late)


def test_a_time_that_ran_out_while_we_were_away() -> None:
    shim = Shim()
    ref = shim.running_task(limited(60.0))
    shim.time += 1000.0
    shim.restart(running(ref))
    assert of(Stop, shim.wait(0.0))


def test_the_end_stops_the_clock() -> None:
    shim = Shim()
    shim.running_task(limited(60.0))
    shim.exited()
    shim.acknowledge_all()
    shim.ping()
    assert not [timer for timer in shim.core.ctx.timers if isinstance(timer, TaskExpiry)]


def test_a_kill_comes_before_the_time_is_over() -> None:
    shim = Shim()
    shim.running_task(limited(5.0))
    shim.kill(grace=30.0)
    assert not of(Stop, shim.wait(10.0))
    shim.exited(code=143)
    assert shim.said() == ["TASK_KILLED"]


# --- health -------------------------------------------------------------------------------------


def test_checks_begin_with_running_and_end_with_the_kill() -> None:
    shim = Shim()
    info = task_info()
    info.health_check.type = 1
    shim.run(info)
    shim.started()
    order = shim.last(StartChecks)
    assert (order.ref, order.addresses, order.was_healthy) == (shim.ref(), ("172.17.0.2",), False)
    shim.kill()
    assert shim.last(StopChecks).ref == shim.ref()


def test_without_checks_none_begin() -> None:
    shim = Shim()
    shim.run()
    shim.started()
    assert not of(StartChecks, shim.decision.orders)


def test_checks_go_on_after_a_restart_where_they_were() -> None:
    shim = Shim()
    info = task_info()
    info.health_check.type = 1
    ref = shim.running_task(info)
    shim.tell(facts.HealthReported(ref, healthy=True))
    shim.restart(running(ref))
    assert shim.last(StartChecks).was_healthy
    assert shim.last(Publish).healthy is True
    assert shim.last(Watch).ref == ref


def test_discovery_hears_of_health() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.tell(facts.HealthReported(ref, healthy=False))
    assert shim.last(Publish).healthy is False


def test_a_late_health_result_does_not_change_the_grace_of_a_kill() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.kill(grace=60.0)
    shim.tell(facts.HealthReported(ref, healthy=False, kill=True))
    assert not shim.decision.orders


def test_health_of_another_container_is_nobodys() -> None:
    shim = Shim()
    shim.running_task()
    stranger = Ref(key_of(), ContainerId("another"))
    shim.tell(facts.HealthReported(stranger, healthy=False, kill=True))
    assert not shim.decision.orders
    shim.tell(facts.HealthReported(Ref(key_of("x"), ContainerId("y")), healthy=True, kill=True))
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
    shim.tell(fact(Ref(key_of(), ContainerId("another"))))
    shim.tell(fact(Ref(key_of("nobody"), ContainerId("another"))))
    assert not shim.decision.records
    assert not shim.decision.orders


def test_the_stage_of_a_launch_is_for_people() -> None:
    shim = Shim()
    shim.run()
    shim.tell(facts.LaunchAdvanced(shim.ref(), facts.Stage.PULLING, "12 %"))
    assert shim.task().stage == "pulling image 12 %"
    assert not shim.decision.records


# --- what is kept -------------------------------------------------------------------------------


def test_a_task_is_restored_as_it_was() -> None:
    shim = Shim()
    info = task_info()
    info.health_check.type = 1
    info.check.type = 1
    ref = shim.running_task(info)
    shim.tell(facts.HealthReported(ref, healthy=True))
    shim.drain(grace=3.0)
    before = shim.task()
    before.stage = ""  # for people, and for this life
    kept_info, kept_state = shim.disk.tasks[key_of()]
    after = Task.restore(key_of(), AgentId("S1"), kept_info, kept_state)
    assert after == before


def test_of_a_run_of_one_state_the_newest_status_stays() -> None:
    shim = Shim()
    ref = shim.running_task()
    for healthy in (True, False, True):
        shim.tell(facts.HealthReported(ref, healthy=healthy))
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
            shim.tell(facts.ContainerExited(ref, 0))
            shim.acknowledge_all(name, framework)
    history = shim.core.tasks.history
    assert list(history.frameworks()) == ["G", "H"]
    completed = history.tasks_of(key_of("a", "H").framework_id)
    assert [done.ref.key.task_id for done in completed] == ["b", "c"]
    assert completed[-1].wire.state == TaskState.TASK_FINISHED
    assert history.tasks_of(key_of("a", "F").framework_id) == []
