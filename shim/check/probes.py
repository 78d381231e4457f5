"""Probes of the endpoint, its certificate, Consul, the agent's address and the work directory."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from shim import limits
from shim.check.report import CheckFailed
from shim.config import Config
from shim.config.addresses import Addresses, find_addresses
from shim.engine.client.endpoint import resolve
from shim.engine.connect import connect
from shim.engine.triton.certificate_info import SECONDS_PER_DAY, read_certificate
from shim.engine.triton.login import renewal
from shim.errors import ConfigError
from shim.model.settings import ConsulConfig, ZooKeeperUrl

_UNUSED_ID = "mesos-shim-check"
"""A shim id that no container has: listing its containers tests the permission only."""


async def endpoint(config: Config) -> str:
    """The endpoint answers, accepts the credentials and lists containers."""
    engine = await connect(config, config.shim_id or _UNUSED_ID)
    try:
        info = await engine.info()
        containers = await engine.list()
    finally:
        await engine.close()
    return f"{engine}: {info}, {len(containers)} containers of this shim"


def certificate_file(config: Config, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The path of the client certificate in use; None without one."""
    flags = config.docker_host, config.docker_cert_path, config.docker_tls_verify
    try:
        directory = resolve(*flags, environ).certificates
    except ConfigError:
        return None  # The check of the endpoint reports this error.
    return Path(directory) / "cert.pem" if directory else None


def certificate(path: Path) -> str:
    """The certificate is valid."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckFailed(f"{path}: {error}") from None
    name, advice = _name_and_renewal(path, found)
    begin, end, now = found.not_valid_before_utc, found.not_valid_after_utc, datetime.now(UTC)
    if found.issuer == found.subject and not begin <= now < end:
        return f"{name}: its dates are {begin:%Y-%m-%d} to {end:%Y-%m-%d}, which Triton ignores"
    if now < begin:
        clock = "wait, or correct the clock of this machine"
        raise CheckFailed(f"{name}: not valid before {begin:%Y-%m-%d %H:%M UTC}", clock)
    if now >= end:
        raise CheckFailed(f"{name}: expired on {end:%Y-%m-%d}", advice)
    days = (end - now).total_seconds() / SECONDS_PER_DAY
    warning = f"; renew it soon: {advice}" if days < limits.CHECK_DAYS_LEFT else ""
    return f"{name}: valid until {end:%Y-%m-%d}, {days:.0f} days{warning}"


def _name_and_renewal(path: Path, found: x509.Certificate) -> tuple[str, str]:
    """The certificate's name, and how to renew it, which is known for Triton only."""
    try:
        described = read_certificate(path.read_bytes())
    except ConfigError:
        return str(path), ""
    if not described.new_style and found.issuer != found.subject:
        return str(path), ""
    return f"{path} of account {described.account}", renewal(path.parent)


async def consul(config: ConsulConfig) -> str:
    """The Consul agent answers, its cluster has a leader, and services can be read."""
    from shim.discovery.consul_client import ConsulClient  # Imports python-consul.

    client = ConsulClient(config)
    try:
        leader = await client.status.leader()
        if not leader:
            raise CheckFailed(f"{config.url}: the agent answers, but the cluster has no leader")
        await client.services(_UNUSED_ID)
    finally:
        await client.close()
    return f"{config.url}: leader {leader}"


async def journal(url: ZooKeeperUrl) -> str:
    """ZooKeeper answers, and lets this user read the journal."""
    from shim.wire.zookeeper_client import (  # Imports kazoo.
        OperationRefused,
        Refusal,
        ZooKeeperClient,
    )

    connected = asyncio.Event()
    client = ZooKeeperClient(
        url.hosts, limits.ZK_SESSION_TIMEOUT, url.credentials, lambda state: connected.set()
    )
    client.start()
    try:
        async with asyncio.timeout(limits.ZK_SESSION_TIMEOUT):
            await connected.wait()
        node = await client.get(f"{url.path}/leader")
        leader = json.loads(node.data)
        return f"{url}: {leader['ip']}:{leader['port']} leads"
    except TimeoutError:
        raise CheckFailed(f"{url}: ZooKeeper does not answer") from None
    except OperationRefused as error:
        if error.refusal is Refusal.NO_NODE:
            return f"{url}: ZooKeeper answers, and no agent leads"
        raise CheckFailed(f"{url}: {error}") from None
    finally:
        await asyncio.to_thread(client.end)


async def address(config: Config, master_ip: str | None) -> str:
    """A master can reach the advertised address, and the port is free."""
    found = await asyncio.to_thread(find_addresses, config)
    if master_ip and _is_loopback(found.advertise_ip) and not _is_loopback(master_ip):
        raise CheckFailed(
            f"advertises {found.advertise_ip}, which the master at {master_ip} cannot reach"
        )
    _bind(found)
    port = found.advertise_port or found.port
    advertised = f"{found.advertise_ip}:{port} as {found.hostname}"
    return f"listens on {found.bind_ip}:{found.port}, advertises {advertised}"


def _bind(found: Addresses) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((found.bind_ip, found.port))
            probe.listen()
        except OSError as error:
            raise CheckFailed(f"{found.bind_ip}:{found.port}: {error.strerror}") from None


def _is_loopback(ip: str) -> bool:
    return ip.startswith("127.")


def work_dir(path: Path) -> str:
    """The directory is writable, or the agent can create it at its first start."""
    existing = next(one for one in (path, *path.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        free = os.statvfs(existing)
    except OSError as error:
        raise CheckFailed(f"{path}: {error.strerror}") from None
    made = "" if path.exists() else " (created at the first start)"
    return f"{path}{made}: writable, {free.f_bavail * free.f_frsize // 2**20} MB free"
