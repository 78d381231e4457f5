"""What the rows in sight use."""

from __future__ import annotations

import pytest

from shim import limits
from shim.core.view import AgentView
from shim.model.container import Usage
from tests.http.conftest import Client
from tests.http.page_data import PageData, accept_task, end_task, run_tasks


async def test_only_running_containers_that_are_asked_for(
    page_data: PageData, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = run_tasks(page_data.core, 4)
    for ref in refs:
        page_data.usages[ref] = Usage(5.0, 1.5, 0.25, 64 * 2**20, 0, 3)
    del page_data.usages[refs[2]]
    end_task(page_data.core, refs[1])
    staging = accept_task(page_data.core, "staging")
    asked = [*(ref.container_id for ref in refs[:3]), staging.container_id, "<b>"]
    # A page asks every few seconds: not all tasks are looked through.
    monkeypatch.setattr(AgentView, "running_tasks", None)
    answer = await client.get("/live/usage", params={"ids": ",".join(asked)})
    assert await answer.json() == {
        refs[0].container_id: {
            "at": 5.0,
            "cpu": 1.75,
            "mem": 64.0,
            "cpus_limit": 0.5,
            "mem_limit": 128.0,
            "processes": 3,
        }
    }
    assert await (await client.get("/live/usage")).json() == {}
    monkeypatch.setattr(limits, "LIVE_USAGES", 1)
    both = f"{refs[0].container_id},{refs[3].container_id}"
    assert len(await (await client.get("/live/usage", params={"ids": both})).json()) == 1
