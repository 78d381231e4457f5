"""What ``/metrics`` shows: figures that the rooms keep, read when somebody asks."""

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
from shim.telemetry.log import Metrics


@dataclass(frozen=True, slots=True)
class MetricSources:
    """Where figures are kept."""

    agent: AgentView
    loop: Runtime
    conductor: Containerizer
    keeper: SandboxStore
    messenger: Messenger
    tally: LaunchStats
    discovery: ConsulSync | None
    fetcher: Fetcher
    checker: Checker


_Read = Callable[[MetricSources], float]

GAUGES: tuple[tuple[str, str, _Read], ...] = (
    (
        "master_connected",
        "1 while registered with a master",
        lambda r: r.agent.connected,
    ),
    (
        "updates_unacknowledged",
        "Status updates that no framework has acknowledged",
        lambda r: r.agent.unacknowledged_updates,
    ),
    (
        "containers_to_remove",
        "Containers of ended tasks that the endpoint may still have",
        lambda r: len(r.agent.pending_removals),
    ),
    ("facts_waiting", "Facts not yet handled by the loop", lambda r: r.loop.waiting),
    ("disk_failing", "1 while the journal takes no records", lambda r: r.loop.disk_failing),
    (
        "engine_relist_age_seconds",
        "Time since the Docker endpoint last answered a list",
        lambda r: r.conductor.relist_age,
    ),
    ("engine_calls_waiting", "Engine calls that wait for a turn", lambda r: r.conductor.waiting),
    ("containers_watched", "Containers whose end is awaited", lambda r: r.conductor.watched),
    ("containers_busy", "Containers that something is done about", lambda r: r.conductor.busy),
    ("sandbox_bytes", "Output of tasks on our disk", lambda r: r.keeper.held),
    ("sandboxes_kept", "Sandboxes of ended tasks on our disk", lambda r: len(r.keeper)),
    ("outputs_followed", "Outputs that somebody watches now", lambda r: r.keeper.followed),
    ("fetch_cache_bytes", "Fetched files kept for other tasks", lambda r: r.fetcher.cache_used),
    ("containers_checked", "Containers with a health check or check", lambda r: r.checker.checks),
    ("probes_under_way", "Probes of checks being made", lambda r: r.checker.under_way),
    ("probes_waiting", "Probes that are due and wait for a turn", lambda r: r.checker.waiting),
)

COUNTERS: tuple[tuple[str, str, _Read], ...] = (
    ("launches", "Launches begun", lambda r: r.tally.launches),
    ("launches_failed", "Launches that came to nothing", lambda r: r.tally.launches_failed),
    ("kills", "Stops and cancelled launches ordered", lambda r: r.tally.kills),
    ("updates_sent", "Status updates sent, repeats included", lambda r: r.tally.updates),
    ("fetches_succeeded", "Containers whose URIs were fetched", lambda r: r.fetcher.succeeded),
    ("fetches_failed", "Containers whose URIs were not", lambda r: r.fetcher.failed),
    ("journal_commits", "Batches of records made durable", lambda r: r.loop.commits),
    (
        "messages_failed",
        "Messages whose handling failed: a bug of ours",
        lambda r: r.messenger.inbox.failed,
    ),
    (
        "messages_unsafe",
        "Messages kept back because they could abort a master: a bug of ours",
        lambda r: r.messenger.counters["unsafe_messages"],
    ),
    (
        "messages_undecodable",
        "Messages that were none, or of an unknown kind",
        lambda r: r.messenger.counters["undecodable_messages"],
    ),
    ("messages_sent", "Messages handed to links", lambda r: r.messenger.links.sent),
    (
        "messages_dropped",
        "Messages that a broken link lost; the protocol repeats what matters",
        lambda r: r.messenger.links.dropped,
    ),
)

CONSUL_GAUGES: tuple[tuple[str, str, Callable[[SyncStats], float]], ...] = (
    ("consul_connected", "1 while Consul answers", lambda s: s.connected),
    ("consul_services", "Services that Consul has of us", lambda s: s.registered),
    ("consul_pending", "Services to be brought up to date", lambda s: s.pending),
    ("consul_refused", "Services that Consul refuses", lambda s: s.refused),
)


def _tasks(rooms: MetricSources) -> Mapping[str, float]:
    return Counter(task.phase.value for task in rooms.agent.tasks.values())


def _ended(rooms: MetricSources) -> Mapping[str, float]:
    ended = rooms.agent.ended_by_state
    return {TaskState.Name(state): count for state, count in ended.items()}


def _answered(rooms: MetricSources) -> Mapping[str, float]:
    return {str(status): n for status, n in rooms.messenger.inbox.answered.items()}


def install(metrics: Metrics, rooms: MetricSources) -> None:
    """Have ``/metrics`` show all of them."""
    for name, text, read in GAUGES:
        metrics.gauge(name, text, lambda read=read: read(rooms))  # type: ignore[misc]
    for name, text, read in COUNTERS:
        metrics.counter(name, text, lambda read=read: read(rooms))  # type: ignore[misc]
    metrics.gauges("tasks", "Tasks by phase of their life", "phase", lambda: _tasks(rooms))
    metrics.counters("tasks_ended", "Tasks that ended, by state", "state", lambda: _ended(rooms))
    metrics.counters("messages", "Messages by our answer", "status", lambda: _answered(rooms))
    probed = rooms.checker.results
    metrics.counters("probes", "Probes of checks, by result", "result", lambda: probed)
    counters = rooms.agent.counters
    metrics.counters("oddities", "What others sent that was ignored", "what", lambda: counters)
    if (sync := rooms.discovery) is not None:
        for name, text, stat in CONSUL_GAUGES:
            metrics.gauge(name, text, lambda stat=stat: stat(sync.stats))  # type: ignore[misc]
        metrics.counter("consul_writes", "Writes to Consul", lambda: sync.stats.writes)
        metrics.counter("consul_failures", "Calls without answer", lambda: sync.stats.failures)
