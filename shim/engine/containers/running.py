"""Containers that other containers are made after: the infra containers of executors above all.

A task of a task group joins the network of its executor's container, so that one must run before
the task's is created. Both launches are ordered at once, so the task fetches and pulls meanwhile.
The core allows its create once the container of the executor runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shim.engine.api import Engine
from shim.errors import Permanent
from shim.model.container import Container, Phase, Ref

Addresses = tuple[str, ...]


class RunningContainers:
    """Which of them run, with their addresses. An executor's container stays until its removal."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outcomes: dict[str, asyncio.Future[Addresses]] = {}
        """By name, from the order of the launch on; an error when it did not come to run."""

    def launching(self, ref: Ref) -> None:
        """A launch is ordered that others may wait for."""
        known = self._outcomes.get(ref.name)
        if known is None or (known.done() and known.exception() is not None):
            self._outcomes[ref.name] = asyncio.get_running_loop().create_future()

    def started(self, ref: Ref, container: Container) -> None:
        outcome = self._outcomes.get(ref.name)
        if outcome is not None and not outcome.done():
            outcome.set_result(container.addresses)

    def failed(self, ref: Ref, reason: str) -> None:
        """Its launch ended before it ran. Those that wait for it, now or later, get the reason."""
        outcome = self._outcomes.get(ref.name)
        if outcome is not None and not outcome.done():
            outcome.set_exception(Permanent(f"{ref.name} did not start: {reason}"))
            outcome.exception()  # Without a waiter the error would be reported as not retrieved.

    def removed(self, ref: Ref) -> None:
        self.failed(ref, "it is removed")
        self._outcomes.pop(ref.name, None)

    async def wait(self, name: str) -> Sequence[str]:
        """Return its addresses, IPv4 first, once it runs. Permanent: it did not start.

        A container of an earlier process is inspected: Transient, NotFound.
        """
        outcome = self._outcomes.get(name)
        if outcome is not None:
            return await asyncio.shield(outcome)
        found = await self._engine.inspect(name)
        if found.phase is not Phase.RUNNING:
            raise Permanent(f"{name} does not run, which this container is to join")
        return found.addresses
