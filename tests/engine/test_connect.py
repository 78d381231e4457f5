"""Which engine it becomes, by flag and by asking."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from shim.engine.connect import connect
from shim.errors import ConfigError, Transient
from tests.triton.place import Place, emptied
from tests.triton.refusals import Refusal
from tests.triton.server import Endpoint as Server


@dataclass
class Wanted:
    docker_host: str
    docker_cert_path: str = ""
    docker_tls_verify: bool | None = None
    engine: str = "auto"
    max_inflight: int | None = None


@pytest.fixture
async def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    async with emptied(tmp_path) as made:
        yield made


@pytest.mark.parametrize("flag", ["auto", "triton"])
async def test_triton_is_known_by_asking_or_by_flag(at: Place, flag: str) -> None:
    engine = await connect(Wanted(at.endpoint.docker_host, str(at.certs), engine=flag), "me")
    assert engine.kind == "triton"
    assert (await engine.info()).name == "test-1"
    assert [path for _, path in at.endpoint.calls].count("/_ping") == (flag == "auto")
    await engine.close()


async def test_by_flag_it_is_docker_and_nobody_is_asked(at: Place) -> None:
    wanted = Wanted(at.endpoint.docker_host, str(at.certs), engine="docker")
    engine = await connect(wanted, "me")
    assert engine.kind == "docker"
    assert at.endpoint.calls == []
    await engine.close()


async def test_a_socket_is_not_asked(at: Place) -> None:
    engine = await connect(Wanted("unix:///no/such.sock"), "me")
    assert engine.kind == "docker"
    await engine.close()


async def test_an_endpoint_that_is_away_may_be_either(at: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Transient, match=r"127\.0\.0\.1"):
            await connect(Wanted(host, str(at.certs)), "me")


async def test_triton_wants_a_certificate(at: Place) -> None:
    with pytest.raises(ConfigError, match="mesos-shim certs"):
        await connect(Wanted("tcp://localhost:2376", engine="triton"), "me")
    there = at.endpoint.docker_host.replace("tcp:", "https:")
    asked = Wanted(there, docker_tls_verify=False)
    with pytest.raises(ConfigError, match=f"{there} is Triton's, .* `mesos-shim certs` made"):
        await connect(asked, "me")


@pytest.mark.parametrize("status", [403, 404])
async def test_what_knows_no_ping_is_no_triton(
    at: Place, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async def refuse(self: Server, request: web.Request) -> web.Response:
        raise Refusal(status, "no")

    monkeypatch.setattr(Server, "_answer", refuse)
    engine = await connect(Wanted(at.endpoint.docker_host, str(at.certs)), "me")
    assert engine.kind == "docker"
    await engine.close()
