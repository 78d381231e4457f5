"""What a row shows, and which rows a stream that is behind gets."""

from __future__ import annotations

import json

import pytest

from shim import limits
from shim.http.live.rows import MachineTime, RowTable, completed_row, task_row
from shim.http.protojson import Json
from shim.model.ids import FrameworkId
from tests.http.page_data import FRAMEWORK, PageData, accept_task, end_task, run_task


def row(name: str, cpus: float = 1.0, *, live: bool = True) -> Json:
    return {
        "id": name,
        "framework_id": FRAMEWORK,
        "cpus": cpus,
        "mem": 64.0,
        "disk": 0.0,
        "live": live,
    }


def test_a_running_task(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ref)
    task = page_data.core.view.tasks[ref.task_key]
    found = task_row(task, "marathon", None, ("web",), MachineTime("g4-small", 60.04, 1.7e9))
    assert found["since"] == found["accepted"] == 1_700_000_000.0
    del found["since"], found["accepted"]
    assert found == {
        "id": ref.container_id,
        "container_id": ref.container_id,
        "task": "web.1",
        "name": "web",
        "framework_id": FRAMEWORK,
        "framework": "marathon",
        "executor": "web.1",
        "state": "TASK_RUNNING",
        "image": "nginx:1.25",
        "cpus": 0.5,
        "mem": 128.0,
        "disk": 0.0,
        "live": True,
        "addresses": ["192.168.128.7"],
        "services": ["web"],
        "package": "g4-small",
        "machine_seconds": 60.0,
        "machine_at": 1.7e9,
    }


def test_an_ended_task_has_no_address_and_its_last_words(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ref)
    end_task(page_data.core, ref, acknowledged=True)
    (completed,) = page_data.core.view.completed_tasks(FrameworkId(FRAMEWORK))
    found = completed_row(completed, "marathon", MachineTime("g4-small", 61.0, None))
    assert (found["state"], found["live"]) == ("TASK_FINISHED", False)
    assert found["addresses"] == []
    assert found["message"]
    assert found["machine_seconds"] == 61.0
    assert "machine_at" not in found, "the machine is removed"


def test_only_live_tasks_use_resources() -> None:
    table = RowTable()
    table.put(row("a", 2.0))
    table.put(row("b", 3.0, live=False))
    assert table.used == {FRAMEWORK: [2.0, 64.0, 0.0]}
    table.put(row("a", 2.0, live=False))
    table.put(row("b", 1.0))
    assert table.used == {FRAMEWORK: [1.0, 64.0, 0.0]}
    table.remove("b")
    assert table.used == {FRAMEWORK: [0.0, 0.0, 0.0]}


def test_a_stream_gets_each_changed_row_once_in_its_newest_form() -> None:
    table = RowTable()
    for name in ("a", "b", "c"):
        table.put(row(name))
    seen = table.number
    table.put(row("a", 5.0))
    table.put(row("a", 6.0))
    table.remove("b")
    assert [json.loads(body)["cpus"] for body in table.changed_since(seen)] == [6.0]
    assert table.gone_since(seen) == ["b"]
    assert table.changed_since(table.number) == []
    assert table.gone_since(table.number) == []
    assert [json.loads(body)["id"] for body in table.changed_since(0)] == ["c", "a"]


def test_a_stream_that_is_far_behind_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIVE_GONE", 2)
    table = RowTable()
    for name in ("a", "b", "c"):
        table.put(row(name))
    seen = table.number
    for name in ("a", "b"):
        table.remove(name)
    assert table.gone_since(seen) is None
    assert table.gone_since(table.number) == []
