from __future__ import annotations

import asyncio

from shim import limits
from shim.engine.client.pacing import LogThrottle, Pacer
from tests.fakes.clock import timeless

INTERVAL = 0.01


class Work:
    def __init__(self, left: int) -> None:
        self.left = left
        self.done: list[float] = []
        self.pacer = Pacer(self._step, INTERVAL)

    def _step(self) -> bool:
        if self.left == 0:
            return False
        self.left -= 1
        self.done.append(asyncio.get_running_loop().time())
        return True


@timeless
async def test_the_first_step_is_done_at_once_and_the_others_apart() -> None:
    work = Work(5)
    work.pacer.wake()
    assert len(work.done) == 1
    work.pacer.wake()
    await asyncio.sleep(1)
    assert len(work.done) == 5
    assert all(b - a >= INTERVAL * 0.99 for a, b in zip(work.done, work.done[1:], strict=False))


@timeless
async def test_a_pacer_sleeps_when_nothing_is_left_until_it_is_woken() -> None:
    work = Work(1)
    work.pacer.wake()
    await asyncio.sleep(1)
    work.left = 1
    await asyncio.sleep(1)
    assert work.left == 1
    work.pacer.wake()
    assert work.left == 0


@timeless
async def test_work_that_arrives_piece_by_piece_is_kept_apart_too() -> None:
    work = Work(0)
    for _ in range(3):
        work.left += 1
        work.pacer.wake()
    assert len(work.done) == 1


@timeless
async def test_a_stopped_pacer_does_nothing_more() -> None:
    work = Work(3)
    work.pacer.wake()
    work.pacer.stop()
    await asyncio.sleep(1)
    assert work.left == 2


def test_a_problem_is_logged_once_in_an_interval() -> None:
    now = 0.0
    throttle = LogThrottle(lambda: now)
    assert throttle.should_log()
    now = limits.LOG_THROTTLE_INTERVAL / 2
    assert not throttle.should_log()
    now = limits.LOG_THROTTLE_INTERVAL
    assert throttle.should_log()
