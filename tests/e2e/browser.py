"""A headless Chromium: what a page looks like once its scripts have run."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import tempfile

from tests.support.chromium import FLAGS
from tests.support.wait import PATIENCE


async def text_of(url: str, *, seconds: float = 8, timeout: float = 2 * PATIENCE) -> str:
    """The text of the page, ``seconds`` of its own time after it was opened."""
    program = shutil.which("chromium")
    assert program
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={int(seconds * 1000)}",
            "--dump-dom",
            url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(timeout):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _text(out.decode(errors="replace"))


def _text(page: str) -> str:
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))
