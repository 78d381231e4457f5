"""Everything people look at, plugged together: pages, metrics, and the sandboxes behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from shim import figures
from shim.config import Config
from shim.core.agent import Core
from shim.costs import Costs, publish_certificate
from shim.discovery.sync import ConsulSync
from shim.engine.api import Engine
from shim.engine.checks.checker import Checker
from shim.engine.conductor import Conductor
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.money import Meter
from shim.engine.sandbox.files import Files
from shim.engine.sandbox.keeper import Keeper
from shim.engine.sandbox.sampler import Sampler
from shim.engine.timed import measure
from shim.engine.triton import TritonEngine
from shim.http.auth import READONLY, READWRITE, Gate
from shim.http.site import Site
from shim.http.sources import Sources
from shim.messenger import Messenger
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Order
from shim.runtime import Runtime
from shim.tally import Tally
from shim.telemetry import Metrics
from shim.upkeep import kept_up


@dataclass(frozen=True, slots=True)
class _Pulse:
    conductor: Conductor
    loop: Runtime

    @property
    def relist_age(self) -> float:
        return self.conductor.relist_age

    @property
    def endpoint_trouble(self) -> str:
        return self.conductor.endpoint_trouble

    @property
    def disk_failing(self) -> bool:
        return self.loop.disk_failing


class Pages:
    """``setup``, then ``attach``, then ``open``, then ``run`` until cancelled, then ``close``."""

    def __init__(self, config: Config, process: str, version: str) -> None:
        self._config = config
        self._started = time.time()
        self._metrics = metrics = Metrics()
        self._tally = Tally(lambda stage, s: metrics.launch_seconds.labels(stage).observe(s))
        closed = [
            realm
            for realm, is_closed in (
                (READONLY, config.authenticate_http_readonly),
                (READWRITE, config.authenticate_http_readwrite),
            )
            if is_closed
        ]
        gate = Gate(config.http_credentials, frozenset(closed))
        self._site = Site(gate, process, version, config.texts, metrics)

    def setup(self, app: web.Application) -> None:
        """Add the routes: they answer at once, and say so while there is nothing to show."""
        self._site.setup(app)

    def waits(self, trouble: str) -> None:
        """Why there is no endpoint yet: ``/health`` says it when that lasts."""
        self._site.trouble = trouble

    async def attach(self, engine: Engine) -> None:
        """Measure its calls, and know the sandboxes that an earlier life left."""
        seconds = self._metrics.engine_seconds
        measure(engine, lambda call, outcome, s: seconds.labels(call, outcome).observe(s))
        self._engine = engine
        self._keeper = Keeper(engine, self._config.work_dir / "sandboxes")
        self._files = Files(engine, self._config.sandbox_directory)
        if isinstance(engine, TritonEngine):
            publish_certificate(engine.login, self._metrics)
        await self._keeper.load()

    async def last_words(self, ref: Ref) -> None:
        """The container is about to be removed: keep what it said."""
        await self._keeper.last_words(ref)

    def open(
        self,
        core: Core,
        loop: Runtime,
        conductor: Conductor,
        messenger: Messenger,
        discovery: ConsulSync | None,
        fetcher: Fetcher,
        checker: Checker,
    ) -> None:
        def running() -> Iterable[Ref]:
            return [task.ref for task in core.tasks.table.values() if task.published]

        self._sampler = Sampler(self._engine, running)
        self._costs = self._bookkeeping(core)
        self._site.open(
            Sources(
                core=core,
                work_dir=str(self._config.work_dir),
                flags=self._config.texts,
                started=self._started,
                outputs=self._keeper,
                files=self._files,
                usages=self._sampler,
                pulse=_Pulse(conductor, loop),
                counts=self._tally,
                fetches=fetcher,
                costs=self._costs,
            )
        )
        rooms = figures.Rooms(
            core=core,
            loop=loop,
            conductor=conductor,
            keeper=self._keeper,
            messenger=messenger,
            tally=self._tally,
            discovery=discovery,
            fetcher=fetcher,
            checker=checker,
        )
        figures.install(self._metrics, rooms)

    def _bookkeeping(self, core: Core) -> Costs | None:
        """What the datacenter costs, where one has to be paid for."""
        if not isinstance(self._engine, TritonEngine):
            return None

        def known() -> set[str]:
            return {task.ref.name for task in core.tasks.table.values()}

        kept = self._config.docker_remove_delay
        costs = Costs(self._engine, Meter(self._config.triton_prices), known, kept=kept)
        costs.publish(self._metrics)
        return costs

    def hearing(self, post: Callable[[Fact], None]) -> Callable[[Fact], None]:
        """``post``, counted."""

        def posting(fact: Fact) -> None:
            self._tally.fact(fact)
            post(fact)

        return posting

    def seeing(self, carry_out: Callable[[Order], None]) -> Callable[[Order], None]:
        """``carry_out``, counted."""

        def carrying(order: Order) -> None:
            self._tally.order(order)
            carry_out(order)

        return carrying

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(kept_up("pages", self._site.run), name="pages")
            group.create_task(kept_up("sandboxes", self._keeper.run), name="sandboxes")
            if self._costs is not None:
                group.create_task(kept_up("costs", self._costs.run), name="costs")

    async def close(self) -> None:
        """After the conductor: it still asks for last words."""
        self._site.close()
        await self._sampler.close()
        await self._files.close()
        await self._keeper.close()
