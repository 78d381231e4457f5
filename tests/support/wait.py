"""Waiting for real work: one generous limit, since a limit costs time only when a test fails.

A test that measures a time on purpose states the time itself; everything else waits with
``until`` or ``patience``.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("SHIM_TEST_PATIENCE", "90"))
"""Seconds. A busy machine takes twenty times as long as a quiet one."""
INTERVAL, LONGEST_INTERVAL = 0.01, 0.1
"""Seconds between two looks, at first and after a while: a look may cost CPU that others need."""

Condition = Callable[[], object] | Callable[[], Awaitable[object]]


def patience(seconds: float = PATIENCE) -> asyncio.Timeout:
    """A time limit for real work."""
    return asyncio.timeout(seconds)


async def until(
    condition: Condition,
    what: str | Callable[[], str] = "the condition",
    *,
    seconds: float = PATIENCE,
) -> None:
    """Wait until the condition, a function or a coroutine function, holds.

    ``what`` names the condition in the AssertionError that ends a wait of ``seconds``.
    """
    try:
        async with asyncio.timeout(seconds):
            interval = INTERVAL
            while not await _holds(condition):
                await asyncio.sleep(interval)
                interval = min(1.1 * interval, LONGEST_INTERVAL)
    except TimeoutError:
        text = what() if callable(what) else what
        raise AssertionError(f"not within {seconds:g} s: {text}") from None


async def _holds(condition: Condition) -> object:
    found = condition()
    return await found if inspect.isawaitable(found) else found


def first(
    look: Callable[[], T | Literal[False] | None], what: str, *, seconds: float = 2 * PATIENCE
) -> T:
    """The first result of ``look`` that is true, without an event loop."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return found
