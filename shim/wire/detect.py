"""Who leads: what ``--master`` may say, and the detector for a master that is always the same.

A detector calls ``on_change`` with the leader's pid whenever it changes, and with None when there
is none any more. The same leader seen again is no change.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shim import limits
from shim.errors import ConfigError
from shim.model.ids import Pid

OnChange = Callable[[Pid | None], None]

log = logging.getLogger(__name__)

_FORMS = "host:port, master@ip:port or zk://[user:password@]host:port,.../path"
_HOST_PORT = re.compile(r"(?:(?P<id>[^@/]+)@)?(?P<host>[^@/:\s]+):(?P<port>\d{1,5})")
_ZK = re.compile(r"zk://(?:(?P<auth>.+)@)?(?P<hosts>[^@/\s]+)(?P<path>/\S*)?")
_ZK_PORT = 2181


class Detector(Protocol):
    async def run(self, on_change: OnChange) -> None:
        """Detects until cancelled; ``on_change`` is called from the loop."""


@dataclass(frozen=True, slots=True)
class StaticMaster:
    """A master at an address that never changes."""

    host: str
    port: int
    id: str = "master"

    def __str__(self) -> str:
        return f"{self.id}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ZooKeeperMaster:
    """Whichever master leads the group below ``path``."""

    hosts: tuple[str, ...]
    """``host:port``, the port always given."""
    path: str
    credentials: str | None = field(default=None, repr=False)
    """``user:password`` of the digest scheme. In no text made from this."""

    def __str__(self) -> str:
        shown = "***@" if self.credentials else ""
        return f"zk://{shown}{','.join(self.hosts)}{self.path}"


MasterAddress = StaticMaster | ZooKeeperMaster


def parse_master(text: str) -> MasterAddress:
    """What ``--master`` says; ``file:///path`` names a file that holds one of the other forms.

    Raises ConfigError naming the value, without its password.
    """
    value = _contents(text) if text.startswith("file://") else text.strip()
    if found := _ZK.fullmatch(value):
        return _zookeeper(value, found)
    if (found := _HOST_PORT.fullmatch(value)) and 0 < int(found["port"]) <= 65535:
        return StaticMaster(found["host"], int(found["port"]), found["id"] or "master")
    raise ConfigError(f"--master={_redacted(value)}: not {_FORMS}")


def _contents(text: str) -> str:
    path = Path(text.removeprefix("file://"))
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(limits.MASTER_FILE_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--master={text}: {error}") from None


def _zookeeper(value: str, found: re.Match[str]) -> ZooKeeperMaster:
    path = (found["path"] or "").rstrip("/")
    hosts = tuple(_with_port(host) for host in found["hosts"].split(","))
    credentials = found["auth"]
    if not path or "//" in path or None in hosts or (credentials and ":" not in credentials):
        raise ConfigError(f"--master={_redacted(value)}: not {_FORMS}")
    return ZooKeeperMaster(tuple(filter(None, hosts)), path, credentials)


def _with_port(host: str) -> str | None:
    name, colon, port = host.partition(":")
    if not colon:
        port = str(_ZK_PORT)
    valid = name and port.isascii() and port.isdigit() and 0 < int(port) <= 65535
    return f"{name}:{port}" if valid else None


def _redacted(value: str) -> str:
    return re.sub(r"//.*@", "//***@", value)


def detector_for(master: MasterAddress) -> Detector:
    """The detector for what ``parse_master`` returned."""
    if isinstance(master, StaticMaster):
        return StaticDetector(master)
    from shim.wire.zookeeper import ZooKeeperDetector  # loads kazoo, needed by few

    return ZooKeeperDetector(master)


class StaticDetector:
    """Finds the one configured master as soon as its name can be resolved."""

    def __init__(self, master: StaticMaster) -> None:
        self._master = master

    async def run(self, on_change: OnChange) -> None:
        on_change(await self._resolve())
        await asyncio.Event().wait()

    async def _resolve(self) -> Pid:
        """Until it works: the name may come up after us."""
        loop, master = asyncio.get_running_loop(), self._master
        while True:
            try:
                found = await loop.getaddrinfo(master.host, master.port, family=socket.AF_INET)
                return Pid(master.id, str(found[0][4][0]), master.port)
            except (OSError, UnicodeError) as error:  # the latter for what is no name at all
                log.warning("cannot resolve the master's name %r: %s", master.host, error)
            await asyncio.sleep(limits.DNS_RETRY)
