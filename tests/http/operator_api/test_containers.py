from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.core.lifecycle import Event
from shim.model import facts
from shim.model.container import Phase
from tests.core.executor_harness import ExecutorShim
from tests.http.operator_api.conftest import STREAM, Api, Records, launch, serving_api
from tests.http.page_data import PageData, end_task


async def test_the_end_of_a_task_s_container_is_waited_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "API_WAIT_POLL", 0.01)
    ref = api.run()
    where = {"container_id": {"value": ref.container_id}}
    waiting = asyncio.create_task(api.call("WAIT_CONTAINER", **where))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    end_task(api.data.core, ref)
    assert await waiting == {"exit_status": 0, "state": "TASK_FINISHED", "message": ANY_TEXT}
    other = api.run("web.2")
    api.data.core.tasks.apply(other, Event.EXITED, facts.ContainerExited(other, 3))
    ended = await api.call("WAIT_CONTAINER", container_id={"value": other.container_id})
    assert (ended["exit_status"], ended["state"]) == (3 << 8, "TASK_FAILED")
    monkeypatch.setattr(limits, "API_WAITS", 0)
    body = {"type": "WAIT_CONTAINER", "wait_container": where}
    assert (await api.post(body)).status == 503


class _AnyText:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]


ANY_TEXT = _AnyText()


async def test_a_task_s_container_is_signalled(api: Api) -> None:
    ref = api.run()
    where = {"container_id": {"value": ref.container_id}}
    assert await api.call("KILL_CONTAINER", **where, signal=15) is None
    assert api.engine.boxes[ref.name].exit_code == 128 + 15
    body = {"type": "KILL_CONTAINER", "kill_container": {**where, "signal": 99}}
    assert await api.refused(body) == (400, "99 is no signal")
    api.engine.away = True
    body["kill_container"] = where
    assert await api.refused(body) == (503, "kill: connection refused")


async def test_unknown_containers_are_not_found(api: Api) -> None:
    where = {"container_id": {"value": "nothing"}}
    text = "Container 'nothing' cannot be found (or is already killed)"
    assert await api.refused({"type": "KILL_CONTAINER", "kill_container": where}) == (404, text)
    body = {"type": "KILL_CONTAINER", "kill_container": {**where, "signal": 99}}
    assert await api.refused(body) == (404, text)
    child = {"container_id": {"value": "child", "parent": {"value": "nothing"}}}
    body = {"type": "REMOVE_CONTAINER", "remove_container": child}
    assert await api.refused(body) == (500, "Unknown root container")
    text = "Container nothing cannot be found"
    assert await api.refused({"type": "WAIT_CONTAINER", "wait_container": where}) == (404, text)
    attach = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": where}
    assert await api.refused(attach) == (404, text)


async def test_the_agent_removes_the_containers_of_tasks(api: Api) -> None:
    where = {"container_id": {"value": api.run().container_id}}
    text = "Containers of tasks are removed by the agent"
    body = {"type": "REMOVE_CONTAINER", "remove_container": where}
    assert await api.refused(body) == (500, text)
    child = {"container_id": {"value": "child", "parent": where["container_id"]}}
    assert await api.call("REMOVE_CONTAINER", **child) is None


async def test_an_executor_s_own_container_is_signalled_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "API_WAIT_POLL", 0.01)
    shim = ExecutorShim()
    async with serving_api(data=PageData(shim.core)) as own:
        shim.running_v1()
        ref = shim.custom().ref
        own.engine.add(ref.name, {}, Phase.RUNNING)
        where = {"container_id": {"value": ref.container_id}}
        waiting = asyncio.create_task(own.call("WAIT_CONTAINER", **where))
        assert await Records(await own.post(launch(ref, "exit", "3"), STREAM)).output() == {}
        listed = (await own.call("GET_CONTAINERS"))["containers"]
        assert [each["executor_id"]["value"] for each in listed] == ["E"]
        assert await own.call("KILL_CONTAINER", **where) is None
        assert own.engine.boxes[ref.name].exit_code == 128 + 9
        assert not waiting.done()
        shim.handle(facts.ContainerExited(ref, 137))
        assert await waiting == {}, "the exit status of an executor is not kept"
