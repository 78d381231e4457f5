"""The end of the agent: on the operator's or the master's order, or for a cleanup."""

from __future__ import annotations

import pytest

from shim import limits
from shim.model import facts
from shim.model.container import Phase, Ref
from shim.model.ids import ContainerId
from shim.model.orders import Exit, Launch, Remove, RemoveOrphan, Send, Stop
from shim.model.records import Snapshot
from shim.protos import messages_pb2 as m
from tests.core.executor_harness import ExecutorShim
from tests.core.harness import AGENT_ID, Shim, container, key_of, of, running, sent

GONE = "Agent has been marked gone"


def leave(shim: Shim) -> None:
    shim.handle(facts.LeaveRequested())


def test_a_leaving_agent_kills_waits_unregisters_and_exits() -> None:
    shim = Shim()
    ref = shim.running_task()
    leave(shim)
    assert shim.last(Stop).ref == ref
    shim.exited(code=143)
    assert shim.pending_states() == ["TASK_KILLED"]
    shim.acknowledge_all()
    assert not of(Exit, shim.decision.orders), "the container is still there"
    shim.removed(ref)
    goodbye = shim.last(Send).message
    assert isinstance(goodbye, m.UnregisterSlaveMessage)
    assert goodbye.slave_id.value == AGENT_ID
    assert shim.last(Exit).code == 0
    assert shim.disk.snapshot() == Snapshot()


def test_a_leaving_agent_stops_waiting_for_acknowledgements() -> None:
    shim = Shim()
    ref = shim.running_task()
    leave(shim)
    shim.exited(code=143)
    shim.removed(ref)
    shim.ping()
    given = shim.wait(limits.LEAVE_TIMEOUT - 1)
    assert not of(Exit, given)
    assert of(Exit, shim.wait(1.0))
    assert not shim.disk.tasks
    assert not shim.disk.updates
    assert not shim.disk.frameworks


def test_a_leaving_agent_without_a_master_exits() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.detect(None)
    leave(shim)
    shim.exited(code=143)
    shim.removed(ref)
    given = shim.wait(limits.LEAVE_TIMEOUT)
    (order,) = of(Exit, given)
    assert order.code == 0
    assert not of(Send, given)


def test_a_leaving_agent_without_master_and_tasks_exits_at_once() -> None:
    shim = Shim(registered=False)
    shim.recover()
    leave(shim)
    assert shim.last(Exit).code == 0


def test_a_leaving_agent_rejects_launches() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    shim.run("new")
    assert not of(Launch, shim.decision.orders)
    assert shim.pending_states("new") == ["TASK_LOST"]


def test_a_leaving_agent_registers_with_a_new_master_to_deliver_updates() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    shim.detect(None)
    shim.exited(code=143)
    shim.register()
    assert [status.state for status in shim.statuses] == [4]


def test_unacknowledged_updates_are_dropped_with_the_agent_id() -> None:
    shim = Shim()
    ref = shim.running_task()
    leave(shim)
    shim.exited(code=143)
    shim.removed(ref)
    shim.wait(limits.LEAVE_TIMEOUT)
    shim.restart()
    shim.detect()
    (request,) = of(Send, shim.wait(1.0))
    assert isinstance(request.message, m.RegisterSlaveMessage)
    shim.answer_registration()
    assert not shim.statuses


def test_leaving_waits_for_recovery() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim._boot()
    leave(shim)
    assert not shim.decision.orders
    shim.recover(running(ref))
    assert shim.last(Stop).ref == ref


def test_leaving_twice_has_no_further_effect() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    leave(shim)
    assert not shim.decision.orders


def test_a_leaving_agent_stops_an_executor_that_ignores_kills() -> None:
    shim = ExecutorShim(shutdown_grace=5.0)
    shim.running_v1()
    leave(shim)
    assert shim.events == ["KILL", "SHUTDOWN"]
    assert [order.ref for order in of(Stop, shim.wait(5.0))] == [shim.custom().ref]


def test_a_shutdown_by_the_master_overrules_that_the_agent_leaves() -> None:
    shim = Shim()
    ref = shim.running_task()
    leave(shim)
    shim.receive(m.ShutdownMessage(message=GONE))
    shim.exited(code=143)
    assert not sent(m.StatusUpdateMessage, shim.decision.orders)
    shim.removed(ref)
    order = shim.last(Exit)
    assert (order.code, GONE in order.reason) == (1, True)
    assert shim.disk.snapshot() == Snapshot()


# --- dismissed ----------------------------------------------------------------------------------


def test_a_shutdown_by_the_master_ends_all_tasks_without_updates() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.receive(m.ShutdownMessage(message="Machine is `DOWN`"))
    assert shim.last(Stop).ref == ref
    assert not of(Exit, shim.decision.orders)
    shim.exited(code=143)
    assert not sent(m.StatusUpdateMessage, shim.decision.orders)
    shim.removed(ref)
    order = shim.last(Exit)
    assert order.code == 1
    assert "Machine is `DOWN`" in order.reason
    assert not of(Send, shim.decision.orders)
    assert shim.disk.agent is not None, "the id may be of use again"


def test_an_agent_marked_gone_drops_its_id() -> None:
    shim = Shim()
    shim.receive(m.ShutdownMessage(message=GONE))
    assert shim.last(Exit).code == 1
    assert shim.disk.snapshot() == Snapshot()


def test_after_a_shutdown_message_other_messages_are_ignored() -> None:
    shim = Shim()
    shim.running_task()
    shim.receive(m.ShutdownMessage(message=GONE))
    shim.run("new")
    assert not shim.decision.records
    shim.detect()
    assert not of(Send, shim.wait(100.0))
    shim.ping()
    assert shim.decision.orders, "but it answers pings"


def test_rejections_do_not_outlive_the_agent_id() -> None:
    shim = Shim()
    shim.running_task()
    shim.kill("unknown")
    assert shim.pending_states("unknown") == ["TASK_LOST"]
    shim.receive(m.ShutdownMessage(message=GONE))
    ref = shim.ref()
    shim.exited()
    shim.removed(ref)
    assert not shim.disk.updates
    assert not shim.disk.frameworks


# --- cleaning up --------------------------------------------------------------------------------


def orphan() -> Ref:
    return Ref(key_of("old"), ContainerId("00000000-0000-4000-8000-00000000dead"))


def test_a_cleanup_removes_all_containers_and_exits() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.settings = shim.settings.__class__(
        shim.settings.pid, shim.settings.info, shim.settings.version, cleanup=True
    )
    shim.restart(running(ref), running(orphan()))
    assert shim.last(Stop).ref == ref
    assert [order.ref for order in of(Remove, shim.decision.orders)] == [orphan()]
    shim.exited(code=143)
    shim.removed(ref)
    assert not of(Exit, shim.decision.orders), "the orphan is still there"
    shim.removed(orphan())
    assert shim.last(Exit).code == 0
    assert shim.disk.snapshot() == Snapshot()
    assert not shim.disk.tasks


def test_a_cleanup_without_containers_exits_at_once() -> None:
    shim = Shim(registered=False, cleanup=True)
    shim.recover()
    assert shim.last(Exit).code == 0


def test_an_interrupted_cleanup_goes_on_after_a_restart() -> None:
    shim = Shim(registered=False, cleanup=True)
    shim.recover(running(orphan()))
    shim.restart()
    assert shim.last(Remove).ref == orphan()


@pytest.mark.parametrize("kill", [True, False])
def test_containers_without_a_task_are_removed_or_left(kill: bool) -> None:
    shim = Shim(registered=False, kill_orphans=kill)
    shim.recover(container(orphan(), Phase.EXITED, 0))
    assert [o.name for o in of(RemoveOrphan, shim.decision.orders)] == [orphan().name] * kill
