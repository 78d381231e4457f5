from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shim import limits
from shim.agent.address_change import AddressChange, AddressGate
from shim.model.ids import Pid
from shim.model.settings import Credential

CHANGE = AddressChange("S1", "--advertise_ip", "10.0.0.1", "10.0.0.2")


class Master:
    """A master's ``/slaves``."""

    def __init__(self) -> None:
        self.known: list[dict[str, Any]] = [{"id": "S1", "pid": "slave(1)@10.0.0.1:5051"}]
        self.status = 200
        self.requests: list[web.Request] = []
        self.asked = asyncio.Event()

    async def slaves(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.asked.set()
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "/slaves"})
        return web.json_response({"slaves": self.known, "recovered_slaves": []})


@pytest.fixture
async def master(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Master, Pid]]:
    monkeypatch.setattr(limits, "ADDRESS_CHANGE_POLL", 0.01)
    fake = Master()
    app = web.Application()
    app.router.add_get("/slaves", fake.slaves)
    async with TestServer(app) as server:
        assert server.port is not None
        yield fake, Pid("master", "127.0.0.1", server.port)


class Detected:
    def __init__(self) -> None:
        self.masters: list[Pid | None] = []
        self.event = asyncio.Event()

    def __call__(self, master: Pid | None) -> None:
        self.masters.append(master)
        self.event.set()


async def test_a_master_that_has_forgotten_the_agent_is_passed_on(
    master: tuple[Master, Pid],
) -> None:
    fake, pid = master
    detected = Detected()
    gate = AddressGate(CHANGE, None, detected)
    gate.master_changed(pid)
    await fake.asked.wait()
    assert detected.masters == []
    fake.known = [{"id": "S2"}]
    await detected.event.wait()
    assert detected.masters == [pid]
    assert fake.requests[0].query["slave_id"] == "S1"


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_master_that_does_not_tell_is_asked_again(
    master: tuple[Master, Pid], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    fake, pid = master
    fake.status = status
    detected = Detected()
    gate = AddressGate(CHANGE, None, detected)
    gate.master_changed(pid)
    await fake.asked.wait()
    fake.status, fake.known = 200, []
    await detected.event.wait()
    assert detected.masters == [pid]
    assert f"{status} " in caplog.text
    assert "start with --advertise_ip=10.0.0.1" in caplog.text


@pytest.mark.parametrize("status", [307, 503])
async def test_a_master_that_does_not_lead_yet_is_asked_again(
    master: tuple[Master, Pid], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As a master answers between its start and the election: a redirect to itself, or 503."""
    fake, pid = master
    fake.status = status
    detected = Detected()
    gate = AddressGate(CHANGE, None, detected)
    with caplog.at_level("INFO"):
        gate.master_changed(pid)
        await fake.asked.wait()
        fake.status, fake.known = 200, []
        await asyncio.wait_for(detected.event.wait(), 10)
    gate.close()
    assert "does not lead yet" in caplog.text
    assert not [record for record in caplog.records if "cannot find out" in record.message]


async def test_it_asks_as_the_agents_principal(master: tuple[Master, Pid]) -> None:
    fake, pid = master
    fake.known = []
    detected = Detected()
    gate = AddressGate(CHANGE, Credential("agent", b"s3cret"), detected)
    gate.master_changed(pid)
    await detected.event.wait()
    expected = base64.b64encode(b"agent:s3cret").decode()
    assert fake.requests[0].headers["Authorization"] == f"Basic {expected}"


async def test_a_newer_master_ends_the_wait_for_an_older_one(master: tuple[Master, Pid]) -> None:
    fake, pid = master
    detected = Detected()
    gate = AddressGate(CHANGE, None, detected)
    gate.master_changed(pid)
    await fake.asked.wait()
    gate.master_changed(None)
    fake.known = []
    asked = len(fake.requests)
    await asyncio.sleep(0.1)
    assert detected.masters == [None]
    assert len(fake.requests) <= asked + 1


async def test_a_master_that_is_away_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "ADDRESS_CHANGE_POLL", 0.01)
    detected = Detected()
    gate = AddressGate(CHANGE, None, detected)
    gate.master_changed(Pid("master", "127.0.0.1", 1))
    while caplog.text.count("cannot find out") < 2:
        await asyncio.sleep(0.01)
    gate.close()
    assert detected.masters == []


async def test_without_a_change_every_master_is_passed_on_at_once() -> None:
    detected = Detected()
    gate = AddressGate(None, None, detected)
    pid = Pid("master", "10.0.0.9", 5050)
    gate.master_changed(pid)
    gate.master_changed(None)
    assert detected.masters == [pid, None]
