"""``mesos-shim certs`` as a user runs it, against simulators of CloudAPI and of the endpoint."""

from __future__ import annotations

import argparse
import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from shim.certs import command, ssh_wire
from shim.certs.account_key import PASSPHRASE
from shim.certs.certificate import new_style
from shim.engine.connect import connect
from shim.engine.triton.certificate_info import read_certificate
from tests.certs.conftest import KEYS, WriteKey, public_line
from tests.certs.test_login_files import sourced
from tests.engine.test_connect import Wanted
from tests.support.login import write_login
from tests.triton.cloudapi import CloudApi
from tests.triton.simulator import ACCOUNT, TritonSimulator, client, login_endpoint, run_simulator
from tests.triton.tls import write_server_certificate


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv(PASSPHRASE, raising=False)


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    (tmp_path / "place").mkdir()
    async with run_simulator(tmp_path / "place") as made:
        made.account.keys = [KEYS[kind].public_key() for kind in ("rsa", "rsa1024", "p256", "p384")]
        yield made


@pytest.fixture
async def cloudapi(triton: TritonSimulator) -> AsyncIterator[CloudApi]:
    services = {"cloudapi": "https://x", "docker": triton.endpoint.docker_host}
    async with CloudApi(triton.datacenter.accounts, services) as made:
        yield made


async def certs(*arguments: object) -> int:
    """The command has a loop of its own, so it gets a thread of its own here."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args([str(each) for each in arguments])
    return await asyncio.to_thread(command.main, args)


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
@pytest.mark.parametrize("style", [[], ["--old-style"]])
async def test_a_key_becomes_a_certificate_that_is_accepted(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    kind: str,
    style: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    key = write_key(kind)
    arguments = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out", out, *style]
    assert await certs(*arguments) == 0
    for name in ("key.pem", "cert.pem", "ca.pem", "env.sh"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    assert not list(out.glob(".*"))
    triton.certs = out
    async with client(triton) as ask:
        assert (await ask("GET", "/info")).status == 200
    text = (out / "env.sh").read_text()
    assert f"DOCKER_HOST={triton.endpoint.docker_host}\n" in text
    assert "DOCKER_TLS_VERIFY=1" in text
    output, warnings = capsys.readouterr()
    assert "accepted by the endpoint" in output
    assert "not verified" not in output
    assert ("key.pem is the account's SSH key itself, unencrypted" in warnings) is bool(style)
    certificate = read_certificate((out / "cert.pem").read_bytes())
    assert round(certificate.days_left(datetime.now(UTC))) == (365 if style else 3650)


async def test_renewing_keeps_account_endpoint_and_style(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, key = tmp_path / "out", write_key("rsa")
    first = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out", out]
    assert await certs(*first, "--old-style", "--days", "3") == 0
    assert await certs(*first) == 2
    assert "ca.pem exists: --renew replaces a login" in capsys.readouterr().err
    before, environment = (out / "cert.pem").read_bytes(), (out / "env.sh").read_text()
    assert await certs("--key", key, "--out", out, "--renew") == 0
    after = (out / "cert.pem").read_bytes()
    assert read_certificate(after).not_after > read_certificate(before).not_after
    assert (read_certificate(after).account, read_certificate(after).new_style) == (ACCOUNT, False)
    assert (out / "env.sh").read_text() == environment
    assert await certs("--key", key, "--out", out, "--renew", "--no-old-style") == 0
    assert read_certificate((out / "cert.pem").read_bytes()).new_style


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem", "env.sh"])
async def test_existing_files_are_not_overwritten_without_renew(
    write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--url", "http://127.0.0.1:1"]
    assert await certs(*common, "--out", tmp_path / "out") == 2
    assert f"{name} exists: --renew replaces a login" in capsys.readouterr().err
    assert (tmp_path / "out" / name).read_text() == "mine"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.mark.parametrize("style", ["--old-style", "--no-old-style"])
async def test_a_key_of_another_account_replaces_nothing(
    triton: TritonSimulator,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    style: str,
) -> None:
    before = contents(triton.certs)
    key = write_key("p521")
    assert await certs("--key", key, "--out", triton.certs, "--renew", style) == 2
    output = capsys.readouterr().err
    unknown_key = ssh_wire.fingerprint(KEYS["p521"].public_key())
    assert f"refuses a certificate of account {ACCOUNT}, by its ECDSA secp521r1 key" in output
    assert f"{unknown_key}: Unauthorized (" in output
    assert "added within the last two minutes" in output
    assert contents(triton.certs) == before


async def test_a_key_too_short_for_tls_replaces_nothing(
    triton: TritonSimulator, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(triton.certs)
    renewal = ["--key", write_key("rsa1024"), "--out", triton.certs, "--renew"]
    assert await certs(*renewal, "--old-style") == 2
    assert "without --old-style the SSH key only signs" in capsys.readouterr().err
    assert contents(triton.certs) == before
    assert await certs(*renewal) == 0


async def test_an_account_without_access_gets_no_files(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    triton.account.allowed = False
    common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--url", cloudapi.url]
    assert await certs(*common, "--out", tmp_path / "out") == 2
    assert "The account is disabled, or may not use this datacenter" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


async def test_an_unusable_answer_of_the_endpoint(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A first login is written all the same; one that works is not given up for it."""
    triton.options.error_rate = 1.0
    out = tmp_path / "out"
    common = ["--key", write_key("rsa"), "--out", out]
    assert await certs("--account", ACCOUNT, "--url", cloudapi.url, *common) == 0
    assert "not tried: https://localhost" in capsys.readouterr().out
    before = contents(out)
    for other in (["--key", write_key("p256")], ["--old-style"]):
        assert await certs(*common, *other, "--renew") == 2
        assert "nothing was replaced, the new certificate could not be" in capsys.readouterr().err
        assert contents(out) == before
    assert await certs(*common, "--renew") == 0, "the same key vouches for it"
    assert "not tried: https://localhost" in capsys.readouterr().out
    assert contents(out) != before


async def test_an_unreachable_endpoint(
    triton: TritonSimulator, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--out", out, "--url"]
    async with CloudApi(triton.datacenter.accounts, {"docker": "tcp://localhost:1"}) as api:
        assert await certs(*common, api.url) == 0
        output, warnings = capsys.readouterr()
        assert "not tried: https://localhost:1/v1.21/info: cannot be reached" in output
        assert "no ca.pem: https://localhost:1/ca.pem: cannot be reached" in warnings
        assert sorted(contents(out)) == ["cert.pem", "env.sh", "key.pem"]
        before = contents(out)
        assert await certs(*common, api.url, "--renew") == 2
        assert "nothing was replaced: https://localhost:1/ca.pem" in capsys.readouterr().err
    assert contents(out) == before
    services = {"docker": triton.endpoint.docker_host}
    async with CloudApi(triton.datacenter.accounts, services) as api:
        assert await certs(*common, api.url, "--renew") == 0
    assert contents(out)["ca.pem"] == triton.endpoint.ca.read_bytes()


async def test_ca_pem_is_loaded_again_with_url_only(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (triton.certs / "ca.pem").write_bytes(another_ca(tmp_path))
    renewal = ["--key", write_key("rsa"), "--out", triton.certs, "--renew"]
    assert await certs(*renewal) == 2
    assert "its CA has changed, --url looks it up again" in capsys.readouterr().err
    assert await certs(*renewal, "--url", cloudapi.url) == 0
    assert (triton.certs / "ca.pem").read_bytes() == triton.endpoint.ca.read_bytes()


def another_ca(tmp_path: Path) -> bytes:
    (tmp_path / "another").mkdir()
    return write_server_certificate(tmp_path / "another")[0].read_bytes()


async def use(out: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The datacenter's name, as an agent learns it after ``. env.sh``."""
    for name, value in sourced(out).items():
        monkeypatch.setenv(name, value)
    engine = await connect(Wanted(""), "me")
    try:
        return (await engine.info()).name
    finally:
        await engine.close()


async def test_an_endpoint_at_a_bare_address_is_used_without_verification(
    triton: TritonSimulator,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    services = {"docker": f"tcp://127.0.0.1:{triton.endpoint.port}"}
    async with CloudApi(triton.datacenter.accounts, services) as api:
        common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--out", out]
        assert await certs(*common, "--url", api.url) == 0
    output = capsys.readouterr().out
    assert "accepted by the endpoint" in output
    assert "(not verified; where flags are given instead of env.sh: --no-docker_tls_ver" in output
    assert await use(out, monkeypatch) == "test-1"
    assert await certs(*common, "--renew") == 0
    assert await use(out, monkeypatch) == "test-1"


async def test_insecure_applies_to_the_endpoint_now_and_later(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    triton.endpoint.ca.write_bytes(another_ca(tmp_path))
    out = tmp_path / "out"
    common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--url", cloudapi.url, "--out", out]
    assert await certs(*common) == 0
    assert "not tried: https://localhost" in capsys.readouterr().out
    assert await certs(*common, "--renew", "--insecure") == 0
    assert "accepted by the endpoint" in capsys.readouterr().out
    assert await use(out, monkeypatch) == "test-1"


async def test_insecure_applies_to_cloudapi(
    triton: TritonSimulator, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--out", tmp_path / "out", "--url"]
    services, pem = (
        {"docker": triton.endpoint.docker_host},
        triton.endpoint.ca.parent / "server.pem",
    )
    async with CloudApi(triton.datacenter.accounts, services, server_pem=pem) as api:
        assert await certs(*common, api.url) == 2
        assert "--insecure skips the verification" in capsys.readouterr().err
        assert await certs(*common, api.url, "--insecure") == 0


async def test_insecure_applies_to_a_renewal(
    triton: TritonSimulator, write_key: WriteKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_key("rsa")
    login = new_style(ACCOUNT, KEYS["rsa"], datetime.now(UTC))
    write_login(
        triton.certs, login, replace(login_endpoint(triton.endpoint), ca=another_ca(tmp_path))
    )
    assert await certs("--key", key, "--out", triton.certs, "--renew", "--insecure") == 0
    assert await use(triton.certs, monkeypatch) == "test-1"


async def test_the_passphrase_of_an_encrypted_key(
    triton: TritonSimulator,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = write_key("rsa", passphrase=b"secret")
    common = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out"]
    file = tmp_path / "passphrase"
    file.write_text("secret\n")
    assert await certs(*common, tmp_path / "a", "--key-passphrase-file", file) == 0
    monkeypatch.setenv(PASSPHRASE, "secret")
    assert await certs(*common, tmp_path / "b") == 0
    monkeypatch.setenv(PASSPHRASE, "")
    file.write_text("\n")
    for nothing in ([], ["--key-passphrase-file", file]):
        assert await certs(*common, tmp_path / "c", *nothing) == 2
        assert "is encrypted: give its passphrase" in capsys.readouterr().err
    assert await certs(*common[:3], write_key("p256"), *common[4:], tmp_path / "d") == 0
    monkeypatch.setenv(PASSPHRASE, "wrong")
    assert await certs(*common, tmp_path / "c") == 2
    assert "wrong passphrase" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


async def test_a_key_that_the_account_does_not_have_is_named(
    cloudapi: CloudApi, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = write_key("p521")
    common = ["--key", key, "--url", cloudapi.url, "--out", tmp_path / "out"]
    assert await certs("--account", ACCOUNT, *common) == 2
    output = capsys.readouterr().err
    assert f"does not accept the key {ssh_wire.fingerprint(KEYS['p521'].public_key())}" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "https://x"], "--account is required"),
        (["--account", "a"], "--url is required"),
        (["--account", "a", "--url", "ftp://x"], "--url=ftp://x is not"),
        (["--account", "a", "--url", "https://"], "--url=https:// is not"),
        (["--account", "a", "--url", "https://[::1"], "--url=https://[::1 is not"),
        (["--account", "a", "--url", "https://x:99999"], "--url=https://x:99999 is not"),
        (["--account", "a", "--url", "https://x", "--days", "0"], "--days=0 is not 1 to 36500"),
        (["--account", "a", "--url", "https://x", "--days", "3000000"], "--days=3000000 is not"),
        (["--account", "a", "--url", "https://x", "--days", "99999999999"], "--days=99999999999"),
        (["--renew"], "--renew: "),
        (["--account", "a", "--url", "http://127.0.0.1:1"], "127.0.0.1"),
        (["--account", "a", "--url", "https://x", "--key-passphrase-file", "/no/such"], "/no/such"),
    ],
)
async def test_invalid_flags_are_named(
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert await certs("--key", write_key("rsa"), "--out", tmp_path / "out", *arguments) == 2
    assert words in capsys.readouterr().err


def without_a_name() -> bytes:
    name, now = x509.Name([]), datetime.now(UTC)
    public = KEYS["p256"].public_key()
    builder = x509.CertificateBuilder(name, name, public, 7, now, now + timedelta(1))
    made = builder.sign(KEYS["p256"], hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"junk", "not a client certificate: "), (without_a_name(), "no common name (CN) in ''")],
)
async def test_a_certificate_that_cannot_be_renewed_is_named(
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    words: str,
) -> None:
    (tmp_path / "cert.pem").write_bytes(content)
    assert await certs("--key", write_key("rsa"), "--out", tmp_path, "--renew") == 2
    output = capsys.readouterr().err
    assert f"--renew: {tmp_path}/cert.pem: not a client certificate" in output
    assert words in output


async def test_a_public_key_or_a_fingerprint_needs_an_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tmp_path / "id.pub"
    public.write_bytes(public_line("rsa"))
    common = ["--account", "a", "--url", "https://x", "--out", tmp_path / "out", "--key"]
    assert await certs(*common, public) == 2
    assert "is a public key" in capsys.readouterr().err
    assert await certs(*common, "SHA256:abc") == 2
    assert "SSH_AUTH_SOCK is unset" in capsys.readouterr().err


async def test_a_datacenter_without_docker_lists_its_services(
    triton: TritonSimulator, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with CloudApi(triton.datacenter.accounts, {"cloudapi": "https://x"}) as api:
        common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--out", tmp_path / "out"]
        assert await certs(*common, "--url", api.url) == 2
    assert "offers no Docker endpoint: it lists cloudapi" in capsys.readouterr().err


async def test_cloudapi_wants_the_account_of_the_key(cloudapi: CloudApi) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{cloudapi.url}/{ACCOUNT}/services") as answer,
    ):
        assert answer.status == 401
