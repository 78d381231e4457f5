"""The rooms of one agent, made from its configuration and plugged into one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shim import limits
from shim.agent.dispatcher import OrderDispatcher
from shim.agent.http_service import HttpService
from shim.agent.messenger import Messenger
from shim.agent.runtime import Runtime
from shim.agent.supervise import supervise
from shim.config import Config
from shim.core.agent import Core
from shim.core.view import AgentView
from shim.discovery.consul_client import ConsulClient
from shim.discovery.services import Service, ServiceContext, agent_service
from shim.discovery.sync import ConsulSync
from shim.engine.api import ContainerSpec, Engine, EngineInfo
from shim.engine.checks.checker import Checker
from shim.engine.connect import remote_host
from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.fetch.sandbox_archive import with_sandbox_volume
from shim.engine.mapping import Rules, container_spec
from shim.model.facts import Fact
from shim.model.ids import Pid
from shim.model.orders import Exit, Launch


@dataclass(frozen=True, slots=True)
class StartupContext:
    """What is known before the rooms are made."""

    config: Config
    engine: Engine
    info: EngineInfo
    owner: str
    """The shim's own id, on all its containers."""
    pid: Pid
    hostname: str
    messenger: Messenger
    pages: HttpService


class AgentServices:
    """All rooms of a running agent. Needs a running loop."""

    def __init__(self, around: StartupContext, core: Core, loop: Runtime) -> None:
        self._loop = loop
        self._pages = around.pages
        rules = _rules(around)
        self._fetcher = _fetcher(around, rules)
        post = around.pages.hearing(loop.post)
        self._conductor = _conductor(around, rules, self._fetcher, post)
        self._checker = _checker(around, loop)
        self.discovery = _discovery(around, core.view)
        self._effects = OrderDispatcher(
            around.messenger, self._conductor, self._checker, self.discovery
        )
        around.messenger.open(loop.post)
        around.pages.open(
            core.view,
            loop,
            self._conductor,
            around.messenger,
            self.discovery,
            self._fetcher,
            self._checker,
        )

    async def run(self) -> Exit:
        """Until the core orders the end of the process."""
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(supervise("the watch", self._conductor.run), name="watch"),
                group.create_task(supervise("checks", self._checker.run), name="checks"),
                group.create_task(self._pages.run(), name="pages"),
            ]
            if self.discovery is not None:
                consul = supervise("Consul", self.discovery.run)
                beside.append(group.create_task(consul, name="consul"))
            try:
                return await self._loop.run(self._pages.seeing(self._effects.carry_out))
            finally:
                for task in beside:
                    task.cancel()

    async def close(self, *, leaving: bool) -> None:
        """After ``run``; ``leaving``: the agent does not come back."""
        await self._loop.close()
        await self._effects.close()
        if self.discovery is not None and leaving:
            await self.discovery.withdraw_agent(limits.WITHDRAW_PATIENCE)
        await self._checker.close()
        await self._conductor.close()
        await self._pages.close()
        await self._fetcher.close()


def _rules(around: StartupContext) -> Rules:
    config, info = around.config, around.info
    return Rules(
        shim_id=around.owner,
        kind="triton" if info.kind == "triton" else "docker",
        api_version=info.api_version,
        sandbox_directory=config.sandbox_directory,
        default_container_dns=config.default_container_dns,
        ports=config.ports.mode,
        host_memory_mb=info.memory_mb,
        enable_cfs=config.cgroups_enable_cfs,
        triton_unsupported=config.triton_unsupported,
    )


def _fetcher(around: StartupContext, rules: Rules) -> Fetcher:
    config = around.config
    return Fetcher(
        around.engine,
        rules,
        config.work_dir / "fetch",
        cache_directory=config.fetcher_cache_dir,
        cache_size=config.fetcher_cache_size,
        docker_config=config.docker_config,
        file_root=config.fetcher_file_root,
    )


def _conductor(
    around: StartupContext, rules: Rules, fetcher: Fetcher, post: Callable[[Fact], None]
) -> Containerizer:
    config = around.config

    def make_spec(order: Launch) -> ContainerSpec:
        spec = container_spec(
            order.ref,
            order.task,
            agent_id=order.agent_id,
            executor_id=order.executor_id,
            rules=rules,
        )
        return spec if rules.triton else with_sandbox_volume(spec, rules.sandbox_directory)

    return Containerizer(
        around.engine,
        post,
        make_spec,
        auth_for=fetcher.auth_for,
        hooks=[fetcher],
        collect_final_logs=around.pages.collect_final_logs,
        max_inflight=config.max_inflight or _inflight(around.info),
        registration_timeout=config.executor_registration_timeout,
    )


def _inflight(info: EngineInfo) -> int:
    """A local engine has a knee; on Triton launches wait for provisioning, so all at once."""
    return limits.TRITON_MAX_INFLIGHT if info.kind == "triton" else limits.MAX_INFLIGHT


def _checker(around: StartupContext, loop: Runtime) -> Checker:
    if around.engine.kind == "triton":
        return Checker(around.engine, loop.post, execs_at_once=limits.TRITON_EXECS_AT_ONCE)
    host = remote_host(around.config) or around.pid.ip
    return Checker(around.engine, loop.post, host=host)


def _discovery(around: StartupContext, agent: AgentView) -> ConsulSync | None:
    consul = around.config.discovery
    if consul is None:
        return None
    host = remote_host(around.config) or around.hostname
    context = ServiceContext(around.owner, around.info.name, host, consul.register, consul.checks)
    pid = around.pid

    def own_service() -> Service:
        """The agent's own service. It is healthy while the agent is registered."""
        return agent_service(context, agent.agent_id or "", pid.ip, pid.port, agent.connected)

    return ConsulSync(ConsulClient(consul), context, own_service=own_service)
