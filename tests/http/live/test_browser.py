"""The live page in a real browser: many tasks, filter, keyboard, one task, hostile names."""

from __future__ import annotations

import asyncio
import time

import pytest

from shim.core.lifecycle import Event
from shim.http.health import EndpointWait
from shim.model import facts
from tests.http.conftest import Client, serving, serving_start
from tests.http.page_data import PageData, accept_task, run_task, run_tasks
from tests.support.chromium import Page, browser

pytestmark = pytest.mark.needs_chromium

COUNT = 10_000
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">'&quot;"


async def open_page(page: Page, client: Client, query: str = "") -> None:
    await page.open(f"{client.make_url('/')}{query}")


def count_is(text: str) -> str:
    return f"document.getElementById('count')?.textContent === '{text}'"


async def test_ten_thousand_tasks(page_data: PageData) -> None:
    refs = run_tasks(page_data.core, COUNT)
    async with serving(page_data) as client, browser() as page:
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
        worst = await page.evaluate(_SCROLL)
        print(f"the longest frame while scrolling took {worst:.0f} ms")
        page_data.core.tasks.apply(
            refs[7], Event.EXITED, facts.ContainerExited(refs[7], 137, oom_killed=True)
        )
        await _filter(page, "is:failed")
        await page.until(count_is(f"1 of {COUNT} tasks"))


_SCROLL = """(async () => {
  const table = document.getElementById('table');
  let worst = 0, before = performance.now();
  for (let i = 1; i <= 60; i += 1) {
    table.scrollTop = i * 4000;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    worst = Math.max(worst, now - before);
    before = now;
  }
  return worst;
})()"""


async def _filter(page: Page, text: str) -> None:
    await page.evaluate(
        "(() => { const f = document.getElementById('filter'); f.value = "
        f"{text!r}; f.dispatchEvent(new Event('input')); }})()"
    )


async def test_one_task_with_the_keyboard_live_and_after_its_end(page_data: PageData) -> None:
    ref = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ref)
    page_data.outputs.texts["stdout"] = b"first line\n"
    async with serving(page_data) as client, browser() as page:
        await open_page(page, client)
        await page.until(count_is("1 tasks"))
        await page.evaluate("document.getElementById('table').focus()")
        await page.press("ArrowDown")
        await page.press("Enter")
        await page.until("document.getElementById('task')?.textContent.includes('first line')")
        assert f"task={ref.container_id}" in await page.evaluate("location.search")
        page_data.outputs.texts["stdout"] += b"\x1b[31msecond\x1b[0m line\x07\n"
        await page.until(
            "document.getElementById('task').textContent.includes('second line\ufffd')"
        )
        text = await page.evaluate("document.getElementById('task').textContent")
        assert "value of PASSWORD" not in text, "secrets are masked"
        assert "waits for its acknowledgement" in text
        page_data.core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, 3))
        await page.until(
            "document.getElementById('task').textContent.includes('exited with status 3')"
        )
        await page.press("Escape")
        assert await page.evaluate("document.getElementById('task').hidden")
        await open_page(page, client, "?task=web.1")
        await page.until("document.getElementById('task')?.textContent.includes('first line')")


async def test_hostile_names_stay_text(page_data: PageData) -> None:
    ref = accept_task(page_data.core, HOSTILE)
    run_task(page_data.core, ref)
    page_data.outputs.texts["stdout"] = HOSTILE.encode()
    async with serving(page_data) as client, browser() as page:
        await open_page(page, client, f"?task={ref.container_id}")
        await page.until("document.querySelector('#task h2')?.textContent.includes('<img src=x')")
        await page.until("document.querySelector('#task pre')?.textContent.includes('<img src=x')")
        await asyncio.sleep(0.2)
        assert await page.evaluate("document.querySelectorAll('img').length") == 0
        assert "hacked" not in await page.evaluate("document.title")


async def test_an_agent_that_is_away_is_told(page_data: PageData) -> None:
    async with browser() as page:
        async with serving(page_data) as client:
            await open_page(page, client)
            await page.until(count_is("0 tasks"))
            assert await page.evaluate("document.getElementById('connection').textContent") == ""
        await page.until(
            "document.getElementById('connection').textContent.includes('No connection')"
        )


async def test_a_starting_agent_says_so() -> None:
    async with serving_start(EndpointWait()) as client, browser() as page:
        await open_page(page, client)
        await page.until(
            "document.getElementById('connection')?.textContent.includes('not finished')"
        )
