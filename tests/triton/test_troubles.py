"""The troubles that the double can be told: they come, and they pass."""

from __future__ import annotations

import argparse
import asyncio

import pytest

from tests.triton import troubles
from tests.triton.place import Client, Place


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    troubles.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--maintenance", "Back soon"], 503, "Back soon ("),
        (["--revoked"], 401, "Unauthorized ("),
        (["--forbidden"], 403, "Forbidden"),
        (["--unapproved"], 403, "(NotAuthorized) "),
        (["--error-rate", "1"], 500, "an internal error occurred ("),
    ],
)
async def test_one_comes_and_goes(
    at: Place, call: Client, words: list[str], status: int, text: str
) -> None:
    assert (await call.create("before")).status == 200
    task = asyncio.create_task(troubles.come_and_pass(at, parsed(*words, "--for", "60")))
    await asyncio.sleep(0.01)
    answer = await call.create("meanwhile")
    assert (answer.status, answer.text[: len(text)]) == (status, text)
    assert ("Retry-After" in answer.headers) == (status == 503)
    task.cancel()
    await asyncio.wait([task])
    assert (await call.create("after")).status == 200


async def test_they_begin_and_end_when_they_are_told_to(at: Place) -> None:
    args = parsed("--maintenance", "Back soon", "--after", "0.05", "--for", "0.1")
    task = asyncio.create_task(troubles.come_and_pass(at, args))
    seen = [at.options.maintenance]
    while not task.done():
        await asyncio.sleep(0.005)
        if at.options.maintenance != seen[-1]:
            seen.append(at.options.maintenance)
    assert seen == ["", "Back soon", ""]
    assert at.options.maintenance_until is None
