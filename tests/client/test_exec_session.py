"""``mesos-shim exec`` and ``kill``, against the operator API in front of processes in memory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from shim import cli, limits
from shim.client.exec_session import signal_number
from shim.errors import ConfigError
from tests.fakes.process import FakeProcess
from tests.http.operator_api.conftest import Api, serving_api
from tests.http.page_data import end_task
from tests.support.wait import until


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(limits, "LIVE_INTERVAL", 0.02)
    async with serving_api() as served:
        monkeypatch.setenv("MESOS_AGENT", f"127.0.0.1:{served.client.port}")
        yield served


@contextmanager
def stdin(fd: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(fd, "rb", buffering=0) as source:
        monkeypatch.setattr("sys.stdin", source)
        yield


async def call(*argv: str) -> int:
    return await asyncio.to_thread(cli.main, argv)


async def process_of(api: Api) -> FakeProcess:
    await until(lambda: bool(api.engine.processes), "a process")
    return api.engine.processes[0]


async def test_output_and_exit_code_are_the_command_s(
    api: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    api.run("web.1")
    assert await call("exec", "--user", "nobody", "--env", "A=b=c", "web", "say", "out", "err") == 0
    assert capfdbinary.readouterr() == (b"out\n", b"err\n")
    (process,) = api.engine.processes
    assert (process.user, process.env["A"], process.tty) == ("nobody", "b=c", False)
    assert await call("exec", "web", "--", "exit", "7") == 7


async def test_stdin_is_passed_on_to_its_end(
    api: Api, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.run("web.1")
    reading, writing = os.pipe()
    os.write(writing, b"over there\n")
    os.close(writing)
    with stdin(reading, monkeypatch):
        assert await call("exec", "-i", "web", "cat") == 0
    assert capfdbinary.readouterr().out == b"over there\n"


async def test_a_terminal_has_this_terminal_s_size_and_every_key(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.run("web.1")
    keyboard, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(terminal)
    try:
        with stdin(os.dup(terminal), monkeypatch), os.fdopen(os.dup(terminal), "w") as screen:
            monkeypatch.setattr("sys.stdout", screen)
            running = asyncio.create_task(call("exec", "-it", "web", "cat"))
            process = await process_of(api)
            await until(lambda: process.sizes == [(33, 77)], "the size")
            await until(lambda: termios.tcgetattr(terminal) != before, "the raw mode")
            os.write(keyboard, b"\x03x")
            await until(lambda: bytes(process.received) == b"\x03x", "the keys")
            process.print(1, b"\x1b[?1049h\x1b]0;title\x07")
            process.end(5)
            assert await running == 5
            seen = b""
            while not seen.endswith(b"l"):
                seen += await asyncio.to_thread(os.read, keyboard, 1000)
            # As it came, and set back after it.
            assert seen == b"\x03x\x1b[?1049h\x1b]0;title\x07\x1b[?1049l"
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(keyboard)
        os.close(terminal)


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["web"], 2, "exec: give a command to run"),
        (["--env", "A", "web", "x"], 2, "--env=A: not K=V"),
        (["-t", "web", "x"], 2, "-t: stdin is not a terminal"),
        (["nothing", "x"], 125, "no task's id begins with 'nothing'"),
    ],
)
async def test_wrong_usage_is_named(
    api: Api,
    argv: list[str],
    code: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.run("web.1")
    with stdin(os.open(os.devnull, os.O_RDONLY), monkeypatch):
        assert await call("exec", *argv) == code
    assert text in capsys.readouterr().err


async def test_a_refusal_has_an_exit_code_of_its_own(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = api.run("web.1")
    api.engine.end(ref.name, 0)
    assert await call("exec", "web", "true") == 125
    assert f"400 Container {ref.name} is not running" in capsys.readouterr().err
    end_task(api.data.core, api.run("ended.1"))
    await asyncio.sleep(0.1)
    assert await call("exec", "ended", "true") == 125
    assert await call("kill", "ended") == 3
    assert capsys.readouterr().err.count("ended.1 has ended: finished") == 2
    async with serving_api(may_touch=False) as closed:
        closed.run("web.1")
        at = f"--agent=127.0.0.1:{closed.client.port}"
        assert await call("exec", at, "web", "true") == 125
        assert await call("kill", at, "web") == 1
    said = capsys.readouterr().err
    assert "403 LAUNCH_NESTED_CONTAINER_SESSION needs --http_credentials" in said


async def test_kill_signals_the_containers_of_tasks(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    web, batch = api.run("web.1"), api.run("batch.1")
    assert await call("kill", "web", "nothing") == 3
    assert api.engine.boxes[web.name].exit_code is None
    assert await call("kill", "-s", "TERM", "web", "batch") == 0
    assert capsys.readouterr().out == "web.1\nbatch.1\n"
    assert [api.engine.boxes[ref.name].exit_code for ref in (web, batch)] == [143, 143]


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("hup", 1), ("64", 64)]
)
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOTHING", "-9", "SIG"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no such signal"):
        signal_number(text)
