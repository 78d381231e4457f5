"""The live page in a real browser: many tasks, filter, keyboard, one task, hostile names."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shim.core.context import Now
from shim.core.lifecycle import Event
from shim.http.health import EndpointWait
from shim.model import facts
from shim.model.container import Entry, Usage
from tests.http.conftest import Client, serving, serving_start
from tests.http.page_data import (
    FRAMEWORK,
    FakeBilling,
    FakeFile,
    PageData,
    accept_task,
    end_task,
    launch_group,
    run_group,
    run_task,
    run_tasks,
)
from tests.support.chromium import Page, browser

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="module")]

COUNT = 10_000
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">'&quot;"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    """One browser for all tests: each opens its own pages."""
    async with browser() as page:
        yield page


async def open_page(page: Page, client: Client, query: str = "") -> None:
    await page.open("about:blank")
    await page.open(f"{client.make_url('/')}{query}")


def count_is(text: str) -> str:
    return f"document.getElementById('count')?.textContent === '{text}'"


def task_shows(text: str) -> str:
    return f"document.getElementById('task')?.textContent.includes({json.dumps(text)})"


async def test_ten_thousand_tasks(page: Page, page_data: PageData) -> None:
    refs = run_tasks(page_data.core, COUNT)
    async with serving(page_data) as client:
        began = time.monotonic()
        await open_page(page, client)
        await page.until(count_is(f"{COUNT} tasks"))
        print(f"{COUNT} tasks are shown after {time.monotonic() - began:.2f} s")
        elements = "document.querySelectorAll('.row').length"
        assert 10 < await page.evaluate(elements) < 100, "only rows in sight are elements"
        assert (
            await page.evaluate("document.getElementById('table').getAttribute('aria-rowcount')")
            == f"{COUNT + 1}"
        )
        await _filter(page, refs[4321].task_key.task_id)
        await page.until(count_is(f"1 of {COUNT} tasks"))
        assert "filter=web." in await page.evaluate("location.search")
        await _filter(page, "state:running web")
        await page.until(count_is(f"{COUNT} tasks"))
        median, most, worst = await page.evaluate(_SCROLL)
        print(f"frames while scrolling: {median:.1f} ms, 95 of 100 {most:.1f}, longest {worst:.0f}")
        assert await page.evaluate(_ROWS_IN_ORDER), "rows that only moved stand in their order"
        page_data.core.ctx.now = Now(0.0, time.time())
        page_data.core.tasks.apply(
            refs[7], Event.EXITED, facts.ContainerExited(refs[7], 137, oom_killed=True)
        )
        await page.until("document.getElementById('failures').textContent.startsWith('Failures')")
        await page.click("#failures button")
        await page.until(count_is(f"1 of {COUNT} tasks"))
        assert 'is:failed message:"' in await page.evaluate("filter.value")


_SCROLL = """(async () => {
  const table = document.getElementById('table');
  const frames = [];
  let before = performance.now();
  for (let i = 1; i <= 60; i += 1) {
    table.scrollTop += i % 2 ? 84 : 8000;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  frames.sort((a, b) => a - b);
  return [frames[30], frames[57], frames[59]];
})()"""


_ROWS_IN_ORDER = """(async () => {
  const table = document.getElementById('table');
  for (const step of [28, 84, -56, 700, -2000]) {
    table.scrollTop += step;
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
  }
  const rows = [...document.querySelectorAll('.row')];
  const indices = rows.map((row) => Number(row.getAttribute('aria-rowindex')));
  const names = rows.map((row) => row.children[1].textContent);
  return indices.every((index, i) => index === indices[0] + i)
    && rows.every((row, i) => row.offsetTop === 28 * (indices[i] - 2))
    && names.every((name, i) => i === 0 || names[i - 1] < name)
    && indices[0] * 28 - 56 <= table.scrollTop && 28 * indices.at(-1) > table.scrollTop + 300;
})()"""


async def _filter(page: Page, text: str) -> None:
    await page.evaluate(
        "(() => { const f = document.getElementById('filter'); f.value = "
        f"{text!r}; f.dispatchEvent(new Event('input')); }})()"
    )


async def test_one_task_with_the_keyboard_live_and_after_its_end(
    page: Page, page_data: PageData
) -> None:
    ref = accept_task(page_data.core, "web.1")
    page_data.core.tasks.set_launch_stage(
        facts.LaunchAdvanced(ref, facts.Stage.PULLING, "5 of 5 layers, 45.6 of 45.6 MB")
    )
    run_task(page_data.core, ref)
    page_data.outputs.texts["stdout"] = b"first line\n"
    page_data.services[ref] = ["web-service"]
    page_data.files.files["sub"] = FakeFile(True, entries=(Entry("inner.txt", 7),))
    page_data.files.files[""] = FakeFile(True, entries=(Entry("sub", mode="drwxr-xr-x"),))
    page_data.usages[ref] = Usage(1.0, 2.0, 3.0, 64 * 2**20, 64 * 2**20, 5)
    async with serving(page_data) as client:
        await open_page(page, client)
        await page.until(count_is("1 task"))
        await page.evaluate("document.getElementById('table').focus()")
        await page.press("ArrowDown")
        await page.press("Enter")
        await page.until(task_shows("first line"))
        assert f"task={ref.container_id}" in await page.evaluate("location.search")
        page_data.outputs.texts["stdout"] += b"\x1b[31msecond\x1b[0m line\x07\n"
        await page.until(task_shows("second line\ufffd"))
        text = await page.evaluate("document.getElementById('task').textContent")
        assert "value of PASSWORD" not in text, "secrets are masked"
        for words in (
            "waits for its acknowledgement",
            "web-service",
            "45.6 of 45.6 MB",
            "Read only: commands and signals need",
        ):
            assert words in text, text
        await page.until(task_shows("64 MB of 128 MB"))
        await page.click("#task .link")
        await page.until(task_shows("inner.txt"))
        page_data.core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, 3))
        await page.until(task_shows("exited with status 3"))
        await page.press("Escape")
        assert await page.evaluate("document.getElementById('task').hidden")
        assert await page.evaluate("document.activeElement.id") == "table"
        for link in ("?task=web.1", f"#/agents/S/frameworks/{FRAMEWORK}/executors/web.1/browse"):
            await open_page(page, client, link)
            await page.until(task_shows("first line"))


async def test_a_pod_is_a_group_of_its_tasks(page: Page, page_data: PageData) -> None:
    launch_group(page_data.core, "pod", "front", "back")
    run_group(page_data.core, "front", "back")
    ref = accept_task(page_data.core, "alone")
    run_task(page_data.core, ref)
    rows = "[...document.querySelectorAll('.row > :nth-child(2)')].map((e) => e.textContent).join()"
    names = [task.ref.name for task in page_data.core.view.tasks.values()]
    page_data.billing = FakeBilling(dict(zip(names, (10.0, 4000.0, 7200.0), strict=True)))
    async with serving(page_data) as client:
        await open_page(page, client)
        await page.until(f"{rows} === 'alone,pod,back,front'")
        await _machines_and_cost(page, rows)
        group = "document.querySelector('.group')"
        assert await page.evaluate(f"{group}.getAttribute('aria-expanded')") == "true"
        assert (await page.evaluate(f"{group}.textContent")).startswith("2 runningpod")
        await page.evaluate("document.getElementById('table').focus()")
        for key in ("End", "ArrowLeft"):
            await page.press(key)
        await page.until(f"{rows} === 'alone,pod'")
        await page.press("ArrowRight")
        await page.until(f"{rows} === 'alone,pod,back,front'")
        await _filter(page, "task:front")
        await page.until(f"{rows} === 'pod,front'")
        await page.until(count_is("1 of 3 tasks"))


async def _machines_and_cost(page: Page, rows: str) -> None:
    """Of three tasks whose machines cost 1 a second; they go on while the page is looked at."""
    columns = "[...document.querySelectorAll('#head button')].map((e) => e.textContent).join()"
    await page.until(f"{columns}.includes('Package,Machine time,Cost')")
    cells = "[...document.querySelectorAll('.row')].map((e) => e.textContent)"
    shown = await page.evaluate(cells)
    assert all("g4-small" in text for text in shown)
    assert "2.00 h720" in shown[0], shown
    assert "1.11 h401" in shown[1], "a pod has what its tasks have together"
    await page.click("#head [data-key=cost]")
    assert await page.evaluate(rows) == "pod,front,back,alone"
    assert await page.evaluate("document.activeElement.dataset.key") == "cost"
    assert "sort=cost" in await page.evaluate("location.search")
    await page.click("#head [data-key=cost]")
    assert (await page.evaluate(rows)).startswith("alone,pod")
    await page.click("#head [data-key=task]")


async def test_hostile_names_stay_text(page: Page, page_data: PageData) -> None:
    ref = accept_task(page_data.core, HOSTILE)
    run_task(page_data.core, ref)
    page_data.outputs.texts["stdout"] = HOSTILE.encode()
    page_data.services[ref] = [HOSTILE]
    page_data.files.files[""] = FakeFile(True, entries=(Entry(HOSTILE),))
    other = accept_task(page_data.core, "other")
    run_task(page_data.core, other)
    end_task(page_data.core, other)
    async with serving(page_data) as client:
        await open_page(page, client, f"?task={ref.container_id}")
        await page.until("document.querySelector('#task h2')?.textContent.includes('<img src=x')")
        await page.until("document.querySelector('#task pre')?.textContent.includes('<img src=x')")
        await page.until("document.querySelector('#task a[href*=img]') !== null")
        await asyncio.sleep(0.2)
        assert await page.evaluate("document.querySelectorAll('img').length") == 0
        assert "hacked" not in await page.evaluate("document.title")


async def test_an_agent_that_is_away_is_told(page: Page, page_data: PageData) -> None:
    async with serving(page_data) as client:
        await open_page(page, client)
        await page.until(count_is("0 tasks"))
        assert await page.evaluate("document.getElementById('connection').textContent") == ""
        assert await page.evaluate("document.getElementById('none').textContent") == (
            "There are no tasks."
        )
    await page.until("document.getElementById('connection').textContent.includes('No connection')")
    assert await page.evaluate("document.title.startsWith('▲')")
    assert await page.evaluate("document.body.className") == "lost", "no signal is shown as well"


async def test_a_starting_agent_says_so(page: Page) -> None:
    async with serving_start(EndpointWait()) as client:
        await open_page(page, client)
        await page.until(
            "document.getElementById('connection')?.textContent.includes('not finished')"
        )
