"""Probes against real servers on this machine, good and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shim import limits
from shim.engine.checks.network_probe import NetworkProbe
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import HttpCheck, TcpCheck
from tests.support.wait import PATIENCE

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def network() -> AsyncIterator[NetworkProbe]:
    made = NetworkProbe()
    yield made
    await made.close()


def app() -> web.Application:
    made = web.Application()

    async def status(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]))

    async def onward(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def echo(request: web.Request) -> web.Response:
        good = request.raw_path == "/echo/a%20b%20c?d=%2F&{e}"
        return web.Response(status=200 if good else 500)

    made.router.add_get("/status/{code}", status)
    made.router.add_get("/onward", onward)
    made.router.add_get("/echo/{rest:.*}", echo)
    return made


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    runner = web.AppRunner(app())
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: Answer) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def get(network: NetworkProbe, port: int, path: str = "", timeout: float = 5) -> ProbeResult:
    return await network.probe(HttpCheck(port, path), "127.0.0.1", port, timeout)


@pytest.mark.parametrize("code", [200, 204, 304, 404, 500])
async def test_the_result_is_the_servers_status(network: NetworkProbe, code: int) -> None:
    async with serving() as port:
        assert await get(network, port, f"/status/{code}") == ProbeResult(
            ProbeStatus.ANSWERED, code
        )


async def test_the_path_arrives_as_written(network: NetworkProbe) -> None:
    async with serving() as port:
        assert (await get(network, port, "/echo/a%20b c?d=%2F&{e}")).value == 200


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("/status/204", 204),
        ("http://localhost:{port}/status/205", 205),
        ("http://127.0.0.1:{port}/status/500", 500),
        ("http://192.0.2.1/elsewhere", 302),
        ("ftp://127.0.0.1/x", 302),
    ],
)
async def test_redirects_are_followed_within_the_container(
    network: NetworkProbe, to: str, status: int
) -> None:
    async with serving() as port:
        found = await get(network, port, f"/onward?to={to.format(port=port)}")
        assert found == ProbeResult(ProbeStatus.ANSWERED, status)


async def test_endless_redirects_are_no_answer(network: NetworkProbe) -> None:
    circle = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    async with raw(answering(circle)) as port:
        found = await get(network, port, "/again")
        assert found.status is ProbeStatus.NO_ANSWER
        assert found.detail == "more than 10 redirects"


def certificate(directory: Path) -> ssl.SSLContext:
    """Return an expired, self-signed certificate of another name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "cert.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def test_certificates_are_not_verified(network: NetworkProbe, tmp_path: Path) -> None:
    async with serving(certificate(tmp_path)) as port:
        target = HttpCheck(port, "/status/200", "https")
        assert (await network.probe(target, "127.0.0.1", port, 5)).value == 200
        plain = await network.probe(HttpCheck(port), "127.0.0.1", port, 5)
        assert plain.status is ProbeStatus.NO_ANSWER


async def test_ipv6(network: NetworkProbe) -> None:
    async with serving(host="::1") as port:
        found = await network.probe(HttpCheck(port, "/status/200"), "::1", port, 5)
        assert found == ProbeResult(ProbeStatus.ANSWERED, 200)
        assert (await network.probe(TcpCheck(port), "::1", port, 5)).status is ProbeStatus.ANSWERED


@pytest.mark.parametrize("kind", [HttpCheck, TcpCheck])
async def test_a_closed_port_is_refused(
    network: NetworkProbe, kind: type[HttpCheck] | type[TcpCheck]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    found = await network.probe(kind(port), "127.0.0.1", port, 5)
    assert found.status is ProbeStatus.REFUSED
    assert str(port) in found.detail


@pytest.mark.parametrize(("timeout", "connecting"), [(0.8, 0.8), (5.0, 0.3)])
@pytest.mark.parametrize("kind", [HttpCheck, TcpCheck])
async def test_an_address_without_an_answer_is_unreachable(
    network: NetworkProbe,
    kind: type[HttpCheck] | type[TcpCheck],
    timeout: float,
    connecting: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A listener with a full queue drops connection attempts, as a firewall does."""
    monkeypatch.setattr(limits, "CHECK_CONNECT_TIMEOUT", connecting)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        clients = [socket.socket() for _ in range(4)]
        for one in clients:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        found = await network.probe(kind(port), "127.0.0.1", port, timeout)
        for one in clients:
            one.close()
    assert found.status is ProbeStatus.UNREACHABLE


def answering(data: bytes, *, hang: bool = False) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        if hang:
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    return answer


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"220 mail.example ESMTP\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", id="cut-off"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", id="huge"),
    ],
)
async def test_a_malformed_answer_is_no_answer(network: NetworkProbe, data: bytes) -> None:
    async with raw(answering(data)) as port:
        assert (await get(network, port)).status is ProbeStatus.NO_ANSWER


async def test_a_silent_server_is_given_up_after_the_timeout(network: NetworkProbe) -> None:
    async with raw(answering(b"", hang=True)) as port:
        found = await get(network, port, timeout=0.2)
        assert found == ProbeResult(ProbeStatus.NO_ANSWER, detail="no answer within 0.2 s")


async def test_an_endless_body_is_not_read_to_its_end(network: NetworkProbe) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with raw(answering(head + b"x" * 1_000_000, hang=True)) as port:
        assert await get(network, port, timeout=PATIENCE) == ProbeResult(ProbeStatus.ANSWERED, 200)
