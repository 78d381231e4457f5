"""TLS between libprocess processes: links and listener together, both sides' checks, downgrade."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives import serialization

from shim.config.libprocess import CIPHERS
from shim.errors import ConfigError, PeerError
from shim.model.ids import Pid
from shim.model.settings import TlsSettings
from shim.wire import tls as tls_module
from shim.wire.connect import connector
from shim.wire.link import Links
from shim.wire.server import Inbox, bind, serve
from shim.wire.tls import Tls, matches, verify_peer
from tests.support.certificates import Authority
from tests.support.wait import patience, until

AGENT = Pid("slave(1)", "127.0.0.1", 5051)


class Received(list[str]):
    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        self.append(name)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with patience():
            while len(self) < count:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def listening(tls: Tls | None) -> AsyncIterator[tuple[Pid, Received]]:
    received = Received()
    inbox = Inbox(lambda process: True, received.deliver)

    def routes(app: web.Application) -> None:
        async def page(request: web.Request) -> web.Response:
            return web.Response(text=request.scheme)

        app.router.add_get("/page", page)

    listener = await serve(routes, inbox, bind("127.0.0.1", 0), tls)
    try:
        yield Pid("master", "127.0.0.1", listener.port), received
    finally:
        # A handshake under way would leave its connection to the garbage collector.
        await until(lambda: not listener._acceptor._opening)
        await listener.close()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def linking(tls: Tls | None) -> AsyncIterator[Links]:
    links = Links(lambda address: None, connect=connector(tls))
    try:
        yield links
    finally:
        await links.close(flush=1.0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def settings(authority: Authority) -> TlsSettings:
    """Checks on both sides, by the address in the certificate."""
    cert, key = authority.issue("agent", addresses=["127.0.0.1"])
    return TlsSettings(
        cert,
        key,
        ca_file=str(authority.file),
        verify_server_cert=True,
        require_client_cert=True,
        verify_ipadd=True,
    )


async def arrives(server: Tls | None, client: Tls | None) -> None:
    async with listening(server) as (pid, received), linking(client) as links:
        for number in range(20):
            links.send(pid, AGENT, f"m{number}", b"x" * 1000)
        await received.until(20)
        assert received == [f"m{number}" for number in range(20)]


async def refused(server: Tls | None, client: Tls | None, caplog: pytest.LogCaptureFixture) -> str:
    """The warnings, once a link could not be opened or was closed."""
    caplog.set_level(logging.WARNING)
    broken = asyncio.Event()
    async with listening(server) as (pid, received):
        links = Links(lambda address: broken.set(), connect=connector(client))
        links.send(pid, AGENT, "m", b"")
        async with patience():
            await broken.wait()
        await links.close(flush=0.0)
    assert not received
    return caplog.text


async def test_messages_arrive_in_order_over_tls_with_both_peers_checked(
    settings: TlsSettings,
) -> None:
    await arrives(Tls(settings), Tls(settings))


async def test_the_last_messages_of_a_closing_link_arrive(settings: TlsSettings) -> None:
    async with listening(Tls(settings)) as (pid, received):
        async with linking(Tls(settings)) as links:
            links.send(pid, AGENT, "last", b"x" * 100_000)
        await received.until(1)


async def test_a_master_with_the_old_ciphers_of_mesos_is_understood(
    settings: TlsSettings, authority: Authority
) -> None:
    cert, key = authority.issue("old", addresses=["127.0.0.1"], rsa_key=True)
    old = Tls(replace(settings, cert_file=cert, key_file=key, ciphers="AES128-SHA:AES256-SHA"))
    usual = ssl.create_default_context(cafile=settings.ca_file)
    usual.check_hostname = False
    async with listening(old) as (pid, _):
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*pid.address, ssl=usual)
    agent = Tls(replace(settings, cert_file=cert, key_file=key, ciphers=CIPHERS))
    await arrives(old, agent)
    await arrives(agent, old)


async def test_pages_are_served_over_tls(settings: TlsSettings) -> None:
    tls = Tls(replace(settings, require_client_cert=False))
    async with listening(tls) as (pid, _), ClientSession() as session:
        url = f"https://127.0.0.1:{pid.port}/page"
        async with session.get(url, ssl=tls.client()) as answer:
            assert (answer.status, await answer.text()) == (200, "https")


async def test_a_plain_peer_is_refused_in_words(
    settings: TlsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    text = await refused(Tls(settings), None, caplog)
    assert "connection from 127.0.0.1 refused: it is a plain connection" in text


async def test_a_plain_server_is_no_peer_of_a_tls_client(
    settings: TlsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    text = await refused(None, Tls(settings), caplog)
    assert "cannot be reached: it " in text
    assert "speaks no TLS" in text


async def test_downgrade_takes_plain_peers_on_both_sides(settings: TlsSettings) -> None:
    downgrade = replace(settings, support_downgrade=True)
    await arrives(Tls(downgrade), None)
    await arrives(None, Tls(downgrade))
    await arrives(Tls(downgrade), Tls(downgrade))


async def test_downgrade_keeps_a_plain_link_that_is_silent(settings: TlsSettings) -> None:
    downgrade = Tls(replace(settings, support_downgrade=True))
    async with listening(downgrade) as (pid, received):
        reader, writer = await asyncio.open_connection(*pid.address)
        async with linking(downgrade) as links:
            links.send(pid, AGENT, "other", b"")
            await received.until(1)
        assert not reader.at_eof()
        writer.close()


async def test_downgrade_is_no_way_around_a_certificate_that_does_not_verify(
    settings: TlsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    cert, key = Authority(tmp_path / "other").issue("forged", addresses=["127.0.0.1"])
    forged = replace(settings, cert_file=cert, key_file=key, require_client_cert=False)
    client = Tls(replace(settings, support_downgrade=True))
    text = await refused(Tls(forged), client, caplog)
    assert "its certificate is not valid: " in text
    assert f"LIBPROCESS_SSL_CA_FILE={settings.ca_file}" in text


async def test_a_client_without_a_valid_certificate_is_refused(
    settings: TlsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    cert, key = Authority(tmp_path / "other").issue("forged", addresses=["127.0.0.1"])
    forged = replace(settings, cert_file=cert, key_file=key)
    text = await refused(Tls(settings), Tls(forged), caplog)
    assert "connection from 127.0.0.1 refused: its certificate is not valid" in text


@pytest.mark.parametrize("who", ["server", "client"])
async def test_a_certificate_of_another_name_is_refused(
    settings: TlsSettings, authority: Authority, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    cert, key = authority.issue("other", dns=["other.example"], common="other.example")
    other = replace(settings, cert_file=cert, key_file=key)
    server, client = (other, settings) if who == "server" else (settings, other)
    text = await refused(Tls(server), Tls(client), caplog)
    assert "the certificate of 127.0.0.1 has other.example, not " in text


async def test_the_openssl_scheme_compares_only_servers(
    settings: TlsSettings, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = authority.issue("other", dns=["other.example"])
    scheme = replace(settings, validation_scheme="openssl", verify_ipadd=False)
    nameless = replace(scheme, cert_file=cert, key_file=key)
    await arrives(Tls(scheme), Tls(nameless))
    assert "has a process, other.example, not 127.0.0.1" in await refused(
        Tls(nameless), Tls(scheme), caplog
    )


async def test_a_changed_certificate_is_used_without_a_restart(
    settings: TlsSettings, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    tls = Tls(settings, clock=lambda: now[0])
    before = tls.server()
    authority.issue("agent", addresses=["127.0.0.1"], common="renewed")
    assert tls.server() is before
    now[0] += 5.0
    assert tls.server() is not before
    assert "was loaded again" in caplog.text
    async with listening(tls) as (pid, _):
        _, writer = await connector(Tls(settings))(pid.address)
        assert tls_module.names_in(writer.get_extra_info("peercert")) == {"renewed", "127.0.0.1"}
        writer.transport.abort()


def test_a_broken_file_leaves_the_earlier_certificate_in_use(
    settings: TlsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    tls = Tls(settings, clock=lambda: now[0])
    before = tls.client()
    Path(settings.cert_file).write_text("half a certif")
    now[0] += 5.0
    assert tls.client() is before
    now[0] += 5.0
    assert tls.client() is before
    assert caplog.text.count("cannot be used, the earlier ones stay") == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ciphers": "NO-SUCH"}, "LIBPROCESS_SSL_CIPHERS=NO-SUCH"),
        (
            {"ecdh_curves": ("P-256", "P-0")},
            "LIBPROCESS_SSL_ECDH_CURVES=P-256:P-0: OpenSSL knows no curve 'P-0'",
        ),
        ({"ca_file": "/dev/null"}, "LIBPROCESS_SSL_CA_FILE=/dev/null: no certificates in PEM"),
        ({"key_file": "/dev/null"}, "LIBPROCESS_SSL_KEY_FILE=/dev/null: not a private key in PEM"),
        ({"cert_file": "/dev/null"}, "LIBPROCESS_SSL_CERT_FILE=/dev/null: not a certificate in"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    settings: TlsSettings, change: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{named}"):
        Tls(replace(settings, **change))  # type: ignore[arg-type]


def test_a_key_that_does_not_fit_and_one_with_a_password_are_named(
    settings: TlsSettings, authority: Authority, tmp_path: Path
) -> None:
    _, other = authority.issue("other")
    with pytest.raises(ConfigError, match=r"KEY_FILE=\S+: not the key of LIBPROCESS_SSL_CERT"):
        Tls(replace(settings, key_file=other))
    key = serialization.load_pem_private_key(Path(settings.key_file).read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "locked").write_bytes(locked)
    with pytest.raises(ConfigError, match=r"_KEY_FILE=\S+: the key is encrypted; give it without"):
        Tls(replace(settings, key_file=str(tmp_path / "locked")))


async def test_an_expired_certificate_is_named_by_its_owner_and_by_its_peer(
    settings: TlsSettings, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = authority.issue("old", addresses=["127.0.0.1"], days=-0.5)
    old = Tls(replace(settings, cert_file=cert, key_file=key, require_client_cert=False))
    assert f"LIBPROCESS_SSL_CERT_FILE={cert}: expired at 20" in caplog.text
    text = await refused(old, Tls(settings), caplog)
    assert "its certificate is not valid: certificate has expired" in text


async def test_a_chain_is_as_long_as_the_depth_allows(
    settings: TlsSettings, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = authority.between("middle").issue("deep", addresses=["127.0.0.1"])
    deep = Tls(replace(settings, cert_file=cert, key_file=key, require_client_cert=False))
    await arrives(deep, Tls(replace(settings, verification_depth=1)))
    text = await refused(deep, Tls(replace(settings, verification_depth=0)), caplog)
    assert "1 certificates are between that of 127.0.0.1 and its authority's" in text


async def test_a_resumed_session_is_served(settings: TlsSettings) -> None:
    """As HAProxy's checks resume theirs."""
    tls = Tls(settings)

    def ask(port: int, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None, bool]:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            tls.client().wrap_socket(plain, session=session) as client,
        ):
            client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(partial(client.recv, 4096), b""))
            return answer, client.session, bool(client.session_reused)

    async with listening(tls) as (pid, _):
        answer, session, _ = await asyncio.to_thread(ask, pid.port, None)
        again, _, resumed = await asyncio.to_thread(ask, pid.port, session)
    assert resumed
    assert answer.endswith(b"https")
    assert again.endswith(b"https")


def test_the_first_curve_of_a_list_is_used(settings: TlsSettings) -> None:
    Tls(replace(settings, ecdh_curves=("P-384", "P-256")))


CERTIFICATE = {
    "subject": ((("commonName", "cn.example"),),),
    "subjectAltName": (("DNS", "a.example"), ("DNS", "*.b.example"), ("IP Address", "10.0.0.1")),
}


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("a.example", "", True),
        ("cn.example", "", True),
        ("x.b.example", "", False),
        ("A.example", "", False),
        ("", "", False),
        ("", "10.0.0.1", True),
        ("", "10.0.0.10", False),
        ("10.0.0.1", "", False),
        ("other", "10.0.0.1", True),
    ],
)
def test_names_are_compared_exactly(name: str, address: str, expected: bool) -> None:
    assert matches(CERTIFICATE, name, address) is expected


async def test_the_legacy_scheme_compares_the_name_of_the_address(
    settings: TlsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: Callable[[str], object] = {"10.9.9.9": "a.example"}.get

    async def name_of(address: str) -> str:
        return str(named(address) or "")

    monkeypatch.setattr(tls_module, "_name_of", name_of)
    legacy = replace(settings, verify_ipadd=False)
    await verify_peer(legacy, CERTIFICATE, "10.9.9.9", is_server=True)
    with pytest.raises(PeerError, match=r"has .*, not 10\.0\.0\.1"):
        await verify_peer(legacy, CERTIFICATE, "10.0.0.1", is_server=False)
    with pytest.raises(PeerError, match="presented no certificate"):
        await verify_peer(legacy, {}, "10.9.9.9", is_server=True)
