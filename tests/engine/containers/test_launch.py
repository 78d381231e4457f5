"""Launches: what is told, in which order, and what is left on the endpoint, whatever goes wrong."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from shim import limits
from shim.engine.api import Auth, ImageRef
from shim.errors import AccessDenied, Ambiguous, InvalidTask, Permanent, Transient
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
from shim.model.orders import CancelLaunch, Launch, Remove
from tests.engine.containers.harness import LAUNCH_TIMEOUT, harness
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine


@timeless
async def test_a_launch_creates_starts_and_looks() -> None:
    async with harness() as on:
        ref = on.launch()
        started = await on.until(ContainerStarted, ref)
        assert on.of(ref) == [LaunchAdvanced(ref, Step.CREATING), started]
        assert started.container.phase is Phase.RUNNING
        assert started.container.inspect
        assert on.engine.boxes[ref.name].starts == 1
        await on.idle()


@timeless
async def test_the_launch_is_told_before_the_create_is_sent() -> None:
    async with harness() as on:
        held = on.engine.hold("create")
        ref = on.launch()
        await on.until(LaunchAdvanced, ref)
        assert not on.engine.boxes
        held.set()
        await on.until(ContainerStarted, ref)


@timeless
async def test_running_containers_cost_no_asyncio_task() -> None:
    async with harness() as on:
        before = len(asyncio.all_tasks())
        for number in range(300):
            await on.running(f"task-{number}")
        await on.idle()
        assert len(asyncio.all_tasks()) == before
        assert on.containerizer.watched == 300


@pytest.mark.parametrize("code", [0, 7])
@timeless
async def test_one_that_ended_before_it_was_looked_at_started_and_exited(code: int) -> None:
    async with harness() as on:
        ref = on.launch(command=["exit", str(code)])
        exited = await on.until(ContainerExited, ref)
        await asyncio.sleep(60)
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]
        assert exited.exit_code == code


@timeless
async def test_it_may_end_between_the_look_and_its_answer() -> None:
    """The event comes while the inspect that still saw it running is being answered."""
    async with harness() as on:
        ref = on.ref()
        inspect = on.engine.inspect

        async def late(name: str) -> object:
            seen = await inspect(name)
            if not on.of(ref)[1:]:
                on.engine.end(name, 5)
                await asyncio.sleep(1)
            return seen

        on.engine.inspect = late  # type: ignore[method-assign,assignment]
        on.relaunch(ref)
        exited = await on.until(ContainerExited, ref, seconds=limits.RELIST_INTERVAL / 2)
        assert exited.exit_code == 5
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted", "ContainerExited"]


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_a_refusal_is_told_in_the_endpoints_words(verb: str) -> None:
    async with harness() as on:
        on.engine.fail(verb, Permanent("port is already allocated"))
        ref = on.launch()
        failed = await on.until(LaunchFailed, ref)
        assert (failed.failure, failed.message) == (Failure.LAUNCH, "port is already allocated")
        await on.idle()
        assert on.containerizer.watched == 0


@timeless
async def test_a_task_that_cannot_be_mapped_never_reaches_the_endpoint() -> None:
    async with harness() as on:
        on.spec_error = InvalidTask("container.docker.image: missing")
        ref = on.launch()
        failed = await on.until(LaunchFailed, ref)
        assert failed == LaunchFailed(ref, Failure.INVALID, "container.docker.image: missing")
        assert on.engine.calls["create"] == 0


@timeless
async def test_a_bug_of_ours_fails_the_launch_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as on:
        on.spec_error = ZeroDivisionError("oops")
        ref = on.launch()
        failed = await on.until(LaunchFailed, ref)
        assert "ZeroDivisionError" in failed.message
        assert "Traceback" in caplog.text
        on.spec_error = None
        await on.running("another")


# --- doubts and lost answers --------------------------------------------------------------


@timeless
async def test_a_create_whose_answer_was_lost_is_adopted() -> None:
    async with harness() as on:
        on.engine.fail("create", after=True)
        ref = on.launch()
        await on.until(ContainerStarted, ref)
        assert on.engine.boxes[ref.name].starts == 1
        assert len(on.engine.boxes) == 1


@pytest.mark.parametrize("verb", ["create", "start", "inspect", "has_image"])
@timeless
async def test_a_call_that_was_not_answered_is_repeated(verb: str) -> None:
    async with harness() as on:
        on.engine.fail(verb, times=5)
        ref = on.launch()
        await on.until(ContainerStarted, ref)
        assert on.engine.boxes[ref.name].starts == 1
        assert "LaunchFailed" not in on.kinds(ref)


@timeless
async def test_a_start_whose_answer_was_lost_is_not_sent_again() -> None:
    async with harness() as on:
        on.engine.fail("start", after=True)
        ref = on.launch(command=["exit", "4"])
        exited = await on.until(ContainerExited, ref)
        assert exited.exit_code == 4
        assert on.engine.boxes[ref.name].starts == 1


@timeless
async def test_an_endpoint_away_for_a_minute_delays_a_launch() -> None:
    async with harness() as on:
        on.engine.away = True
        ref = on.launch()
        await asyncio.sleep(60)
        assert "ContainerStarted" not in on.kinds(ref)
        on.engine.away = False
        await on.until(ContainerStarted, ref, seconds=limits.ENGINE_RETRY_MAX + 1)


@timeless
async def test_thousands_that_wait_for_an_endpoint_cost_it_and_us_nothing() -> None:
    async with harness() as on:
        on.engine.away = True
        refs = [on.launch(f"task-{n}") for n in range(1000)]
        await asyncio.sleep(30)
        asked = on.engine.calls.total()
        await asyncio.sleep(limits.RETRY_BLIND)
        blind, lists = len(refs), limits.RETRY_BLIND / limits.ENDPOINT_FRESH
        assert on.engine.calls.total() - asked <= blind + lists
        on.engine.away = False
        for ref in refs:
            await on.until(ContainerStarted, ref, seconds=limits.RELIST_INTERVAL + 1)


@timeless
async def test_a_launch_is_tried_again_even_if_only_lists_hang() -> None:
    async with harness() as on:
        await asyncio.sleep(1)
        on.engine.hold("list")
        await asyncio.sleep(2 * limits.RELIST_INTERVAL)
        on.engine.fail("create")
        ref = on.launch()
        await on.until(ContainerStarted, ref, seconds=limits.RETRY_BLIND + 5)


@timeless
async def test_an_endpoint_away_too_long_fails_a_launch() -> None:
    async with harness() as on:
        on.engine.away = True
        ref = on.launch()
        began = asyncio.get_running_loop().time()
        failed = await on.until(LaunchFailed, ref)
        assert asyncio.get_running_loop().time() - began == pytest.approx(LAUNCH_TIMEOUT, abs=1)
        assert failed.failure is Failure.TIMEOUT
        assert "connection refused" in failed.message
        on.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(600)
        assert "ContainerRemoved" not in on.kinds(ref)
        on.engine.away = False
        await on.until(ContainerRemoved, ref)


@timeless
async def test_once_a_start_was_sent_only_the_endpoints_word_counts() -> None:
    """Longer than any patience: failing it would be a lie, it may run."""
    async with harness() as on:
        held = on.engine.hold("start", Transient("connection reset"))
        ref = on.launch()
        await asyncio.sleep(1)
        on.engine.boxes[ref.name].phase = Phase.RUNNING
        on.engine.away = True
        held.set()
        await asyncio.sleep(2 * LAUNCH_TIMEOUT)
        assert set(on.kinds(ref)) == {"LaunchAdvanced"}
        on.engine.away = False
        await on.until(ContainerStarted, ref)


@pytest.mark.parametrize("verb", ["create", "start", "pull"])
@timeless
async def test_an_announced_maintenance_costs_no_patience(verb: str) -> None:
    async with harness() as on:
        loop, hour = asyncio.get_running_loop(), 3600.0
        began = loop.time()
        on.engine.registry.add("nginx:alpine")
        on.engine.fail(verb, AccessDenied("Back soon, until 12:00 UTC", retry_after=hour))
        ref = on.launch(image="nginx:alpine" if verb == "pull" else "busybox:1")
        await on.until(ContainerStarted, ref)
        assert hour <= loop.time() - began < hour + limits.RETRY_SPREAD + 1
        assert on.engine.calls[verb] == 2, "nobody is asked before the time that was announced"
        assert on.engine.boxes[ref.name].starts == 1


@timeless
async def test_those_who_wait_for_a_maintenance_do_not_come_back_at_once() -> None:
    async with harness(max_inflight=1000) as on:
        on.engine.fail("create", AccessDenied("Back soon", retry_after=600), times=300)
        for number in range(300):
            on.launch(f"task-{number}")
        await asyncio.sleep(599)
        assert not on.engine.boxes
        came = []
        for _ in range(int(limits.RETRY_SPREAD) + 3):
            came.append(len(on.engine.boxes))
            await asyncio.sleep(1)
        assert len(on.engine.boxes) == 300
        assert max(after - before for before, after in itertools.pairwise(came)) < 50


@timeless
async def test_a_maintenance_without_end_fails_a_launch_in_the_operator_s_words() -> None:
    async with harness() as on:
        loop, day = asyncio.get_running_loop(), 24 * 3600.0
        on.engine.fail("create", AccessDenied("Back soon", retry_after=day), times=99)
        began = loop.time()
        ref = on.launch()
        failed = await on.until(LaunchFailed, ref, seconds=day)
        took = loop.time() - began
        assert took == pytest.approx(limits.MAINTENANCE_PATIENCE + LAUNCH_TIMEOUT, abs=60)
        assert failed.failure is Failure.TIMEOUT
        assert failed.message == (
            f"not started within {LAUNCH_TIMEOUT:g} s, and {limits.MAINTENANCE_PATIENCE:.0f} s "
            "that the endpoint asked to wait, while creating container: Back soon"
        )


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_a_kill_during_a_maintenance_is_answered_at_once(verb: str) -> None:
    async with harness() as on:
        on.engine.fail(verb, AccessDenied("Back soon", retry_after=3600))
        ref = on.launch()
        await asyncio.sleep(60)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(on.of(ref)[-1], LaunchCancelled)
        on.containerizer.carry_out(Remove(ref))
        await on.until(ContainerRemoved, ref, seconds=60)
        assert not on.engine.boxes


@timeless
async def test_what_keeps_a_launch_waiting_is_told_and_logged_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness() as on:
        words = "Triton does not accept the certificate"
        on.engine.fail("create", AccessDenied(words), times=50)
        refs = [on.launch(f"task-{number}") for number in range(5)]
        await asyncio.sleep(1)
        for ref in refs:
            assert on.of(ref)[-1] == LaunchAdvanced(ref, Step.CREATING, words)
        assert caplog.text.count(words) == 1, "a line, not one per launch"
        for ref in refs:
            await on.until(ContainerStarted, ref)
        assert all(on.of(ref)[-2] == LaunchAdvanced(ref, Step.CREATING) for ref in refs)
        on.engine.images.clear()
        on.engine.fail("has_image", AccessDenied(words))
        late = on.launch("late", image="other:1")
        await asyncio.sleep(0.1)
        assert on.of(late) == [LaunchAdvanced(late, Step.PULLING, words)]
        seconds = asyncio.get_running_loop().time()
        assert caplog.text.count(words) <= 1 + seconds / limits.LOG_THROTTLE_INTERVAL


@timeless
async def test_a_container_that_never_started_has_no_logs_to_collect() -> None:
    asked: list[Ref] = []

    async def collect_final_logs(ref: Ref) -> None:
        asked.append(ref)

    async with harness(collect_final_logs=collect_final_logs) as on:
        on.engine.fail("create", Permanent("no"))
        failed = on.launch("failed")
        await on.until(LaunchFailed, failed)
        on.engine.fail("create", AccessDenied("Unauthorized", retry_after=60))
        killed = on.launch("killed")
        await asyncio.sleep(0.1)
        on.containerizer.carry_out(CancelLaunch(killed))
        ended = await on.running("ended")
        on.engine.fail("start", Ambiguous("no such command"), times=limits.AMBIGUOUS_ATTEMPTS)
        started = on.launch("started")
        await on.until(LaunchFailed, started)
        for ref in (failed, killed, started, ended):
            on.containerizer.carry_out(Remove(ref))
            await on.until(ContainerRemoved, ref)
        assert asked == [started, ended], "a start that was refused may have been carried out"
        assert not on.containerizer._deps.leftovers.never_started


@pytest.mark.parametrize("verb", ["create", "start"])
@timeless
async def test_a_doubtful_failure_gets_a_few_attempts(verb: str) -> None:
    async with harness() as on:
        on.engine.fail(verb, Ambiguous("no matching entries in passwd file"), times=2)
        await on.running("lucky")
        on.engine.fail(verb, Ambiguous("no matching entries in passwd file"), times=3)
        ref = on.launch("unlucky")
        failed = await on.until(LaunchFailed, ref)
        assert (failed.failure, failed.message) == (
            Failure.LAUNCH,
            "no matching entries in passwd file",
        )


@timeless
async def test_a_name_taken_by_a_stranger_fails_and_leaves_the_stranger_alone() -> None:
    async with harness() as on:
        ref = on.ref()
        stranger = on.engine.add(ref.name, {"com.example": "mine"})
        on.relaunch(ref)
        failed = await on.until(LaunchFailed, ref)
        assert failed.failure is Failure.LAUNCH
        assert "name taken" in failed.message
        assert on.engine.boxes[ref.name] is stranger
        assert stranger.phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (Phase.CREATED, ["ContainerStarted"]),
        (Phase.RUNNING, ["ContainerStarted"]),
        (Phase.EXITED, ["ContainerStarted", "ContainerExited"]),
    ],
)
@timeless
async def test_what_an_earlier_life_of_ours_left_is_adopted(phase: Phase, told: list[str]) -> None:
    async with harness() as on:
        ref = on.ref()
        box = on.engine.add(ref.name, on.labels(ref), phase)
        on.relaunch(ref)
        await on.until(ContainerStarted, ref)
        await asyncio.sleep(20)
        assert on.kinds(ref)[1:] == told
        assert box.starts == (1 if phase is Phase.CREATED else 0)


@timeless
async def test_one_removed_while_it_is_started_fails() -> None:
    async with harness() as on:
        ref = on.ref()
        held = on.engine.hold("inspect")
        on.relaunch(ref)
        await asyncio.sleep(1)
        on.engine.destroy(ref.name)
        held.set()
        failed = await on.until(LaunchFailed, ref)
        assert "removed while it was being started" in failed.message
        await on.idle()
        assert on.engine.calls["create"] == 1


@timeless
async def test_a_launch_ordered_twice_is_one_launch() -> None:
    async with harness() as on:
        held = on.engine.hold("create")
        ref = on.launch()
        await asyncio.sleep(1)
        on.relaunch(ref)
        held.set()
        await on.until(ContainerStarted, ref)
        await on.idle()
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]


# --- images -------------------------------------------------------------------------------


@timeless
async def test_ten_tasks_of_one_image_pull_it_once() -> None:
    async with harness() as on:
        on.engine.registry.add("nginx:alpine")
        held = on.engine.hold("pull")
        refs = [on.launch(f"task-{n}", image="nginx:alpine") for n in range(10)]
        await asyncio.sleep(1)
        held.set()
        for ref in refs:
            await on.until(ContainerStarted, ref)
            stages = [fact.stage for fact in on.of(ref) if isinstance(fact, LaunchAdvanced)]
            assert stages[0] is Step.PULLING
            assert stages[-1] is Step.CREATING
            assert "nginx:alpine" in on.of(ref)[0].detail
        assert len(on.engine.pulls) == 1
        await on.idle()


@timeless
async def test_a_pull_that_fails_is_told_in_the_registrys_words() -> None:
    async with harness() as on:
        ref = on.launch(image="nothing:1")
        failed = await on.until(LaunchFailed, ref)
        assert failed.failure is Failure.PULL
        words = "manifest for nothing:1 not found: manifest unknown"
        assert failed.message == f"Cannot pull nothing:1: {words}"
        assert on.engine.calls["create"] == 0


@timeless
async def test_a_forced_pull_does_not_ask_whether_it_is_there() -> None:
    async with harness() as on:
        on.force_pull = True
        ref = on.launch()
        failed = await on.until(LaunchFailed, ref)
        assert failed.failure is Failure.PULL
        assert on.engine.calls["has_image"] == 0


@timeless
async def test_a_known_image_is_not_asked_for_again_until_it_is_gone() -> None:
    async with harness() as on:
        await on.running("first")
        await on.running("second")
        assert on.engine.calls["has_image"] == 1
        on.engine.images.clear()
        on.engine.registry.add("busybox:1")
        await on.running("third")
        assert on.engine.pulls == [("busybox:1", None)]


@timeless
async def test_credentials_are_looked_up_for_the_launch() -> None:
    def auth_for(order: Launch, image: ImageRef) -> Auth:
        return Auth("user", order.ref.key.task_id, server=image.registry)

    async with harness(auth_for=auth_for) as on:
        on.engine.registry.add("reg:5000/a:1")
        ref = on.launch("secret", image="reg:5000/a:1")
        await on.until(ContainerStarted, ref)
        assert on.engine.pulls == [("reg:5000/a:1", Auth("user", "secret", server="reg:5000"))]


@timeless
async def test_a_pull_that_takes_too_long_is_given_up() -> None:
    async with harness() as on:
        on.engine.hold("pull")
        ref = on.launch(image="slow:1")
        failed = await on.until(LaunchFailed, ref)
        assert failed.failure is Failure.TIMEOUT
        assert "pulling image" in failed.message
        await on.idle()
        assert on.engine.pulls_cancelled == 1


# --- hooks --------------------------------------------------------------------------------


class Hook:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.seen: list[str] = []
        self.error: Exception | None = None

    def wanted(self, order: Launch) -> bool:
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
async def test_hooks_stand_around_the_create() -> None:
    engine = FakeEngine()
    hook = Hook(engine)
    async with harness(engine, hooks=[hook]) as on:
        ref = await on.running()
        assert hook.seen == ["before", "created", "after"]
        stages = [fact.stage for fact in on.of(ref)[:2]]
        assert stages == [Step.FETCHING, Step.CREATING]


@timeless
async def test_a_hook_that_fails_is_a_failed_fetch() -> None:
    engine = FakeEngine()
    hook = Hook(engine)
    hook.error = Permanent("http://example.com/x: 404")
    async with harness(engine, hooks=[hook]) as on:
        failed = await on.until(LaunchFailed, on.launch())
        assert (failed.failure, failed.message) == (Failure.FETCH, "http://example.com/x: 404")
        assert hook.seen == ["before", "after"]
        assert engine.calls["create"] == 0


# --- bounds -------------------------------------------------------------------------------


@timeless
async def test_no_more_launches_are_under_way_than_wanted() -> None:
    async with harness(max_inflight=3, watching=False) as on:
        held = [on.engine.hold("create") for _ in range(3)]
        refs = [on.launch(f"task-{n}") for n in range(50)]
        await asyncio.sleep(1)
        assert on.engine.calls["create"] == 3
        assert on.containerizer.waiting == 47
        for event in held:
            event.set()
        for ref in refs:
            await on.until(ContainerStarted, ref)
        assert on.engine.most_in_flight <= 4  # and one look for the image


@timeless
async def test_waiting_in_line_costs_no_patience_while_the_endpoint_answers() -> None:
    async with harness(max_inflight=1) as on:
        create = on.engine.create

        async def slow(spec: object) -> str:
            await asyncio.sleep(100)
            return await create(spec)  # type: ignore[arg-type]

        on.engine.create = slow  # type: ignore[method-assign]
        refs = [on.launch(f"task-{n}") for n in range(30)]
        for ref in refs:
            await on.until(ContainerStarted, ref)
        assert asyncio.get_running_loop().time() > 3 * LAUNCH_TIMEOUT


@timeless
async def test_patience_begins_anew_after_waiting_in_line() -> None:
    async with harness(max_inflight=1) as on:
        held = on.engine.hold("create")
        on.launch("first")
        await asyncio.sleep(1)
        ref = on.launch("second")
        await asyncio.sleep(LAUNCH_TIMEOUT - 10)
        on.engine.fail("create", times=10)
        held.set()
        await on.until(ContainerStarted, ref)
        assert asyncio.get_running_loop().time() > LAUNCH_TIMEOUT


@timeless
async def test_waiting_in_line_before_a_silent_endpoint_ends() -> None:
    async with harness(max_inflight=1) as on:
        on.engine.hold("create")
        on.launch("first")
        await asyncio.sleep(1)
        ref = on.launch("second")
        on.engine.away = True
        failed = await on.until(LaunchFailed, ref)
        assert failed.failure is Failure.TIMEOUT


# --- giving up ----------------------------------------------------------------------------


@timeless
async def test_a_kill_during_a_pull_cancels_it() -> None:
    async with harness() as on:
        on.engine.hold("pull")
        ref = on.launch(image="nginx:alpine")
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(on.of(ref)[-1], LaunchCancelled)
        await on.idle()
        assert on.engine.pulls_cancelled == 1
        assert on.engine.calls["create"] == 0


@timeless
async def test_a_pull_goes_on_for_those_who_still_wait() -> None:
    async with harness() as on:
        on.engine.registry.add("nginx:alpine")
        held = on.engine.hold("pull")
        gone, stays = (on.launch(name, image="nginx:alpine") for name in ("gone", "stays"))
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(gone))
        await asyncio.sleep(1)
        assert on.engine.pulls_cancelled == 0
        held.set()
        await on.until(ContainerStarted, stays)
        assert "ContainerStarted" not in on.kinds(gone)


@timeless
async def test_a_kill_while_waiting_in_line_passes_the_turn_on() -> None:
    async with harness(max_inflight=1) as on:
        held = on.engine.hold("create")
        first = on.launch("first")
        await asyncio.sleep(1)
        killed, last = on.launch("killed"), on.launch("last")
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(killed))
        held.set()
        await on.until(ContainerStarted, first)
        await on.until(ContainerStarted, last)
        assert on.kinds(killed) == ["LaunchCancelled"]
        assert on.engine.calls["create"] == 2


@timeless
async def test_a_kill_during_the_create_is_answered_and_the_container_removed() -> None:
    async with harness() as on:
        held = on.engine.hold("create")
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(on.of(ref)[-1], LaunchCancelled)
        on.containerizer.carry_out(Remove(ref))
        await asyncio.sleep(100)
        assert "ContainerRemoved" not in on.kinds(ref)
        held.set()
        await on.until(ContainerRemoved, ref)
        assert on.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled", "ContainerRemoved"]
        assert on.engine.boxes == {}
        assert on.engine.calls["start"] == 0


@timeless
async def test_a_cancelled_create_leaves_nothing_without_being_told_to_remove() -> None:
    async with harness() as on:
        held = on.engine.hold("create")
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await on.idle()
        assert on.engine.boxes == {}
        assert on.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled"]


@timeless
async def test_a_cancelled_create_that_is_refused_is_told_once() -> None:
    async with harness() as on:
        held = on.engine.hold("create", Permanent("no"))
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await on.idle()
        assert on.kinds(ref) == ["LaunchAdvanced", "LaunchCancelled"]


@timeless
async def test_a_cancelled_create_whose_answer_was_lost_is_awaited() -> None:
    """The endpoint goes on with it and has the container only later."""
    async with harness() as on:
        held = on.engine.hold("create", Transient("connection reset"))
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        on.containerizer.carry_out(Remove(ref))
        held.set()
        await asyncio.sleep(1)
        on.engine.add(ref.name, on.labels(ref), Phase.CREATED)
        await on.until(ContainerRemoved, ref)
        assert on.engine.boxes == {}


@timeless
async def test_a_kill_after_the_start_was_sent_comes_too_late() -> None:
    async with harness() as on:
        held = on.engine.hold("start")
        ref = on.launch()
        await asyncio.sleep(1)
        on.containerizer.carry_out(CancelLaunch(ref))
        held.set()
        await on.until(ContainerStarted, ref)
        await on.idle()
        assert on.kinds(ref) == ["LaunchAdvanced", "ContainerStarted"]
        assert on.engine.boxes[ref.name].starts == 1


@timeless
async def test_a_kill_while_the_endpoint_is_away_is_answered_at_once() -> None:
    async with harness() as on:
        on.engine.away = True
        ref = on.launch()
        await asyncio.sleep(60)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert isinstance(on.of(ref)[-1], LaunchCancelled)
        await on.idle()


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (None, ["LaunchCancelled"]),
        (Phase.CREATED, ["LaunchCancelled"]),
        (Phase.RUNNING, ["ContainerStarted"]),
        (Phase.EXITED, ["ContainerStarted", "ContainerExited"]),
    ],
)
@timeless
async def test_giving_up_a_launch_of_an_earlier_life(phase: Phase | None, told: list[str]) -> None:
    async with harness() as on:
        ref = on.ref()
        if phase is not None:
            on.engine.add(ref.name, on.labels(ref), phase)
        on.engine.fail("inspect", times=3)
        on.containerizer.carry_out(CancelLaunch(ref))
        await on.idle()
        assert on.kinds(ref) == told
        assert (ref.name in on.engine.boxes) == ("ContainerStarted" in told)


@timeless
async def test_closing_leaves_containers_as_they_are() -> None:
    engine = FakeEngine()
    async with harness(engine) as on:
        ref = await on.running()
        engine.hold("create")
        on.launch("half-done")
        await asyncio.sleep(1)
    assert engine.boxes[ref.name].phase is Phase.RUNNING


@timeless
async def test_a_kill_during_a_start_that_is_refused() -> None:
    """It came too late to be a cancel, until the endpoint let nobody in."""
    async with harness() as on:
        held = on.engine.hold("start", AccessDenied("maintenance", retry_after=3600.0))
        ref = on.launch()
        while not on.engine.calls["start"]:
            await asyncio.sleep(0.01)
        on.containerizer.carry_out(CancelLaunch(ref))
        assert "LaunchCancelled" not in on.kinds(ref)
        held.set()
        await asyncio.sleep(1)
        assert on.kinds(ref)[-1] == "LaunchCancelled"
        await on.idle()
        assert on.engine.boxes == {}


@timeless
async def test_who_was_told_to_wait_waits_for_a_turn_as_anybody() -> None:
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
    async with harness(engine, max_inflight=1) as on:
        await on.running("the image is known")
        engine.closed = True
        refs = [on.launch(f"task-{number}") for number in range(200)]
        await asyncio.sleep(1800 + limits.RETRY_SPREAD + LAUNCH_TIMEOUT)
        engine.closed = False
        for ref in refs:
            await on.until(ContainerStarted, ref, 8000)


@timeless
async def test_a_registry_that_says_an_hour_is_asked_before() -> None:
    """Launches wait for one pull, and none of them knows what it was told."""
    async with harness() as on:
        on.engine.registry.add("new:1")
        on.engine.fail("pull", Transient("too many requests", retry_after=3600.0))
        await on.until(ContainerStarted, on.launch(image="new:1"), 60)
