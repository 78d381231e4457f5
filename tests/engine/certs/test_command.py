"""``mesos-shim certs`` as a user runs it, against a CloudAPI and an endpoint of our own."""

from __future__ import annotations

import argparse
import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from shim.engine.certs import command
from shim.engine.certs.certificate import describe
from tests.engine.certs.conftest import KEYS, WriteKey, public_line
from tests.triton.cloudapi import CloudApi
from tests.triton.place import ACCOUNT, Place, client, place


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv(command.PASSPHRASE, raising=False)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "place").mkdir()
    async with place(tmp_path / "place") as made:
        made.account.keys = [KEYS[kind].public_key() for kind in ("rsa", "p256", "p384")]
        yield made


@pytest.fixture
async def cloudapi(at: Place) -> AsyncIterator[CloudApi]:
    services = {"cloudapi": "https://x", "docker": at.endpoint.docker_host}
    async with CloudApi(at.datacenter.accounts, services) as made:
        yield made


async def certs(*arguments: object) -> int:
    """The command has a loop of its own, so it gets a thread of its own here."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args([str(each) for each in arguments])
    return await asyncio.to_thread(command.main, args)


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
@pytest.mark.parametrize("style", [[], ["--old-style"]])
async def test_from_a_key_to_a_login_that_works(
    at: Place, cloudapi: CloudApi, write_key: WriteKey, tmp_path: Path, kind: str, style: list[str]
) -> None:
    out = tmp_path / "out"
    key = write_key(kind)
    arguments = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out", out, *style]
    assert await certs(*arguments) == 0
    for name in ("key.pem", "cert.pem", "ca.pem", "env.sh"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    assert not list(out.glob(".*"))
    at.certs = out
    async with client(at) as ask:
        assert (await ask("GET", "/info")).status == 200
    text = (out / "env.sh").read_text()
    assert f"DOCKER_HOST={at.endpoint.docker_host}\n" in text
    assert "DOCKER_TLS_VERIFY=1" in text


async def test_renewing_keeps_account_endpoint_and_style(
    at: Place,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, key = tmp_path / "out", write_key("rsa")
    first = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out", out]
    assert await certs(*first, "--old-style", "--days", "3") == 0
    assert await certs(*first) == 2
    assert "cert.pem exists: --renew replaces it" in capsys.readouterr().err
    before, environment = (out / "cert.pem").read_bytes(), (out / "env.sh").read_text()
    assert await certs("--key", key, "--out", out, "--renew") == 0
    after = (out / "cert.pem").read_bytes()
    assert describe(after).not_after > describe(before).not_after
    assert (describe(after).account, describe(after).new_style) == (ACCOUNT, False)
    assert (out / "env.sh").read_text() == environment


async def test_encrypted_keys(
    at: Place,
    cloudapi: CloudApi,
    write_key: WriteKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = write_key("rsa", passphrase=b"secret")
    common = ["--account", ACCOUNT, "--key", key, "--url", cloudapi.url, "--out"]
    file = tmp_path / "passphrase"
    file.write_text("secret\n")
    assert await certs(*common, tmp_path / "a", "--key-passphrase-file", file) == 0
    monkeypatch.setenv(command.PASSPHRASE, "secret")
    assert await certs(*common, tmp_path / "b") == 0
    monkeypatch.setenv(command.PASSPHRASE, "wrong")
    assert await certs(*common, tmp_path / "c") == 2
    assert not (tmp_path / "c").exists()


async def test_a_key_the_account_does_not_have(
    cloudapi: CloudApi, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = write_key("p521")
    common = ["--key", key, "--url", cloudapi.url, "--out", tmp_path / "out"]
    assert await certs("--account", ACCOUNT, *common) == 2
    said = capsys.readouterr().err
    assert f"does not accept the key {command.keys.fingerprint(KEYS['p521'].public_key())}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "https://x"], "--account is required"),
        (["--account", "a"], "--url is required"),
        (["--account", "a", "--url", "ftp://x"], "--url=ftp://x is not"),
        (["--account", "a", "--url", "https://x", "--days", "0"], "--days=0"),
        (["--renew"], "--renew: "),
        (["--account", "a", "--url", "http://127.0.0.1:1"], "127.0.0.1"),
        (["--account", "a", "--key-passphrase-file", "/no/such"], "/no/such"),
    ],
)
async def test_flags_that_are_wrong(
    write_key: WriteKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert await certs("--key", write_key("rsa"), "--out", tmp_path / "out", *arguments) == 2
    assert words in capsys.readouterr().err


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


async def test_a_datacenter_without_docker(
    at: Place, write_key: WriteKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with CloudApi(at.datacenter.accounts, {"cloudapi": "https://x"}) as api:
        common = ["--account", ACCOUNT, "--key", write_key("rsa"), "--out", tmp_path / "out"]
        assert await certs(*common, "--url", api.url) == 2
    assert "offers no Docker endpoint: it lists cloudapi" in capsys.readouterr().err


async def test_cloudapi_wants_the_account_of_the_key(cloudapi: CloudApi) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{cloudapi.url}/{ACCOUNT}/services") as answer,
    ):
        assert answer.status == 401
