"""Event streams: everything first, changes afterwards, bounded, and idle when nobody looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shim import limits
from shim.core.context import Now
from shim.http.live.feed import LiveFeed
from shim.model import facts
from tests.core.executor_harness import ExecutorShim
from tests.http.conftest import Client, serving
from tests.http.page_data import (
    FakeBilling,
    PageData,
    accept_task,
    end_task,
    launch_group,
    run_group,
    run_task,
    run_tasks,
)
from tests.support.wait import patience, until


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIVE_INTERVAL", 0.01)


class Stream:
    """Reads one stream, and does with it what the page does."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events
        self.rows: dict[str, Any] = {}
        self.executors: dict[str, Any] = {}
        self.agent: Any = None
        self.resets = 0

    async def read(self) -> None:
        async with patience():
            piece = await anext(self._events)
        name, data = piece.decode().removesuffix("\n\n").split("\ndata: ")
        body = json.loads(data)
        match name.removeprefix("event: "):
            case "reset":
                self.rows.clear()
                self.resets += 1
            case "agent":
                self.agent = body
            case "executors":
                self.executors.update((row["id"], row) for row in body)
            case "tasks":
                self.rows.update((row["id"], row) for row in body)
            case "gone":
                for container_id in body:
                    self.rows.pop(container_id, None)
                    self.executors.pop(container_id, None)

    async def until_rows(self, count: int) -> None:
        while len(self.rows) != count:
            await self.read()


async def test_a_stream_has_all_tasks_and_then_their_changes(page_data: PageData) -> None:
    refs = run_tasks(page_data.core, 3)
    feed = LiveFeed(page_data.view)
    stream = Stream(feed.events())
    await stream.until_rows(3)
    while stream.agent is None:
        await stream.read()
    assert stream.agent["resources"]["cpus"]["used"] == 1.5
    late = accept_task(page_data.core, "late")
    await stream.until_rows(4)
    run_task(page_data.core, late)
    while stream.rows[late.container_id]["state"] != "TASK_RUNNING":
        await stream.read()
    end_task(page_data.core, refs[0], acknowledged=True)
    while stream.rows[refs[0].container_id]["live"]:
        await stream.read()
    assert stream.resets == 1
    await feed.close()


async def test_rows_leave_with_the_oldest_completed_tasks(
    page_data: PageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COMPLETED_TASKS", 1)
    refs = run_tasks(page_data.core, 2)
    feed = LiveFeed(page_data.view)
    stream = Stream(feed.events())
    await stream.until_rows(2)
    for ref in refs:
        end_task(page_data.core, ref, acknowledged=True)
    await stream.until_rows(1)
    assert list(stream.rows) == [refs[1].container_id]
    await feed.close()


async def test_a_row_that_leaves_during_a_slow_read_leaves_the_reader(
    page_data: PageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COMPLETED_TASKS", 0)
    monkeypatch.setattr(limits, "LIVE_ROWS", 1)
    refs = run_tasks(page_data.core, 3)
    feed = LiveFeed(page_data.view)
    stream = Stream(feed.events())
    await stream.until_rows(1)
    end_task(page_data.core, refs[0], acknowledged=True)
    await until(lambda: len(feed._table.rows) == 2)
    while set(stream.rows) != {ref.container_id for ref in refs[1:]}:
        await stream.read()
    await feed.close()


async def test_the_time_of_a_machine_grows_until_it_is_removed(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    page_data.billing = FakeBilling({})
    feed = LiveFeed(page_data.view, clock=lambda: 50.0)
    stream = Stream(feed.events())

    def shown() -> tuple[Any, Any, Any]:
        row = stream.rows[ref.container_id]
        return row["live"], row.get("machine_seconds"), row.get("machine_at")

    await stream.until_rows(1)
    assert shown() == (True, None, None), "it has no machine yet"
    page_data.billing.seconds[ref.name] = 1.0
    run_task(page_data.core, ref)
    while shown() != (True, 1.0, 50.0):
        await stream.read()
    page_data.billing.seconds[ref.name] = 7.0
    end_task(page_data.core, ref, acknowledged=True)
    while shown() != (False, 7.0, 50.0):
        await stream.read()
    page_data.billing.seconds[ref.name] = 9.0
    page_data.core.tasks.pending_removals.removed(ref)
    while shown() != (False, 9.0, None):
        await stream.read()
    await feed.close()


async def test_executors_come_and_go_with_their_tasks(page_data: PageData) -> None:
    launch_group(page_data.core, "pod", "a", "b")
    feed = LiveFeed(page_data.view)
    stream = Stream(feed.events())
    await stream.until_rows(2)
    (executor,) = page_data.core.view.executors.values()
    row = stream.executors[executor.container_id]
    assert (row["executor"], row["type"], row["phase"]) == ("pod", "DEFAULT", "running")
    assert {row["parent"] for row in stream.rows.values()} == {executor.container_id}
    run_group(page_data.core, "a", "b")
    page_data.services[page_data.core.view.executors[executor.key].ref] = []
    (first, second) = page_data.core.view.tasks.values()
    page_data.services[first.ref] = ["web"]
    while "services" not in stream.rows[first.ref.container_id]:
        await stream.read()
    while stream.agent is None or stream.agent["resources"]["cpus"]["used"] != 1.1:
        await stream.read()
    for task in (first, second):
        end_task(page_data.core, task.ref)
    page_data.core.groups.advance()
    while stream.executors[executor.container_id]["live"]:
        await stream.read()
    page_data.core.groups.advance()
    for task in (first, second):
        page_data.core.status_updates.drop(task.key)
        page_data.core.tasks.forget(task.key)
    page_data.core.executors.drop(executor)
    while stream.executors:
        await stream.read()
    assert {row["live"] for row in stream.rows.values()} == {False}
    await feed.close()


async def test_tasks_of_a_custom_executor_have_a_row_each() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.run_inside("u")
    feed = LiveFeed(PageData(shim.core).view)
    stream = Stream(feed.events())
    await stream.until_rows(2)
    assert {row["task"] for row in stream.rows.values()} == {"t", "u"}
    assert {row["container_id"] for row in stream.rows.values()} == set(stream.executors)
    await feed.close()


async def test_nothing_is_compared_while_nobody_looks(page_data: PageData) -> None:
    feed = LiveFeed(page_data.view)
    events = feed.events()
    await anext(events)
    assert feed.streams == 1
    await events.aclose()  # type: ignore[attr-defined]
    assert feed.streams == 0
    await until(lambda: not any(t.get_name() == "live page" for t in asyncio.all_tasks()))
    run_tasks(page_data.core, 1)
    again = Stream(feed.events())
    await again.until_rows(1)
    await feed.close()


async def test_a_reader_that_is_gone_ends_its_stream(
    page_data: PageData, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(page_data) as client:
        async with client.get("/live/events") as answer:
            assert answer.content_type == "text/event-stream"
            assert (await answer.content.readline()) == b"event: reset\n"
        await until(lambda: not any(t.get_name() == "live page" for t in asyncio.all_tasks()))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_too_many_streams_are_refused(
    page_data: PageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LIVE_STREAMS", 2)
    async with serving(page_data) as client:
        first, second = await client.get("/live/events"), await client.get("/live/events")
        await first.content.readline()
        await second.content.readline()
        refused = await client.get("/live/events")
        assert refused.status == 503
        assert await refused.text() == "2 event streams are open already\n"
        assert refused.headers["Connection"] == "close", "ten thousand would stay open"
        first.close()
        second.close()


async def test_one_task_in_full_without_secrets(page_data: PageData, client: Client) -> None:
    ref = accept_task(page_data.core, "web.1")
    for seconds, stage, detail in (
        (2.0, facts.Stage.PULLING, "1 of 2 layers"),
        (4.0, facts.Stage.PULLING, "2 of 2 layers, 9.0 of 9.0 MB"),
        (5.0, facts.Stage.CREATING, ""),
    ):
        page_data.core.ctx.now = Now(0.0, 1_700_000_000.0 + seconds)
        page_data.core.tasks.set_launch_stage(facts.LaunchAdvanced(ref, stage, detail))
    launching = await (await client.get("/live/task", params={"id": ref.container_id})).json()
    assert launching["stage"] == "creating container"
    run_task(page_data.core, ref)
    answer = await client.get("/live/task", params={"id": ref.container_id})
    text = await answer.text()
    assert "value of PASSWORD" not in text
    assert "do-not-tell" not in text
    found = json.loads(text)
    assert found["stage"] == "", "it runs"
    assert (found["exec_in"], found["may_touch"]) == ({"value": ref.container_id}, False)
    assert [status["state"] for status in found["statuses"]] == ["TASK_STARTING", "TASK_RUNNING"]
    assert [(step["stage"], step["seconds"]) for step in found["launch"]] == [
        ("accepted", 2.0),
        ("pulling image", 3.0),
        ("creating container", 0.0),
    ]
    assert found["launch"][1]["detail"] == "2 of 2 layers, 9.0 of 9.0 MB"
    assert found["unacknowledged"] == ["TASK_STARTING", "TASK_RUNNING"]
    assert found["directory"].endswith(f"/executors/web.1/runs/{ref.container_id}")
    end_task(page_data.core, ref, acknowledged=True)
    ended = await (await client.get("/live/task", params={"id": ref.container_id})).json()
    assert (ended["state"], ended["live"]) == ("TASK_FINISHED", False)
    assert (await client.get("/live/task", params={"id": "<b>"})).status == 404


@pytest.mark.parametrize("path", ["/", "/slave(1)", "/slave(1)/", "/live/index.html"])
async def test_the_document_allows_nothing_from_elsewhere(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.content_type) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("app.js", "grid.js", "screen.js", "task.js", "terminal.js", "style.css"):
        assert (await client.get(f"/live/{name}")).status == 200
