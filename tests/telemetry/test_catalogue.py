from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from shim.discovery.sync import SyncStats
from shim.protos.mesos_pb2 import TASK_FAILED
from shim.telemetry.catalogue import MetricSources, install
from shim.telemetry.metrics import Metrics


def sources() -> MetricSources:
    """Each value is another number."""
    agent = SimpleNamespace(
        counters=Counter(late_facts=1),
        pending_removals=range(2),
        tasks={},
        ended_by_state={TASK_FAILED: 3},
        connected=True,
        unacknowledged_updates=4,
    )
    found: dict[str, Any] = {
        "agent": agent,
        "runtime": SimpleNamespace(waiting=5, disk_failing=True, commits=6),
        "containerizer": SimpleNamespace(relist_age=7.5, waiting=8, watched=9, busy=10),
        "sandboxes": FakeSandboxes(),
        "messenger": SimpleNamespace(
            counters=Counter(unsafe_messages=16, undecodable_messages=17),
        ),
        "inbox": SimpleNamespace(failed=14, answered=Counter({202: 15})),
        "links": SimpleNamespace(sent=18, dropped=19),
        "launch_stats": SimpleNamespace(launches=20, launches_failed=21, kills=22, updates=23),
        "discovery": SimpleNamespace(stats=SyncStats(True, 25, 26, 27, 28, 29)),
        "fetcher": SimpleNamespace(succeeded=30, failed=31, cache_used=32),
        "checker": SimpleNamespace(
            checks=33, under_way=34, waiting=35, results=Counter(passed=36, unknown=37)
        ),
    }
    return MetricSources(**found)


class FakeSandboxes:
    held, followed = 11, 12

    def __len__(self) -> int:
        return 13


@pytest.fixture
def shown() -> list[str]:
    metrics = Metrics()
    install(metrics, sources())
    return generate_latest(metrics.registry).decode().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "master_connected 1.0",
        "containers_to_remove 2.0",
        "updates_unacknowledged 4.0",
        "facts_waiting 5.0",
        "disk_failing 1.0",
        "journal_commits_total 6.0",
        "engine_relist_age_seconds 7.5",
        "engine_calls_waiting 8.0",
        "containers_watched 9.0",
        "containers_busy 10.0",
        "sandbox_bytes 11.0",
        "outputs_followed 12.0",
        "sandboxes_kept 13.0",
        "messages_failed_total 14.0",
        'messages_total{status="202"} 15.0',
        "messages_unsafe_total 16.0",
        "messages_undecodable_total 17.0",
        "messages_sent_total 18.0",
        "messages_dropped_total 19.0",
        "launches_total 20.0",
        "launches_failed_total 21.0",
        "kills_total 22.0",
        "updates_sent_total 23.0",
        "consul_connected 1.0",
        "consul_services 25.0",
        "consul_pending 26.0",
        "consul_refused 27.0",
        "consul_writes_total 28.0",
        "consul_failures_total 29.0",
        'tasks_ended_total{state="TASK_FAILED"} 3.0',
        "fetches_succeeded_total 30.0",
        "fetches_failed_total 31.0",
        "fetch_cache_bytes 32.0",
        "containers_checked 33.0",
        "probes_under_way 34.0",
        "probes_waiting 35.0",
        'probes_total{result="passed"} 36.0',
        'probes_total{result="unknown"} 37.0',
        'oddities_total{what="late_facts"} 1.0',
    ],
)
def test_each_value_is_shown_under_its_name(shown: list[str], line: str) -> None:
    assert f"mesos_shim_{line}" in shown
