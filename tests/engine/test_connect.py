"""Which engine: by flag, or by a ping."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from shim.engine.connect import connect
from shim.errors import ConfigError, Transient
from tests.triton.api_errors import ApiError
from tests.triton.server import Endpoint as Server
from tests.triton.simulator import TritonSimulator, run_simulator


@dataclass
class Wanted:
    docker_host: str
    docker_cert_path: str = ""
    docker_tls_verify: bool | None = None
    engine: str = "auto"
    max_inflight: int | None = None


@pytest.fixture
async def triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TritonSimulator]:
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    async with run_simulator(tmp_path, must_end_empty=True) as made:
        yield made


@pytest.mark.parametrize("flag", ["auto", "triton"])
async def test_triton_is_recognised_by_a_ping_or_a_flag(triton: TritonSimulator, flag: str) -> None:
    engine = await connect(
        Wanted(triton.endpoint.docker_host, str(triton.certs), engine=flag), "me"
    )
    assert engine.kind == "triton"
    assert (await engine.info()).name == "test-1"
    assert [path for _, path in triton.endpoint.calls].count("/_ping") == (flag == "auto")
    await engine.close()


async def test_with_engine_docker_no_ping_is_sent(triton: TritonSimulator) -> None:
    wanted = Wanted(triton.endpoint.docker_host, str(triton.certs), engine="docker")
    engine = await connect(wanted, "me")
    assert engine.kind == "docker"
    assert triton.endpoint.calls == []
    await engine.close()


async def test_no_ping_is_sent_to_a_socket(triton: TritonSimulator) -> None:
    engine = await connect(Wanted("unix:///no/such.sock"), "me")
    assert engine.kind == "docker"
    await engine.close()


async def test_an_unreachable_endpoint_is_transient(triton: TritonSimulator) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Transient, match=r"127\.0\.0\.1"):
            await connect(Wanted(host, str(triton.certs)), "me")


async def test_triton_without_a_certificate_is_a_config_error(triton: TritonSimulator) -> None:
    with pytest.raises(ConfigError, match="mesos-shim certs"):
        await connect(Wanted("tcp://localhost:2376", engine="triton"), "me")
    there = triton.endpoint.docker_host.replace("tcp:", "https:")
    asked = Wanted(there, docker_tls_verify=False)
    with pytest.raises(
        ConfigError, match=f"{there} is a Triton endpoint, .* `mesos-shim certs` made"
    ):
        await connect(asked, "me")


@pytest.mark.parametrize("status", [403, 404])
async def test_an_endpoint_without_ping_is_no_triton(
    triton: TritonSimulator, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async def refuse(self: Server, request: web.Request) -> web.Response:
        raise ApiError(status, "no")

    monkeypatch.setattr(Server, "_answer", refuse)
    engine = await connect(Wanted(triton.endpoint.docker_host, str(triton.certs)), "me")
    assert engine.kind == "docker"
    await engine.close()
