"""When probes are made, how many at once, and what is posted, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shim import limits
from shim.engine.api import ExecResult
from shim.engine.checks.checker import Checker
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Phase
from shim.model.facts import CheckReported, Fact, HealthReported
from shim.model.orders import StartChecks
from shim.protos.mesos_pb2 import CheckStatusInfo
from tests.engine.checks.orders import LABELS, order
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

RULES = "delay_seconds: 5 interval_seconds: 10 timeout_seconds: 20 grace_period_seconds: 0"
HEALTH = f'health_check {{ type: COMMAND command {{ value: "x" }} {RULES} }}'
CHECK = (
    'check { type: COMMAND command { command { value: "x" } }'
    " delay_seconds: 5 interval_seconds: 10 }"
)


class Engine(FakeEngine):
    """Commands take ``seconds`` and end with the next step of the script. The last step repeats."""

    def __init__(self, *script: int | Exception, seconds: float = 0.0) -> None:
        super().__init__()
        self.script = list(script)
        self.seconds = seconds
        self.times: list[float] = []
        self.most_at_once = self.running = 0

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        self.times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        return ExecResult(step, b"")


class CheckerRun:
    def __init__(self, engine: Engine, **options: Any) -> None:
        self.engine = engine
        self.facts: list[Fact] = []
        loop = asyncio.get_running_loop()
        self.checker = Checker(engine, self.facts.append, clock=loop.time, **options)

    def start(self, text: str = HEALTH, **options: Any) -> StartChecks:
        wanted = order(text, **options)
        self.engine.add(wanted.ref.name, LABELS)
        self.checker.start(wanted)
        return wanted

    @property
    def health(self) -> list[tuple[bool, bool]]:
        return [(f.healthy, f.kill) for f in self.facts if isinstance(f, HealthReported)]

    @property
    def codes(self) -> list[int | None]:
        found = [
            CheckStatusInfo.FromString(f.status) for f in self.facts if isinstance(f, CheckReported)
        ]
        return [s.command.exit_code if s.command.HasField("exit_code") else None for s in found]


def is_health(fact: Fact) -> bool:
    return not isinstance(fact, CheckReported)


@asynccontextmanager
async def running_checker(engine: Engine, **options: Any) -> AsyncIterator[CheckerRun]:
    made = CheckerRun(engine, **options)
    running = asyncio.create_task(made.checker.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        await made.checker.close()


@timeless
async def test_the_delay_then_the_interval_after_each_result() -> None:
    async with running_checker(Engine(0, seconds=2)) as on:
        on.start()
        await asyncio.sleep(30)
        assert on.engine.times == pytest.approx([5, 17, 29], abs=0.1)
        assert on.health == [(True, False)]


@timeless
async def test_every_failure_is_reported_and_the_last_one_kills() -> None:
    async with running_checker(Engine(1)) as on:
        on.start()
        await asyncio.sleep(28)
        assert on.health == [(False, False), (False, False), (False, True)]


@timeless
async def test_a_command_that_takes_too_long_fails() -> None:
    async with running_checker(Engine(0, seconds=100)) as on:
        on.start()
        await asyncio.sleep(24)
        assert on.health == []
        await asyncio.sleep(2)
        assert on.health == [(False, False)]


@timeless
async def test_a_command_without_a_timeout_may_run_long() -> None:
    async with running_checker(Engine(0, seconds=1000)) as on:
        on.start(HEALTH.replace("timeout_seconds: 20", "timeout_seconds: 0"))
        await asyncio.sleep(1006)
        assert on.health == [(True, False)]


@pytest.mark.parametrize("error", [Transient("no answer"), NotFound("No such container")])
def test_an_endpoint_without_an_answer_gives_no_result(error: Exception) -> None:
    @timeless
    async def run() -> None:
        async with running_checker(Engine(0, error)) as on:
            on.start()
            await asyncio.sleep(600)
            assert on.health == [(True, False)]
            assert on.checker.results["unknown"] > 50

    run()


@timeless
async def test_a_daemon_that_hangs_makes_nothing_unhealthy() -> None:
    async with running_checker(Engine(0, seconds=100)) as on:
        on.start()
        on.engine.away = True
        await asyncio.sleep(200)
        assert on.health == []


@timeless
async def test_a_failure_of_a_container_that_ended_is_not_reported() -> None:
    async with running_checker(Engine(137)) as on:
        wanted = on.start()
        on.engine.boxes[wanted.ref.name].phase = Phase.EXITED
        await asyncio.sleep(60)
        assert on.health == []


@timeless
async def test_a_command_that_cannot_be_run_fails() -> None:
    async with running_checker(Engine(Permanent("is paused"))) as on:
        on.start()
        await asyncio.sleep(6)
        assert on.health == [(False, False)]


@timeless
async def test_a_check_reports_changes_only() -> None:
    async with running_checker(Engine(0, 0, 3, 3, Permanent("gone mad"), 0)) as on:
        on.start(CHECK)
        await asyncio.sleep(100)
        assert on.codes == [0, 3, None, 0]


@timeless
async def test_a_health_check_and_a_check_run_side_by_side() -> None:
    async with running_checker(Engine(0)) as on:
        on.start(HEALTH + CHECK)
        await asyncio.sleep(30)
        assert (on.health, on.codes) == ([(True, False)], [0])
        assert on.checker.checks == 1


@timeless
async def test_a_stop_ends_the_probe_under_way_and_every_later_one() -> None:
    async with running_checker(Engine(1, seconds=3)) as on:
        wanted = on.start()
        await asyncio.sleep(6)
        assert on.checker.under_way == 1
        on.checker.stop(wanted.ref)
        await asyncio.sleep(100)
        assert on.facts == []
        assert (on.checker.checks, on.checker.under_way, on.engine.running) == (0, 0, 0)
        assert len(on.engine.times) == 1


@timeless
async def test_starting_checks_twice_has_the_effect_of_once() -> None:
    async with running_checker(Engine(0)) as on:
        wanted = on.start()
        on.checker.start(wanted)
        await asyncio.sleep(6)
        assert len(on.engine.times) == 1


@timeless
async def test_after_a_restart_a_healthy_task_has_no_grace_period() -> None:
    async with running_checker(Engine(1)) as on:
        text = HEALTH.replace("grace_period_seconds: 0", "grace_period_seconds: 1000")
        on.start(text)
        on.start(text, was_healthy=True)
        await asyncio.sleep(6)
        assert on.health == [(False, False)]


@timeless
async def test_concurrent_commands_are_bounded_and_every_task_is_probed() -> None:
    async with running_checker(Engine(0, seconds=1), execs_at_once=4) as on:
        for _ in range(40):
            on.start()
        await asyncio.sleep(6)
        assert on.checker.waiting > 20
        await asyncio.sleep(10)
        assert on.engine.most_at_once == 4
        assert len(on.health) == 40


@timeless
async def test_checks_cost_no_asyncio_task_while_they_wait() -> None:
    async with running_checker(Engine(0)) as on:
        before = len(asyncio.all_tasks())
        for _ in range(1000):
            on.start()
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == before
        await asyncio.sleep(8)
        assert len(on.health) == 1000


def _no_type(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    @timeless
    async def run() -> None:
        async with running_checker(Engine(0)) as on:
            on.start("health_check { tcp { port: 1 } }")
            await asyncio.sleep(60)
            assert (on.facts, on.checker.checks) == ([], 0)

    return run


def test_a_check_without_a_type_is_a_warning_and_not_made(caplog: pytest.LogCaptureFixture) -> None:
    _no_type(caplog)()
    assert "is disabled: No type: health_check.type" in caplog.text


@timeless
async def test_an_interval_of_zero_does_not_block_the_loop() -> None:
    async with running_checker(Engine(0)) as on:
        on.start(HEALTH.replace("interval_seconds: 10", "interval_seconds: 0"))
        await asyncio.sleep(6)
        assert 5 <= len(on.engine.times) <= 1 / limits.CHECK_INTERVAL_MIN + 1


@pytest.mark.parametrize("port", [0, 65_536, 2**32 - 1])
@pytest.mark.parametrize("kind", ["HTTP http", "TCP tcp"])
def test_a_health_check_of_an_impossible_port_fails_with_one_warning(
    kind: str, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Mesos' master accepts such a port, and a stock agent kills the task."""

    @timeless
    async def run() -> None:
        async with running_checker(Engine(0)) as on:
            on.start(f"health_check {{ type: {kind} {{ port: {port} }} {RULES} }}")
            await asyncio.sleep(28)
            assert on.health == [(False, False), (False, False), (False, True)]
            assert on.engine.times == []

    run()
    (line,) = [text for text in caplog.messages if "cannot be made and counts as failed" in text]
    assert f"no server can listen on port {port}" in line


@timeless
async def test_a_check_of_an_impossible_port_reports_that_it_failed() -> None:
    async with running_checker(Engine(0)) as on:
        on.start("check { type: TCP tcp { port: 0 } delay_seconds: 0 interval_seconds: 10 }")
        await asyncio.sleep(60)
        (report,) = [fact for fact in on.facts if isinstance(fact, CheckReported)]
        assert not CheckStatusInfo.FromString(report.status).tcp.succeeded
        assert on.checker.results["failed"] > 4
