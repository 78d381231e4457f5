"""A local port leads to a master over TLS, or says why not."""

from __future__ import annotations

import asyncio
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from shim.client.agent_client import AgentClient
from shim.client.tls_tunnel import TlsTunnel
from shim.config.libprocess import tls_settings
from shim.dev.master.dev_master import DevMaster
from shim.errors import FatalError
from shim.model.settings import TlsSettings
from shim.wire.tls import Tls
from tests.support.certificates import Authority, libprocess_environment


@pytest.fixture
def settings(tmp_path: Path) -> TlsSettings:
    found = tls_settings(libprocess_environment(tmp_path))
    assert found is not None
    return found


async def get(url: str) -> bytes:
    def read() -> bytes:
        with urllib.request.urlopen(url, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    return await asyncio.to_thread(read)


async def test_plain_requests_reach_a_master_behind_tls(settings: TlsSettings) -> None:
    async with DevMaster("127.0.0.1", 0, tls=Tls(settings)) as master:
        tunnel = TlsTunnel(Tls(settings))
        local = await asyncio.to_thread(tunnel.local_address, master.address)
        assert local != master.address
        assert await asyncio.to_thread(tunnel.local_address, master.address) == local
        for _ in range(3):
            assert b"version" in await get(f"http://{local}/version")


async def test_a_master_that_does_not_prove_itself_is_named(
    settings: TlsSettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    cert, key = Authority(tmp_path / "other").issue("forged", addresses=["127.0.0.1"])
    forged = Tls(replace(settings, cert_file=cert, key_file=key, require_client_cert=False))
    async with DevMaster("127.0.0.1", 0, tls=forged) as master:
        tunnel = TlsTunnel(Tls(settings))
        local = await asyncio.to_thread(tunnel.local_address, master.address)
        with pytest.raises(OSError, match=r"closed connection|reset"):
            await get(f"http://{local}/version")
        assert list(tunnel.problems) == [master.address]
        assert "its certificate is not valid: " in tunnel.problems[master.address]
        client = AgentClient(f"https://{master.address}", tunnel=tunnel)
        with pytest.raises(FatalError, match="no TLS connection: its certificate is not valid: "):
            await asyncio.to_thread(client.get, "/state")
