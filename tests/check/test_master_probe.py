from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shim import limits
from shim.check.master_probe import MasterProbe
from shim.check.report import CheckFailed
from shim.config.libprocess import tls_settings
from shim.dev.master.dev_master import DevMaster
from shim.model.ids import Pid
from shim.model.settings import StaticMaster, ZooKeeperMaster
from shim.wire.tls import Tls
from tests.support.certificates import Authority, libprocess_environment

Start = Callable[..., object]


class Master:
    """The answers of a fake master. Tests change them."""

    def __init__(self) -> None:
        self.version: object = {"version": "1.11.0"}
        self.state: object = {}
        self.state_status = 200

    def routes(self, app: web.Application) -> None:
        app.router.add_get("/version", self._version)
        app.router.add_get("/state", self._state)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response(self.version)

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self.state, status=self.state_status)


@pytest.fixture
def master() -> Master:
    return Master()


@pytest.fixture
async def pid(master: Master) -> AsyncIterator[Pid]:
    app = web.Application()
    master.routes(app)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        found = Pid("master", "127.0.0.1", server.port)
        master.state = {"version": "1.11.0", "pid": str(found), "leader": str(found), "slaves": []}
        yield found


async def look(pid: Pid) -> str:
    found = MasterProbe(StaticMaster(pid.ip, pid.port))
    await found.detect()
    assert found.leader == pid
    return await found.ask()


async def test_a_leading_master(pid: Pid) -> None:
    assert await look(pid) == f"http://127.0.0.1:{pid.port}: Mesos 1.11.0"


async def test_the_embedded_master_passes() -> None:
    async with DevMaster("127.0.0.1", 0) as master:
        assert "Mesos 1." in await look(Pid("master", "127.0.0.1", master.port))


async def test_a_follower_fails_and_names_the_leader(master: Master, pid: Pid) -> None:
    master.state = {"pid": str(pid), "leader": "master@10.0.0.2:5050"}
    with pytest.raises(CheckFailed, match=r"does not lead, master@10\.0\.0\.2:5050 does") as caught:
        await look(pid)
    assert "--master=10.0.0.2:5050" in caught.value.advice


async def test_a_master_with_another_pid_fails(master: Master, pid: Pid) -> None:
    master.state = {"pid": "master@10.0.0.2:5050"}
    with pytest.raises(CheckFailed, match=r"own pid is master@10\.0\.0\.2:5050") as caught:
        await look(pid)
    assert "--master=10.0.0.2:5050" in caught.value.advice


async def test_a_pid_from_zookeeper_is_not_compared(master: Master, pid: Pid) -> None:
    found = MasterProbe(ZooKeeperMaster(("z:2181",), "/mesos"))
    found.leader = pid
    master.state = {"pid": "master@10.0.0.2:5050"}
    assert "Mesos 1.11.0" in await found.ask()


async def test_a_state_behind_authentication_is_not_a_failure(master: Master, pid: Pid) -> None:
    master.state_status = 401
    assert "Mesos 1.11.0" in await look(pid)


async def test_only_the_beginning_of_a_large_state_is_read(master: Master, pid: Pid) -> None:
    filler = "x" * (2 * limits.CHECK_PAGE_BYTES)
    master.state = {"pid": str(pid), "slaves": filler, "leader": "master@10.0.0.2:5050"}
    assert json.dumps(master.state).index("leader") > limits.CHECK_PAGE_BYTES
    assert "Mesos 1.11.0" in await look(pid)


@pytest.mark.parametrize("version", [[], {}, "nginx"])
async def test_another_http_server_fails(master: Master, pid: Pid, version: object) -> None:
    master.version = version
    with pytest.raises(CheckFailed, match="not the answer of a Mesos master"):
        await look(pid)


async def test_an_unreachable_master_fails(unused_tcp_port: int) -> None:
    unreachable = r"http://127\.0\.0\.1:\d+: cannot be reached: Connection refused$"
    with pytest.raises(CheckFailed, match=unreachable):
        await look(Pid("master", "127.0.0.1", unused_tcp_port))


async def test_without_a_leader_both_checks_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECK_TIMEOUT", 0.02)
    found = MasterProbe(StaticMaster("no.such.name.invalid", 5050))
    with pytest.raises(CheckFailed, match=r"master@no.such.name.invalid:5050: no leading master"):
        await found.detect()
    with pytest.raises(CheckFailed, match="not checked"):
        await found.ask()


@pytest.mark.parametrize("downgrade", ["0", "1"])
async def test_a_master_is_checked_as_the_agent_s_links_check_it(
    tmp_path: Path, downgrade: str
) -> None:
    own = tls_settings(libprocess_environment(tmp_path, SUPPORT_DOWNGRADE=downgrade))
    assert own is not None
    cert, key = Authority(tmp_path, "second").issue(
        "master", dns=["other.example"], common="other.example"
    )
    trusted = replace(own, ca_file=str(tmp_path / "second.pem"), require_client_cert=False)
    other = Tls(replace(trusted, cert_file=cert, key_file=key))
    async with DevMaster("127.0.0.1", 0, tls=other) as master:
        probe = MasterProbe(StaticMaster("127.0.0.1", master.port), trusted)
        await probe.detect()
        with pytest.raises(CheckFailed, match=r"no TLS connection: .* has other\.example, not "):
            await probe.ask()


async def test_a_plain_master_passes_where_downgrade_is_on(tmp_path: Path) -> None:
    settings = tls_settings(libprocess_environment(tmp_path, SUPPORT_DOWNGRADE="1"))
    async with DevMaster("127.0.0.1", 0) as master:
        probe = MasterProbe(StaticMaster("127.0.0.1", master.port), settings)
        await probe.detect()
        assert (await probe.ask()).startswith("http://")
