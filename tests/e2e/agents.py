"""The agent as users run it: ``python -m shim agent`` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from tests.support import forkserver
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, until

Process = forkserver.ForkedProcess | asyncio.subprocess.Process
BACKOFF = "--registration_backoff_factor="


class AgentProcess:
    """One agent; ``start`` again after ``kill`` is the same agent coming back."""

    program: tuple[str, ...] = ("shim",)
    """What ``python -m`` runs."""

    def __init__(self, master: str, work_dir: Path, shim_id: str, *flags: str, **env: str) -> None:
        self._arguments = [
            f"--master={master}",
            f"--work_dir={work_dir}",
            f"--shim_id={shim_id}",
            *flags,
        ]
        if not any(flag.startswith("--ip=") for flag in flags):
            self._arguments.append("--ip=127.0.0.1")
        if not any(flag.startswith(BACKOFF) for flag in flags):
            self._arguments.append(f"{BACKOFF}50ms")
        self.env = {**os.environ, **env}
        self._log_path = work_dir.parent / f"{work_dir.name}.log"
        self._log_from = 0
        self._process: Process | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> str:
        """Everything it has logged so far, or since ``forget_log``."""
        return self._log_path.read_bytes()[self._log_from :].decode()

    def forget_log(self) -> None:
        self._log_from = self._log_path.stat().st_size

    async def start(self) -> None:
        """Returns when the process runs, not when it is registered."""
        self.port = self.port or free_port()
        with self._log_path.open("ab") as log:
            arguments = (*self.program, "agent", *self._arguments, f"--port={self.port}")
            self._process = await self._run(arguments, log.fileno())

    async def _run(self, arguments: tuple[str, ...], log: int) -> Process:
        """``python -m`` with these arguments."""
        return await forkserver.spawn(*arguments, output=log, env=self.env)

    async def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Signal it and wait: its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        async with asyncio.timeout(timeout):
            return await self._process.wait()

    async def kill(self) -> None:
        """As a crash: no last words."""
        await self.end(signal.SIGKILL)

    async def exit_code(self, timeout: float = PATIENCE) -> int:
        """When it ends by itself."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            return await self._process.wait()

    async def logged(self, text: str) -> None:
        """Wait until its log holds ``text``."""
        await until(lambda: text in self.log, lambda: f"{text!r} in the log:\n{self.log[-3000:]}")


class ExecutedAgent(AgentProcess):
    """In a new interpreter, which has its imports before it: where time or memory is measured."""

    async def _run(self, arguments: tuple[str, ...], log: int) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.env,
            cwd=forkserver.ROOT,
        )


async def agents_of(master: str) -> list[dict[str, object]]:
    """What ``/slaves`` of a master says."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{master}/slaves") as answer,
    ):
        found: list[dict[str, object]] = (await answer.json())["slaves"]
        return found
