"""Valid and invalid answers of CloudAPI."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shim.certs.cloudapi import find_docker
from shim.errors import ConfigError
from tests.certs.conftest import KEYS, Scripted
from tests.triton.accounts import Account
from tests.triton.cloudapi import CloudApi
from tests.triton.tls import write_server_certificate

KEY = KEYS["p256"]
ACCOUNTS = {"alice": Account("alice", [KEY.public_key()])}
SERVICES = {"docker": "tcp://docker.example:2376"}


async def found(url: str, *, insecure: bool = True) -> str:
    return await asyncio.to_thread(find_docker, url, "alice", KEY, insecure=insecure)


@pytest.mark.parametrize("major", [7, 8, 9])
async def test_each_version_of_cloudapi_is_accepted(major: int) -> None:
    async with CloudApi(ACCOUNTS, SERVICES, major=major) as api:
        assert await found(api.url) == "tcp://docker.example:2376"


async def test_an_unsupported_version_of_cloudapi_is_named() -> None:
    async with CloudApi(ACCOUNTS, SERVICES, major=10) as api:
        with pytest.raises(ConfigError, match=r"answered 400: supports only 10\.0\.0"):
            await found(api.url)


async def test_cloudapi_s_certificate_is_verified_unless_insecure(tmp_path: Path) -> None:
    _, pem = write_server_certificate(tmp_path)
    async with CloudApi(ACCOUNTS, SERVICES, server_pem=pem) as api:
        assert await found(api.url, insecure=True)
        with pytest.raises(ConfigError, match=r"does not verify.*--insecure skips the ver"):
            await found(api.url, insecure=False)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, b"<html>\n Bad Gateway</html>", "services answered 502: <html> Bad Gateway</html>"),
        (502, b"", "answered 502: no reason given"),
        (200, b"<html>welcome</html>", "answered 200: <html>welcome</html>"),
        (200, b"[1]", r"answered 200: \[1\]"),
        (200, b"{}", "offers no Docker endpoint: it lists nothing"),
        (200, b'{"cmon": "https://x"}', "offers no Docker endpoint: it lists cmon"),
        (401, b"<html>Unauthorized</html>", "does not accept the key .* alice: <html>Unauth"),
    ],
)
async def test_unusable_answers_are_quoted(
    scripted: Scripted, status: int, body: bytes, words: str
) -> None:
    scripted.answers["/alice/services"] = (status, body)
    with pytest.raises(ConfigError, match=words):
        await found(scripted.url)


@pytest.mark.parametrize(
    "named", ["tcp://localhost:99999", "nonsense", "unix:///x", "tcp://", "tcp://[::1", 7]
)
async def test_an_invalid_endpoint_is_named(scripted: Scripted, named: Any) -> None:
    body = json.dumps({"docker": named}).encode()
    scripted.answers["/alice/services"] = (200, body)
    with pytest.raises(ConfigError) as caught:
        await found(scripted.url)
    assert f"{scripted.url} names {named!r} as its Docker endpoint: " in str(caught.value)


async def test_a_docker_endpoint_may_be_written_with_https(scripted: Scripted) -> None:
    scripted.answers["/alice/services"] = (200, b'{"docker": "https://docker.example:2376"}')
    assert await found(scripted.url) == "tcp://docker.example:2376"
