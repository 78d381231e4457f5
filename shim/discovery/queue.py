"""The ids that wait for a writer: each once, the urgent ones first, none with two writers."""

from __future__ import annotations

import asyncio


class WorkQueue:
    """Bounded by the number of ids that are ever put: putting a waiting one changes nothing.

    An id that is put while a writer has it waits again once that writer is done.
    """

    def __init__(self) -> None:
        self._urgent: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._busy: set[str] = set()
        self._again: dict[str, bool] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """Waiting or with a writer."""
        return len(self._urgent) + len(self._waiting) + len(self._busy)

    def put(self, item: str, *, urgent: bool = False) -> None:
        if item in self._busy:
            self._again[item] = urgent or self._again.get(item, False)
            return
        if urgent:
            self._waiting.pop(item, None)
            self._urgent[item] = None
        elif item not in self._urgent:
            self._waiting[item] = None
        self._filled.set()

    async def get(self) -> str:
        """The caller owes :meth:`done`."""
        while not (self._urgent or self._waiting):
            self._filled.clear()
            await self._filled.wait()
        line = self._urgent or self._waiting
        item = next(iter(line))
        del line[item]
        self._busy.add(item)
        return item

    def done(self, item: str) -> None:
        self._busy.discard(item)
        if item in self._again:
            self.put(item, urgent=self._again.pop(item))
