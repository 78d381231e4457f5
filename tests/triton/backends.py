"""Where a machine's process really runs: the interface, and a simulation of it for scale."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tests.triton.machines import Machine
from tests.triton.refusals import Refusal

Line = tuple[int, float, bytes]
"""Stream (1 stdout, 2 stderr), seconds since the epoch, text with its newline."""
Exited = Callable[[int | None], None]


class PullFailed(Exception):
    """The registry's words."""


class Backend(Protocol):
    """Runs what the datacenter decided. Knows nothing of names, packages and refusals."""

    async def has_image(self, reference: str) -> bool: ...

    async def image_command(self, reference: str) -> list[str]:
        """Entrypoint and command the image itself brings."""

    async def pull(self, reference: str, auth: Mapping[str, str]) -> None: ...

    async def provision(self, machine: Machine) -> str:
        """Make it ready to start; its own address, or empty when any will do."""

    async def start(self, machine: Machine, exited: Exited) -> None:
        """``exited`` is called once, with the exit code."""

    async def stop(self, machine: Machine, grace: float) -> None: ...

    async def kill(self, machine: Machine) -> None: ...

    async def remove(self, machine: Machine) -> None: ...

    async def output(self, machine: Machine) -> list[Line]: ...

    async def exec(
        self, machine: Machine, argv: Sequence[str], env: Sequence[str]
    ) -> tuple[int, bytes]: ...

    async def put_archive(self, machine: Machine, path: str, tar: bytes) -> None: ...

    async def get_archive(self, machine: Machine, path: str) -> bytes: ...

    async def close(self) -> None: ...


class Simulated:
    """Processes that only exist as timers. The environment says how one behaves:

    ``SIM_EXIT_AFTER`` seconds (default: for ever; ``sleep N`` works too), ``SIM_EXIT_CODE``,
    ``SIM_OUTPUT`` text, ``SIM_IGNORE_TERM`` (only a kill ends it).
    """

    def __init__(self, images: Sequence[str] = ("nginx:alpine", "busybox:latest")) -> None:
        self.images = set(images)
        self._timers: dict[Machine, asyncio.TimerHandle] = {}
        self._exited: dict[Machine, Exited] = {}
        self._output: dict[Machine, list[Line]] = {}
        self._files: dict[tuple[Machine, str], bytes] = {}

    async def has_image(self, reference: str) -> bool:
        return reference in self.images

    async def image_command(self, reference: str) -> list[str]:
        return ["nginx"] if reference.startswith("nginx") else []

    async def pull(self, reference: str, auth: Mapping[str, str]) -> None:
        if "missing" in reference:
            raise PullFailed(f"image {reference} not found in registry")
        if "private" in reference and auth.get("password") != "secret":
            raise PullFailed(f"authentication required for {reference}")
        self.images.add(reference)

    async def provision(self, machine: Machine) -> str:
        self._output[machine] = []
        return ""

    async def start(self, machine: Machine, exited: Exited) -> None:
        self._exited[machine] = exited
        text = machine.environment("SIM_OUTPUT")
        if text:
            now = time.time()
            self._output[machine] += [(1, now, line.encode() + b"\n") for line in text.splitlines()]
        seconds = _lifetime(machine)
        if seconds is not None:
            code = int(machine.environment("SIM_EXIT_CODE") or 0)
            loop = asyncio.get_running_loop()
            self._timers[machine] = loop.call_later(seconds, self._end, machine, code)

    async def stop(self, machine: Machine, grace: float) -> None:
        if machine.environment("SIM_IGNORE_TERM"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(machine.down.wait(), grace)
            self._end(machine, 137)
        else:
            self._end(machine, 143)

    async def kill(self, machine: Machine) -> None:
        self._end(machine, 137)

    async def remove(self, machine: Machine) -> None:
        self._end(machine, 137)
        self._output.pop(machine, None)

    async def output(self, machine: Machine) -> list[Line]:
        return self._output.get(machine, [])

    async def exec(
        self, machine: Machine, argv: Sequence[str], env: Sequence[str]
    ) -> tuple[int, bytes]:
        """Knows ``echo``, ``sleep``, ``env`` and ``exit N``, the latter also in ``sh -c``."""
        words = " ".join(argv)
        if match := re.search(r"exit (\d+)", words):
            return int(match[1]), b""
        if argv[0] == "sleep":
            await asyncio.sleep(float(argv[1]))
        if argv[0] == "env":
            return 0, "\n".join(env).encode()
        return 0, " ".join(argv[1:]).encode() + b"\n" if argv[0] == "echo" else b""

    async def put_archive(self, machine: Machine, path: str, tar: bytes) -> None:
        self._files[machine, path] = tar

    async def get_archive(self, machine: Machine, path: str) -> bytes:
        try:
            return self._files[machine, path]
        except KeyError:
            raise Refusal(404, f"File not found: {path}", "FileNotFound") from None

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _end(self, machine: Machine, code: int) -> None:
        timer = self._timers.pop(machine, None)
        if timer is not None:
            timer.cancel()
        exited = self._exited.pop(machine, None)
        if exited is not None:
            exited(code)


def _lifetime(machine: Machine) -> float | None:
    text = machine.environment("SIM_EXIT_AFTER")
    command = machine.command
    if text is None and len(command) == 2 and command[0] == "sleep":
        text = command[1]
    return None if text is None else float(text)
