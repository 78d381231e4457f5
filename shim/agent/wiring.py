"""The services of one running agent, created from its configuration and connected."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial

from shim import limits
from shim.agent.container_host import bridge_gateway
from shim.agent.dispatcher import OrderDispatcher
from shim.agent.executor_service import ExecutorService
from shim.agent.http_service import HttpService
from shim.agent.messenger import Messenger
from shim.agent.runtime import Runtime
from shim.agent.startup import StartupContext
from shim.agent.supervise import supervise
from shim.core.agent import Core
from shim.core.view import AgentView
from shim.discovery.consul_client import ConsulClient
from shim.discovery.services import Service, ServiceContext, agent_service
from shim.discovery.sync import ConsulSync
from shim.engine.api import EngineInfo
from shim.engine.checks.checker import Checker
from shim.engine.connect import remote_host
from shim.engine.containers.containerizer import Containerizer
from shim.engine.containers.volume_provisioner import VolumeProvisioner
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.infra.image import IMAGE, image_archive
from shim.engine.triton import TritonEngine
from shim.engine.triton.billing.exporter import BillingExporter
from shim.engine.triton.billing.usage_meter import UsageMeter
from shim.model.facts import Fact
from shim.model.orders import Exit, Launch, LaunchExecutor
from shim.telemetry import catalogue
from shim.telemetry.launch_stats import LaunchStats


class AgentServices:
    """All services of a running agent. They exist, complete, once the endpoint has answered."""

    def __init__(self, context: StartupContext, core: Core, runtime: Runtime) -> None:
        """Needs a running event loop."""
        agent, config = core.view, context.config
        launch_seconds = context.metrics.launch_seconds
        stats = LaunchStats(lambda stage, s: launch_seconds.labels(stage).observe(s))
        self._runtime = runtime
        self._sandboxes = context.sandboxes
        self._fetcher = _fetcher(context)
        self._executors = ExecutorService(context, agent, runtime.post)
        self._volumes = _volumes(context, runtime)
        self._containerizer = _containerizer(
            context,
            self._fetcher,
            self._executors,
            self._volumes,
            stats.counted_post(runtime.post),
        )
        self._checker = _checker(context, runtime)
        self._billing = _billing(context, agent)
        self.discovery = _discovery(context, agent)
        self.messenger = Messenger(
            context.pid,
            config.credential,
            context.links,
            runtime.post,
            agent.capabilities,
            context.journal.may_act,
        )
        self._dispatcher = OrderDispatcher(
            self.messenger,
            self._containerizer,
            self._checker,
            self.discovery,
            self._executors,
            self._volumes,
        )
        self._dispatch = stats.counted_dispatch(self._dispatcher.dispatch)
        self.http = HttpService(
            context,
            agent,
            runtime,
            self._containerizer,
            self._fetcher,
            stats,
            self._billing,
            self._executors,
            self.discovery,
        )
        self._install_metrics(context, agent, stats)

    def _install_metrics(
        self, context: StartupContext, agent: AgentView, stats: LaunchStats
    ) -> None:
        sources = catalogue.MetricSources(
            agent=agent,
            runtime=self._runtime,
            containerizer=self._containerizer,
            sandboxes=context.sandboxes,
            messenger=self.messenger,
            inbox=context.inbox,
            links=context.links,
            launch_stats=stats,
            discovery=self.discovery,
            fetcher=self._fetcher,
            checker=self._checker,
        )
        catalogue.install(context.metrics, sources)

    async def run(self) -> Exit:
        """Until the core orders the end of the process."""
        background: dict[str, Callable[[], Awaitable[None]]] = {
            "the containerizer": self._containerizer.run,
            "the checker": self._checker.run,
            "the page cache": self.http.cache.keep_warm,
            "the sandbox store": self._sandboxes.run,
        }
        if self._billing is not None:
            background["billing"] = self._billing.run
        if self.discovery is not None:
            background["service discovery"] = self.discovery.run
        async with asyncio.TaskGroup() as group:
            supervised = [
                group.create_task(supervise(name, run), name=name)
                for name, run in background.items()
            ]
            try:
                return await self._runtime.run(self._dispatch)
            finally:
                for task in supervised:
                    task.cancel()

    async def remove_unknown_volumes(self, agent: AgentView) -> None:
        """Volumes of executors that the journal, or its loss, has forgotten. After recovery."""
        await self._containerizer.sweep_volumes(agent.executor_containers)

    async def close(self, *, leaving: bool) -> None:
        """After ``run``. ``leaving``: the agent unregisters, so its services leave Consul."""
        await self._runtime.close()
        await self._dispatcher.close()
        if self.discovery is not None and leaving:
            await self.discovery.withdraw_agent(limits.WITHDRAW_TIMEOUT)
        await self._checker.close()
        await self._containerizer.close()
        await self._volumes.close()
        await self.http.close()
        # After the containerizer, which collects the final logs of removed containers.
        await self._sandboxes.close()
        await self._fetcher.close()


def _fetcher(context: StartupContext) -> Fetcher:
    config = context.config
    return Fetcher(
        context.engine,
        context.specs.settings,
        config.work_dir / "fetch",
        cache_directory=config.fetcher_cache_dir,
        cache_size=config.fetcher_cache_size,
        docker_config=config.docker_config,
        file_root=config.fetcher_file_root,
    )


def _volumes(context: StartupContext, runtime: Runtime) -> VolumeProvisioner:
    config = context.config
    triton = context.info.kind == "triton"
    return VolumeProvisioner(
        context.engine,
        runtime.post,
        shim_id=context.shim_id,
        driver="" if triton else config.volume_driver,
        options={} if triton else config.volume_driver_options,
        clock=time.monotonic,
    )


def _containerizer(
    context: StartupContext,
    fetcher: Fetcher,
    executors: ExecutorService,
    volumes: VolumeProvisioner,
    post: Callable[[Fact], None],
) -> Containerizer:
    config = context.config

    def launch_of(order: LaunchExecutor) -> Launch:
        return context.specs.executor_launch(order, executors.environment(order))

    return Containerizer(
        context.engine,
        post,
        context.specs.spec,
        executor_launch=launch_of,
        limits_of=context.specs.limits,
        own_images={IMAGE: partial(image_archive, context.info.architecture)},
        auth_for=fetcher.auth_for,
        hooks=[volumes, fetcher],
        collect_final_logs=context.sandboxes.collect_final_logs,
        max_inflight=config.max_inflight or _max_inflight(context.info),
        registration_timeout=config.executor_registration_timeout,
    )


def _max_inflight(info: EngineInfo) -> int:
    """A local engine is slower with more calls at once. Launches on Triton wait for provisioning,
    which happens on many machines, so there all run at once."""
    return limits.TRITON_MAX_INFLIGHT if info.kind == "triton" else limits.MAX_INFLIGHT


def _checker(context: StartupContext, runtime: Runtime) -> Checker:
    if context.engine.kind == "triton":
        return Checker(context.engine, runtime.post, execs_at_once=limits.TRITON_EXECS_AT_ONCE)
    host = remote_host(context.config) or bridge_gateway() or context.pid.ip
    return Checker(context.engine, runtime.post, host=host)


def _billing(context: StartupContext, agent: AgentView) -> BillingExporter | None:
    """None unless the endpoint charges for containers."""
    if not isinstance(context.engine, TritonEngine):
        return None
    config = context.config

    def task_containers() -> set[str]:
        return {task.ref.name for task in agent.tasks.values()}

    meter = UsageMeter(config.triton_prices)
    delay = config.docker_remove_delay
    billing = BillingExporter(context.engine, meter, task_containers, remove_delay=delay)
    context.engine.subscribe(billing)
    billing.publish(context.metrics)
    return billing


def _discovery(context: StartupContext, agent: AgentView) -> ConsulSync | None:
    consul = context.config.discovery
    if consul is None:
        return None
    host = remote_host(context.config) or context.hostname
    services = ServiceContext(
        context.shim_id, context.info.name, host, consul.register, consul.checks
    )
    pid = context.pid
    registers_until = time.monotonic() + limits.CONSUL_AGENT_TTL if agent.agent_id else -math.inf

    def own_service() -> Service:
        """The agent's own service. It is healthy while the agent is registered.

        So is an agent that a master knows, until it is registered again: neither a restart nor a
        take-over makes the service critical for a moment.
        """
        nonlocal registers_until
        if agent.connected:
            registers_until = -math.inf
        healthy = agent.connected or time.monotonic() < registers_until
        return agent_service(services, agent.agent_id or "", pid.ip, pid.port, healthy)

    return ConsulSync(
        ConsulClient(consul), services, own_service=own_service, may_act=context.journal.may_act
    )
