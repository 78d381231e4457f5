"""The lifecycle table is complete and agrees with its diagram."""

from __future__ import annotations

import itertools

import pytest

from shim.core.context import PodNetwork
from shim.core.lifecycle import TABLE, Action, Event, TaskPhase, step
from shim.core.tasks import Tasks
from shim.model import facts
from shim.model.container import Phase
from shim.model.orders import AllowCreate
from shim.model.records import SaveTask
from shim.protos import journal_pb2
from tests.core.harness import Shim, container, executor_info, running

PAIRS = list(itertools.product(TaskPhase, Event))
INSIDE = (TaskPhase.QUEUED, TaskPhase.DELIVERED)
"""Phases of tasks of custom executors: ``test_executor_updates`` has their updates."""
OWN_CONTAINER = [phase for phase in TaskPhase if phase not in INSIDE]


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_every_pair_is_in_the_table(phase: TaskPhase, event: Event) -> None:
    after, action = step(phase, event)
    assert isinstance(after, TaskPhase)
    assert isinstance(action, Action)


def test_every_action_is_used_and_has_a_method() -> None:
    used = {action for row in TABLE.values() for _, action in row.values()}
    shim = Shim()
    assert used == set(Action) == set(shim.core.tasks._actions)
    assert isinstance(shim.core.tasks, Tasks)


def test_an_ignored_event_keeps_the_phase_and_an_ending_action_ends() -> None:
    for phase, event in PAIRS:
        after, action = step(phase, event)
        if action is Action.IGNORE:
            assert after is phase, (phase, event)
        ends = action in (Action.FAIL, Action.END, Action.VANISH, Action.GIVE_UP)
        assert ends == (after is TaskPhase.ENDED and phase is not TaskPhase.ENDED), (phase, event)


def test_no_event_leaves_phase_ended() -> None:
    assert all(step(TaskPhase.ENDED, event) == (TaskPhase.ENDED, Action.IGNORE) for event in Event)


def test_no_transition_goes_back() -> None:
    order = list(TaskPhase)
    for phase, event in PAIRS:
        after, _ = step(phase, event)
        assert order.index(after) >= order.index(phase), (phase, event)


def at(phase: TaskPhase) -> Shim:
    """A shim whose task is in the phase, with all updates acknowledged."""
    shim = Shim(pod_network=PodNetwork.SHARED)
    shim.framework("F", "killing")
    if phase is TaskPhase.LAUNCHED:
        shim.run_group("t", "other", executor=executor_info(host=True))
        shim.started()
    else:
        shim.run()
    if phase in (TaskPhase.STARTING, TaskPhase.RUNNING, TaskPhase.STOPPING, TaskPhase.ENDED):
        shim.creating()
    if phase in (TaskPhase.RUNNING, TaskPhase.STOPPING, TaskPhase.ENDED):
        shim.started()
    if phase in (TaskPhase.CANCELLING, TaskPhase.STOPPING):
        shim.kill()
    shim.acknowledge_all()
    if phase is TaskPhase.ENDED:
        shim.exited()
    return shim


def step_now(shim: Shim, event: Event, detail: object) -> None:
    """Apply an event that would wait for the task's group otherwise."""
    shim.core.tasks.step(shim.task(), event, detail)
    shim.decision = shim.core.ctx.take()
    shim.disk.commit(shim.decision.records)


def happen(shim: Shim, event: Event) -> None:
    ref = shim.ref()
    if shim.task().phase is TaskPhase.LAUNCHED and event in (Event.EXITED, Event.VANISHED):
        step_now(shim, event, facts.ContainerExited(ref, 1))
        return
    match event:
        case Event.STARTED_EARLY | Event.RELEASED:
            step_now(shim, event, running(ref))
        case Event.CREATING:
            shim.creating()
        case Event.STARTED:
            shim.started()
        case Event.FAILED:
            shim.handle(facts.LaunchFailed(ref, facts.Failure.LAUNCH, "no"))
        case Event.CANCELLED:
            shim.handle(facts.LaunchCancelled(ref))
        case Event.EXITED:
            shim.exited(code=1)
        case Event.VANISHED:
            shim.handle(facts.ContainerVanished(ref))
        case Event.KILL:
            shim.kill()
        case Event.REPORT:
            shim.handle(facts.HealthReported(ref, healthy=False))


#: updates sent at once (all earlier updates are acknowledged)
HEARD = {
    (TaskPhase.STAGING, Event.CREATING): ["TASK_STARTING"],
    (TaskPhase.STAGING, Event.STARTED): ["TASK_RUNNING"],
    (TaskPhase.STAGING, Event.FAILED): ["TASK_FAILED"],
    (TaskPhase.STAGING, Event.EXITED): ["TASK_FAILED"],
    (TaskPhase.STAGING, Event.VANISHED): ["TASK_FAILED"],
    (TaskPhase.STARTING, Event.STARTED): ["TASK_RUNNING"],
    (TaskPhase.STARTING, Event.FAILED): ["TASK_FAILED"],
    (TaskPhase.STARTING, Event.EXITED): ["TASK_FAILED"],
    (TaskPhase.STARTING, Event.VANISHED): ["TASK_FAILED"],
    (TaskPhase.LAUNCHED, Event.RELEASED): ["TASK_RUNNING"],
    (TaskPhase.LAUNCHED, Event.EXITED): ["TASK_FAILED"],
    (TaskPhase.LAUNCHED, Event.VANISHED): ["TASK_FAILED"],
    (TaskPhase.LAUNCHED, Event.KILL): ["TASK_KILLING"],
    (TaskPhase.RUNNING, Event.EXITED): ["TASK_FAILED"],
    (TaskPhase.RUNNING, Event.VANISHED): ["TASK_FAILED"],
    (TaskPhase.RUNNING, Event.KILL): ["TASK_KILLING"],
    (TaskPhase.RUNNING, Event.REPORT): ["TASK_RUNNING"],
    (TaskPhase.CANCELLING, Event.STARTED): ["TASK_KILLING"],
    (TaskPhase.CANCELLING, Event.STARTED_EARLY): ["TASK_KILLING"],
    (TaskPhase.CANCELLING, Event.FAILED): ["TASK_KILLED"],
    (TaskPhase.CANCELLING, Event.CANCELLED): ["TASK_KILLED"],
    (TaskPhase.CANCELLING, Event.EXITED): ["TASK_KILLED"],
    (TaskPhase.CANCELLING, Event.VANISHED): ["TASK_KILLED"],
    (TaskPhase.STOPPING, Event.CANCELLED): ["TASK_KILLED"],
    (TaskPhase.STOPPING, Event.EXITED): ["TASK_KILLED"],
    (TaskPhase.STOPPING, Event.VANISHED): ["TASK_KILLED"],
    **{(TaskPhase.ENDED, event): ["TASK_FINISHED"] for event in Event},
}


@pytest.mark.parametrize(
    ("phase", "event"), list(itertools.product(OWN_CONTAINER, Event)), ids=lambda x: x.name
)
def test_the_updates_of_every_pair_of_phase_and_event(phase: TaskPhase, event: Event) -> None:
    shim = at(phase)
    happen(shim, event)
    assert shim.pending_states() == HEARD.get((phase, event), [])
    after = step(phase, event)[0]
    assert shim.task().phase is after
    ended = after is TaskPhase.ENDED and phase is not TaskPhase.ENDED
    kept = journal_pb2.TaskState.FromString(shim.disk.tasks[shim.task().key][1])
    assert kept.phase == after.value
    removals = [o for o in shim.decision.orders if type(o).__name__ == "Remove"]
    assert len(removals) == ended


@pytest.mark.parametrize("phase", OWN_CONTAINER, ids=lambda x: x.name)
def test_a_create_is_allowed_together_with_the_record_of_starting(phase: TaskPhase) -> None:
    """The barrier carries the order out only once the record is durable."""
    shim = at(phase)
    happen(shim, Event.CREATING)
    allowed = [o for o in shim.decision.orders if isinstance(o, AllowCreate)]
    wanted = phase in (TaskPhase.STAGING, TaskPhase.STARTING)
    assert allowed == ([AllowCreate(shim.ref())] if wanted else [])
    if phase is TaskPhase.STAGING:
        (saved,) = [r for r in shim.decision.records if isinstance(r, SaveTask)]
        assert journal_pb2.TaskState.FromString(saved.state).phase == "starting"


def test_a_create_is_allowed_only_when_the_launch_asks_for_it() -> None:
    shim = Shim()
    shim.run()
    for stage in (facts.Stage.FETCHING, facts.Stage.PULLING):
        shim.handle(facts.LaunchAdvanced(shim.ref(), stage))
        assert not shim.decision.orders


#: updates sent when a restart finds the container in this phase
FOUND: dict[Phase | None, dict[TaskPhase, tuple[list[str], list[str]]]] = {
    Phase.RUNNING: {
        TaskPhase.STAGING: (["TASK_RUNNING"], ["Watch", "Publish"]),
        TaskPhase.STARTING: (["TASK_RUNNING"], ["Watch", "Publish"]),
        TaskPhase.RUNNING: ([], ["Watch", "Publish"]),
        TaskPhase.CANCELLING: (["TASK_KILLING"], ["Watch", "Withdraw", "StopChecks", "Stop"]),
        TaskPhase.STOPPING: ([], ["Watch", "Stop"]),
    },
    Phase.EXITED: {
        phase: ([end], ["Withdraw", "StopChecks", "Remove"])
        for phase, end in (
            (TaskPhase.STAGING, "TASK_FAILED"),
            (TaskPhase.STARTING, "TASK_FAILED"),
            (TaskPhase.RUNNING, "TASK_FAILED"),
            (TaskPhase.CANCELLING, "TASK_KILLED"),
            (TaskPhase.STOPPING, "TASK_KILLED"),
        )
    },
    Phase.CREATED: {
        TaskPhase.STAGING: ([], ["Launch"]),
        TaskPhase.STARTING: ([], ["Launch"]),
        TaskPhase.CANCELLING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
        TaskPhase.RUNNING: (["TASK_FAILED"], ["Withdraw", "StopChecks", "Remove"]),
        TaskPhase.STOPPING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
    },
    None: {
        TaskPhase.STAGING: ([], ["Launch"]),
        TaskPhase.STARTING: (["TASK_LOST"], ["Withdraw", "StopChecks", "Remove"]),
        TaskPhase.RUNNING: (["TASK_FAILED"], ["Withdraw", "StopChecks", "Remove"]),
        TaskPhase.CANCELLING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
        TaskPhase.STOPPING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
    },
}


@pytest.mark.parametrize(
    ("seen", "phase"), [(seen, phase) for seen, row in FOUND.items() for phase in row], ids=str
)
def test_the_updates_of_every_phase_and_container_after_a_restart(
    seen: Phase | None, phase: TaskPhase
) -> None:
    shim = at(phase)
    ref = shim.ref()
    exit_code = 1 if seen is Phase.EXITED else None
    shim.restart(*([] if seen is None else [container(ref, seen, exit_code)]))
    updates, ordered = FOUND[seen][phase]
    assert shim.pending_states() == updates
    kinds = [type(order).__name__ for order in shim.decision.orders]
    assert [kind for kind in kinds if kind != "Notice"] == ordered


def test_a_task_inside_an_executor_has_no_container_to_hear_of() -> None:
    for phase, event in itertools.product(INSIDE, Event):
        expected = Action.KILL_INSIDE if event is Event.KILL else Action.IGNORE
        assert step(phase, event) == (phase, expected)


@pytest.mark.parametrize("removed", [True, False])
def test_a_restart_repeats_a_pending_removal(removed: bool) -> None:
    shim = at(TaskPhase.ENDED)
    ref = shim.ref()
    if removed:
        shim.removed(ref)
    shim.restart(container(ref, Phase.EXITED, 0))
    kinds = [type(order).__name__ for order in shim.decision.orders if order.__class__]
    assert ("Remove" in kinds) is not removed
    assert ("RemoveOrphan" in kinds) is removed
    assert shim.pending_states() == ["TASK_FINISHED"]


def test_the_watch_order_comes_first_after_a_restart() -> None:
    shim = at(TaskPhase.RUNNING)
    ref = shim.ref()
    shim.restart(running(ref))
    kinds = [type(order).__name__ for order in shim.decision.orders]
    assert kinds.index("Watch") < kinds.index("Publish")
