"""In the place of the Mesos master's image: the embedded master, announced in ZooKeeper."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from pathlib import Path

from kazoo.client import KazooClient

from shim.config.libprocess import tls_settings
from shim.dev.master.dev_master import DevMaster
from shim.wire.tls import Tls

PORT = 5050


def announce(url: str, ip: str) -> KazooClient:
    """As a leading master stands in ZooKeeper."""
    servers, _, path = url.removeprefix("zk://").partition("/")
    client = KazooClient(servers)
    client.start(timeout=30)
    # libprocess writes the address as the number its four bytes make on this machine.
    info = {
        "address": {"hostname": ip, "ip": ip, "port": PORT},
        "hostname": ip,
        "id": "stand-in",
        "ip": struct.unpack("=I", socket.inet_aton(ip))[0],
        "pid": f"master@{ip}:{PORT}",
        "port": PORT,
        "version": "1.12.0",
    }
    node = f"/{path}/json.info_"
    client.create(node, json.dumps(info).encode(), ephemeral=True, sequence=True, makepath=True)
    return client


def credentials() -> dict[str, bytes]:
    path = os.environ.get("MESOS_CREDENTIALS")
    pairs = json.loads(Path(path).read_text())["credentials"] if path else []
    return {pair["principal"]: pair["secret"].encode() for pair in pairs}


async def main() -> None:
    ip = socket.gethostbyname(socket.gethostname())
    authenticate = os.environ.get("MESOS_AUTHENTICATE_AGENTS") == "true"
    settings = tls_settings(os.environ)
    master = DevMaster(
        ip,
        PORT,
        hostname=ip,
        credentials=credentials(),
        tls=None if settings is None else Tls(settings),
        authenticate_agents=authenticate,
    )
    await master.start()
    client = await asyncio.to_thread(announce, os.environ["MESOS_ZK"], ip)
    try:
        await asyncio.Event().wait()
    finally:
        client.stop()


asyncio.run(main())
