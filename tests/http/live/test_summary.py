"""The head of the live page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shim.core.lifecycle import Event
from shim.core.registration import State
from shim.http.health import Liveness
from shim.http.live.summary import OverviewCounts, signals, summary
from shim.model import facts
from shim.model.ids import FrameworkId
from tests.http.page_data import PageData, accept_task, run_task

NOW = 1_700_000_100.0


def ill(page_data: PageData) -> dict[str, str]:
    return {signal.name: signal.text for signal in signals(page_data.view) if not signal.well}


def test_all_is_well(page_data: PageData) -> None:
    assert ill(page_data) == {}
    assert [signal.name for signal in signals(page_data.view)] == ["master", "endpoint", "journal"]


@pytest.mark.parametrize(
    ("liveness", "name", "text"),
    [
        (Liveness(relist_age=91.0), "endpoint", "listed its containers 91 s ago"),
        (Liveness(endpoint_error="connection refused"), "endpoint", "connection refused"),
        (Liveness(disk_failing=True), "journal", "takes no records"),
        (Liveness(journal_problem="no quorum"), "journal", "takes no records: no quorum"),
    ],
)
def test_what_is_ill(page_data: PageData, liveness: Liveness, name: str, text: str) -> None:
    page_data.liveness = liveness
    assert text in ill(page_data)[name]


def test_the_master_and_further_services(page_data: PageData) -> None:
    page_data.core.registration.state = State.DISCONNECTED
    assert ill(page_data) == {"master": "not registered with master@10.0.0.1:5050 yet"}
    page_data.core.ctx.master = None
    assert ill(page_data) == {"master": "no leading master is known"}
    page_data.core.registration.state = State.RECOVERING
    assert "recovering" in ill(page_data)["master"]
    view = replace(page_data.view, more_signals=lambda: [("consul", False, "does not answer")])
    assert signals(view)[-1].json() == {"name": "consul", "well": False, "text": "does not answer"}


def test_failures_of_the_last_hour_are_grouped_by_their_message(page_data: PageData) -> None:
    core = page_data.core
    for number, code in enumerate((1, 1, 2, 0)):
        ref = accept_task(core, f"t{number}")
        run_task(core, ref)
        core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, code))
    used = {"4f3e-0001": (1.0, 0.0, 0.0)}
    view, counts = page_data.view, OverviewCounts(NOW)
    counts.tasks.update(key.framework_id for key in view.agent.tasks)
    late = OverviewCounts(NOW + 7200.0)
    for completed in view.agent.completed_tasks(FrameworkId("4f3e-0001")):
        counts.add_completed(completed)
        late.add_completed(completed)
    found = summary(view, (used, {"4f3e-0001": (0.5, 32.0, 0.0)}), counts)
    assert [(one["count"], one["state"]) for one in found["failures"]] == [
        (2, "TASK_FAILED"),
        (1, "TASK_FAILED"),
    ]
    assert "status 1" in found["failures"][0]["message"]
    assert found["ended"] == {"TASK_FAILED": 3, "TASK_FINISHED": 1}
    assert found["resources"]["cpus"] == {"used": 1.5, "total": 64}
    assert found["frameworks"] == [
        {"id": "4f3e-0001", "name": "marathon", "tasks": 4, "cpus": 1.5, "mem": 32.0, "disk": 0.0}
    ]
    assert late.failures() == []
