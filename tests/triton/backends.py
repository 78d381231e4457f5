"""What runs a machine's process: the interface, and an implementation by timers, for scale."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import string
import struct
import tarfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from tests.triton.api_errors import ApiError
from tests.triton.machines import Machine

Line = tuple[int, float, bytes]
"""Stream (1 stdout, 2 stderr), seconds since the epoch, text with its newline."""
OnExit = Callable[[int | None], None]


class PullFailed(Exception):
    """Its text is the registry's."""


class Backend(Protocol):
    """Carries out what the datacenter decided. Names, packages and errors are decided there."""

    async def has_image(self, reference: str) -> bool: ...

    async def image_command(self, reference: str) -> list[str]:
        """Entrypoint and command of the image."""

    async def pull(self, reference: str, auth: Mapping[str, str]) -> None: ...

    async def provision(self, machine: Machine) -> str:
        """Prepare the machine for its start. Returns its address; empty: the datacenter chooses."""

    async def start(self, machine: Machine, exited: OnExit) -> None:
        """``exited`` is called once, with the exit code."""

    async def stop(self, machine: Machine, grace: float) -> None: ...

    async def kill(self, machine: Machine) -> None: ...

    async def remove(self, machine: Machine) -> None: ...

    async def output(self, machine: Machine) -> list[Line]: ...

    async def exec(
        self, machine: Machine, argv: Sequence[str], env: Sequence[str]
    ) -> tuple[int, bytes]: ...

    async def talk(
        self,
        entry: dict[str, Any],
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], None],
    ) -> int:
        """Runs the exec ``entry`` with raw input and framed output; returns its exit code.

        Without a ``body`` the entry is the machine's own process.
        """

    async def resize(self, entry: dict[str, Any], rows: int, columns: int) -> None: ...

    async def put_archive(self, machine: Machine, path: str, tar: bytes) -> None: ...

    async def get_archive(self, machine: Machine, path: str) -> bytes: ...

    async def close(self) -> None: ...


class SimulatedBackend:
    """Processes that exist as timers only. Environment variables say how one behaves:

    ``SIM_EXIT_AFTER`` seconds (default: for ever), ``SIM_EXIT_CODE``, ``SIM_OUTPUT`` text,
    ``SIM_IGNORE_TERM`` (only a kill ends it). Commands have effects too: ``sleep N``, ``exit N``,
    ``say OUT ERR``, and anything with ``stubborn``.
    """

    def __init__(self, images: Sequence[str] = ("nginx:alpine", "busybox:latest")) -> None:
        self.images = set(images)
        self._timers: dict[Machine, asyncio.TimerHandle] = {}
        self._exited: dict[Machine, OnExit] = {}
        self._output: dict[Machine, list[Line]] = {}
        self._attached: dict[Machine, list[Callable[[bytes], None]]] = {}
        self._files: dict[tuple[Machine, str], bytes] = {}
        """Uploaded archives, by the directory that they were unpacked in."""

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

    async def start(self, machine: Machine, exited: OnExit) -> None:
        self._exited[machine] = exited
        now = time.time()
        self._output[machine] += [(stream, now, line) for stream, line in _output_lines(machine)]
        seconds = _lifetime(machine)
        if seconds is not None:
            code = _exit_code(machine)
            loop = asyncio.get_running_loop()
            self._timers[machine] = loop.call_later(seconds, self._end, machine, code)

    async def stop(self, machine: Machine, grace: float) -> None:
        if machine.environment("SIM_IGNORE_TERM") or "stubborn" in machine.command:
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
        """Runs ``echo``, ``sleep``, ``env``, ``false`` and ``exit N``, also in ``sh -c``, where a
        word may be a variable."""
        if match := re.search(r"exit (\d+)", " ".join(argv)):
            return int(match[1]), b""
        if list(argv[:2]) == ["sh", "-c"]:
            values = dict(entry.split("=", 1) for entry in env)
            argv = string.Template(argv[2]).safe_substitute(values).split()
        match argv:
            case ["sleep", seconds]:
                await asyncio.sleep(float(seconds))
            case ["env"]:
                return 0, "\n".join(env).encode()
            case ["echo", *words]:
                return 0, " ".join(words).encode() + b"\n"
        return int(argv[0] == "false"), b""

    async def talk(
        self,
        entry: dict[str, Any],
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], None],
    ) -> int:
        """``cat`` repeats its input, as a machine with an open stdin does."""
        machine, body = entry["machine"], entry.get("body")
        if body is None:
            return await self._attach(machine, read, write)
        tty = bool(body.get("Tty"))
        if body["Cmd"] == ["cat"]:
            while data := await _until_down(machine, read):
                write(data if tty else output_frame(1, data))
            return 137 if machine.down.is_set() else 0
        code, output = await self.exec(machine, body["Cmd"], body.get("Env") or [])
        if output:
            write(output if tty else output_frame(1, output))
        return code

    async def _attach(
        self,
        machine: Machine,
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], None],
    ) -> int:
        """Whatever ``stdout`` and ``stdin`` of the call are: every client sees all output, and
        that ends with the machine."""
        attached = self._attached.setdefault(machine, [])
        attached.append(write)
        try:
            while data := await _until_down(machine, read):
                for each in attached:
                    each(data if machine.tty else output_frame(1, data))
            await machine.down.wait()
        finally:
            attached.remove(write)
        return 137

    async def resize(self, entry: dict[str, Any], rows: int, columns: int) -> None:
        entry["machine"].sizes.append((rows, columns))

    async def put_archive(self, machine: Machine, path: str, tar: bytes) -> None:
        self._files[machine, path] = tar

    async def get_archive(self, machine: Machine, path: str) -> bytes:
        if (machine, path) in self._files:
            return self._files[machine, path]
        directory, _, name = path.rpartition("/")
        found = _member(self._files.get((machine, directory), b""), name)
        if found is None:
            raise ApiError(404, f"File not found: {path}", "FileNotFound")
        return found

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


async def _until_down(machine: Machine, read: Callable[[], Awaitable[bytes]]) -> bytes:
    """The next input; empty when there is none, or the machine is down."""
    reading, down = asyncio.ensure_future(read()), asyncio.ensure_future(machine.down.wait())
    await asyncio.wait({reading, down}, return_when=asyncio.FIRST_COMPLETED)
    down.cancel()
    if not reading.done():
        reading.cancel()
        return b""
    return reading.result()


def output_frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


def _lifetime(machine: Machine) -> float | None:
    text = machine.environment("SIM_EXIT_AFTER")
    if text is not None:
        return float(text)
    match machine.command:
        case ["sleep", seconds] if seconds.isdigit():
            return float(seconds)
        case ["exit" | "say", *_]:
            return 0.0
    return None


def _exit_code(machine: Machine) -> int:
    match machine.command:
        case ["exit", code]:
            return int(code)
    return int(machine.environment("SIM_EXIT_CODE") or 0)


def _output_lines(machine: Machine) -> list[tuple[int, bytes]]:
    lines = (machine.environment("SIM_OUTPUT") or "").splitlines()
    written = [(1, line) for line in lines]
    match machine.command:
        case ["say", *words]:
            written += enumerate(words, 1)
    return [(stream, line.encode() + b"\n") for stream, line in written]


def _member(archive: bytes, name: str) -> bytes | None:
    """An archive of one file of ``archive``; None when it has no such file."""
    if not archive:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        if name not in tar.getnames():
            return None
        member, buffer = tar.getmember(name), io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as alone:
            alone.addfile(member, tar.extractfile(member))
    return buffer.getvalue()
