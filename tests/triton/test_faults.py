"""Faults of the simulator begin and end when its flags say so."""

from __future__ import annotations

import argparse
import asyncio

import pytest

from tests.triton import faults
from tests.triton.simulator import Client, TritonSimulator


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    faults.add_arguments(parser)
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
async def test_a_fault_begins_and_ends(
    triton: TritonSimulator, call: Client, words: list[str], status: int, text: str
) -> None:
    assert (await call.create("before")).status == 200
    task = asyncio.create_task(faults.apply_faults(triton, parsed(*words, "--for", "60")))
    await asyncio.sleep(0.01)
    answer = await call.create("meanwhile")
    assert (answer.status, answer.text[: len(text)]) == (status, text)
    assert ("Retry-After" in answer.headers) == (status == 503)
    task.cancel()
    await asyncio.wait([task])
    assert (await call.create("after")).status == 200


async def test_faults_begin_and_end_at_the_requested_times(triton: TritonSimulator) -> None:
    args = parsed("--maintenance", "Back soon", "--after", "0.05", "--for", "0.1")
    task = asyncio.create_task(faults.apply_faults(triton, args))
    seen = [triton.options.maintenance]
    while not task.done():
        await asyncio.sleep(0.005)
        if triton.options.maintenance != seen[-1]:
            seen.append(triton.options.maintenance)
    assert seen == ["", "Back soon", ""]
    assert triton.options.maintenance_until is None
