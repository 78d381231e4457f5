"""Everything people look at, plugged together: pages, metrics, and the sandboxes behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from shim.agent.messenger import Messenger
from shim.agent.runtime import Runtime
from shim.agent.supervise import supervise
from shim.config import Config
from shim.core.view import AgentView
from shim.discovery.sync import ConsulSync
from shim.engine.api import Engine
from shim.engine.checks.checker import Checker
from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.sandbox.container_files import ContainerFiles
from shim.engine.sandbox.sampler import Sampler
from shim.engine.sandbox.store import SandboxStore
from shim.engine.triton import TritonEngine
from shim.engine.triton.billing.exporter import BillingExporter, publish_certificate
from shim.engine.triton.billing.usage_meter import UsageMeter
from shim.http.auth import READONLY, READWRITE, BasicAuth
from shim.http.routes import Routes
from shim.http.view import View
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Order
from shim.telemetry import catalogue
from shim.telemetry.launch_stats import LaunchStats
from shim.telemetry.log import Metrics


@dataclass(frozen=True, slots=True)
class _Pulse:
    conductor: Containerizer
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


class HttpService:
    """``setup``, then ``attach``, then ``open``, then ``run`` until cancelled, then ``close``."""

    def __init__(self, config: Config, process: str, version: str) -> None:
        self._config = config
        self._started = time.time()
        self._metrics = metrics = Metrics()
        self._tally = LaunchStats(lambda stage, s: metrics.launch_seconds.labels(stage).observe(s))
        closed = [
            realm
            for realm, is_closed in (
                (READONLY, config.authenticate_http_readonly),
                (READWRITE, config.authenticate_http_readwrite),
            )
            if is_closed
        ]
        gate = BasicAuth(config.http_credentials, frozenset(closed))
        self._site = Routes(gate, process, version, config.texts, metrics)

    def setup(self, app: web.Application) -> None:
        """Add the routes: they answer at once, and say so while there is nothing to show."""
        self._site.setup(app)

    def waits(self, trouble: str) -> None:
        """Why there is no endpoint yet: ``/health`` says it when that lasts."""
        self._site.trouble = trouble

    def observe_call(self, call: str, outcome: str, seconds: float) -> None:
        """A call to the endpoint ended: ``ok`` or the class of its error."""
        self._metrics.engine_seconds.labels(call, outcome).observe(seconds)

    async def attach(self, engine: Engine) -> None:
        """Know the sandboxes that an earlier life left."""
        self._engine = engine
        self._keeper = SandboxStore(engine, self._config.work_dir / "sandboxes")
        self._files = ContainerFiles(engine, self._config.sandbox_directory)
        if isinstance(engine, TritonEngine):
            publish_certificate(engine.login, self._metrics)
        await self._keeper.load()

    async def collect_final_logs(self, ref: Ref) -> None:
        """The container is about to be removed: keep what it said."""
        await self._keeper.collect_final_logs(ref)

    def open(
        self,
        agent: AgentView,
        loop: Runtime,
        conductor: Containerizer,
        messenger: Messenger,
        discovery: ConsulSync | None,
        fetcher: Fetcher,
        checker: Checker,
    ) -> None:
        def running() -> Iterable[Ref]:
            return [task.ref for task in agent.running_tasks()]

        self._sampler = Sampler(self._engine, running)
        self._costs = self._bookkeeping(agent)
        self._site.open(
            View(
                agent=agent,
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
        rooms = catalogue.MetricSources(
            agent=agent,
            loop=loop,
            conductor=conductor,
            keeper=self._keeper,
            messenger=messenger,
            tally=self._tally,
            discovery=discovery,
            fetcher=fetcher,
            checker=checker,
        )
        catalogue.install(self._metrics, rooms)

    def _bookkeeping(self, agent: AgentView) -> BillingExporter | None:
        """What the datacenter costs, where one has to be paid for."""
        if not isinstance(self._engine, TritonEngine):
            return None

        def known() -> set[str]:
            return {task.ref.name for task in agent.tasks.values()}

        costs = BillingExporter(
            self._engine,
            UsageMeter(self._config.triton_prices),
            known,
            remove_delay=self._config.docker_remove_delay,
        )
        self._engine.subscribe(costs)
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
            group.create_task(supervise("pages", self._site.run), name="pages")
            group.create_task(supervise("sandboxes", self._keeper.run), name="sandboxes")
            if self._costs is not None:
                group.create_task(supervise("costs", self._costs.run), name="costs")

    async def close(self) -> None:
        """After the conductor: the last logs of its containers are still collected."""
        self._site.close()
        await self._sampler.close()
        await self._files.close()
        await self._keeper.close()
