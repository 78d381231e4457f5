"""Work that comes by the thousand, begun a little at a time.

What is begun goes on in the loop by itself, and takes more of it than the beginning did. So after
each little the loop is left to others, a ping among them; the busier it is, the longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pacer:
    """Calls ``step`` until it has nothing to do, ``pause`` seconds apart at least."""

    def __init__(self, step: Callable[[], bool], pause: float) -> None:
        """``step`` does a little, and says whether there was anything to do."""
        self._step = step
        self._pause = pause
        self._next: asyncio.TimerHandle | None = None

    def go(self) -> None:
        """There is something to do: at once, if the last step is long enough ago."""
        if self._next is None:
            self._do()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _do(self) -> None:
        done = self._step()
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(self._pause, self._do) if done else None
