"""A master for each test: the embedded one, and a real one where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from shim.devmaster.server import DevMaster

REAL = os.environ.get("MESOS_MASTER_BIN")


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.needs_master)])
async def master(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """``host:port`` of a fresh master that pings every second."""
    if request.param == "embedded":
        async with DevMaster(port=0, ping_timeout=1.0) as dev:
            yield dev.address
            assert dev.world.aborted is None
        return
    if REAL is None:
        pytest.skip("MESOS_MASTER_BIN is not set")
    async with RealMaster(REAL, tmp_path, "--registry=in_memory") as real:
        yield real.address


class RealMaster:
    """A mesos-master process on a free port."""

    def __init__(self, binary: str, work_dir: Path, *flags: str) -> None:
        self._binary = binary
        self._work_dir = work_dir
        self._flags = flags
        self.address = ""

    async def __aenter__(self) -> RealMaster:
        port = await _free_port()
        self.address = f"127.0.0.1:{port}"
        self._log = (self._work_dir / "master.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            self._binary,
            "--ip=127.0.0.1",
            f"--port={port}",
            f"--work_dir={self._work_dir / 'master'}",
            "--agent_ping_timeout=1secs",
            *self._flags,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while not await _answers(session, f"http://{self.address}/health"):
                await asyncio.sleep(0.05)
        return self

    async def died(self) -> None:
        """Waits until the master has aborted."""
        assert await self._process.wait() != 0

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._log.close()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _free_port() -> int:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
