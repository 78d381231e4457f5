"""A master for each test: the embedded one, and a real mesos-master where one is installed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from shim.dev.master.dev_master import DevMaster
from tests.support.ports import free_port
from tests.support.wait import patience

REAL = os.environ.get("MESOS_MASTER_BIN")
BOTH = ["embedded", pytest.param("real", marks=pytest.mark.needs_master)]
SECRETS = {"agent": b"tanstaaf"}


class Embedded(DevMaster):
    """An embedded master. Stopping it fails if a message would have aborted a real master."""

    async def stop(self) -> None:
        await super().stop()
        assert self.state.aborted is None


@pytest.fixture(params=BOTH)
async def master(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """``host:port`` of a fresh master that pings every second."""
    if request.param == "embedded":
        async with Embedded(port=0, ping_timeout=1.0) as dev:
            yield dev.address
        return
    assert REAL
    async with RealMaster(REAL, tmp_path, "--registry=in_memory") as real:
        yield real.address


@pytest.fixture(params=BOTH)
async def strict_master(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A master that requires authentication, with the credentials SECRETS."""
    if request.param == "embedded":
        async with Embedded(port=0, credentials=SECRETS, authenticate_agents=True) as dev:
            yield dev.address
        return
    assert REAL
    credentials = tmp_path / "credentials.json"
    entries = [{"principal": p, "secret": s.decode()} for p, s in SECRETS.items()]
    credentials.write_text(json.dumps({"credentials": entries}))
    flags = (f"--credentials={credentials}", "--authenticate_agents", "--registry=in_memory")
    async with RealMaster(REAL, tmp_path, *flags) as real:
        yield real.address


@pytest.fixture(params=BOTH)
async def restarts(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], Embedded] | Callable[[], RealMaster]:
    """Each call starts a new master process with the same registry and port."""
    port = free_port()
    if request.param == "embedded":
        path = tmp_path / "registry.json"
        return lambda: Embedded(port=port, ping_timeout=1.0, registry_path=path)
    assert REAL
    return lambda: RealMaster(str(REAL), tmp_path, "--registry=replicated_log", port=port)


class RealMaster:
    """A mesos-master process on a free port."""

    def __init__(self, binary: str, work_dir: Path, *flags: str, port: int = 0) -> None:
        self._port = port
        self._binary = binary
        self._work_dir = work_dir
        self._flags = flags
        self.address = ""

    async def __aenter__(self) -> RealMaster:
        port = self._port or free_port()
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
        async with patience(), aiohttp.ClientSession() as session:
            while not await _serves(session, f"http://{self.address}/api/v1/scheduler"):
                await asyncio.sleep(0.05)
        return self

    async def died(self) -> None:
        """Wait until the master has aborted."""
        assert await self._process.wait() != 0

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._log.close()


async def _serves(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether the master is elected and recovered; it answers 503 until then."""
    try:
        async with session.post(url, json={}) as response:
            return response.status == 400
    except aiohttp.ClientError:
        return False
