"""Masters that can be killed and started again, with gates in the roads to and from them.

Both kinds, the embedded one and a real one, keep their registry, and tell agents the address of
a gate instead of their own: closing it to one side makes a partition.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from shim.dev.master.dev_master import DevMaster
from tests.e2e.agents import agents_of
from tests.e2e.client import Json
from tests.support.ports import free_port
from tests.support.wait import until

REAL = os.environ.get("MESOS_MASTER_BIN")
MASTER = "a real master" if REAL else "the embedded master"
"""What :func:`new_master` makes, for people."""
PING = 1.0
CREDENTIALS = {"shim": "secret"}


class Gate:
    """A TCP proxy. Closed, it takes connections and bytes, and lets nothing through."""

    def __init__(self, behind: int, port: int = 0) -> None:
        self._behind = behind
        self.port = port
        self._through = asyncio.Event()
        self._through.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Gate:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        """As a cable that is pulled: nobody is told."""
        self._through.clear()

    def open(self) -> None:
        """What waited goes on, as TCP would send it again."""
        self._through.set()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_writer = None
        try:
            await self._through.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            ways = (self._pump(reader, far_writer), self._pump(far_reader, writer))
            ended, others = await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for other in others:
                other.cancel()
            await asyncio.gather(*ended, *others, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._through.wait()
            writer.write(data)
            await writer.drain()


class Master(Protocol):
    """``address`` is for agents (through ``gate``), ``direct`` for frameworks."""

    gate: Gate
    direct: str
    announces: bool
    """It tells ZooKeeper of itself."""

    @property
    def address(self) -> str: ...

    async def start(self) -> None: ...

    async def kill(self) -> None:
        """As a crash."""


class _Gated:
    """The way to a master: a gate that stays, and behind it the port it comes back to."""

    gate: Gate
    direct = ""
    _port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.gate.port}"

    async def _open_gate(self) -> None:
        if not self._port:
            self._port = free_port()
            self.gate = await Gate(self._port).start()
            self.direct = f"127.0.0.1:{self._port}"


class EmbeddedMaster(_Gated):
    announces = False

    def __init__(self, directory: Path, pings: int, *, authenticate: bool = False) -> None:
        directory.mkdir(exist_ok=True)
        options = {"authenticate_agents": authenticate}
        self._registry = directory / "registry.json"
        self._options = {"ping_timeout": PING, "max_ping_timeouts": pings, **options}
        self._dev: DevMaster | None = None

    async def start(self) -> None:
        await self._open_gate()
        self._dev = _Advertising(
            self.gate.port,
            port=self._port,
            registry_path=self._registry,
            credentials={name: secret.encode() for name, secret in CREDENTIALS.items()},
            allocation_interval=0.1,
            **self._options,
        )
        await self._dev.start()

    async def kill(self) -> None:
        if self._dev is not None:
            await self._dev.stop()
            assert self._dev.state.aborted is None
            self._dev = None


class _Advertising(DevMaster):
    """Calls itself by the port of its gate."""

    def __init__(self, advertised: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._advertised = advertised

    async def _listen(self) -> int:
        await super()._listen()
        return self._advertised


class RealMaster(_Gated):
    announces = True

    def __init__(
        self,
        binary: str,
        directory: Path,
        pings: int,
        *flags: str,
        authenticate: bool = False,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self._binary = binary
        self._authenticate = "--authenticate_agents" if authenticate else "--no-authenticate_agents"
        self._pings = pings
        self._directory = directory
        self._flags = flags
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self._open_gate()
        credentials = self._directory / "credentials.json"
        entries = [{"principal": name, "secret": text} for name, text in CREDENTIALS.items()]
        credentials.write_text(json.dumps({"credentials": entries}))
        with (self._directory / "master.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._binary,
                "--ip=127.0.0.1",
                f"--port={self._port}",
                f"--advertise_port={self.gate.port}",
                "--advertise_ip=127.0.0.1",
                "--hostname=localhost",
                f"--work_dir={self._directory / 'master'}",
                f"--agent_ping_timeout={PING:g}secs",
                f"--max_agent_ping_timeouts={self._pings}",
                f"--credentials={credentials}",
                "--allocation_interval=100ms",
                self._authenticate,
                *(self._flags or ("--registry=replicated_log",)),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await until(self._answers, "the master's first answer")

    async def kill(self) -> None:
        if self._process is not None:
            assert self._process.returncode is None, "the master aborted"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def _answers(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://{self.direct}/health") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def new_master(directory: Path, pings: int) -> Master:
    """A real master where there is one, else the embedded one."""
    return RealMaster(REAL, directory, pings) if REAL else EmbeddedMaster(directory, pings)


async def operate(master: Master, call: Json) -> None:
    """One call of the operator API."""
    url = f"http://{master.direct}/api/v1"
    async with aiohttp.ClientSession() as http, http.post(url, json=call) as answer:
        assert answer.status in (200, 202), f"{call}: {answer.status} {await answer.text()}"


async def is_active(master: Master, agent_id: str) -> bool:
    """The agent is registered, connected and gets offers."""
    try:
        known = await agents_of(master.direct)
    except (aiohttp.ClientError, ValueError):
        return False  # it does not lead yet, and sends us elsewhere
    return any(agent["id"] == agent_id and agent["active"] for agent in known)
