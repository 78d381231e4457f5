"""``--master`` -> the address of a master, or of the place that names the leading one.

``--journal`` -> the place of a shared journal: the same ``zk://`` URLs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from shim.config.consul import consul_config
from shim.errors import ConfigError
from shim.model.settings import (
    ConsulMaster,
    MasterLocation,
    StaticMaster,
    ZooKeeperMaster,
    ZooKeeperUrl,
)

_FORMS = (
    "host:port, master@ip:port, zk://[user:password@]host:port,.../path "
    "or consul://host:port/service/NAME"
)
_HOST_PORT = re.compile(r"(?:(?P<id>[^@/]+)@)?(?P<host>[^@/:\s]+):(?P<port>\d{1,5})")
_ZK = re.compile(r"zk://(?:(?P<auth>.+)@)?(?P<hosts>[^@/\s]+)(?P<path>/\S*)?")
_ZK_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f-\x9f]+)+")
"""ZooKeeper has no ``.``, ``..``, empty names or control characters."""
_ZK_PORT = 2181


def parse_master(text: str, environ: Mapping[str, str] = os.environ) -> MasterLocation:
    """The value of ``--master``. The caller has read a ``file:///path`` already.

    ``consul://`` URLs take token, TLS and a missing address from the ``CONSUL_*`` variables of
    ``environ``. Raises ConfigError with the value, without its password.
    """
    value = text.strip()
    if value.startswith("consul://"):
        return _consul(value, environ)
    if (found := _ZK.fullmatch(value)) and (url := _zookeeper(found)):
        return ZooKeeperMaster(*url)
    if (found := _HOST_PORT.fullmatch(value)) and 0 < int(found["port"]) <= 65535:
        return StaticMaster(found["host"], int(found["port"]), found["id"] or "master")
    raise ConfigError(f"--master={_redacted(value)}: not {_FORMS}")


def _consul(url: str, environ: Mapping[str, str]) -> ConsulMaster:
    parts = urlsplit(url)
    kind, _, name = parts.path.strip("/").partition("/")
    if kind != "service" or not name or "/" in name:
        raise ConfigError(f"--master={url!r} is not consul://host:port/service/NAME")
    consul = consul_config(parts.netloc or None, "none", "mesos", environ)
    if consul is None:
        raise ConfigError(
            f"--master={url!r} names no Consul agent; set CONSUL_HTTP_ADDR or give host:port"
        )
    return ConsulMaster(url, name, consul)


def parse_journal(text: str) -> ZooKeeperUrl | None:
    """The value of ``--journal``; None: ``sqlite``. Raises ConfigError without the password."""
    value = text.strip()
    if value == "sqlite":
        return None
    if (found := _ZK.fullmatch(value)) and (url := _zookeeper(found)):
        return ZooKeeperUrl(*url)
    shown = _redacted(value) if re.fullmatch(r"[\w-]*|zk://\S*", value) else "..."
    raise ConfigError(f"--journal={shown}: not sqlite or zk://[user:password@]host:port,.../path")


def _zookeeper(found: re.Match[str]) -> tuple[tuple[str, ...], str, str | None] | None:
    """Hosts, path and credentials; None if one of them is wrong."""
    path = (found["path"] or "").rstrip("/")
    hosts = tuple(_with_port(host) for host in found["hosts"].split(","))
    credentials = found["auth"]
    if not _ZK_PATH.fullmatch(path) or None in hosts or (credentials and ":" not in credentials):
        return None
    return tuple(filter(None, hosts)), path, credentials


def _with_port(host: str) -> str | None:
    name, colon, port = host.partition(":")
    if not colon:
        port = str(_ZK_PORT)
    valid = name and port.isascii() and port.isdigit() and 0 < int(port) <= 65535
    return f"{name}:{port}" if valid else None


def _redacted(value: str) -> str:
    return re.sub(r"//.*@", "//***@", value)
