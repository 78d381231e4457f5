"""Leaving for good: by the operator's wish, the master's, or to clean up."""

from __future__ import annotations

import pytest

from shim import limits
from shim.model import facts
from shim.model.container import Phase, Ref
from shim.model.ids import ContainerId
from shim.model.orders import Exit, Launch, Remove, RemoveOrphan, Send, Stop
from shim.model.records import Snapshot
from shim.protos import messages_pb2 as m
from tests.core.harness import AGENT_ID, Shim, container, key_of, of, running, sent

GONE = "Agent has been marked gone"


def leave(shim: Shim) -> None:
    shim.tell(facts.LeaveRequested())


def test_a_leaving_agent_kills_waits_says_goodbye_and_ends() -> None:
    shim = Shim()
    ref = shim.running_task()
    leave(shim)
    assert shim.last(Stop).ref == ref
    shim.exited(code=143)
    assert shim.said() == ["TASK_KILLED"]
    shim.acknowledge_all()
    assert not of(Exit, shim.decision.orders), "the container is still there"
    shim.removed(ref)
    goodbye = shim.last(Send).message
    assert isinstance(goodbye, m.UnregisterSlaveMessage)
    assert goodbye.slave_id.value == AGENT_ID
    assert shim.last(Exit).code == 0
    assert shim.disk.snapshot() == Snapshot.empty()


def test_it_waits_for_acknowledgements_only_so_long() -> None:
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


def test_without_a_master_it_ends_by_itself() -> None:
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


def test_without_a_master_and_without_tasks_it_ends_at_once() -> None:
    shim = Shim(registered=False)
    shim.recover()
    leave(shim)
    assert shim.last(Exit).code == 0


def test_it_takes_no_more_launches() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    shim.run("new")
    assert not of(Launch, shim.decision.orders)
    assert shim.said("new") == ["TASK_LOST"]


def test_it_still_registers_with_a_new_master_to_tell_the_ends() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    shim.detect(None)
    shim.exited(code=143)
    shim.register()
    assert [status.state for status in shim.statuses] == [4]


def test_what_nobody_acknowledged_is_not_said_under_another_id() -> None:
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
    shim.welcome()
    assert not shim.statuses


def test_a_wish_to_leave_waits_for_recovery() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim._boot()
    leave(shim)
    assert not shim.decision.orders
    shim.recover(running(ref))
    assert shim.last(Stop).ref == ref


def test_leaving_twice_is_leaving_once() -> None:
    shim = Shim()
    shim.running_task()
    leave(shim)
    leave(shim)
    assert not shim.decision.orders


# --- dismissed ----------------------------------------------------------------------------------


def test_told_to_shut_down_it_ends_all_in_silence_and_fails() -> None:
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


def test_marked_gone_it_forgets_its_id() -> None:
    shim = Shim()
    shim.receive(m.ShutdownMessage(message=GONE))
    assert shim.last(Exit).code == 1
    assert shim.disk.snapshot() == Snapshot.empty()


def test_dismissed_it_does_not_listen_any_more() -> None:
    shim = Shim()
    shim.running_task()
    shim.receive(m.ShutdownMessage(message=GONE))
    shim.run("new")
    assert not shim.decision.records
    shim.detect()
    assert not of(Send, shim.wait(100.0))
    shim.ping()
    assert shim.decision.orders, "but it answers pings"


def test_refusals_do_not_outlive_the_id() -> None:
    shim = Shim()
    shim.running_task()
    shim.kill("unknown")
    assert shim.said("unknown") == ["TASK_LOST"]
    shim.receive(m.ShutdownMessage(message=GONE))
    ref = shim.ref()
    shim.exited()
    shim.removed(ref)
    assert not shim.disk.updates
    assert not shim.disk.frameworks


# --- cleaning up --------------------------------------------------------------------------------


def orphan() -> Ref:
    return Ref(key_of("old"), ContainerId("00000000-0000-4000-8000-00000000dead"))


def test_a_clean_up_removes_all_of_an_earlier_life_and_ends() -> None:
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
    assert shim.disk.snapshot() == Snapshot.empty()
    assert not shim.disk.tasks


def test_a_clean_up_with_nothing_to_do_ends_at_once() -> None:
    shim = Shim(registered=False, cleanup=True)
    shim.recover()
    assert shim.last(Exit).code == 0


def test_an_interrupted_clean_up_knows_what_it_was_removing() -> None:
    shim = Shim(registered=False, cleanup=True)
    shim.recover(running(orphan()))
    shim.restart()
    assert shim.last(Remove).ref == orphan()


@pytest.mark.parametrize("kill", [True, False])
def test_what_becomes_of_containers_nobody_knows(kill: bool) -> None:
    shim = Shim(registered=False, kill_orphans=kill)
    shim.recover(container(orphan(), Phase.EXITED, 0))
    assert [o.name for o in of(RemoveOrphan, shim.decision.orders)] == [orphan().name] * kill
