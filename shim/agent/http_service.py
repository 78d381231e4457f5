"""The pages of a running agent, built from its services."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from shim import limits
from shim.agent import executor_service
from shim.agent.executor_service import ExecutorService
from shim.agent.runtime import Runtime
from shim.agent.startup import StartupContext
from shim.config import Config
from shim.core.view import AgentView
from shim.discovery.sync import ConsulSync
from shim.engine.api import InteractiveExec
from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.sandbox.container_files import ContainerFiles
from shim.engine.sandbox.sampler import Sampler
from shim.engine.triton import TritonEngine
from shim.http.basic_auth import READONLY, READWRITE, BasicAuth
from shim.http.files import FilesPages
from shim.http.health import Liveness
from shim.http.operator_api.handler import PATH as OPERATOR_API
from shim.http.operator_api.handler import Access, OperatorApi
from shim.http.pages import agent_pages
from shim.http.router import Router
from shim.http.task_json_cache import TaskJsonCache
from shim.http.task_metrics import TaskMetrics, tasks_with_metrics
from shim.http.view import Billing, View, alone
from shim.telemetry.launch_stats import LaunchStats

log = logging.getLogger(__name__)


def basic_auth(config: Config) -> BasicAuth:
    """Passwords as the flags ``--authenticate_http_readonly`` and ``_readwrite`` ask for them."""
    flags = {
        READONLY: config.authenticate_http_readonly,
        READWRITE: config.authenticate_http_readwrite,
    }
    protected = frozenset(realm for realm, is_protected in flags.items() if is_protected)
    return BasicAuth(config.http_credentials, protected)


def _signals(
    context: StartupContext, discovery: ConsulSync | None
) -> Iterator[tuple[str, bool, str]]:
    """What the live page says of Consul, and of Triton: maintenance and certificate."""
    if discovery is not None:
        stats = discovery.stats
        text = f"{stats.registered} services, {stats.pending} to be written"
        yield "consul", stats.connected, text if stats.connected else "does not answer"
    if isinstance(context.engine, TritonEngine):
        if text := context.engine.maintenance:
            yield "maintenance", False, text
        left = context.engine.login.days_left
        yield "certificate", left > limits.LOGIN_WARN_DAYS, f"expires in {left:.0f} days"


def _liveness(context: StartupContext, runtime: Runtime, containerizer: Containerizer) -> Liveness:
    return Liveness(
        containerizer.relist_age,
        containerizer.endpoint_trouble,
        runtime.disk_failing,
        context.standby.journal.problem if context.standby else "",
    )


def _has_passwords(config: Config) -> bool:
    """Everything that touches a task needs a password."""
    return bool(config.http_credentials) and config.authenticate_http_readwrite


def _operator_api(
    context: StartupContext, view: View, cache: TaskJsonCache, files: FilesPages
) -> OperatorApi:
    config, engine = context.config, context.engine
    processes = engine if isinstance(engine, InteractiveExec) else None
    access = Access(
        auth=basic_auth(config),
        may_touch=view.may_touch,
        names={context.hostname, "localhost"},
    )
    if config.unsafe_exec and not _has_passwords(config):
        log.warning(
            "--unsafe_exec: everybody who reaches %s:%d can run commands in tasks",
            context.pid.ip,
            context.pid.port,
        )
    return OperatorApi(view, cache, files, processes, access)


class HttpService:
    """``router`` answers requests; ``cache`` keeps the JSON of tasks ready."""

    def __init__(
        self,
        context: StartupContext,
        agent: AgentView,
        runtime: Runtime,
        containerizer: Containerizer,
        fetcher: Fetcher,
        launch_stats: LaunchStats,
        billing: Billing | None,
        executors: ExecutorService,
        discovery: ConsulSync | None,
    ) -> None:
        """Needs a running event loop."""
        config, standby = context.config, context.standby
        self._sampler = Sampler(
            context.engine, lambda: [task.ref for task in agent.running_tasks()]
        )
        self._files = ContainerFiles(context.engine, config.sandbox_directory)
        view = View(
            agent=agent,
            work_dir=str(config.work_dir),
            flags=config.texts,
            started=context.started,
            outputs=context.sandboxes,
            files=self._files,
            usages=self._sampler.usages,
            liveness=lambda: _liveness(context, runtime, containerizer),
            launch_stats=launch_stats,
            fetch_stats=fetcher,
            billing=billing,
            leadership=standby.description if standby else alone,
            services=discovery.names_of if discovery is not None else lambda ref: (),
            may_touch=_has_passwords(config) or config.unsafe_exec,
            more_signals=lambda: list(_signals(context, discovery)),
        )
        most = config.metrics_max_tasks
        # Of its own: a scrape samples only the tasks that have metrics.
        self._metrics_sampler = Sampler(
            context.engine, lambda: [task.ref for task in tasks_with_metrics(agent, most)]
        )
        task_metrics = TaskMetrics(agent, self._metrics_sampler.usages, most, view.time_slicer)
        self.cache = TaskJsonCache(view)
        files = FilesPages(view, context.log_ring)
        self._operator_api = _operator_api(context, view, self.cache, files)
        self.router = Router(
            agent_pages(view, self.cache, files),
            context.metrics,
            basic_auth(config),
            context.pid.id,
            {
                executor_service.PATH: executors.api.handle,
                OPERATOR_API: self._operator_api.handle,
            },
            task_metrics,
            view.time_slicer,
        )

    async def close(self) -> None:
        await self._operator_api.close()
        await self._sampler.close()
        await self._metrics_sampler.close()
        await self._files.close()
