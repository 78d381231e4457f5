"""How long an engine's calls take, whoever makes them."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from shim.engine.api import Engine

Observe = Callable[[str, str, float], None]
"""``(call, "ok" or the error's class, seconds)``"""

_CALLS = frozenset(
    {"create", "start", "inspect", "stop", "remove", "list", "has_image", "pull"}
    | {"put_archive", "get_archive", "exec", "stats"}
)
"""Those with one answer. Streams (events, logs) last as long as somebody listens."""

T = TypeVar("T")


def timed(engine: Engine, observe: Observe) -> Engine:
    """The same engine, whose calls are reported when they end. Cancelled ones are not."""
    return cast(Engine, _Timed(engine, observe))


class _Timed:
    def __init__(self, engine: Engine, observe: Observe) -> None:
        self._engine = engine
        self._observe = observe

    def __repr__(self) -> str:
        return repr(self._engine)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name not in _CALLS:
            return found
        timed_call = self._timed(name, found)
        # Kept, so that it is looked up and made once.
        setattr(self, name, timed_call)
        return timed_call

    def _timed(self, name: str, call: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        @functools.wraps(call)
        async def timing(*args: Any, **kwargs: Any) -> T:
            began = time.monotonic()
            try:
                result = await call(*args, **kwargs)
            except Exception as error:
                self._observe(name, type(error).__name__, time.monotonic() - began)
                raise
            self._observe(name, "ok", time.monotonic() - began)
            return result

        return timing
