"""The end of a task is kept while a re-registration request that lists it may be on its way."""

from __future__ import annotations

import pytest

from shim import limits
from shim.model.records import DropFramework, DropTask, DropUpdate
from shim.protos import messages_pb2 as m
from tests.core.harness import Shim


def ended(shim: Shim, *tasks: str, listed: bool = True) -> None:
    """Tasks that ended one after the other, and whose ends were acknowledged."""
    for task in tasks:
        shim.running_task(task)
    if listed:
        shim.register()
    for task in tasks:
        ref = shim.ref(task)
        shim.exited(task)
        shim.removed(ref)
        shim.acknowledge(task)


def kept(shim: Shim) -> list[str]:
    """The tasks whose ends are durable, the same as in memory."""
    values = shim.disk.acknowledged_ends.values()
    assert len(shim.core.status_updates.acknowledged_ends) == len(values)
    updates = map(m.StatusUpdateMessage.FromString, values)
    return sorted(message.update.status.task_id.value for message in updates)


def test_the_end_of_a_task_that_no_request_lists_costs_no_record() -> None:
    shim = Shim()
    shim.register()
    ended(shim, "t", listed=False)
    assert [type(r) for r in shim.decision.records] == [DropUpdate, DropTask, DropFramework]


def test_the_end_of_a_listed_task_is_kept() -> None:
    shim = Shim()
    ended(shim, "t")
    assert kept(shim) == ["t"]
    shim.restart()
    assert kept(shim) == ["t"]


def test_an_earlier_process_may_have_sent_a_request_that_lists_a_task() -> None:
    shim = Shim()
    shim.running_task()
    assert not shim.task().listed
    shim.restart()
    assert shim.task().listed, "before this process has sent one"


@pytest.mark.parametrize(("after", "names"), [(0.0, ["t"]), (1.0, [])])
def test_an_end_is_not_kept_when_every_request_has_arrived(after: float, names: list[str]) -> None:
    shim = Shim()
    shim.running_task()
    shim.register()
    requested = shim.time
    shim.exited()
    shim.time = requested + limits.REQUEST_AGE + after
    shim.acknowledge()
    assert kept(shim) == names


def test_a_request_drops_the_ends_of_tasks_that_requests_of_long_ago_list() -> None:
    shim = Shim()
    ended(shim, "a")
    shim.time += limits.REQUEST_AGE / 2
    shim.register()
    assert kept(shim) == ["a"]
    shim.time += limits.REQUEST_AGE + 1.0
    assert kept(shim) == ["a"]
    shim.register()
    assert kept(shim) == []


def test_kept_ends_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACKNOWLEDGED_ENDS", 2)
    shim = Shim()
    ended(shim, "c", "a", "b")
    assert kept(shim) == ["a", "b"]
    shim.restart()
    shim.register()
    ended(shim, "d")
    assert kept(shim) == ["b", "d"], "the oldest goes first, after a restart as well"


def test_a_new_task_of_the_same_id_drops_the_end_of_the_earlier_one() -> None:
    shim = Shim()
    ended(shim, "t")
    shim.run()
    shim.creating()
    assert kept(shim) == []


def test_kept_ends_belong_to_one_agent_id() -> None:
    shim = Shim()
    ended(shim, "t")
    shim.receive(m.ShutdownMessage(message="Agent has been marked gone"))
    assert shim.disk.agent is None
    assert kept(shim) == []
