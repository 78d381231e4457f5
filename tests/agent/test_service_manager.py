from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.agent.service_manager import ServiceManager
from tests.support.wait import until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.setblocking(False)
        yield made


def received(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(1000).decode())
        except BlockingIOError:
            return found


async def test_the_manager_hears_of_the_start_and_the_end(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    service.ready("listening")
    service.stopping()
    await service.keep_alive()  # nobody watches
    assert received(manager) == ["READY=1\nSTATUS=listening", "STOPPING=1"]


async def test_the_loop_answers_the_watchdog(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"}
    alive = asyncio.create_task(ServiceManager(environ).keep_alive())
    answers: list[str] = []

    def three() -> bool:
        answers.extend(received(manager))
        return len(answers) >= 3

    await until(three, "three answers")
    alive.cancel()
    assert set(answers) == {"WATCHDOG=1"}


async def test_a_loop_that_hangs_does_not_answer(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"}
    alive = asyncio.create_task(ServiceManager(environ).keep_alive())
    await until(lambda: received(manager) != [], "an answer")
    received(manager)
    time.sleep(0.1)  # noqa: ASYNC251  # ten answers' time
    assert received(manager) == []
    await until(lambda: received(manager) != [], "an answer once the loop runs again")
    alive.cancel()


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "20000"},
        {"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid() + 1)},
        {"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "soon"},
    ],
)
async def test_nobody_else_s_watchdog_is_answered(
    manager: socket.socket, environ: dict[str, str]
) -> None:
    given = {name: value.replace("PATH", manager.getsockname()) for name, value in environ.items()}
    await ServiceManager(given).keep_alive()
    assert received(manager) == []


async def test_an_abstract_socket_begins_with_an_at_sign() -> None:
    name = f"mesos-shim-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert manager.recv(100) == b"STOPPING=1"


async def test_a_manager_that_is_gone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": "/nowhere"}).ready("listening")
    assert "the service manager cannot be notified of READY=1" in caplog.text
