"""The troubles that the double can be told: they come, and they pass."""

from __future__ import annotations

import argparse
import asyncio

import pytest

from tests.triton import troubles
from tests.triton.place import Client, Place


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
async def test_one_comes_and_passes(
    at: Place, call: Client, words: list[str], status: int, text: str
) -> None:
    parser = argparse.ArgumentParser()
    troubles.add_arguments(parser)
    args = parser.parse_args([*words, "--after", "0.1", "--for", "0.5"])
    task = asyncio.create_task(troubles.come_and_pass(at, args))
    assert (await call.create("before")).status == 200
    await asyncio.sleep(0.2)
    answer = await call.create("meanwhile")
    assert (answer.status, answer.text[: len(text)]) == (status, text)
    assert ("Retry-After" in answer.headers) == (status == 503)
    await task
    assert (await call.create("after")).status == 200
