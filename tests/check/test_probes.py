from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shim.certs.certificate import ClientCertificate, new_style, old_style
from shim.certs.ssh_wire import PrivateKey
from shim.check import probes
from shim.check.report import CheckFailed
from shim.config import Config, load
from shim.engine.api import EngineInfo
from shim.errors import Permanent, ShimError
from tests.engine.client.certificates import Authority

Make = Callable[[str, PrivateKey, datetime, int], ClientCertificate]


def config(*argv: str, master: str = "127.0.0.1:5050", **environ: str) -> Config:
    return load([f"--master={master}", *argv], environ)


# --- the endpoint ---------------------------------------------------------------------------


class Endpoint:
    """The part of an engine that the probe uses."""

    def __init__(self, info: EngineInfo, refusal: ShimError | None = None) -> None:
        self._info, self._refusal, self.closed = info, refusal, False

    def __str__(self) -> str:
        return "tcp://dc"

    async def info(self) -> EngineInfo:
        return self._info

    async def list(self) -> Sequence[object]:
        if self._refusal is not None:
            raise self._refusal
        return []

    async def close(self) -> None:
        self.closed = True


def use(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    async def connect(config: Config, shim_id: str) -> Endpoint:
        return endpoint

    monkeypatch.setattr(probes, "connect", connect)


async def test_the_endpoint_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Endpoint(EngineInfo("triton", "1.9.0", "1.21", "us-east-1", account="bob"))
    use(monkeypatch, engine)
    assert await probes.endpoint(config()) == (
        "tcp://dc: triton 1.9.0 (API 1.21) on us-east-1, account bob, 0 containers of this shim"
    )
    assert engine.closed


async def test_the_permission_to_list_containers_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Endpoint(EngineInfo("docker", "24", "1.43", "vm"), Permanent("Forbidden"))
    use(monkeypatch, engine)
    with pytest.raises(Permanent, match="Forbidden"):
        await probes.endpoint(config())
    assert engine.closed


@pytest.mark.needs_docker
async def test_a_real_engine() -> None:
    assert ": docker " in await probes.endpoint(config())


# --- the certificate ------------------------------------------------------------------------


def certificate(
    directory: Path, key: PrivateKey, days: int, age: int = 0, make: Make = new_style
) -> Path:
    """Write a certificate, made ``age`` days ago, and its key."""
    login = make("bob", key, datetime.now(UTC) - timedelta(days=age), days)
    (directory / "key.pem").write_bytes(login.key_pem)
    file = directory / "cert.pem"
    file.write_bytes(login.certificate_pem)
    return file


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def test_a_valid_certificate(tmp_path: Path, key: PrivateKey) -> None:
    found = probes.certificate(certificate(tmp_path, key, 100))
    assert found.startswith(f"{tmp_path}/cert.pem of account bob: valid until ")
    assert "100 days" in found
    assert "renew" not in found


def test_a_certificate_that_expires_soon(tmp_path: Path, key: PrivateKey) -> None:
    found = probes.certificate(certificate(tmp_path, key, 100, age=80))
    assert f"renew it soon: `mesos-shim certs --renew --out={tmp_path} --key=" in found


def test_an_expired_certificate(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(CheckFailed, match="expired on") as caught:
        probes.certificate(certificate(tmp_path, key, 10, age=20))
    assert caught.value.advice.startswith("`mesos-shim certs --renew --out=")


def test_a_certificate_that_is_not_valid_yet(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(CheckFailed, match="not valid before") as caught:
        probes.certificate(certificate(tmp_path, key, 10, age=-1))
    assert "clock" in caught.value.advice


@pytest.mark.parametrize("age", [20, -1])
def test_triton_ignores_the_dates_of_old_style_certificates(
    tmp_path: Path, key: PrivateKey, age: int
) -> None:
    found = probes.certificate(certificate(tmp_path, key, 10, age, old_style))
    assert "of account bob" in found
    assert found.endswith("which Triton ignores")


def test_a_certificate_of_an_authority_gets_no_advice_for_renewal(tmp_path: Path) -> None:
    Authority().issue(tmp_path / "cert.pem", tmp_path / "key.pem", "client")
    found = probes.certificate(tmp_path / "cert.pem")
    assert found.startswith(f"{tmp_path}/cert.pem: valid until ")
    assert "account" not in found
    assert "mesos-shim certs" not in found


def test_a_file_that_is_not_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("x")
    with pytest.raises(CheckFailed, match=r"cert\.pem"):
        probes.certificate(tmp_path / "cert.pem")


@pytest.mark.parametrize("name", ["flag", "DOCKER_CERT_PATH", "DOCKER_CONFIG"])
def test_the_path_of_the_certificate(tmp_path: Path, key: PrivateKey, name: str) -> None:
    flags = ["--docker_host=tcp://dc:2376"]
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": "/nonexistent"}
    assert probes.certificate_file(config(*flags), environ) is None
    if name == "flag":
        flags.append(f"--docker_cert_path={tmp_path}")
    else:
        environ[name] = str(tmp_path)
    file = certificate(tmp_path, key, 100)
    assert probes.certificate_file(config(*flags), environ) == file
    file.write_text("x")
    assert probes.certificate_file(config(*flags), environ) is None, "the endpoint's look says why"


# --- Consul ---------------------------------------------------------------------------------


class Consul:
    leader = "10.0.0.1:8300"
    services_status = 200

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/v1/status/leader":
            return web.json_response(self.leader)
        return web.json_response({}, status=self.services_status)


@pytest.fixture
async def consul() -> AsyncIterator[tuple[Consul, Config]]:
    double, app = Consul(), web.Application()
    app.router.add_get("/v1/{rest:.*}", double.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield double, config(f"--consul=127.0.0.1:{server.port}")


async def look_at(consul: Config) -> str:
    assert consul.discovery is not None
    return await probes.consul(consul.discovery)


async def test_a_consul_with_a_leader(consul: tuple[Consul, Config]) -> None:
    assert (await look_at(consul[1])).endswith("leader 10.0.0.1:8300")


async def test_a_consul_without_a_leader(consul: tuple[Consul, Config]) -> None:
    consul[0].leader = ""
    with pytest.raises(CheckFailed, match="no leader"):
        await look_at(consul[1])


async def test_a_consul_that_denies_access(consul: tuple[Consul, Config]) -> None:
    consul[0].services_status = 403
    with pytest.raises(ShimError, match="403"):
        await look_at(consul[1])


# --- address and work_dir ----------------------------------------------------------------------


async def test_a_free_address(unused_tcp_port: int) -> None:
    found = await probes.address(config(f"--port={unused_tcp_port}"), "127.0.0.1")
    port = unused_tcp_port
    assert found.startswith(f"listens on 0.0.0.0:{port}, advertises 127.0.0.1:{port} as ")


async def test_a_port_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CheckFailed, match=f"127.0.0.1:{port}: Address already in use"):
            await probes.address(config("--ip=127.0.0.1", f"--port={port}"), None)


async def test_an_address_that_the_leader_cannot_reach() -> None:
    wanted = config("--ip=127.0.0.1", "--port=0", master="zk://127.0.0.1/mesos")
    assert "127.0.0.1" in await probes.address(wanted, "127.0.0.1")
    with pytest.raises(
        CheckFailed, match=r"advertises 127\.0\.0\.1, which the master at 10\.0\.0\.1"
    ):
        await probes.address(wanted, "10.0.0.1")


def test_a_work_dir_that_exists_or_can_be_created(tmp_path: Path) -> None:
    assert probes.work_dir(tmp_path).startswith(f"{tmp_path}: writable")
    assert "(created at the first start)" in probes.work_dir(tmp_path / "a" / "b")
    assert not [*tmp_path.iterdir()]


def test_a_work_dir_that_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckFailed, match="Not a directory"):
        probes.work_dir(tmp_path / "file" / "x")


def test_a_work_dir_that_is_not_writable() -> None:
    with pytest.raises(CheckFailed, match="/proc/shim: "):
        probes.work_dir(Path("/proc/shim"))
