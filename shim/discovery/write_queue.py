"""The queue of service ids that have to be written to Consul."""

from __future__ import annotations

import asyncio


class WriteQueue:
    """Each id waits once, urgent ids come first, and one id has at most one writer.

    The length is bounded by the number of different ids: an id that waits is not added again.
    An id that is put while a writer holds it waits again when that writer calls :meth:`done`.
    """

    def __init__(self) -> None:
        self._urgent: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._busy: set[str] = set()
        self._again: dict[str, bool] = {}
        """Ids put while a writer holds them -> whether they are urgent."""
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """Ids that wait or are held by a writer."""
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
        """The next id. The caller has to call :meth:`done` with it."""
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
