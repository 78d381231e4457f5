"""``UpdateContainer``: a running container gets other limits. Updates of one go in their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from shim.engine.api import ContainerUpdater, Engine
from shim.engine.client.retry import LAUNCH, Sleep, retry
from shim.errors import Permanent, ShimError
from shim.model.facts import ContainerUpdated
from shim.model.orders import UpdateContainer
from shim.protos.mesos_pb2 import Resource

LimitsOf = Callable[[Iterable[Resource]], Mapping[str, int]]
"""From resources to fields of HostConfig; may raise InvalidTask."""
_UNLIMITED = -1


class ContainerUpdates:
    """The updates under way. Each is answered by a fact, also when it failed."""

    def __init__(
        self,
        engine: Engine,
        post: Callable[[ContainerUpdated], None],
        limits_of: LimitsOf,
        sleep: Sleep,
    ) -> None:
        self._engine = engine
        self._post = post
        self._limits_of = limits_of
        self._sleep = sleep
        self._latest: dict[str, asyncio.Task[None]] = {}

    def begin(self, order: UpdateContainer) -> None:
        name = order.ref.name
        work = self._carry_out(order, self._latest.get(name))
        task = self._latest[name] = asyncio.create_task(work, name=f"update {name}")
        task.add_done_callback(partial(self._forget, name))

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        if self._latest.get(name) is task:
            del self._latest[name]

    async def close(self) -> None:
        tasks = list(self._latest.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, order: UpdateContainer, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await earlier
        error = ""
        try:
            await retry(LAUNCH, partial(self._update, order), sleep=self._sleep)
        except ShimError as failure:
            error = str(failure)
        self._post(ContainerUpdated(order.ref, error))

    async def _update(self, order: UpdateContainer) -> None:
        engine, name = self._engine, order.ref.name
        if not isinstance(engine, ContainerUpdater):
            raise Permanent(
                "a container of this endpoint keeps the size that it was made with, that of the"
                " executor and its first tasks"
            )
        limits = dict(self._limits_of(order.resources))
        if "Memory" in limits:
            inspect = (await engine.inspect(name)).inspect
            limits |= _memory(limits["Memory"], inspect)
        await engine.update(name, limits)


def _memory(wanted: int, inspect: bytes) -> Mapping[str, int]:
    """The limit of the memory, and that of memory and swap, which must not be below.

    As a stock agent: a limit is never lowered, since that may end the processes that have more.
    """
    (described,) = json.loads(inspect) if inspect else ({},)
    host = described.get("HostConfig") or {}
    memory, swap = max(wanted, host.get("Memory") or 0), host.get("MemorySwap") or 0
    unlimited = swap == _UNLIMITED
    return {"Memory": memory, "MemorySwap": swap if unlimited else max(swap, 2 * memory)}
