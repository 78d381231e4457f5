"""Work by the thousand, a little at a time."""

from __future__ import annotations

import asyncio

from shim.engine.containers.pacer import Pacer
from tests.fakes.clock import timeless

PAUSE = 0.01


class Work:
    def __init__(self, left: int) -> None:
        self.left = left
        self.done: list[float] = []
        self.trickle = Pacer(self._step, PAUSE)

    def _step(self) -> bool:
        if self.left == 0:
            return False
        self.left -= 1
        self.done.append(asyncio.get_running_loop().time())
        return True


@timeless
async def test_the_first_is_done_at_once_and_the_others_apart() -> None:
    work = Work(5)
    work.trickle.go()
    assert len(work.done) == 1
    work.trickle.go()
    await asyncio.sleep(1)
    assert len(work.done) == 5
    assert all(b - a >= PAUSE * 0.99 for a, b in zip(work.done, work.done[1:], strict=False))


@timeless
async def test_it_rests_when_nothing_is_left_and_goes_on_when_told() -> None:
    work = Work(1)
    work.trickle.go()
    await asyncio.sleep(1)
    work.left = 1
    await asyncio.sleep(1)
    assert work.left == 1
    work.trickle.go()
    assert work.left == 0


@timeless
async def test_work_that_comes_one_by_one_is_kept_apart_too() -> None:
    work = Work(0)
    for _ in range(3):
        work.left += 1
        work.trickle.go()
    assert len(work.done) == 1


@timeless
async def test_stopped() -> None:
    work = Work(3)
    work.trickle.go()
    work.trickle.stop()
    await asyncio.sleep(1)
    assert work.left == 2
