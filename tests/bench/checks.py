"""A thousand checks at 10 s intervals: the shim's share of a core, and how late its loop gets.

A process of its own serves; the engine is the one in memory, so what is measured is the shim.
Commands in containers cost it three more calls to the engine each (about 0.8 ms), which the
engine in memory does not show.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import time
from multiprocessing.connection import Connection

from aiohttp import web

from shim.engine.checks.checker import Checker
from shim.model.facts import Fact
from tests.engine.checks.orders import LABELS, order
from tests.fakes.engine import FakeEngine

TIMES = "delay_seconds: 1 interval_seconds: 10 consecutive_failures: 1000 grace_period_seconds: 0"
KINDS = {
    "http": 'type: HTTP http {{ port: {port} path: "/" }}',
    "refused": 'type: HTTP http {{ port: 1 path: "/" }}',
    "tcp": "type: TCP tcp {{ port: {port} }}",
    "command": 'type: COMMAND command {{ value: "true" }}',
}


def serve(told: Connection) -> None:
    async def run() -> None:
        async def page(request: web.Request) -> web.Response:
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_get("/", page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        told.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


async def measure(kind: str, port: int, count: int, seconds: float) -> None:
    engine, facts = FakeEngine(), list[Fact]()
    checker = Checker(engine, facts.append, host="127.0.0.1")
    running = asyncio.create_task(checker.run())
    text = f"health_check {{ {TIMES} {KINDS[kind].format(port=port)} }}"
    for _ in range(count):
        wanted = order(text)
        engine.add(wanted.ref.name, LABELS)
        checker.start(wanted)
    late, cpu, began = 0.0, time.process_time(), time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        await asyncio.sleep(0.01)
        late = max(late, time.monotonic() - now - 0.01)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    made = sum(checker.results.values())
    print(
        f"{kind:8} {share:6.1%} of a core, {made} probes, loop late by {late * 1000:.0f} ms at most"
    )
    running.cancel()
    await checker.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench checks", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=21.0)
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    for kind in KINDS:
        asyncio.run(measure(kind, port, given.count, given.seconds))
    server.terminate()


if __name__ == "__main__":
    main()
