"""Python processes without the cost of their imports.

Importing the agent takes about half a second of CPU, and the end-to-end tests start a hundred
agents. So each test process has one server, ``python -m tests.support.forkserver``, which has
imported everything and forks itself for each process that a test starts. The fork runs
``python -m MODULE ARGUMENTS`` with its own process id, environment, signals, files and exit code.

process = await spawn("shim", "agent", "--master=...", output=log)
process.send_signal(signal.SIGTERM)
assert await process.wait() == 0
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.wait import INTERVAL

ROOT = Path(__file__).resolve().parents[2]
REQUEST = 128 * 1024
"""Bytes of the longest request: arguments and environment."""
NUMBER = struct.Struct("i")
"""The server answers each request with the process id and, later, the exit code."""


class ForkedProcess:
    """As ``asyncio.subprocess.Process``, but not bound to an event loop."""

    def __init__(self, answers: socket.socket, pid: int) -> None:
        self._answers = answers
        self.pid = pid
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative after a signal."""
        if self._code is None:
            try:
                answer = self._answers.recv(NUMBER.size)
            except BlockingIOError:
                return None
            assert answer, "the fork server has died"
            (self._code,) = NUMBER.unpack(answer)
            self._answers.close()
        return self._code

    async def wait(self) -> int:
        """Its exit code, once it has ended. Several may wait, on any event loop."""
        while (code := self.returncode) is None:
            await asyncio.sleep(INTERVAL)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens when it has ended already."""
        if self.returncode is None:
            os.kill(self.pid, number)


async def spawn(
    module: str,
    *arguments: str,
    output: int,
    standard_input: int | None = None,
    env: Mapping[str, str] | None = None,
) -> ForkedProcess:
    """``python -m module arguments``, in the directory of this repository.

    ``output`` is the descriptor for stdout and, unless there is an input, for stderr.
    """
    answers, theirs = socket.socketpair()
    answers.setblocking(False)
    with theirs:
        request = {
            "module": module,
            "arguments": arguments,
            "env": dict(os.environ if env is None else env),
            "interactive": standard_input is not None,
        }
        given = [output] if standard_input is None else [output, standard_input]
        _server().send(json.dumps(request).encode(), [theirs.fileno(), *given])
    answer = await asyncio.get_running_loop().sock_recv(answers, NUMBER.size)
    assert answer, "the fork server has died"
    return ForkedProcess(answers, NUMBER.unpack(answer)[0])


# --- the server, as the test process sees it ------------------------------------------------------


class _Server:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forkserver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
            )
        atexit.register(self._close)

    def send(self, request: bytes, descriptors: Sequence[int]) -> None:
        assert len(request) < REQUEST
        socket.send_fds(self._control, [request], descriptors)

    def _close(self) -> None:
        """The server ends with its connection; what it forked does not."""
        self._control.close()
        self._process.wait()


_starting = threading.Lock()
_running: list[_Server] = []


def _server() -> _Server:
    """The one of this process, started by the first call of any thread."""
    with _starting:
        if not _running:
            _running.append(_Server())
        return _running[0]


# --- the server itself --------------------------------------------------------------------------


@dataclass
class _Request:
    module: str
    arguments: list[str]
    env: dict[str, str]
    interactive: bool
    descriptors: list[int]


@dataclass
class _Forks:
    """The processes that run, and the sockets that get their exit codes."""

    answers: dict[int, socket.socket] = field(default_factory=dict)

    def reap(self) -> None:
        while self.answers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self.answers.pop(pid) as answer:
                _answer(answer, os.waitstatus_to_exitcode(status))

    def close(self) -> None:
        for answer in self.answers.values():
            answer.close()


def _answer(answers: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # The test may be over.
        answers.sendall(NUMBER.pack(number))


def serve(control: socket.socket) -> _Request | None:
    """Returns in each fork with what is to run there, and in the server, with None, at its end."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    forks = _Forks()
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            forks.reap()
        if control not in ready:
            continue
        text, descriptors, _, _ = socket.recv_fds(control, REQUEST, 3)
        if not text:
            return None
        request = _Request(**json.loads(text), descriptors=descriptors[1:])
        answers = socket.socket(fileno=descriptors[0])
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            forks.close()
            for each in (answers, control, woken, wakes):
                each.close()
            return request
        forks.answers[pid] = answers
        _answer(answers, pid)
        for descriptor in request.descriptors:
            os.close(descriptor)


def become(request: _Request) -> None:
    """What ``python -m`` would do."""
    output, *standard_input = request.descriptors
    os.dup2(output, 1)
    os.dup2(standard_input[0] if request.interactive else os.open(os.devnull, os.O_RDONLY), 0)
    if not request.interactive:
        os.dup2(output, 2)
    for descriptor in request.descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request.env)
    sys.argv = [request.module, *request.arguments]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def preload() -> None:
    """All that agents and frameworks import, but for the modules that are run."""
    from shim.run import http_parser_compat

    http_parser_compat.provide()
    for module in ("shim.config", "shim.agent.main", "pymesos"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    preload()
    if (request := serve(control)) is not None:
        become(request)


if __name__ == "__main__":
    main()
