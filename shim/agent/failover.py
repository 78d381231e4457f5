"""The agent's address moves with the leader: ``--failover_command``, and the proof that it has.

A master dismisses a known agent that comes back under another address, with all its tasks. So a
new leader first takes the address, and registers only when a request to that address reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Any, Literal

import aiohttp

from shim import limits
from shim.errors import FatalError, error_text
from shim.model.ids import Pid
from shim.wire.tls import Tls

log = logging.getLogger(__name__)

Event = Literal["acquire", "release"]


class Failover:
    """Takes the address and gives it back, by the user's command if there is one."""

    def __init__(self, command: str, pid: Pid, tls: Tls | None) -> None:
        self._command = command
        self._pid = pid
        self._tls = tls
        self._acquired = False

    async def acquire(self) -> None:
        """Raises FatalError when the command fails."""
        self._acquired = True
        if problem := await self._run("acquire"):
            raise FatalError(
                f"--failover_command: {problem}; the address {self._pid.ip} was not taken, and "
                "this agent does not lead"
            )

    async def release(self) -> None:
        """Without effect unless the address was taken. A failure is logged."""
        if self._acquired:
            self._acquired = False
            if problem := await self._run("release"):
                log.error("--failover_command: %s", problem)

    async def _run(self, event: Event) -> str:
        """What went wrong; empty when nothing did."""
        if not self._command:
            return ""
        address = {"ADVERTISE_IP": self._pid.ip, "ADVERTISE_PORT": str(self._pid.port)}
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", self._command, "mesos-shim", event),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "FAILOVER": event, **address},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(limits.FAILOVER_TIMEOUT):
                await _log_output(process, event)
                code = await process.wait()
        except TimeoutError:
            return f"{event} has not ended within {limits.FAILOVER_TIMEOUT:g} s and was killed"
        finally:
            await _kill(process)
        log.info("--failover_command %s ended with exit code %d", event, code)
        return f"{event} ended with exit code {code}" if code else ""

    async def prove(self, token: str) -> None:
        """Return once a request to the advertised address reaches this process.

        Raises FatalError when none does in time.
        """
        reason = ""
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.FAILOVER_ADDRESS_TIMEOUT):
                    while True:
                        reason = await self._problem(session, token)
                        if not reason:
                            return
                        await asyncio.sleep(limits.FAILOVER_ADDRESS_POLL)
        raise FatalError(
            f"take-over refused: {self._pid.ip}:{self._pid.port} does not lead to this machine "
            f"({reason or 'no answer'}), and a master would dismiss the agent and kill its tasks; "
            "see --failover_command and --advertise_ip"
        )

    async def _problem(self, session: aiohttp.ClientSession, token: str) -> str:
        scheme = "https" if self._tls else "http"
        url = f"{scheme}://{self._pid.ip}:{self._pid.port}/leader"
        timeout = aiohttp.ClientTimeout(total=limits.FAILOVER_ADDRESS_POLL * 4)
        context = self._tls.client() if self._tls else True
        try:
            async with session.get(url, ssl=context, timeout=timeout) as response:
                found: dict[str, Any] = await response.json(content_type=None)
                if found.get("token") == token:
                    return ""
                return f"{found.get('self', 'another agent')} answers there"
        except (aiohttp.ClientError, OSError, ValueError, AttributeError) as error:
            return error_text(error)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """With its children; those that outlive the command are killed as well."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.FAILOVER_ADDRESS_POLL):
            await process.communicate()


async def _log_output(process: asyncio.subprocess.Process, event: Event) -> None:
    """Each line of the command's output, up to a number of bytes; the rest is read and dropped."""
    assert process.stdout is not None
    left = limits.FAILOVER_OUTPUT_BYTES
    pending = b""
    while data := await process.stdout.read(4096):
        pending += data[: max(0, left)]
        left -= len(data)
        *lines, pending = pending.split(b"\n")
        for line in lines:
            log.info("--failover_command %s: %s", event, line.decode(errors="replace"))
    if pending:
        log.info("--failover_command %s: %s", event, pending.decode(errors="replace"))
    if left < 0:
        log.info("--failover_command %s: %d more bytes are not shown", event, -left)
