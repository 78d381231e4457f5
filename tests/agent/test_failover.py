"""The failover command and the proof that the address has moved."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shim import limits
from shim.agent.failover import Failover
from shim.errors import FatalError
from shim.model.ids import Pid

PID = Pid("slave(1)", "10.0.0.9", 5051)


@pytest.fixture(autouse=True)
def _shows_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_the_command_knows_the_event_and_the_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = tmp_path / "told"
    command = (
        f'echo "$1 $FAILOVER $ADVERTISE_IP:$ADVERTISE_PORT" >> {told}; echo seen; echo err >&2'
    )
    failover = Failover(command, PID, None)
    await failover.acquire()
    await failover.release()
    await failover.release()
    assert told.read_text().splitlines() == [
        "acquire acquire 10.0.0.9:5051",
        "release release 10.0.0.9:5051",
    ]
    assert "--failover_command acquire: seen" in caplog.text
    assert "--failover_command acquire: err" in caplog.text


async def test_an_address_that_was_not_taken_is_not_given_back(tmp_path: Path) -> None:
    await Failover(f"touch {tmp_path / 'ran'}", PID, None).release()
    assert not (tmp_path / "ran").exists()


async def test_no_command_is_no_step() -> None:
    failover = Failover("", PID, None)
    await failover.acquire()
    await failover.release()


async def test_a_failing_command_refuses_the_take_over() -> None:
    with pytest.raises(FatalError, match=r"acquire ended with exit code 3; .* 10\.0\.0\.9"):
        await Failover("exit 3", PID, None).acquire()


async def test_a_failing_release_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    failover = Failover('[ "$1" = acquire ]', PID, None)
    await failover.acquire()
    await failover.release()
    assert "release ended with exit code 1" in caplog.text


async def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILOVER_TIMEOUT", 0.3)
    began = time.monotonic()
    with pytest.raises(FatalError, match="has not ended within"):
        await Failover("sleep 60 & sleep 60", PID, None).acquire()
    assert time.monotonic() - began < 20


async def test_much_output_is_cut(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILOVER_OUTPUT_BYTES", 10_000)
    endless = "head -c 200000 /dev/zero | tr '\\0' x; echo the end"
    await Failover(endless, PID, None).acquire()
    assert "more bytes are not shown" in caplog.text
    assert len(caplog.text) < 20_000


# --- the proof ------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def leader(request: web.Request) -> web.Response:
        return web.json_response({"token": "mine", "self": "10.0.0.9:5051 (host a)"}, status=503)

    app = web.Application()
    app.router.add_get("/leader", leader)
    server = TestServer(app)
    async with server:
        yield server


def at(server: TestServer) -> Failover:
    assert server.port is not None
    return Failover("", Pid("slave(1)", "127.0.0.1", server.port), None)


async def test_an_address_that_leads_here_is_proved(server: TestServer) -> None:
    await at(server).prove("mine")


async def test_an_address_that_leads_elsewhere_refuses_the_take_over(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILOVER_ADDRESS_TIMEOUT", 0.2)
    monkeypatch.setattr(limits, "FAILOVER_ADDRESS_POLL", 0.05)
    with pytest.raises(FatalError, match=r"take-over refused: .*host a\) answers there"):
        await at(server).prove("other")


async def test_an_address_that_leads_nowhere_refuses_the_take_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "FAILOVER_ADDRESS_TIMEOUT", 0.2)
    monkeypatch.setattr(limits, "FAILOVER_ADDRESS_POLL", 0.05)
    with pytest.raises(FatalError, match=r"127\.0\.0\.1:1 does not lead to this machine"):
        await Failover("", Pid("slave(1)", "127.0.0.1", 1), None).prove("mine")
