"""Which listed containers are inspected after a restart."""

from __future__ import annotations

import pytest

from shim.model import facts
from shim.model.container import LABEL_CONTAINER, Container, Phase
from shim.model.orders import Notice, RemoveOrphan
from tests.core.harness import Shim, key_of


def listed(shim: Shim, task: str, phase: Phase) -> Container:
    ref = shim.core.tasks.table[key_of(task)].ref
    return Container(ref.name, "id", phase, labels={LABEL_CONTAINER: ref.container_id})


@pytest.fixture
def shim() -> Shim:
    """``running`` runs, ``launching`` was being created, when the agent died."""
    made = Shim()
    for task in ("running", "launching"):
        made.run(task)
        ref = made.core.tasks.table[key_of(task)].ref
        made.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
    running = made.core.tasks.table[key_of("running")].ref
    found = Container(running.name, "id", Phase.RUNNING)
    made.handle(facts.ContainerStarted(running, found))
    made._boot()
    return made


def test_a_running_task_with_a_running_container_needs_no_inspect(shim: Shim) -> None:
    needed = shim.core.recovery.needs_inspect()
    assert not needed(listed(shim, "running", Phase.RUNNING))


def test_exited_containers_and_launches_need_an_inspect(shim: Shim) -> None:
    """For the exit code of the one, and the addresses of the other."""
    needed = shim.core.recovery.needs_inspect()
    assert needed(listed(shim, "running", Phase.EXITED))
    assert needed(listed(shim, "launching", Phase.RUNNING))
    assert needed(listed(shim, "launching", Phase.CREATED))


def test_a_container_without_a_task_needs_no_inspect(shim: Shim) -> None:
    needed = shim.core.recovery.needs_inspect()
    orphan = Container("mesos-x", "id", Phase.EXITED, labels={LABEL_CONTAINER: "x"})
    assert not needed(orphan)


def test_a_listed_container_without_labels_needs_an_inspect(shim: Shim) -> None:
    assert shim.core.recovery.needs_inspect()(Container("mesos-x", "id", Phase.RUNNING))


def test_a_container_without_a_container_id_label_is_left(shim: Shim) -> None:
    known = listed(shim, "running", Phase.RUNNING)
    orphan = Container("mesos-x", "id", Phase.RUNNING, labels={LABEL_CONTAINER: "x"})
    foreign = Container("stray", "id", Phase.RUNNING)
    decision = shim.handle(facts.ContainersFound((known, orphan, foreign)))
    removed = [order.name for order in decision.orders if isinstance(order, RemoveOrphan)]
    assert removed == ["mesos-x"]
    notices = [order.text for order in decision.orders if isinstance(order, Notice)]
    assert "container stray lacks the container_id label and is kept" in notices


def test_a_late_list_only_shows_containers_without_a_task(shim: Shim) -> None:
    """The last request of an earlier leader may arrive after the first list."""
    running, launching = (
        listed(shim, "running", Phase.RUNNING),
        listed(shim, "launching", Phase.CREATED),
    )
    shim.handle(facts.ContainersFound((running,)))
    late = Container("mesos-y", "id", Phase.CREATED, labels={LABEL_CONTAINER: "y"})
    decision = shim.handle(facts.ContainersFound((running, launching, late)))
    assert [order for order in decision.orders if not isinstance(order, Notice)] == [
        RemoveOrphan("mesos-y")
    ]
    assert not decision.records
