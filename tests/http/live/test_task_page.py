from __future__ import annotations

from shim.http.live.task_page import task_json
from tests.http.page_data import FRAMEWORK, PageData, accept_task, end_task, run_task


def test_a_task_is_found_by_its_container_or_by_its_ids() -> None:
    page_data = PageData()
    ended = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ended)
    end_task(page_data.core, ended, acknowledged=True)
    again = accept_task(page_data.core, "web.1")

    def container(**query: str) -> str | None:
        found = task_json(page_data.view, query)
        return None if found is None else str(found["id"])

    assert container(id=ended.container_id) == ended.container_id
    assert container(id=again.container_id) == again.container_id
    assert container(framework_id=FRAMEWORK, task_id="web.1") == again.container_id
    end_task(page_data.core, again, acknowledged=True)
    assert container(framework_id=FRAMEWORK, task_id="web.1") == again.container_id, "the last"
    assert container(framework_id=FRAMEWORK, task_id="other") is None
    assert container() is None
