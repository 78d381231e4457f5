"""Launches: which facts are posted, in which order, and what is left at the endpoint."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from shim import limits
from shim.engine.api import Auth, ImageRef
from shim.errors import (
    AccessDenied,
    Ambiguous,
    InvalidTask,
    NameTaken,
    NotFound,
    Permanent,
    Transient,
)
from shim.model.container import Phase, Ref
from shim.model.facts import (
    ContainerExited,
    ContainerRemoved,
    ContainerStarted,
    Failure,
    LaunchAdvanced,
    LaunchCancelled,
    LaunchFailed,
)
from shim.model.facts import (
    Stage as Step,
)
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId
from shim.model.orders import AllowCreate, CancelLaunch, Launch, MemberOf, Remove
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo
from tests.engine.containers.harness import LAUNCH_TIMEOUT, harness
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine


@timeless
async def test_a_launch_creates_starts_and_inspects() -> None:
    async with harness() as h:
        ref = h.launch()
        started = await h.until(ContainerStarted, ref)
        assert h.of(ref) == [LaunchAdvanced(ref, Step.CREATING), started]
        assert started.container.phase is Phase.RUNNING
        assert started.container.inspect
        assert h.engine.boxes[ref.name].starts == 1
        await h.wait_idle()


@timeless
async def test_progress_is_reported_before_the_create_is_sent() -> None:
    async with harness() as h:
        held = h.engine.hold("create")
        ref = h.launch()
        await h.until(LaunchAdvanced, ref)
        assert not h.engine.boxes
        held.set()
        await h.until(ContainerStarted, ref)


@timeless
async def test_running_containers_cost_no_asyncio_task() -> None:
    async with harness() as h:
        before = len(asyncio.all_tasks())
        for number in range(300):
            await h.running(f"task-{number}")
        await h.wait_idle()
        assert len(asyncio.all_tasks()) == before
        assert h.containerizer.watched == 300


@pytest.mark.parametrize("code", [0, 7])
@timeless
async def test_a_container_that_ended_before_its_inspect_started_and_exited(code: int) -> None:
    async with harness() as h:
        ref = h.launch(command=["exit", str(code)])
        exited = await h.until(ContainerExited, ref)
        await asyncio.sleep(60)
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]
        assert exited.exit_code == code


@timeless
async def test_a_container_may_end_while_its_inspect_is_answered() -> None:
    """The event comes while the inspect that still saw it running is being answered."""
    async with harness() as h:
        ref = h.ref()
        inspect = h.engine.inspect

        async def late(name: str) -> object:
            seen = await inspect(name)
            if not h.of(ref)[1:]:
                h.engine.end(name, 5)
                await asyncio.sleep(1)
            return seen

        h.engine.inspect = late
        h.relaunch(ref)
        exited = await h.until(ContainerExited, ref, seconds=limits.RELIST_INTERVAL / 2)
        assert exited.exit_code == 5
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_a_refused_call_fails_the_launch_with_the_endpoints_message(verb: str) -> None:
    async with harness() as h:
        h.engine.fail(verb, Permanent("port is already allocated"))
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref)
        assert (failed.failure, failed.message) == (Failure.LAUNCH, "port is already allocated")
        await h.wait_idle()
        assert h.containerizer.watched == 0


@timeless
async def test_a_task_that_cannot_be_mapped_never_reaches_the_endpoint() -> None:
    async with harness() as h:
        h.spec_error = InvalidTask("container.docker.image: missing")
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref)
        assert failed == LaunchFailed(ref, Failure.INVALID, "container.docker.image: missing")
        assert h.engine.calls["create"] == 0


@timeless
async def test_a_bug_of_the_shim_fails_the_launch_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as h:
        h.spec_error = ZeroDivisionError("oops")
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref)
        assert "ZeroDivisionError" in failed.message
        assert "Traceback" in caplog.text
        h.spec_error = None
        await h.running("another")


# --- ambiguous errors and lost answers ------------------------------------------------------


@timeless
async def test_a_create_whose_answer_was_lost_is_adopted() -> None:
    async with harness() as h:
        h.engine.fail("create", after=True)
        ref = h.launch()
        await h.until(ContainerStarted, ref)
        assert h.engine.boxes[ref.name].starts == 1
        assert len(h.engine.boxes) == 1


@timeless
async def test_a_launch_waits_for_a_create_that_the_engine_still_works_on() -> None:
    async with harness() as h:
        h.engine.fail("create")
        h.engine.fail("create", NameTaken("the name is in use"), times=10)
        ref = h.launch()
        await h.until(ContainerStarted, ref)
        assert "LaunchFailed" not in h.kinds(ref)
        h.engine.fail("create", NameTaken("the name is in use"), times=10_000)
        failed = await h.until(LaunchFailed, h.launch("u"), seconds=LAUNCH_TIMEOUT + 5)
        assert failed.failure is Failure.TIMEOUT
        assert "the name is in use" in failed.message


@pytest.mark.parametrize("verb", ["create", "start", "inspect", "has_image"])
@timeless
async def test_a_call_that_was_not_answered_is_repeated(verb: str) -> None:
    async with harness() as h:
        h.engine.fail(verb, times=5)
        ref = h.launch()
        await h.until(ContainerStarted, ref)
        assert h.engine.boxes[ref.name].starts == 1
        assert "LaunchFailed" not in h.kinds(ref)


@timeless
async def test_a_start_whose_answer_was_lost_is_not_sent_again() -> None:
    async with harness() as h:
        h.engine.fail("start", after=True)
        ref = h.launch(command=["exit", "4"])
        exited = await h.until(ContainerExited, ref)
        assert exited.exit_code == 4
        assert h.engine.boxes[ref.name].starts == 1


@timeless
async def test_an_endpoint_away_for_a_minute_delays_a_launch() -> None:
    async with harness() as h:
        h.engine.away = True
        ref = h.launch()
        await asyncio.sleep(60)
        assert "ContainerStarted" not in h.kinds(ref)
        h.engine.away = False
        await h.until(ContainerStarted, ref, seconds=limits.ENGINE_RETRY_MAX + 1)


@timeless
async def test_thousands_of_launches_that_wait_for_an_endpoint_make_few_calls() -> None:
    async with harness() as h:
        h.engine.away = True
        refs = [h.launch(f"task-{n}") for n in range(1000)]
        await asyncio.sleep(30)
        asked = h.engine.calls.total()
        await asyncio.sleep(limits.RETRY_WITHOUT_LIST)
        blind, lists = len(refs), limits.RETRY_WITHOUT_LIST / limits.ENDPOINT_FRESH
        assert h.engine.calls.total() - asked <= blind + lists
        h.engine.away = False
        for ref in refs:
            await h.until(ContainerStarted, ref, seconds=limits.RELIST_INTERVAL + 1)


@timeless
async def test_a_launch_is_tried_again_even_if_only_lists_hang() -> None:
    async with harness() as h:
        await asyncio.sleep(1)
        h.engine.hold("list")
        await asyncio.sleep(2 * limits.RELIST_INTERVAL)
        h.engine.fail("create")
        ref = h.launch()
        await h.until(ContainerStarted, ref, seconds=limits.RETRY_WITHOUT_LIST + 5)


@timeless
async def test_an_endpoint_away_too_long_fails_a_launch() -> None:
    async with harness() as h:
        h.engine.away = True
        ref = h.launch()
        began = asyncio.get_running_loop().time()
        failed = await h.until(LaunchFailed, ref)
        assert asyncio.get_running_loop().time() - began == pytest.approx(LAUNCH_TIMEOUT, abs=1)
        assert failed.failure is Failure.TIMEOUT
        assert "connection refused" in failed.message
        h.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(600)
        assert "ContainerRemoved" not in h.kinds(ref)
        h.engine.away = False
        await h.until(ContainerRemoved, ref)


@timeless
async def test_a_launch_never_times_out_once_a_start_was_sent() -> None:
    """Longer than any patience: failing it would be a lie, it may run."""
    async with harness() as h:
        held = h.engine.hold("start", Transient("connection reset"))
        ref = h.launch()
        await asyncio.sleep(1)
        h.engine.boxes[ref.name].phase = Phase.RUNNING
        h.engine.away = True
        held.set()
        await asyncio.sleep(2 * LAUNCH_TIMEOUT)
        assert set(h.kinds(ref)) == {"LaunchAdvanced"}
        h.engine.away = False
        await h.until(ContainerStarted, ref)


@pytest.mark.parametrize("verb", ["create", "start", "pull"])
@timeless
async def test_an_announced_maintenance_moves_the_deadline(verb: str) -> None:
    async with harness() as h:
        loop, hour = asyncio.get_running_loop(), 3600.0
        began = loop.time()
        h.engine.registry.add("nginx:alpine")
        h.engine.fail(verb, AccessDenied("Back soon, until 12:00 UTC", retry_after=hour))
        ref = h.launch(image="nginx:alpine" if verb == "pull" else "busybox:1")
        await h.until(ContainerStarted, ref)
        assert hour <= loop.time() - began < hour + limits.RETRY_SPREAD + 1
        assert h.engine.calls[verb] == 2, "no call is made before the time that was announced"
        assert h.engine.boxes[ref.name].starts == 1


@timeless
async def test_launches_that_wait_for_a_maintenance_come_back_spread_out() -> None:
    async with harness(max_inflight=1000) as h:
        h.engine.fail("create", AccessDenied("Back soon", retry_after=600), times=300)
        for number in range(300):
            h.launch(f"task-{number}")
        await asyncio.sleep(599)
        assert not h.engine.boxes
        came = []
        for _ in range(int(limits.RETRY_SPREAD) + 3):
            came.append(len(h.engine.boxes))
            await asyncio.sleep(1)
        assert len(h.engine.boxes) == 300
        assert max(after - before for before, after in itertools.pairwise(came)) < 50


@timeless
async def test_a_maintenance_without_end_fails_a_launch_with_the_operators_message() -> None:
    async with harness() as h:
        loop, day = asyncio.get_running_loop(), 24 * 3600.0
        h.engine.fail("create", AccessDenied("Back soon", retry_after=day), times=99)
        began = loop.time()
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref, seconds=day)
        took = loop.time() - began
        assert took == pytest.approx(limits.MAINTENANCE_WAIT_MAX + LAUNCH_TIMEOUT, abs=60)
        assert failed.failure is Failure.TIMEOUT
        assert failed.message == (
            f"not started within {LAUNCH_TIMEOUT:g} s, and {limits.MAINTENANCE_WAIT_MAX:.0f} s "
            "that the endpoint asked to wait, while creating container: Back soon"
        )


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_a_kill_during_a_maintenance_is_answered_at_once(verb: str) -> None:
    async with harness() as h:
        h.engine.fail(verb, AccessDenied("Back soon", retry_after=3600))
        ref = h.launch()
        await asyncio.sleep(60)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(h.of(ref)[-1], LaunchCancelled)
        h.containerizer.carry_out(Remove(ref))
        await h.until(ContainerRemoved, ref, seconds=60)
        assert not h.engine.boxes


@timeless
async def test_why_a_launch_waits_is_reported_and_logged_at_intervals(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as h:
        words = "Triton does not accept the certificate"
        h.engine.fail("create", AccessDenied(words), times=50)
        refs = [h.launch(f"task-{number}") for number in range(5)]
        await asyncio.sleep(1)
        for ref in refs:
            assert h.of(ref)[-1] == LaunchAdvanced(ref, Step.CREATING, words)
        assert caplog.text.count(words) == 1, "one line, not one per launch"
        for ref in refs:
            await h.until(ContainerStarted, ref)
        assert all(h.of(ref)[-2] == LaunchAdvanced(ref, Step.CREATING) for ref in refs)
        h.engine.images.clear()
        h.engine.fail("has_image", AccessDenied(words))
        late = h.launch("late", image="other:1")
        await asyncio.sleep(0.1)
        assert h.of(late) == [LaunchAdvanced(late, Step.PULLING, words)]
        seconds = asyncio.get_running_loop().time()
        assert caplog.text.count(words) <= 1 + seconds / limits.LOG_THROTTLE_INTERVAL


@timeless
async def test_a_container_that_never_started_has_no_logs_to_collect() -> None:
    asked: list[Ref] = []

    async def collect_final_logs(ref: Ref) -> None:
        asked.append(ref)

    async with harness(collect_final_logs=collect_final_logs) as h:
        h.engine.fail("create", Permanent("no"))
        failed = h.launch("failed")
        await h.until(LaunchFailed, failed)
        h.engine.fail("create", AccessDenied("Unauthorized", retry_after=60))
        killed = h.launch("killed")
        await asyncio.sleep(0.1)
        h.containerizer.carry_out(CancelLaunch(killed))
        ended = await h.running("ended")
        h.engine.fail("start", Ambiguous("no such command"), times=limits.AMBIGUOUS_ATTEMPTS)
        started = h.launch("started")
        await h.until(LaunchFailed, started)
        for ref in (failed, killed, started, ended):
            h.containerizer.carry_out(Remove(ref))
            await h.until(ContainerRemoved, ref)
        assert asked == [started, ended], "a start that was refused may have been carried out"
        assert not h.containerizer._deps.leftovers.without_logs


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_an_ambiguous_error_gets_a_few_attempts(verb: str) -> None:
    async with harness() as h:
        h.engine.fail(verb, Ambiguous("no matching entries in passwd file"), times=2)
        await h.running("lucky")
        h.engine.fail(verb, Ambiguous("no matching entries in passwd file"), times=3)
        ref = h.launch("unlucky")
        failed = await h.until(LaunchFailed, ref)
        assert (failed.failure, failed.message) == (
            Failure.LAUNCH,
            "no matching entries in passwd file",
        )


@timeless
async def test_a_name_taken_by_a_foreign_container_fails_and_leaves_it_alone() -> None:
    async with harness() as h:
        ref = h.ref()
        foreign = h.engine.add(ref.name, {"com.example": "mine"})
        h.relaunch(ref)
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.LAUNCH
        assert "name taken" in failed.message
        assert h.engine.boxes[ref.name] is foreign
        assert foreign.phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("phase", "facts"),
    [
        (Phase.CREATED, ["ContainerStarted"]),
        (Phase.RUNNING, ["ContainerStarted"]),
        (Phase.EXITED, ["ContainerStarted", "ContainerExited"]),
    ],
)
@timeless
async def test_the_container_of_an_earlier_process_is_adopted(
    phase: Phase, facts: list[str]
) -> None:
    async with harness() as h:
        ref = h.ref()
        box = h.engine.add(ref.name, h.labels(ref), phase)
        h.relaunch(ref)
        await h.until(ContainerStarted, ref)
        await asyncio.sleep(20)
        assert h.kinds(ref)[1:] == facts
        assert box.starts == (1 if phase is Phase.CREATED else 0)


@timeless
async def test_a_container_removed_while_it_is_started_fails() -> None:
    async with harness() as h:
        ref = h.ref()
        held = h.engine.hold("inspect")
        h.relaunch(ref)
        await asyncio.sleep(1)
        h.engine.destroy(ref.name)
        held.set()
        failed = await h.until(LaunchFailed, ref)
        assert "removed while it was being started" in failed.message
        await h.wait_idle()
        assert h.engine.calls["create"] == 1


@timeless
async def test_a_launch_ordered_twice_is_one_launch() -> None:
    async with harness() as h:
        held = h.engine.hold("create")
        ref = h.launch()
        await asyncio.sleep(1)
        h.relaunch(ref)
        held.set()
        await h.until(ContainerStarted, ref)
        await h.wait_idle()
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


# --- images -------------------------------------------------------------------------------


@timeless
async def test_ten_tasks_of_one_image_pull_it_once() -> None:
    async with harness() as h:
        h.engine.registry.add("nginx:alpine")
        held = h.engine.hold("pull")
        refs = [h.launch(f"task-{n}", image="nginx:alpine") for n in range(10)]
        await asyncio.sleep(1)
        held.set()
        for ref in refs:
            await h.until(ContainerStarted, ref)
            stages = [fact.stage for fact in h.of(ref) if isinstance(fact, LaunchAdvanced)]
            assert stages[0] is Step.PULLING
            assert stages[-1] is Step.CREATING
            assert "nginx:alpine" in h.of(ref)[0].detail
        assert len(h.engine.pulls) == 1
        await h.wait_idle()


@timeless
async def test_a_failed_pull_fails_the_launch_with_the_registrys_message() -> None:
    async with harness() as h:
        ref = h.launch(image="nothing:1")
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.PULL
        words = "manifest for nothing:1 not found: manifest unknown"
        assert failed.message == f"Cannot pull nothing:1: {words}"
        assert h.engine.calls["create"] == 0


@timeless
async def test_a_forced_pull_does_not_look_the_image_up() -> None:
    async with harness() as h:
        h.force_pull = True
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.PULL
        assert h.engine.calls["has_image"] == 0


@timeless
async def test_a_known_image_is_not_looked_up_again_until_a_create_misses_it() -> None:
    async with harness() as h:
        await h.running("first")
        await h.running("second")
        assert h.engine.calls["has_image"] == 1
        h.engine.images.clear()
        h.engine.registry.add("busybox:1")
        await h.running("third")
        assert h.engine.pulls == [("busybox:1", None)]


@timeless
async def test_a_pull_uses_the_credentials_of_the_launch() -> None:
    def auth_for(order: Launch, image: ImageRef) -> Auth:
        return Auth("user", order.ref.task_key.task_id, server=image.registry)

    async with harness(auth_for=auth_for) as h:
        h.engine.registry.add("reg:5000/a:1")
        ref = h.launch("secret", image="reg:5000/a:1")
        await h.until(ContainerStarted, ref)
        assert h.engine.pulls == [("reg:5000/a:1", Auth("user", "secret", server="reg:5000"))]


@timeless
async def test_a_pull_that_takes_too_long_is_given_up() -> None:
    async with harness() as h:
        h.engine.hold("pull")
        ref = h.launch(image="slow:1")
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.TIMEOUT
        assert "pulling image" in failed.message
        await h.wait_idle()
        assert h.engine.pulls_cancelled == 1


# --- hooks --------------------------------------------------------------------------------


class Hook:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.seen: list[str] = []
        self.error: Exception | None = None

    def applies_to(self, order: Launch) -> bool:
        return True

    async def before_create(self, order: Launch) -> None:
        self.seen.append("before")
        if self.error is not None:
            raise self.error

    async def after_create(self, order: Launch) -> None:
        self.seen.append(self.engine.boxes[order.ref.name].phase.value)

    def after_launch(self, ref: Ref) -> None:
        self.seen.append("after")


@timeless
async def test_hooks_run_before_and_after_the_create() -> None:
    engine = FakeEngine()
    hook = Hook(engine)
    async with harness(engine, hooks=[hook]) as h:
        ref = await h.running()
        assert hook.seen == ["before", "created", "after"]
        stages = [fact.stage for fact in h.of(ref)[:2]]
        assert stages == [Step.FETCHING, Step.CREATING]


@timeless
async def test_a_hook_that_fails_is_a_failed_fetch() -> None:
    engine = FakeEngine()
    hook = Hook(engine)
    hook.error = Permanent("http://example.com/x: 404")
    async with harness(engine, hooks=[hook]) as h:
        failed = await h.until(LaunchFailed, h.launch())
        assert (failed.failure, failed.message) == (Failure.FETCH, "http://example.com/x: 404")
        assert hook.seen == ["before", "after"]
        assert engine.calls["create"] == 0


# --- bounds -------------------------------------------------------------------------------


@timeless
async def test_no_more_launches_hold_a_slot_than_max_inflight() -> None:
    async with harness(max_inflight=3, watching=False) as h:
        held = [h.engine.hold("create") for _ in range(3)]
        refs = [h.launch(f"task-{n}") for n in range(50)]
        await asyncio.sleep(1)
        assert h.engine.calls["create"] == 3
        assert h.containerizer.waiting == 47
        for event in held:
            event.set()
        for ref in refs:
            await h.until(ContainerStarted, ref)
        assert h.engine.most_in_flight <= 4  # and one look for the image


@timeless
async def test_waiting_for_a_slot_moves_the_deadline_while_the_endpoint_answers() -> None:
    async with harness(max_inflight=1) as h:
        create = h.engine.create

        async def slow(spec: object) -> str:
            await asyncio.sleep(100)
            container_id: str = await create(spec)
            return container_id

        h.engine.create = slow
        refs = [h.launch(f"task-{n}") for n in range(30)]
        for ref in refs:
            await h.until(ContainerStarted, ref)
        assert asyncio.get_running_loop().time() > 3 * LAUNCH_TIMEOUT


@timeless
async def test_the_deadline_is_later_after_waiting_for_a_slot() -> None:
    async with harness(max_inflight=1) as h:
        held = h.engine.hold("create")
        h.launch("first")
        await asyncio.sleep(1)
        ref = h.launch("second")
        await asyncio.sleep(LAUNCH_TIMEOUT - 10)
        h.engine.fail("create", times=10)
        held.set()
        await h.until(ContainerStarted, ref)
        assert asyncio.get_running_loop().time() > LAUNCH_TIMEOUT


@timeless
async def test_waiting_for_a_slot_of_a_silent_endpoint_times_out() -> None:
    async with harness(max_inflight=1) as h:
        h.engine.hold("create")
        h.launch("first")
        await asyncio.sleep(1)
        ref = h.launch("second")
        h.engine.away = True
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.TIMEOUT


# --- permission to create ------------------------------------------------------------------


@timeless
async def test_no_create_is_sent_before_it_is_allowed() -> None:
    async with harness() as h:
        h.allows_create = False
        ref = h.launch()
        await asyncio.sleep(60)
        assert h.of(ref) == [LaunchAdvanced(ref, Step.CREATING)]
        assert h.engine.calls["create"] == 0
        h.containerizer.carry_out(AllowCreate(ref))
        await h.until(ContainerStarted, ref)
        assert h.engine.calls["create"] == 1


@timeless
async def test_a_repeated_create_needs_no_second_permission() -> None:
    async with harness() as h:
        h.allows_create = False
        h.engine.fail("create", Transient("reset"), times=2)
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(AllowCreate(ref))
        await h.until(ContainerStarted, ref)
        assert h.engine.calls["create"] == 3


@pytest.mark.parametrize("order", [CancelLaunch, Remove])
@timeless
async def test_a_launch_cancelled_before_its_create_is_allowed_leaves_nothing(
    order: type[CancelLaunch | Remove],
) -> None:
    async with harness(max_inflight=1) as h:
        h.allows_create = False
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(order(ref))
        assert isinstance(h.of(ref)[-1], LaunchCancelled)
        h.containerizer.carry_out(AllowCreate(ref))
        await h.wait_idle()
        assert h.engine.calls["create"] == 0
        h.allows_create = True
        await h.running("next")


@timeless
async def test_a_cancel_in_the_same_moment_as_the_permission_wins() -> None:
    async with harness() as h:
        h.allows_create = False
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(AllowCreate(ref))
        h.containerizer.carry_out(CancelLaunch(ref))
        await h.wait_idle()
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled"]
        assert h.engine.calls["create"] == 0


@timeless
async def test_a_permission_for_a_launch_that_is_over_has_no_effect() -> None:
    async with harness() as h:
        ref = await h.running()
        await h.wait_idle()
        h.containerizer.carry_out(AllowCreate(ref))
        assert h.containerizer.busy == 0


@timeless
async def test_a_launch_does_not_wait_forever_for_its_permission() -> None:
    async with harness() as h:
        h.allows_create = False
        ref = h.launch()
        failed = await h.until(LaunchFailed, ref)
        assert failed.failure is Failure.TIMEOUT
        assert failed.message.endswith("while creating container")
        assert h.engine.calls["create"] == 0


@timeless
async def test_a_task_of_a_group_waits_as_long_as_its_infra_container_is_launched() -> None:
    async with harness() as h:
        h.allows_create = False
        ref, executor = h.ref(), ExecutorKey(FrameworkId("f"), ExecutorId("e"))
        member = MemberOf(Ref(executor, ContainerId("infra")), ExecutorInfo(), infra=True)
        h.containerizer.carry_out(Launch(ref, TaskInfo(), "agent", member))
        await asyncio.sleep(2 * LAUNCH_TIMEOUT)
        h.engine.fail("create", Transient("reset"))
        h.containerizer.carry_out(AllowCreate(ref))
        await h.until(ContainerStarted, ref)


# --- cancelling ----------------------------------------------------------------------------


@timeless
async def test_a_kill_during_a_pull_cancels_it() -> None:
    async with harness() as h:
        h.engine.hold("pull")
        ref = h.launch(image="nginx:alpine")
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(h.of(ref)[-1], LaunchCancelled)
        await h.wait_idle()
        assert h.engine.pulls_cancelled == 1
        assert h.engine.calls["create"] == 0


@timeless
async def test_a_pull_goes_on_for_the_launches_that_still_wait() -> None:
    async with harness() as h:
        h.engine.registry.add("nginx:alpine")
        held = h.engine.hold("pull")
        gone, stays = (h.launch(name, image="nginx:alpine") for name in ("gone", "stays"))
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(gone))
        await asyncio.sleep(1)
        assert h.engine.pulls_cancelled == 0
        held.set()
        await h.until(ContainerStarted, stays)
        assert "ContainerStarted" not in h.kinds(gone)


@timeless
async def test_a_launch_killed_while_it_waits_passes_its_slot_on() -> None:
    async with harness(max_inflight=1) as h:
        held = h.engine.hold("create")
        first = h.launch("first")
        await asyncio.sleep(1)
        killed, last = h.launch("killed"), h.launch("last")
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(killed))
        held.set()
        await h.until(ContainerStarted, first)
        await h.until(ContainerStarted, last)
        assert h.kinds(killed) == ["LaunchCancelled"]
        assert h.engine.calls["create"] == 2


@timeless
async def test_a_kill_during_the_create_is_answered_and_the_container_removed() -> None:
    async with harness() as h:
        held = h.engine.hold("create")
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(h.of(ref)[-1], LaunchCancelled)
        h.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(100)
        assert "ContainerRemoved" not in h.kinds(ref)
        held.set()
        await h.until(ContainerRemoved, ref)
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled", "ContainerRemoved"]
        assert h.engine.boxes == {}
        assert h.engine.calls["start"] == 0


@timeless
async def test_a_cancelled_create_leaves_nothing_without_a_remove_order() -> None:
    async with harness() as h:
        held = h.engine.hold("create")
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await h.wait_idle()
        assert h.engine.boxes == {}
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled"]


@timeless
async def test_a_cancelled_create_that_is_refused_is_reported_once() -> None:
    async with harness() as h:
        held = h.engine.hold("create", Permanent("no"))
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await h.wait_idle()
        assert h.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled"]


@timeless
async def test_a_cancelled_create_whose_answer_was_lost_is_awaited() -> None:
    """The endpoint goes on with it and has the container only later."""
    async with harness() as h:
        held = h.engine.hold("create", Transient("connection reset"))
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        h.containerizer.carry_out(Remove(ref))
        held.set()
        await asyncio.sleep(1)
        h.engine.add(ref.name, h.labels(ref), Phase.CREATED)
        await h.until(ContainerRemoved, ref)
        assert h.engine.boxes == {}


@timeless
async def test_a_kill_after_the_start_was_sent_comes_too_late() -> None:
    async with harness() as h:
        held = h.engine.hold("start")
        ref = h.launch()
        await asyncio.sleep(1)
        h.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await h.until(ContainerStarted, ref)
        await h.wait_idle()
        assert h.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]
        assert h.engine.boxes[ref.name].starts == 1


@timeless
async def test_a_kill_while_the_endpoint_is_away_is_answered_at_once() -> None:
    async with harness() as h:
        h.engine.away = True
        ref = h.launch()
        await asyncio.sleep(60)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(h.of(ref)[-1], LaunchCancelled)
        await h.wait_idle()


@pytest.mark.parametrize(
    ("phase", "facts"),
    [
        (None, ["LaunchCancelled"]),
        (Phase.CREATED, ["LaunchCancelled"]),
        (Phase.RUNNING, ["ContainerStarted"]),
        (Phase.EXITED, ["ContainerStarted", "ContainerExited"]),
    ],
)
@timeless
async def test_cancelling_a_launch_of_an_earlier_process(
    phase: Phase | None, facts: list[str]
) -> None:
    async with harness() as h:
        ref = h.ref()
        if phase is not None:
            h.engine.add(ref.name, h.labels(ref), phase)
        h.engine.fail("inspect", times=3)
        h.containerizer.carry_out(CancelLaunch(ref))
        await h.wait_idle()
        assert h.kinds(ref) == facts
        assert (ref.name in h.engine.boxes) == ("ContainerStarted" in facts)


@timeless
async def test_closing_leaves_containers_as_they_are() -> None:
    engine = FakeEngine()
    async with harness(engine) as h:
        ref = await h.running()
        engine.hold("create")
        h.launch("half-done")
        await asyncio.sleep(1)
    assert engine.boxes[ref.name].phase is Phase.RUNNING


@timeless
async def test_a_cancel_during_a_start_counts_if_the_start_is_refused() -> None:
    """The cancel is too late, unless the endpoint refuses the start for lack of access."""
    async with harness() as h:
        held = h.engine.hold("start", AccessDenied("maintenance", retry_after=3600.0))
        ref = h.launch()
        while not h.engine.calls["start"]:
            await asyncio.sleep(0.01)
        h.containerizer.carry_out(CancelLaunch(ref))
        assert "LaunchCancelled" not in h.kinds(ref)
        held.set()
        await asyncio.sleep(1)
        assert h.kinds(ref)[-1] == "LaunchCancelled"
        await h.wait_idle()
        assert h.engine.boxes == {}


@timeless
async def test_a_launch_that_was_asked_to_wait_may_still_wait_for_a_slot() -> None:
    """The maintenance lasts longer than announced, and there are fewer turns than launches."""

    class Closed(FakeEngine):
        closed = False

        async def create(self, *args: Any, **more: Any) -> str:
            await asyncio.sleep(0.05)
            if self.closed:
                raise AccessDenied("maintenance", retry_after=1800.0)
            return await super().create(*args, **more)

        async def list(self) -> Any:
            if self.closed:
                raise AccessDenied("maintenance", retry_after=1800.0)
            return await super().list()

    engine = Closed(has_events=False)
    async with harness(engine, max_inflight=1) as h:
        await h.running("the image is known")
        engine.closed = True
        refs = [h.launch(f"task-{number}") for number in range(200)]
        await asyncio.sleep(1800 + limits.RETRY_SPREAD + LAUNCH_TIMEOUT)
        engine.closed = False
        for ref in refs:
            await h.until(ContainerStarted, ref, 8000)


@timeless
async def test_a_pull_is_repeated_within_seconds_however_long_the_registry_asks() -> None:
    """Launches wait for one pull, and none of them knows what its registry asked for."""
    async with harness() as h:
        h.engine.registry.add("new:1")
        h.engine.fail("pull", Transient("too many requests", retry_after=3600.0))
        await h.until(ContainerStarted, h.launch(image="new:1"), 60)


@timeless
async def test_arguments_follow_the_first_word_of_the_images_command() -> None:
    async with harness() as h:
        h.completes_image_command = True
        h.engine.image_configs[h.image] = {"Cmd": ["/bin/echo", "C0", "C1"]}
        ref = h.launch(command=["A0", "A1"])
        await h.until(ContainerStarted, ref)
        assert h.engine.boxes[ref.name].command == ["/bin/echo", "A0", "A1"]


@timeless
async def test_arguments_without_a_program_fail_the_launch_before_the_create() -> None:
    async with harness() as h:
        h.completes_image_command = True
        h.engine.image_configs[h.image] = {"Cmd": None, "Entrypoint": None}
        ref = h.launch(command=["A0"])
        failed = await h.until(LaunchFailed, ref)
        assert "No executable is found" in failed.message
        assert h.engine.calls["create"] == 0


@timeless
async def test_an_image_that_disappears_before_its_command_is_read_is_pulled_again() -> None:
    async with harness() as h:
        h.completes_image_command = True
        h.engine.fail("image_config", NotFound("No such image"))
        ref = h.launch(command=["A0"])
        await h.until(ContainerStarted, ref)
        assert h.engine.boxes[ref.name].command == ["sleep", "A0"]
