"""The table is whole, and says what the text above it promises."""

from __future__ import annotations

import itertools

import pytest

from shim.core.lifecycle import TABLE, Action, Event, Phase, step
from shim.core.tasks import Tasks
from shim.model import facts
from shim.model.container import Phase as Seen
from shim.protos import journal_pb2
from tests.core.harness import Shim, container, running

PAIRS = list(itertools.product(Phase, Event))


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_every_pair_is_in_the_table(phase: Phase, event: Event) -> None:
    after, action = step(phase, event)
    assert isinstance(after, Phase)
    assert isinstance(action, Action)


def test_every_action_is_used_and_carried_out() -> None:
    used = {action for row in TABLE.values() for _, action in row.values()}
    shim = Shim()
    assert used == set(Action) == set(shim.core.tasks._actions)
    assert isinstance(shim.core.tasks, Tasks)


def test_only_an_ignored_event_leaves_the_phase_or_says_nothing_of_an_end() -> None:
    for phase, event in PAIRS:
        after, action = step(phase, event)
        if action is Action.IGNORE:
            assert after is phase, (phase, event)
        ends = action in (Action.FAIL, Action.END, Action.VANISH, Action.GIVE_UP)
        assert ends == (after is Phase.ENDED and phase is not Phase.ENDED), (phase, event)


def test_nothing_leads_out_of_the_end() -> None:
    assert all(step(Phase.ENDED, event) == (Phase.ENDED, Action.IGNORE) for event in Event)


def test_no_phase_goes_back() -> None:
    order = list(Phase)
    for phase, event in PAIRS:
        after, _ = step(phase, event)
        assert order.index(after) >= order.index(phase), (phase, event)


def at(phase: Phase) -> Shim:
    """A shim whose task is in the phase, with all that was said acknowledged."""
    shim = Shim()
    shim.framework("F", "killing")
    shim.run()
    if phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.ENDED):
        shim.creating()
    if phase in (Phase.RUNNING, Phase.STOPPING, Phase.ENDED):
        shim.started()
    if phase in (Phase.CANCELLING, Phase.STOPPING):
        shim.kill()
    shim.acknowledge_all()
    if phase is Phase.ENDED:
        shim.exited()
    return shim


def happen(shim: Shim, event: Event) -> None:
    ref = shim.ref()
    match event:
        case Event.CREATING:
            shim.creating()
        case Event.STARTED:
            shim.started()
        case Event.FAILED:
            shim.tell(facts.LaunchFailed(ref, facts.Failure.LAUNCH, "no"))
        case Event.CANCELLED:
            shim.tell(facts.LaunchCancelled(ref))
        case Event.EXITED:
            shim.exited(code=1)
        case Event.VANISHED:
            shim.tell(facts.ContainerVanished(ref))
        case Event.KILL:
            shim.kill()
        case Event.REPORT:
            shim.tell(facts.HealthReported(ref, healthy=False))


#: what the framework hears at once (all earlier updates are acknowledged)
HEARD = {
    (Phase.STAGING, Event.CREATING): ["TASK_STARTING"],
    (Phase.STAGING, Event.STARTED): ["TASK_RUNNING"],
    (Phase.STAGING, Event.FAILED): ["TASK_FAILED"],
    (Phase.STAGING, Event.EXITED): ["TASK_FAILED"],
    (Phase.STAGING, Event.VANISHED): ["TASK_FAILED"],
    (Phase.STARTING, Event.STARTED): ["TASK_RUNNING"],
    (Phase.STARTING, Event.FAILED): ["TASK_FAILED"],
    (Phase.STARTING, Event.EXITED): ["TASK_FAILED"],
    (Phase.STARTING, Event.VANISHED): ["TASK_FAILED"],
    (Phase.RUNNING, Event.EXITED): ["TASK_FAILED"],
    (Phase.RUNNING, Event.VANISHED): ["TASK_FAILED"],
    (Phase.RUNNING, Event.KILL): ["TASK_KILLING"],
    (Phase.RUNNING, Event.REPORT): ["TASK_RUNNING"],
    (Phase.CANCELLING, Event.STARTED): ["TASK_KILLING"],
    (Phase.CANCELLING, Event.FAILED): ["TASK_KILLED"],
    (Phase.CANCELLING, Event.CANCELLED): ["TASK_KILLED"],
    (Phase.CANCELLING, Event.EXITED): ["TASK_KILLED"],
    (Phase.CANCELLING, Event.VANISHED): ["TASK_KILLED"],
    (Phase.STOPPING, Event.CANCELLED): ["TASK_KILLED"],
    (Phase.STOPPING, Event.EXITED): ["TASK_KILLED"],
    (Phase.STOPPING, Event.VANISHED): ["TASK_KILLED"],
    **{(Phase.ENDED, event): ["TASK_FINISHED"] for event in Event},
}


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda x: x.name)
def test_what_is_heard_of_every_pair(phase: Phase, event: Event) -> None:
    shim = at(phase)
    happen(shim, event)
    assert shim.said() == HEARD.get((phase, event), [])
    after = step(phase, event)[0]
    assert shim.task().phase is after
    ended = after is Phase.ENDED and phase is not Phase.ENDED
    kept = journal_pb2.TaskState.FromString(shim.disk.tasks[shim.task().key][1])
    assert kept.phase == after.value
    removals = [o for o in shim.decision.orders if type(o).__name__ == "Remove"]
    assert len(removals) == ended


#: what the framework hears when a restart finds the container so
FOUND: dict[Seen | None, dict[Phase, tuple[list[str], list[str]]]] = {
    Seen.RUNNING: {
        Phase.STAGING: (["TASK_RUNNING"], ["Watch", "Publish"]),
        Phase.STARTING: (["TASK_RUNNING"], ["Watch", "Publish"]),
        Phase.RUNNING: ([], ["Watch", "Publish"]),
        Phase.CANCELLING: (["TASK_KILLING"], ["Watch", "Withdraw", "StopChecks", "Stop"]),
        Phase.STOPPING: ([], ["Watch", "Stop"]),
    },
    Seen.EXITED: {
        phase: ([end], ["Withdraw", "StopChecks", "Remove"])
        for phase, end in (
            (Phase.STAGING, "TASK_FAILED"),
            (Phase.STARTING, "TASK_FAILED"),
            (Phase.RUNNING, "TASK_FAILED"),
            (Phase.CANCELLING, "TASK_KILLED"),
            (Phase.STOPPING, "TASK_KILLED"),
        )
    },
    Seen.CREATED: {
        Phase.STAGING: ([], ["Launch"]),
        Phase.STARTING: ([], ["Launch"]),
        Phase.CANCELLING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
        Phase.RUNNING: (["TASK_FAILED"], ["Withdraw", "StopChecks", "Remove"]),
        Phase.STOPPING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
    },
    None: {
        Phase.STAGING: ([], ["Launch"]),
        Phase.STARTING: (["TASK_LOST"], ["Withdraw", "StopChecks", "Remove"]),
        Phase.RUNNING: (["TASK_FAILED"], ["Withdraw", "StopChecks", "Remove"]),
        Phase.CANCELLING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
        Phase.STOPPING: (["TASK_KILLED"], ["Withdraw", "StopChecks", "Remove"]),
    },
}


@pytest.mark.parametrize(
    ("seen", "phase"), [(seen, phase) for seen, row in FOUND.items() for phase in row], ids=str
)
def test_what_a_restart_makes_of_every_pair(seen: Seen | None, phase: Phase) -> None:
    shim = at(phase)
    ref = shim.ref()
    exit_code = 1 if seen is Seen.EXITED else None
    shim.restart(*([] if seen is None else [container(ref, seen, exit_code)]))
    heard, ordered = FOUND[seen][phase]
    assert shim.said() == heard
    kinds = [type(order).__name__ for order in shim.decision.orders]
    assert [kind for kind in kinds if kind != "Notice"] == ordered


@pytest.mark.parametrize("removed", [True, False])
def test_a_restart_after_the_end_repeats_the_removal_until_it_is_certain(removed: bool) -> None:
    shim = at(Phase.ENDED)
    ref = shim.ref()
    if removed:
        shim.removed(ref)
    shim.restart(container(ref, Seen.EXITED, 0))
    kinds = [type(order).__name__ for order in shim.decision.orders if order.__class__]
    assert ("Remove" in kinds) is not removed
    assert ("RemoveOrphan" in kinds) is removed
    assert shim.said() == ["TASK_FINISHED"]


def test_a_running_container_is_watched_before_anything_else_is_said_of_it() -> None:
    shim = at(Phase.RUNNING)
    ref = shim.ref()
    shim.restart(running(ref))
    kinds = [type(order).__name__ for order in shim.decision.orders]
    assert kinds.index("Watch") < kinds.index("Publish")
