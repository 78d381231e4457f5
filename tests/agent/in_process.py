"""A whole agent in the test's own process, on a fake engine: milliseconds instead of seconds.

For everything that needs the agent as it is wired, and neither Docker nor a process of its own:
messages, pages, journal, restarts. With the embedded master and a framework in the same process:

engine = FakeEngine()
async with (
    Embedded(port=0) as master,
    in_process_agent(master.address, engine, tmp_path) as agent,
    RawFramework(master.address) as framework,
):
    task = client.task("web", image=IMAGE)
    launch = {"type": "LAUNCH", "launch": {"task_infos": [task]}}
    await framework.accept(await framework.offer(), launch)
    await framework.reaches("TASK_RUNNING")
    (name,) = engine.boxes
    engine.end(name, 3)
    assert (await framework.ended())["state"] == "TASK_FAILED"
    assert await agent.end() == 0

The same work_dir and engine again are the same agent after a restart. ``tests/fakes/engine.py``
says what containers of the fake engine do and how its calls fail.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp

from shim.agent import startup
from shim.agent.main import run_agent
from shim.config import Config, load
from tests.fakes.engine import FakeEngine
from tests.support.ports import free_port
from tests.support.wait import patience, until

IMAGE = "busybox:1"
"""An image that a fake engine has."""


class InProcessAgent:
    """``run_agent`` as a task, and a client of its pages."""

    def __init__(self, port: int, running: asyncio.Task[int], web: aiohttp.ClientSession) -> None:
        self.port = port
        self.running = running
        self._web = web

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text. The port may not be open yet."""
        while True:
            try:
                async with self._web.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectionError:
                assert not self.running.done(), self.running.exception()
                await asyncio.sleep(0.01)

    async def state(self) -> Any:
        """The page ``/state``."""
        async with self._web.get(f"http://127.0.0.1:{self.port}/state") as answer:
            assert answer.status == 200
            return await answer.json()

    async def is_registered(self) -> bool:
        return "mesos_shim_master_connected 1.0" in (await self.get("/metrics"))[1]

    async def end(self, signal_number: int = signal.SIGTERM) -> int:
        """The exit code. A signal reaches only the agent of the process that started last."""
        signal.raise_signal(signal_number)
        async with patience():
            return await self.running


@asynccontextmanager
async def in_process_agent(
    master: str,
    engine: FakeEngine,
    work_dir: Path,
    environ: Mapping[str, str] | None = None,
    *,
    registered: bool = True,
    **flags: object,
) -> AsyncIterator[InProcessAgent]:
    """An agent of this engine, once it is registered. At the end it stops, if it still runs.

    ``flags`` are its flags without the dashes; they replace those given here.
    """
    given = {
        "master": master,
        "port": free_port(),
        "work_dir": work_dir,
        "ip": "127.0.0.1",
        "hostname": "localhost",
        "shim_id": engine.shim_id,
        "registration_backoff_factor": "10ms",
        **flags,
    }
    argv = [f"--{name}={value}" for name, value in given.items()]
    config = load(argv, {"DOCKER_HOST": "unix:///nonexistent.sock", **(environ or {})})
    thresholds = gc.get_threshold()
    async with aiohttp.ClientSession() as web:
        running = asyncio.create_task(_run(config, engine))
        agent = InProcessAgent(config.port, running, web)
        try:
            if registered:
                await until(agent.is_registered, "the agent's registration")
            yield agent
        finally:
            running.cancel()
            await asyncio.wait({running})
            gc.set_threshold(*thresholds)


_engines: dict[Path, FakeEngine] = {}
"""By the agents' work_dirs."""


async def _run(config: Config, engine: FakeEngine) -> int:
    async def connect(asked: Config, *_: object) -> FakeEngine:
        return _engines[asked.work_dir]

    _engines[config.work_dir] = engine
    try:
        with mock.patch.object(startup, "connect", connect):
            return await run_agent(config)
    finally:
        del _engines[config.work_dir]
