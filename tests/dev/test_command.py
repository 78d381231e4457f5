from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from shim import cli
from shim.dev import command
from shim.telemetry import log
from tests.support.wait import patience


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The flags that the agent would get. Nothing is started."""
    seen: list[list[str]] = []

    def stop(argv: list[str]) -> None:
        seen.append(argv)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "load", stop)
    monkeypatch.delenv("MESOS_WORK_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    return seen


def test_the_agent_uses_the_embedded_master(loaded: list[list[str]]) -> None:
    assert (
        cli.main(["dev", "--ip=10.0.0.1", "--port=1", "--agent_port=2", "--engine=docker"]) == 130
    )
    assert loaded == [
        [
            "--master=10.0.0.1:1",
            "--ip=10.0.0.1",
            "--port=2",
            "--work_dir=/state/mesos-shim/dev",
            "--engine=docker",
        ]
    ]


def test_a_given_work_dir_is_used(loaded: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    cli.main(["dev", "--work_dir", "/w"])
    monkeypatch.setenv("MESOS_WORK_DIR", "/w")
    cli.main(["dev"])
    assert loaded[0][3:] == ["--work_dir", "/w"]
    assert loaded[1][3:] == []


def test_the_flag_master_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dev", "--master=m:5050"]) == 2
    assert "dev starts its own master" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--ip=0.0.0.0", "--ip: '0.0.0.0' is not an address of this machine"),
        ("--ip=x", "--ip: 'x' is not an IPv4 address"),
        ("--port=x", "--port: 'x' is not a port from 0 to 65535"),
    ],
)
def test_invalid_addresses_are_errors(
    flag: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dev", flag]) == 2
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "start_logging", lambda *_: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["dev", f"--port={port}", f"--work_dir={tmp_path}"]) == 1
    assert f"--port={port}: cannot listen there: " in capsys.readouterr().err


@pytest.mark.needs_docker
async def test_an_agent_registers_and_sigterm_ends_both(
    tmp_path: Path, shim_id: str, unused_tcp_port_factory: object
) -> None:
    master, agent = unused_tcp_port_factory(), unused_tcp_port_factory()  # type: ignore[operator]
    words = [f"--port={master}", f"--agent_port={agent}", f"--work_dir={tmp_path}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shim",
        "dev",
        *words,
        f"--shim_id={shim_id}",
        "--registration_backoff_factor=10ms",
        '--domain={"fault_domain": {"region": {"name": "us"}, "zone": {"name": "a"}}}',
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    try:
        # Masters without a domain ignore agents that have one: the embedded one has the same.
        async with patience(), aiohttp.ClientSession() as session:
            assert await _registered(session, f"http://127.0.0.1:{master}/slaves") == 1
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def _registered(session: aiohttp.ClientSession, url: str) -> int:
    """The number of agents, as soon as there is one."""
    while True:
        try:
            async with session.get(url) as answer:
                agents = (await answer.json())["slaves"]
        except aiohttp.ClientConnectorError:
            agents = []
        if agents:
            return len(agents)
        await asyncio.sleep(0.05)
