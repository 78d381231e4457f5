"""A headless Chromium that a test drives: open a page, evaluate JavaScript, take a picture."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.wait import patience

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--no-proxy-server",
)
"""Of every headless browser of the tests."""

_KEY_CODES = {"Tab": 9, "Enter": 13, "Escape": 27}
"""Keys whose action in the browser itself goes by their number."""
_DRIVEN = ("--remote-debugging-port=0", "--window-size=1400,900")


class Page:
    """One tab, by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    async def _call(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with patience():
            while True:
                answer = json.loads((await self._socket.receive()).data)
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    return answer["result"]

    async def open(self, url: str) -> None:
        await self._call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited."""
        answer = await self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until the expression is true; its value."""
        async with patience():
            while not (value := await self.evaluate(expression)):
                await asyncio.sleep(0.05)
        return value

    async def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        what = {"key": key, "modifiers": 8 * shift + 2 * control}
        if (code := _KEY_CODES.get(key)) is not None:
            what["windowsVirtualKeyCode"] = code
        await self._call("Input.dispatchKeyEvent", type="rawKeyDown", **what)
        await self._call("Input.dispatchKeyEvent", type="keyUp", **what)

    async def type(self, text: str) -> None:
        """As a keyboard or an input method does, into the element that has the focus."""
        await self._call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """The element's action; it gets the focus, as by a mouse."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.evaluate(f"({found}.focus(), {found}.click())")

    async def dark(self, on: bool) -> None:
        value = "dark" if on else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        await self._call("Emulation.setEmulatedMedia", features=features)

    async def picture(self) -> bytes:
        """PNG."""
        answer = await self._call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    program = shutil.which("chromium")
    assert program
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            *_DRIVEN,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            async with patience():
                port = await _debugging_port(process.stderr)
            draining = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    targets = await answer.json()
                url = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    yield Page(socket)
            draining.cancel()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _debugging_port(stderr: asyncio.StreamReader) -> int:
    while line := (await stderr.readline()).decode(errors="replace"):
        if found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
            return int(found[1])
    raise AssertionError("Chromium ended before it listened")
