"""A terminal in the page of a task, in a real browser, over the operator API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from shim.core.lifecycle import Event
from shim.model import facts
from tests.fakes.process import FakeProcess
from tests.http.operator_api.conftest import Api, serving_api
from tests.support.chromium import Page, browser
from tests.support.wait import until

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="module")]

TASK = '<img src=x>"web"'
STATUS = "document.querySelector('.terminal .status').textContent"
SCREEN = "document.querySelector('.screen').innerText.trim()"
FOCUS = "document.activeElement.className"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    async with browser() as page:
        yield page


async def open_task(page: Page, api: Api, task: str = TASK) -> None:
    await page.open("about:blank")
    await page.open(str(api.client.make_url("/").with_query(task=task)))
    await page.until("Boolean(document.querySelector('#task h2'))")


async def run(page: Page, api: Api, command: str) -> FakeProcess:
    """Types the command, and presses Enter."""
    await page.click(".command input")
    await page.evaluate("document.activeElement.value = ''")
    await page.type(command)
    count = len(api.engine.processes)
    await page.evaluate("document.querySelector('.command').requestSubmit()")
    await until(lambda: len(api.engine.processes) > count)
    await page.until(f"{STATUS}.startsWith('Running')")
    return api.engine.processes[-1]


async def test_a_session_on_a_terminal_from_its_first_key_to_its_exit_status(page: Page) -> None:
    async with serving_api() as api:
        api.run(TASK)
        await open_task(page, api)
        process = await run(page, api, 'top \'a b\' "c\\"d" e\\ f')
        assert process.argv == ["top", "a b", 'c"d', "e f"]
        assert process.tty
        assert await page.evaluate(FOCUS) == "keys"
        await page.type("echo hi")
        for key in ("Enter", "ArrowUp", "Tab"):
            await page.press(key)
        await page.press("c", control=True)
        await until(lambda: bytes(process.received) == b"echo hi\r\x1b[A\t\x03")
        await _output(page, process)
        await _size(page, process)
        await page.press("Tab", shift=True)
        assert await page.evaluate(FOCUS) != "keys", "the keyboard can leave the terminal"
        process.end(3)
        await page.until(f"{STATUS} === 'The command has ended with exit status 3.'")
        process = await run(page, api, "cat")
        await page.evaluate("document.querySelector('.command button:not([hidden])').click()")
        await until(lambda: process.code == 128 + 9)
        await page.until(f"{STATUS} === 'The command was ended.'")
        await page.click(".command input")
        await page.evaluate("document.activeElement.value = 'none'")
        api.engine.away = True
        await page.evaluate("document.querySelector('.command').requestSubmit()")
        await page.until(f"{STATUS} === 'Not run: start_exec: connection refused'")


async def _output(page: Page, process: FakeProcess) -> None:
    """Colours, a question that the terminal answers, and markup that stays text."""
    process.print(1, b"\x1b[2J\x1b[H\x1b]0;title\x07\x1b[31mred\x1b[0m <img src=x>\x1b[6n")
    await until(lambda: process.received.endswith(b"\x1b[1;16R"))
    await page.until(f"{SCREEN} === 'red <img src=x>'")
    assert await page.evaluate("document.querySelectorAll('img').length") == 0
    assert await page.evaluate("document.title") != "title"
    red = "document.querySelector('.screen span').style.color"
    assert await page.evaluate(red) == "var(--ansi-1)"
    await page.until("document.querySelector('[role=log]').textContent.includes('red <img src=x>')")


async def _size(page: Page, process: FakeProcess) -> None:
    (rows, columns) = process.sizes[0]
    assert rows > 10
    assert columns > 60
    await page.evaluate("document.querySelector('.screen').style.height = '8rem'")
    await until(lambda: len(process.sizes) > 1)
    assert process.sizes[-1][0] < rows
    assert process.sizes[-1][1] == columns


async def test_a_task_is_killed_only_after_a_question(page: Page) -> None:
    async with serving_api() as api:
        ref = api.run(TASK)
        box = api.engine.boxes[ref.name]
        await open_task(page, api)
        await page.click("button.kill")
        await page.until("document.activeElement.textContent === 'Cancel'")
        await page.press("Escape")
        await page.until("!document.querySelector('dialog')")
        assert not await page.evaluate("document.getElementById('task').hidden")
        await page.click("button.kill")
        await page.evaluate("document.querySelector('dialog select').value = '9'")
        assert box.exit_code is None
        await page.click("dialog button[value=send]")
        await page.until("document.querySelector('p.kill').textContent.includes('was sent')")
        assert box.exit_code == 128 + 9
        api.data.core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, 137))
        await page.until("!document.querySelector('.terminal')")


async def test_nothing_is_touched_without_the_right(page: Page) -> None:
    async with serving_api(may_touch=False) as api:
        api.run(TASK)
        await open_task(page, api)
        await page.until("document.getElementById('task').textContent.includes('Read only')")
        assert not await page.evaluate("document.querySelector('.terminal, button.kill')")


SCREENS: list[tuple[str, list[str]]] = [
    ("one\r\ntwo\x1b[A\x1b[1G1", ["1ne", "two"]),
    ("0123456789ab", ["0123456789", "ab"]),
    ("\x1b[?7l0123456789ab", ["012345678b"]),
    ("1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"]),
    ("1\r\n2\r\n3\x1b[2;3r\x1b[3;1Hx\nnew", ["1", "x", " new"]),
    ("abcdef\x1b[3D\x1b[P\x1b[2@", ["abc  ef"]),
    ("abcdef\x1b[3D\x1b[K\x1b[1K", [""]),
    ("a\r\nb\r\nc\x1b[2;1H\x1b[L", ["a", "", "b", "c"]),
    ("a\r\nb\r\nc\x1b[1;1H\x1b[M", ["b", "c"]),
    ("a\x1b[?1049h\x1b[Hother\x1b[?1049lb", ["ab"]),
    ("\x1b7abc\x1b8x\x1b[3b", ["xxxx"]),
    ("x\x1b[99999999b\x1b[9by\x1b[4h\r\x1b[2b", ["xxxxxxxxxx", "yyxxxxxxxx"]),
    ("\u65e5\x1b[1G\x1b[Px", ["x"]),
    ("\u65e5\x1b[9b.", ["\u65e5" * 5, "."]),
    ("a\u65e5b\x1b[2D\x1b[@\x1b[P\x1b[1G\x1b[2P\x1b[1Gx", ["xb"]),
    ("a\u65e5\x1b[1;2H\x1b[1K\x1b[1;1H\x1b[P\x1b[1Gx", ["x"]),
    ("abc\x1b[2;3r\x1b[7m\x1b[4h\x1b[!px", ["xbc"]),
    ("\x1b[9999\x18ok\x1b[9\x1aay\x1b]0;\x1a.", ["okay."]),
    ("a\tb\x1b[Zc", ["a       c"]),
    ("\x1b(0lqk\x1b(Bq", ["\u250c\u2500\u2510q"]),
    ("\u65e5\u672c\x1b[2Dx", ["\u65e5x"]),
    ("e" + "\u0301" * 99, ["e" + "\u0301" * 7]),
    ("\u202eabc\u2066", ["\ufffdabc\ufffd"]),
    ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07\x1bPq#0\x1b\\\x1b_x\x9c.", ["link."]),
    ("\x1b[999999999999999999;9999999999H.", ["", "", "", "         ."]),
    ("\x1b[" + "9" * 100_000 + "C" + "x", ["         x"]),
    ("\x1b[1;2;3$y\x1b[>4;1m\x1b[=0c\x1b[?9999h\x1b#8ok", ["ok"]),
    ("\x1b[31\x1b[1mok\x1b", ["ok"]),
    ("gone\x1bcnew", ["new"]),
    ("\x1b[4hb\x1b[Da", ["ab"]),
    ("a\x00\x07\x7f\x80b", ["ab"]),
]
"""Output, and the lines of a screen of 4 rows and 10 columns; further lines are empty."""


async def test_the_screen_shows_what_control_sequences_say(page: Page) -> None:
    async with serving_api() as api:
        await page.open("about:blank")
        await page.open(str(api.client.make_url("/live/index.html")))
        shown = await page.evaluate(
            "import('/live/screen.js').then(({ Screen }) => "
            f"{json.dumps([output for output, _ in SCREENS])}.map((output) => {{"
            "  const whole = new Screen(4, 10), pieces = new Screen(4, 10);"
            "  whole.write(output); for (const c of output) pieces.write(c);"
            "  return [whole, pieces].map(({ lines }) => lines.map((line) => line.text)); }))"
        )
    for (output, expected), found in zip(SCREENS, shown, strict=True):
        full: Any = expected + [""] * (4 - len(expected))
        assert found == [full, full], repr(output[:100])


MARKS = ["", "", "", "?", ">", "=", "<"]
NUMBERS = ["", "0", "1", "2", "3", "7", "25", "38", "47", "1049", "9999", "99999999999", "-1"]
ODD = [
    "\u65e5",
    "e\u0301",
    "\u202e",
    "\U0001f469\u200d\U0001f467",
    "\ufeff",
    "\x18",
    "\x7f",
    "text\r\n",
]


def odd_sequence(random: Random) -> str:
    """One of any kind: known or not, complete or not, with counts and strings of any length."""
    match random.randrange(10):
        case 0:
            return f"\x1b{chr(random.randrange(0x20, 0x7F))}{random.choice('0AB8')}"
        case 1:
            text = "52;c;" + "A" * random.randrange(300)
            return random.choice("\x9d\x90\x9e") + text + random.choice(["\x07", "\x1b\\", ""])
        case 2:
            return chr(random.choice([random.randrange(0xA0), random.randrange(0xE000, 0x110000)]))
        case 3:
            return random.choice(ODD) * random.randrange(20)
    numbers = ";".join(random.choice(NUMBERS) for _ in range(random.randrange(4)))
    middle = random.choice(["", "", "", " ", "$", "!", "\r"])
    return f"\x1b[{random.choice(MARKS)}{numbers}{middle}{chr(random.randrange(0x40, 0x7F))}"


async def test_no_output_disturbs_the_screen_or_keeps_the_page_busy(page: Page) -> None:
    """Kilobytes of sequences with large counts take less than 440 kB of text; random ones."""
    busy = [f"\x1b[9999{final}" * 145 for final in "bSTLM@PXABCDEFGHZd"]
    others = ("\x1b[2J", "\x1b[J", "\x1bc", "\x1b[?47h\x1b[?47l", "\n")
    busy += [one * (1000 // len(one)) for one in others]
    random = Random(14)
    outputs = [odd_sequence(random) for _ in range(2000)]
    async with serving_api() as api:
        await page.open("about:blank")
        await page.open(str(api.client.make_url("/live/index.html")))
        wrong, share = await page.evaluate(
            "import('/live/screen.js').then(({ Screen }) => {"
            "  const screen = new Screen(200, 500), wrong = [];"
            "  const seconds = (write) => { const begun = performance.now(); write();"
            "    return performance.now() - begun; };"
            "  const text = seconds(() => screen.write('some text\\r\\n'.repeat(4e4)));"
            f"  const busy = seconds(() => {json.dumps(busy)}.forEach((one) => screen.write(one)));"
            f"  {json.dumps(outputs)}.forEach((output, i) => {{"
            "    screen.write(`x${output}`);"
            "    if (i % 200 === 199) screen.resize(1 + (i % 130), 1 + (i % 370));"
            "    const { lines, row, rows, column, columns, scrolled } = screen;"
            "    const inside = row >= 0 && row < rows && column >= 0 && column < columns;"
            "    const whole = i % 50 || lines.every(({ cells }) => cells.length === columns);"
            "    if (!inside || !whole || lines.length !== rows || scrolled.length > 2000)"
            "      wrong.push(output);"
            "  }); return [wrong, busy / text]; })"
        )
    assert wrong == []
    assert share < 1
