"""The catalogue of ``/metrics``: each name, its help text, and where its value is read.

The services keep plain counters and properties. Nothing here is computed before a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shim.agent.messenger import Messenger
from shim.agent.runtime import Runtime
from shim.core.view import AgentView
from shim.discovery.sync import ConsulSync, SyncStats
from shim.engine.checks.checker import Checker
from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.sandbox.store import SandboxStore
from shim.protos.mesos_pb2 import TaskState
from shim.telemetry.launch_stats import LaunchStats
from shim.telemetry.metrics import Metrics
from shim.wire.link import Links
from shim.wire.server import Inbox


@dataclass(frozen=True, slots=True)
class MetricSources:
    """The objects whose counters are shown."""

    agent: AgentView
    runtime: Runtime
    containerizer: Containerizer
    sandboxes: SandboxStore
    messenger: Messenger
    inbox: Inbox
    links: Links
    launch_stats: LaunchStats
    discovery: ConsulSync | None
    fetcher: Fetcher
    checker: Checker


_Read = Callable[[MetricSources], float]

GAUGES: tuple[tuple[str, str, _Read], ...] = (
    ("master_connected", "1 while registered with a master", lambda s: s.agent.connected),
    (
        "updates_unacknowledged",
        "Status updates that no framework has acknowledged",
        lambda s: s.agent.unacknowledged_updates,
    ),
    (
        "containers_to_remove",
        "Containers of ended tasks that the endpoint may still have",
        lambda s: len(s.agent.pending_removals),
    ),
    ("facts_waiting", "Facts that the core has not handled yet", lambda s: s.runtime.waiting),
    ("disk_failing", "1 while the journal cannot be written", lambda s: s.runtime.disk_failing),
    (
        "engine_relist_age_seconds",
        "Time since the Docker endpoint last answered a list",
        lambda s: s.containerizer.relist_age,
    ),
    (
        "engine_calls_waiting",
        "Queued launches, plus calls that wait for a slot",
        lambda s: s.containerizer.waiting,
    ),
    (
        "containers_watched",
        "Running containers whose exit is awaited",
        lambda s: s.containerizer.watched,
    ),
    (
        "containers_busy",
        "Containers with a launch, stop or removal under way",
        lambda s: s.containerizer.busy,
    ),
    ("sandbox_bytes", "Output of tasks on the agent's disk", lambda s: s.sandboxes.held),
    ("sandboxes_kept", "Sandboxes of ended tasks on the agent's disk", lambda s: len(s.sandboxes)),
    ("outputs_followed", "Outputs that are followed for a reader", lambda s: s.sandboxes.followed),
    ("fetch_cache_bytes", "Fetched files kept for other tasks", lambda s: s.fetcher.cache_used),
    ("containers_checked", "Containers with a health check or check", lambda s: s.checker.checks),
    ("probes_under_way", "Probes of checks under way", lambda s: s.checker.under_way),
    ("probes_waiting", "Probes that are due and wait for a free slot", lambda s: s.checker.waiting),
)

COUNTERS: tuple[tuple[str, str, _Read], ...] = (
    ("launches", "Launches begun", lambda s: s.launch_stats.launches),
    ("launches_failed", "Launches that failed", lambda s: s.launch_stats.launches_failed),
    ("kills", "Stops and cancelled launches ordered", lambda s: s.launch_stats.kills),
    ("updates_sent", "Status updates sent, repeats included", lambda s: s.launch_stats.updates),
    ("fetches_succeeded", "Containers whose URIs were fetched", lambda s: s.fetcher.succeeded),
    ("fetches_failed", "Containers whose URIs could not be fetched", lambda s: s.fetcher.failed),
    ("journal_commits", "Batches of records made durable", lambda s: s.runtime.commits),
    (
        "messages_failed",
        "Messages whose handling failed: a bug of the shim",
        lambda s: s.inbox.failed,
    ),
    (
        "messages_unsafe",
        "Messages held back because they could abort a master: a bug of the shim",
        lambda s: s.messenger.counters["unsafe_messages"],
    ),
    (
        "messages_undecodable",
        "Messages that could not be decoded, or of an unknown kind",
        lambda s: s.messenger.counters["undecodable_messages"],
    ),
    ("messages_sent", "Messages handed to links", lambda s: s.links.sent),
    (
        "messages_dropped",
        "Messages that a broken link lost; the protocol repeats what matters",
        lambda s: s.links.dropped,
    ),
)

CONSUL_GAUGES: tuple[tuple[str, str, Callable[[SyncStats], float]], ...] = (
    ("consul_connected", "1 while Consul answers", lambda s: s.connected),
    ("consul_services", "Services registered in Consul", lambda s: s.registered),
    ("consul_pending", "Services that wait for a write to Consul", lambda s: s.pending),
    ("consul_refused", "Services whose write is delayed after a failure", lambda s: s.refused),
)


def _tasks(sources: MetricSources) -> Mapping[str, float]:
    return Counter(task.phase.value for task in sources.agent.tasks.values())


def _ended(sources: MetricSources) -> Mapping[str, float]:
    ended = sources.agent.ended_by_state
    return {TaskState.Name(state): count for state, count in ended.items()}


def _answered(sources: MetricSources) -> Mapping[str, float]:
    return {str(status): count for status, count in sources.inbox.answered.items()}


def install(metrics: Metrics, sources: MetricSources) -> None:
    """Register the whole catalogue. Consul's metrics exist only with service discovery."""
    for name, text, read in GAUGES:
        metrics.gauge(name, text, lambda read=read: read(sources))  # type: ignore[misc]
    for name, text, read in COUNTERS:
        metrics.counter(name, text, lambda read=read: read(sources))  # type: ignore[misc]
    metrics.gauges("tasks", "Tasks by phase of their life", "phase", lambda: _tasks(sources))
    metrics.counters("tasks_ended", "Tasks that ended, by state", "state", lambda: _ended(sources))
    metrics.counters(
        "messages", "Messages received, by answer", "status", lambda: _answered(sources)
    )
    probes = sources.checker.results
    metrics.counters("probes", "Probes of checks, by result", "result", lambda: probes)
    counters = sources.agent.counters
    metrics.counters("oddities", "Event counts of the core, by kind", "what", lambda: counters)
    if (sync := sources.discovery) is not None:
        for name, text, stat in CONSUL_GAUGES:
            metrics.gauge(name, text, lambda stat=stat: stat(sync.stats))  # type: ignore[misc]
        metrics.counter("consul_writes", "Writes to Consul", lambda: sync.stats.writes)
        metrics.counter("consul_failures", "Failed writes and resyncs", lambda: sync.stats.failures)
