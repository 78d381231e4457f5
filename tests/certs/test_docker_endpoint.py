"""Requests to the Docker endpoint, and its unusable answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.certs import login_files
from shim.certs.certificate import new_style
from shim.certs.docker_endpoint import LoginRefused, fetch_ca, try_login
from shim.certs.http_get import NoAnswer
from tests.certs.conftest import KEYS, Scripted

INFO = "/v1.21/info"


async def test_the_endpoint_s_ca_is_trusted_on_first_contact(scripted: Scripted) -> None:
    ca = scripted.ca.read_bytes()
    scripted.answers["/ca.pem"] = (200, ca)
    assert await asyncio.to_thread(fetch_ca, scripted.docker_host) == ca


async def test_a_long_chain_is_read_whole(scripted: Scripted) -> None:
    chain = scripted.ca.read_bytes() * 500
    scripted.answers["/ca.pem"] = (200, chain)
    assert await asyncio.to_thread(fetch_ca, scripted.docker_host) == chain


async def test_an_endpoint_without_ca_has_none(scripted: Scripted) -> None:
    assert await asyncio.to_thread(fetch_ca, scripted.docker_host) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>welcome"),
        (200, b"-----BEGIN CERTIFICATE-----\nwelcome\n-----END CERTIFICATE-----\n"),
        (503, b"welcome"),
    ],
)
async def test_an_answer_that_is_no_ca_is_no_answer(
    scripted: Scripted, status: int, body: bytes
) -> None:
    scripted.answers["/ca.pem"] = (status, body)
    with pytest.raises(NoAnswer, match=rf"/ca\.pem answered {status} and no cert.*welcome"):
        await asyncio.to_thread(fetch_ca, scripted.docker_host)


async def test_a_ca_with_an_error_status_is_no_answer(scripted: Scripted) -> None:
    scripted.answers["/ca.pem"] = (500, scripted.ca.read_bytes())
    with pytest.raises(NoAnswer, match="answered 500"):
        await asyncio.to_thread(fetch_ca, scripted.docker_host)


async def tried(scripted: Scripted, tmp_path: Path, ca: bytes | None, verify: bool = True) -> None:
    endpoint = login_files.LoginEndpoint(scripted.docker_host, verify, ca)
    login = new_style("alice", KEYS["p256"], datetime.now(UTC))
    with login_files.staged(tmp_path / "out", login, endpoint) as new:
        await asyncio.to_thread(try_login, new, endpoint)


async def test_a_login_is_tried_with_the_agent_s_tls(scripted: Scripted, tmp_path: Path) -> None:
    scripted.answers[INFO] = (200, b"{}")
    await tried(scripted, tmp_path, scripted.ca.read_bytes())
    await tried(scripted, tmp_path, None, verify=False)
    with pytest.raises(NoAnswer, match=r"does not verify.*--insecure skips the verification"):
        await tried(scripted, tmp_path, None)


@pytest.mark.parametrize(("status", "advice"), [(401, "last two minutes"), (403, "is disabled")])
async def test_a_refusal_comes_with_advice(
    scripted: Scripted, tmp_path: Path, status: int, advice: str
) -> None:
    scripted.answers[INFO] = (status, b"Go away (1-2-3)")
    with pytest.raises(LoginRefused, match=rf"Go away \(1-2-3\)\. .*{advice}"):
        await tried(scripted, tmp_path, scripted.ca.read_bytes())


async def test_any_other_answer_is_no_answer(scripted: Scripted, tmp_path: Path) -> None:
    scripted.answers[INFO] = (500, b"an internal\n error" + b"!" * 1000)
    with pytest.raises(NoAnswer, match=r"info answered 500: an internal error!+…$"):
        await tried(scripted, tmp_path, scripted.ca.read_bytes())
