"""How long an engine's calls take, whoever makes them."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from shim.engine.api import CreateNotifier, Engine

Observe = Callable[[str, str, float], None]
"""``(call, "ok" or the error's class, seconds)``"""

_CALLS = (
    *("create", "start", "inspect", "stop", "remove", "list", "has_image", "pull"),
    *("put_archive", "get_archive", "exec", "stats"),
)
"""Those with one answer. Streams (events, logs) last as long as somebody listens."""

T = TypeVar("T")


def instrument(engine: Engine, observe: Observe) -> None:
    """From now on report every call of this engine when it ends. Cancelled ones are not.

    The engine itself is changed rather than wrapped: it stays what it is for those who must know.
    """
    for name in _CALLS:
        setattr(engine, name, _timed(name, getattr(engine, name), observe))
    if isinstance(engine, CreateNotifier):
        timed = _timed("create", engine.create_or_notify, observe)
        setattr(engine, "create_or_notify", timed)  # noqa: B010  # a method, to the type checker


def _timed(
    name: str, call: Callable[..., Awaitable[T]], observe: Observe
) -> Callable[..., Awaitable[T]]:
    @functools.wraps(call)
    async def timing(*args: Any, **kwargs: Any) -> T:
        began = time.monotonic()
        try:
            result = await call(*args, **kwargs)
        except Exception as error:
            observe(name, type(error).__name__, time.monotonic() - began)
            raise
        observe(name, "ok", time.monotonic() - began)
        return result

    return timing
