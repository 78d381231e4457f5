"""Executors: their records, and what the master is told of their end."""

from __future__ import annotations

from shim.core.executors import Executor, ExecutorPhase
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId
from shim.protos import messages_pb2 as m
from tests.core.harness import Shim, executor_info, sent

F = FrameworkId("F")


def test_a_restored_executor_is_the_saved_one() -> None:
    shim = Shim()
    executor = shim.core.executors.add(executor_info(), F, has_container=True)
    executor.phase, executor.addresses = ExecutorPhase.RUNNING, ("10.0.0.2", "fd00::2")
    executor.groups, executor.unhealthy, executor.exit_status = 2, True, -1
    after = Executor.restore(executor.journal_value())
    for name in Executor.__slots__:
        assert getattr(after, name) == getattr(executor, name), name


def test_an_executor_has_its_framework_id_and_a_copy_of_its_own() -> None:
    shim, info = Shim(), executor_info()
    executor = shim.core.executors.add(info, F, has_container=False)
    assert executor.info.framework_id.value == "F"
    assert not info.HasField("framework_id")
    assert executor.phase is ExecutorPhase.RUNNING


def test_an_executor_that_is_dropped_is_told_to_the_master() -> None:
    shim = Shim()
    executor = shim.core.executors.add(executor_info(), F, has_container=True)
    shim.core.executors.save(executor)
    shim.core.executors.drop(executor)
    decision = shim.core.ctx.take()
    (told,) = sent(m.ExitedExecutorMessage, decision.orders)
    assert (told.framework_id.value, told.executor_id.value, told.status) == ("F", "e", 0)
    shim.disk.commit(decision.records)
    assert not shim.disk.executors


def test_without_a_master_the_next_registration_makes_up_for_the_message() -> None:
    shim = Shim(registered=False)
    shim.core.executors.send_exited(ExecutorKey(F, ExecutorId("e")))
    assert not shim.core.ctx.take().orders
