"""The read-only view of the core."""

from __future__ import annotations

import pytest

from shim.core.task import Task
from shim.model.ids import FrameworkId, TaskKey
from shim.protos.mesos_pb2 import TaskState
from shim.protos.messages_pb2 import CheckpointResourcesMessage
from tests.core.harness import AGENT, AGENT_ID, MASTER, Shim, agent_info, key_of


def test_a_recovering_agent_has_no_id_and_no_master() -> None:
    view = Shim(registered=False).core.view
    assert view.recovering
    assert not view.connected
    assert view.agent_id is None
    assert view.master is None


def test_a_registered_agent_shows_its_id_its_master_and_what_it_offers() -> None:
    view = Shim().core.view
    assert not view.recovering
    assert view.connected
    assert (view.agent_id, view.master, view.pid) == (AGENT_ID, MASTER, AGENT)
    assert (view.version, view.info) == ("1.11.0", agent_info())


def test_a_lost_master_shows_as_disconnected() -> None:
    shim = Shim()
    shim.detect(None)
    assert not shim.core.view.connected
    assert shim.core.view.master is None
    assert shim.core.view.agent_id == AGENT_ID


def test_the_view_follows_a_task_from_its_launch_to_its_removal() -> None:
    shim = Shim()
    view = shim.core.view
    shim.run()
    assert list(view.tasks) == [key_of()]
    assert list(view.frameworks) == [FrameworkId("F")]
    assert view.running_tasks() == []
    shim.creating()
    shim.started()
    task = shim.task()
    assert view.running_tasks() == [task]
    assert view.unacknowledged_updates == 2
    shim.exited()
    assert view.running_tasks() == []
    assert dict(view.pending_removals) == {task.ref.container_id: task.ref}
    assert view.ended_by_state == {TaskState.TASK_FINISHED: 1}
    assert list(view.completed_frameworks) == [FrameworkId("F")]
    (completed,) = view.completed_tasks(FrameworkId("F"))
    assert completed.ref == task.ref
    shim.acknowledge_all()
    shim.removed(task.ref)
    assert not view.tasks
    assert not view.frameworks
    assert not view.pending_removals
    assert view.unacknowledged_updates == 0
    assert view.completed_tasks(FrameworkId("F")) == [completed]


def test_an_unknown_framework_has_no_completed_tasks() -> None:
    assert Shim().core.view.completed_tasks(FrameworkId("F")) == []


def test_the_view_shows_a_drain_and_the_checkpointed_resources() -> None:
    shim = Shim()
    view = shim.core.view
    assert view.drain_config is None
    assert not view.checkpointed_resources
    shim.run()
    shim.drain(mark_gone=True)
    assert view.drain_config is not None
    assert view.drain_config.mark_gone
    message = CheckpointResourcesMessage()
    message.resources.add(name="cpus", type=0, role="prod").scalar.value = 1.0
    shim.receive(message)
    assert list(view.checkpointed_resources) == list(message.resources)


def test_counters_and_tables_cannot_be_changed_through_the_view() -> None:
    shim = Shim()
    shim.run()
    view = shim.core.view
    with pytest.raises(TypeError):
        view.counters["late_facts"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        del view.tasks[key_of()]  # type: ignore[attr-defined]
    assert isinstance(view.tasks[TaskKey(*key_of())], Task)
