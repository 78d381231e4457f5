"""The table of custom executors is complete and agrees with its diagram; their records survive."""

from __future__ import annotations

import itertools

import pytest

from shim.core.custom_executor import (
    TABLE,
    CustomExecutor,
    CustomExecutorAction,
    CustomExecutorEvent,
    Size,
    same_executor,
    step,
)
from shim.core.executors import ExecutorPhase
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, Pid
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import ExecutorInfo, TaskState, TaskStatus
from tests.core.executor_harness import ExecutorShim, executor_info, inner_task

PAIRS = list(itertools.product(ExecutorPhase, CustomExecutorEvent))


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_every_pair_is_in_the_table(phase: ExecutorPhase, event: CustomExecutorEvent) -> None:
    after, action = step(phase, event)
    if action is CustomExecutorAction.IGNORE:
        assert after is phase
    if phase in (ExecutorPhase.TERMINATING, ExecutorPhase.TERMINATED):
        assert after in (ExecutorPhase.TERMINATING, ExecutorPhase.TERMINATED), "no way back"


def test_every_action_is_used_and_has_a_method() -> None:
    used = {action for row in TABLE.values() for _, action in row.values()}
    assert used == set(CustomExecutorAction) == set(ExecutorShim().core.custom_executors._actions)


def test_a_phase_that_ends_concludes_once() -> None:
    for phase, event in PAIRS:
        after, action = step(phase, event)
        concludes = action is CustomExecutorAction.CONCLUDE
        assert concludes == (
            after is ExecutorPhase.TERMINATED and phase is not ExecutorPhase.TERMINATED
        )


def test_a_record_has_everything_that_a_restart_needs() -> None:
    ref = Ref(ExecutorKey(FrameworkId("F"), ExecutorId("E")), ContainerId("c-1"))
    ended_by = TaskStatus(state=TaskState.TASK_GONE, message="why")
    ended_by.task_id.value = ""
    executor = CustomExecutor(
        ref,
        executor_info(),
        7.5,
        ExecutorPhase.TERMINATING,
        creating=True,
        started=True,
        addresses=("10.0.0.9",),
        pid=Pid("executor(1)", "10.0.0.9", 1),
        subscribed=True,
        used=True,
        size=Size(1100, 64000),
        ended_by=ended_by,
        groups=3,
    )
    saved = journal_pb2.Executor.FromString(executor.journal_value())
    restored = CustomExecutor.restore(saved)
    assert restored.journal_value() == executor.journal_value()
    assert (restored.ref, restored.pid, restored.size) == (ref, executor.pid, executor.size)


def test_sizes_add_up_in_thousandths() -> None:
    task = inner_task(mem=0.5)
    size = Size.of(executor_info().resources, task.resources, task.resources)
    assert size == Size(cpus=2100, mem=33000)
    assert str(size) == "cpus:2.1;mem:33"
    assert Size.of(size.resources()) == size
    assert size.joined(Size(1, 40000)) == Size(2100, 40000)
    assert size.covers(Size(2100, 33000))
    assert not size.covers(Size(2101, 1))


def test_executors_are_the_same_in_any_order_of_their_lists() -> None:
    one, other = executor_info(), executor_info()
    other.resources.reverse()
    for info, names in ((one, "ab"), (other, "ba")):
        for name in names:
            info.command.environment.variables.add(name=name, value=name)
    assert same_executor(one, other)
    other.command.arguments.append("more")
    assert not same_executor(one, other)


def test_an_executor_with_hardly_any_field_can_be_compared() -> None:
    bare = ExecutorInfo()
    bare.executor_id.value = "E"
    assert same_executor(bare, bare)
    assert not same_executor(bare, executor_info())
