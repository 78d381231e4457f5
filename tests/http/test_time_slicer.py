"""Slices of the event loop's time: one in a turn, and no page that works without them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from itertools import count, pairwise

import pytest

from shim import limits
from shim.http import exposition as exposition_module
from shim.http.exposition import exposition
from shim.http.files import FilesPages
from shim.http.log_ring import LogRing
from shim.http.operator_api.answers import answer
from shim.http.operator_api.calls import READS
from shim.http.operator_api.log_level import LogLevel
from shim.http.operator_api.reads import Reads
from shim.http.operator_api.sessions import Sessions
from shim.http.pages import agent_pages
from shim.http.task_json_cache import TaskJsonCache
from shim.http.task_metrics import TaskMetrics
from shim.http.time_slicer import TimeSlicer
from shim.http.view import View
from shim.model.container import Ref, Usage
from shim.protos.agent_pb2 import Call
from tests.http.page_data import PageData, end_task, launch_group, run_group, run_tasks

Read = Callable[[View], AsyncIterator[bytes]]


def ticking() -> TimeSlicer:
    """Each look at the clock is later than the end of every slice."""
    ticks = count(1)
    return TimeSlicer(lambda: float(next(ticks)))


class Turns:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self.number = 0
        self._tick()

    def _tick(self) -> None:
        self.number += 1
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._next.cancel()


async def test_no_slice_begins_in_the_turn_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_SLICE_SECONDS", 0.0)
    slicer, turns, begun = ticking(), Turns(), []

    async def page(pauses: int) -> None:
        time_slice = slicer.begin()
        for _ in range(9):
            await time_slice.checkpoint()
            begun.append(turns.number)
            for _ in range(pauses):
                await asyncio.sleep(0)

    # Two that never wait for one another at the same place.
    await asyncio.gather(page(0), page(1))
    turns.stop()
    assert len(begun) == 18
    apart = [later - earlier for earlier, later in pairwise(begun)]
    assert min(apart) >= 2


async def test_those_that_share_a_slice_have_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_SLICE_SECONDS", 1.0)
    now, slept = [10.0], []
    time_slice = TimeSlicer(lambda: now[0]).begin()

    async def stream(number: int) -> None:
        await time_slice.checkpoint()
        slept.append(number)

    streams = [asyncio.create_task(stream(number)) for number in range(3)]
    await asyncio.gather(*streams)
    assert slept == [0, 1, 2]
    now[0] = 10.5
    await time_slice.checkpoint()


# --- pages --------------------------------------------------------------------------------------


def page(path: str, query: Mapping[str, str] | None = None) -> Read:
    async def pieces(view: View) -> AsyncIterator[bytes]:
        pages = agent_pages(view, TaskJsonCache(view), FilesPages(view, LogRing()))
        response = await pages[path](query or {})
        if isinstance(response.body, bytes):
            yield response.body
            return
        async for piece in response.body:
            yield piece
            if piece.startswith(b"event: agent"):
                return

    return pieces


def call(kind: Call.Type.ValueType, media_type: str) -> Read:
    async def pieces(view: View) -> AsyncIterator[bytes]:
        cache, files = TaskJsonCache(view), FilesPages(view, LogRing())
        reads = Reads(view, cache, files, Sessions(), LogLevel())
        response, read = READS[kind]
        body = await read(reads, Call(type=kind))
        found = answer(response, body, media_type, view.time_slicer.begin()).body
        assert not isinstance(found, bytes)
        async for piece in found:
            yield piece

    return pieces


async def _metrics(view: View) -> AsyncIterator[bytes]:
    time_slicer = view.time_slicer
    families = await TaskMetrics(view.agent, view.usages, 1000, time_slicer).families()
    yield (await exposition(families, "", time_slicer.begin()))[0]


async def _warming(view: View) -> AsyncIterator[bytes]:
    await TaskJsonCache(view).warm()
    yield b""


CALLS = (Call.GET_TASKS, Call.GET_EXECUTORS, Call.GET_CONTAINERS, Call.GET_METRICS)
READINGS: dict[str, Read] = {
    "/state": page("/state"),
    "/monitor/statistics": page("/monitor/statistics"),
    "/containers": page("/containers"),
    "/containers of nobody": page("/containers", {"framework_id": "nobody"}),
    "/metrics/snapshot": page("/metrics/snapshot"),
    "/files/debug": page("/files/debug"),
    "/live/events": page("/live/events"),
    "/metrics": _metrics,
    "prepared JSON": _warming,
    **{f"{Call.Type.Name(kind)}, JSON": call(kind, "application/json") for kind in CALLS},
    "GET_STATE, protobuf": call(Call.GET_STATE, "application/x-protobuf"),
}


@cache
def busy(tasks: int) -> View:
    """Of tasks: two fifths run by themselves, as many in pods, and a fifth has ended."""
    page_data = PageData()
    core, pods = page_data.core, tasks // 5
    refs = run_tasks(core, 3 * tasks // 5)
    for ref in refs[: tasks // 5]:
        end_task(core, ref, acknowledged=True)
    for number in range(pods):
        launch_group(core, f"pod-{number}", f"a-{number}", f"b-{number}")
        run_group(core, f"a-{number}", f"b-{number}")
    for key in core.view.tasks:
        core.status_updates.drop(key)
    samples = {ref: Usage(1.0) for ref in refs}

    async def usages(refs: Collection[Ref] | None = None) -> Mapping[Ref, Usage]:
        return samples

    return replace(page_data.view, usages=usages)


async def calls_in_a_turn(read: Read, view: View) -> int:
    """The most functions that were called without giving the loop away."""
    view = replace(view, time_slicer=ticking())
    calls = most = 0

    def on_event(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    turns = Turns()
    tick = turns._tick

    def new_turn() -> None:
        nonlocal calls, most
        calls, most = 0, max(most, calls)
        tick()

    turns._tick = new_turn  # type: ignore[method-assign]
    sys.setprofile(on_event)
    try:
        async for _ in read(view):
            pass
    finally:
        sys.setprofile(None)
        turns.stop()
    return max(most, calls)


@pytest.mark.parametrize("name", READINGS)
async def test_the_work_in_a_turn_does_not_grow_with_the_tasks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every page: no walk over all tasks, and no answer of all of them, in one piece."""
    monkeypatch.setattr(limits, "PAGE_SLICE_SECONDS", 0.0)
    monkeypatch.setattr(exposition_module, "_SAMPLES", 1)
    # The first reading finds empty caches.
    calls = [await calls_in_a_turn(READINGS[name], busy(count)) for count in (20, 20, 60)]
    assert calls[2] - calls[1] < 25, calls
