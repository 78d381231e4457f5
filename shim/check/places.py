"""The endpoint and its certificate, Consul, our own address, the work directory."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from shim import limits
from shim.check.findings import Failed
from shim.config import Config
from shim.config.addresses import Addresses, find_addresses
from shim.engine.client.endpoint import resolve
from shim.engine.connect import connect
from shim.engine.triton.certificate_info import SECONDS_PER_DAY, read_certificate
from shim.engine.triton.login import renewal
from shim.errors import ConfigError
from shim.model.settings import ConsulConfig

_NOBODY = "mesos-shim-check"
"""An owner mark that no container has: listing these asks for the right and finds nothing."""


async def endpoint(config: Config) -> str:
    """The endpoint answers, lets us in, and lets us list containers."""
    engine = await connect(config, config.shim_id or _NOBODY)
    try:
        info = await engine.info()
        ours = await engine.list()
    finally:
        await engine.close()
    return f"{engine}: {info}, {len(ours)} containers of ours"


def certificate_file(config: Config, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The client certificate in use, whatever named its directory."""
    flags = config.docker_host, config.docker_cert_path, config.docker_tls_verify
    try:
        directory = resolve(*flags, environ).certificates
    except ConfigError:
        return None  # as the look at the endpoint says
    return Path(directory) / "cert.pem" if directory else None


def certificate(path: Path) -> str:
    """It is valid now, and for a while."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Failed(f"{path}: {error}") from None
    whose, advice = _made_for_triton(path, found)
    begin, end, now = found.not_valid_before_utc, found.not_valid_after_utc, datetime.now(UTC)
    if found.issuer == found.subject and not begin <= now < end:
        return f"{whose}: its dates are {begin:%Y-%m-%d} to {end:%Y-%m-%d}, which Triton ignores"
    if now < begin:
        clock = "wait, or correct the clock of this machine"
        raise Failed(f"{whose}: not valid before {begin:%Y-%m-%d %H:%M UTC}", clock)
    if now >= end:
        raise Failed(f"{whose}: expired on {end:%Y-%m-%d}", advice)
    days = (end - now).total_seconds() / SECONDS_PER_DAY
    late = f"; renew it soon: {advice}" if days < limits.CHECK_DAYS_LEFT else ""
    return f"{whose}: valid until {end:%Y-%m-%d}, {days:.0f} days{late}"


def _made_for_triton(path: Path, found: x509.Certificate) -> tuple[str, str]:
    """What to call it, and how it is renewed, which we know of Triton's only."""
    try:
        described = read_certificate(path.read_bytes())
    except ConfigError:
        return str(path), ""
    if not described.new_style and found.issuer != found.subject:
        return str(path), ""
    return f"{path} of account {described.account}", renewal(path.parent)


async def consul(config: ConsulConfig) -> str:
    """Its agent answers, has a leader, and lets us read services."""
    from shim.discovery.consul_client import ConsulClient  # loads python-consul, needed by few

    client = ConsulClient(config)
    try:
        leader = await client.status.leader()
        if not leader:
            raise Failed(f"{config.url}: the agent answers, but the cluster has no leader")
        await client.services(_NOBODY)
    finally:
        await client.close()
    return f"{config.url}: leader {leader}"


async def address(config: Config, master_ip: str | None) -> str:
    """The advertised address is one that a master can reach, and the port can be had."""
    found = await asyncio.to_thread(find_addresses, config)
    if master_ip and _is_loopback(found.advertise_ip) and not _is_loopback(master_ip):
        raise Failed(f"advertises {found.advertise_ip}, which the master at {master_ip} is not at")
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
            raise Failed(f"{found.bind_ip}:{found.port}: {error.strerror}") from None


def _is_loopback(ip: str) -> bool:
    return ip.startswith("127.")


def work_dir(path: Path) -> str:
    """Files can be made there; or the directory can, at the agent's first start."""
    existing = next(one for one in (path, *path.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        free = os.statvfs(existing)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from None
    made = "" if path.exists() else " (made at the first start)"
    return f"{path}{made}: can be written, {free.f_bavail * free.f_frsize // 2**20} MB free"
