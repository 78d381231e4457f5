"""Both tables of a worker, walked through every pair."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from shim.engine.containers.launch import Interrupted
from shim.engine.containers.running import RunningContainers
from shim.engine.containers.worker import ContainerWorker
from shim.engine.containers.worker_table import (
    CANCELLED,
    LAUNCHES,
    MAY_RUN,
    ORDERS,
    PARKED,
    ContainerOrder,
    LaunchAction,
    LaunchEvent,
    LaunchPhase,
    OrderEffect,
    WorkerStep,
)
from shim.model.container import Ref
from shim.model.facts import LaunchCancelled
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import AllowCreate, CancelLaunch, Launch, Remove, Stop
from shim.protos.mesos_pb2 import TaskInfo
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

REF = Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))
A_LAUNCH = Launch(REF, TaskInfo(), "agent")
AN_ALLOWANCE = AllowCreate(REF)
A_CANCEL, A_REMOVE, A_STOP = CancelLaunch(REF), Remove(REF), Stop(REF, 5.0)

NOTHING_SENT = {LaunchPhase.PREPARING, LaunchPhase.ALLOWED, LaunchPhase.ABANDONED}
PAIRS = [(phase, event) for phase in LaunchPhase for event in LaunchEvent]
ORDER_PAIRS = [
    (step, order)
    for step in WorkerStep
    for order in (A_LAUNCH, AN_ALLOWANCE, A_CANCEL, A_REMOVE, A_STOP)
]


def a_worker(posted: list[Any]) -> ContainerWorker:
    running = RunningContainers(FakeEngine())
    deps: Any = SimpleNamespace(clock=lambda: 0.0, post=posted.append, running=running)
    return ContainerWorker(REF, deps, lambda ref: None)


# --- the launch -----------------------------------------------------------------------------


def test_every_pair_of_phase_and_event_is_in_the_table() -> None:
    assert set(LAUNCHES) == set(LaunchPhase)
    for row in LAUNCHES.values():
        assert list(row) == list(LaunchEvent)


def test_a_cancelled_launch_stays_cancelled_and_sends_nothing() -> None:
    for phase, event in PAIRS:
        after, action = LAUNCHES[phase][event]
        if phase in CANCELLED:
            assert after in CANCELLED
            assert action is not LaunchAction.CANCEL, "a cancel is answered once"
        if phase in CANCELLED - PARKED and event in (LaunchEvent.CREATE, LaunchEvent.START):
            assert action is LaunchAction.INTERRUPT


def test_a_cancel_is_answered_exactly_when_the_launch_becomes_cancelled() -> None:
    for phase, event in PAIRS:
        after, action = LAUNCHES[phase][event]
        becomes_cancelled = phase not in CANCELLED and after in CANCELLED
        assert (action is LaunchAction.CANCEL) == becomes_cancelled


def test_only_a_refused_start_makes_a_launch_that_may_run_cancellable() -> None:
    for phase, event in PAIRS:
        after, _ = LAUNCHES[phase][event]
        if phase in MAY_RUN and after not in MAY_RUN:
            assert event is LaunchEvent.REFUSED
            assert phase is not LaunchPhase.CONFIRMING, "an earlier start may have had its effect"


def test_a_parked_launch_goes_on_only_when_the_engine_calls_back() -> None:
    for phase, event in PAIRS:
        after, action = LAUNCHES[phase][event]
        goes_on = phase in PARKED and after not in PARKED
        assert goes_on == (action is LaunchAction.RESUME)
        assert goes_on == (phase in PARKED and event is LaunchEvent.READY)


def test_a_launch_that_may_have_a_container_never_forgets_it() -> None:
    for phase, event in PAIRS:
        after, _ = LAUNCHES[phase][event]
        if phase not in NOTHING_SENT:
            assert after not in NOTHING_SENT


def test_nothing_is_sent_before_a_create_is_allowed() -> None:
    for phase, event in PAIRS:
        after, action = LAUNCHES[phase][event]
        if phase in NOTHING_SENT and after not in NOTHING_SENT:
            assert phase is LaunchPhase.ALLOWED
        if phase is LaunchPhase.PREPARING and event in (LaunchEvent.CREATE, LaunchEvent.START):
            assert action is LaunchAction.INTERRUPT
        if after is LaunchPhase.ALLOWED and phase is not LaunchPhase.ALLOWED:
            assert (phase, event) == (LaunchPhase.PREPARING, LaunchEvent.ALLOW)


@pytest.mark.parametrize(("phase", "event"), PAIRS)
@timeless
async def test_a_worker_does_what_the_table_says(phase: LaunchPhase, event: LaunchEvent) -> None:
    posted: list[Any] = []
    worker = a_worker(posted)
    worker.phase = phase
    worker._task = asyncio.create_task(asyncio.sleep(0))
    after, action = LAUNCHES[phase][event]
    if action is LaunchAction.RESUME:
        worker._task = None
    if action is LaunchAction.INTERRUPT:
        with pytest.raises(Interrupted):
            worker.apply(event)
    else:
        worker.apply(event)
    assert worker.phase is after
    assert posted == ([LaunchCancelled(REF)] if action is LaunchAction.CANCEL else [])
    assert worker._task is not None


def test_a_call_back_after_the_launch_is_ignored() -> None:
    worker = a_worker([])
    worker.on_ready()
    assert worker.phase is None


# --- orders ---------------------------------------------------------------------------------


def test_every_pair_of_step_and_order_is_in_the_table() -> None:
    assert set(ORDERS) == set(WorkerStep)
    for row in ORDERS.values():
        assert set(row) == {Launch, AllowCreate, CancelLaunch, Remove, Stop}


@pytest.mark.parametrize(("step", "order"), ORDER_PAIRS)
def test_an_order_waits_unless_the_step_does_it_already(
    step: WorkerStep, order: ContainerOrder
) -> None:
    worker = a_worker([])
    worker._step = step
    worker.take(order)
    kept = [worker._launch, worker._cancel, worker._remove, worker._stop]
    waits = ORDERS[step][type(order)] not in (OrderEffect.IGNORE, OrderEffect.ALLOW)
    assert [each for each in kept if each is not None] == ([order] if waits else [])


@pytest.mark.parametrize("order", [A_CANCEL, A_REMOVE])
@pytest.mark.parametrize("step", [WorkerStep.IDLE, WorkerStep.LAUNCHING])
def test_a_launch_is_cancelled_when_the_order_comes(
    step: WorkerStep, order: ContainerOrder
) -> None:
    posted: list[Any] = []
    worker = a_worker(posted)
    worker.take(A_LAUNCH)
    worker._step = step
    worker.take(order)
    worker.take(A_CANCEL)
    assert posted == [LaunchCancelled(REF)]
    assert worker.phase is LaunchPhase.ABANDONED
    assert worker._cancel is None, "nothing is left to recover"


@pytest.mark.parametrize(("step", "order"), ORDER_PAIRS)
@timeless
async def test_only_a_stop_is_interrupted_by_an_order_of_its_own(
    step: WorkerStep, order: ContainerOrder
) -> None:
    """A wait of a launch is interrupted by its cancel, and other steps do not wait so."""
    worker = a_worker([])
    worker._step = step

    async def wait() -> str:
        try:
            async with worker.interruptible():
                await asyncio.sleep(60)
        except Interrupted:
            return "interrupted"
        return "over"

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(1)
    worker.take(order)
    interrupts = ORDERS[step][type(order)] is OrderEffect.INTERRUPT
    assert await waiting == ("interrupted" if interrupts else "over")
    assert not interrupts or step is WorkerStep.STOPPING


def test_orders_are_carried_out_by_precedence_and_a_removal_replaces_a_stop() -> None:
    worker = a_worker([])
    steps = [worker._next_step()]
    worker.take(A_STOP)
    steps.append(worker._next_step())
    worker.take(A_REMOVE)
    assert worker._stop is None
    steps.append(worker._next_step())
    worker.take(A_CANCEL)
    steps.append(worker._next_step())
    worker.phase = LaunchPhase.UNWANTED
    steps.append(worker._next_step())
    worker._launch = A_LAUNCH
    steps.append(worker._next_step())
    assert steps == [
        WorkerStep.IDLE,
        WorkerStep.STOPPING,
        WorkerStep.REMOVING,
        WorkerStep.RECOVERING,
        WorkerStep.CLEANING,
        WorkerStep.LAUNCHING,
    ]


@timeless
async def test_a_timeout_of_the_work_itself_is_no_interruption() -> None:
    worker = a_worker([])
    with pytest.raises(TimeoutError, match="socket"):
        async with worker.interruptible():
            raise TimeoutError("socket")
