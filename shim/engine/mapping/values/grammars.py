"""Option values with a grammar of their own, as the Docker command line reads them.

Pure texts in, API objects out; ValueError with a reason otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from shim.engine.mapping.values import units

_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_ULIMITS = {
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
}  # fmt: skip


def device(text: str) -> dict[str, str]:
    """``src[:dst][:rwm]``."""
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise ValueError("Not a device (source[:destination][:permissions])")
    permissions = "rwm"
    if len(parts) > 1 and set(parts[-1]) <= set("rwm"):
        permissions = parts.pop()
    if len(parts) == 3:
        raise ValueError("Device permissions are made of r, w and m")
    return {
        "PathOnHost": parts[0],
        "PathInContainer": parts[-1],
        "CgroupPermissions": permissions,
    }


def is_cdi(text: str) -> bool:
    """Whether a device is named by the Container Device Interface, ``vendor/class=name``."""
    return _CDI.fullmatch(text) is not None


def gpus(text: str) -> dict[str, Any]:
    """``all``, a number, or a CSV of device=, driver=, count=, capabilities=, options=."""
    request: dict[str, Any] = {}
    for field in units.fields(text):
        key, equals, value = field.partition("=")
        key, value = (key, value) if equals else ("count", key)
        if key not in _GPUS:
            raise ValueError(f"Unknown key {key!r} of a GPU request")
        name, convert = _GPUS[key]
        if name in request:
            raise ValueError(f"Key {key!r} is given twice")
        request[name] = convert(value)
    if "DeviceIDs" not in request:
        request.setdefault("Count", 1)
    request.setdefault("Capabilities", [["gpu"]])
    return request


def mount(text: str) -> dict[str, Any]:
    """``type=,source=,target=,readonly,...`` as a Mount; the type is volume when not given."""
    result: dict[str, Any] = {"Type": "volume"}
    for field in units.fields(text):
        key, equals, value = field.partition("=")
        if key.lower() not in _MOUNT:
            raise ValueError(f"Unknown key {key!r} of a mount")
        path, convert = _MOUNT[key.lower()]
        if not equals and convert is not units.boolean:
            raise ValueError(f"Key {key!r} of a mount needs a value")
        _put(result, path, convert(value if equals else "true"))
    if not result.get("Target"):
        raise ValueError("A mount needs a target")
    return result


def network(text: str) -> tuple[str, dict[str, Any]]:
    """A network's name and, from the long form ``name=,alias=,ip=,...``, its endpoint's options."""
    if "=" not in text:
        if not text:
            raise ValueError("Not a network's name")
        return text, {}
    name = ""
    options: dict[str, Any] = {}
    for field in units.fields(text):
        key, _, value = field.partition("=")
        if key == "name":
            name = value
        elif key in _NETWORK:
            path, convert = _NETWORK[key]
            _put(options, path, convert(value))
        else:
            raise ValueError(f"Unknown key {key!r} of a network")
    if not name:
        raise ValueError("A network needs a name")
    return name, options


def ulimit(text: str) -> dict[str, Any]:
    """``name=soft[:hard]``; -1 is unlimited."""
    name, value = units.key_value(text)
    if name not in _ULIMITS:
        raise ValueError(f"Unknown ulimit {name!r}")
    soft, colon, hard = value.partition(":")
    limits = (units.whole(soft), units.whole(hard if colon else soft))
    if limits[1] != -1 and (limits[0] == -1 or limits[0] > limits[1]):
        raise ValueError("The soft limit must not be above the hard one")
    return {"Name": name, "Soft": limits[0], "Hard": limits[1]}


def path_and(convert: Callable[[str], int], name: str) -> Callable[[str], dict[str, Any]]:
    """``path:value`` of a block device -> ``{Path, <name>}``."""

    def parse(text: str) -> dict[str, Any]:
        path, _, value = text.rpartition(":")
        if not path.startswith("/dev/"):
            raise ValueError("Not of the form /dev/...:value")
        return {"Path": path, name: convert(value)}

    return parse


def mac_address(text: str) -> str:
    if not _MAC.fullmatch(text):
        raise ValueError("Not a MAC address")
    return text


def host_entry(text: str) -> str:
    """``host:ip`` or ``host=ip`` -> ``host:ip``; the address may be ``host-gateway``."""
    host, separator, ip = text.partition("=" if "=" in text else ":")
    ip = ip.removeprefix("[").removesuffix("]")
    if not host or not separator:
        raise ValueError("Not of the form host:ip")
    return f"{host}:{ip if ip == 'host-gateway' else units.address(ip)}"


def restart(text: str) -> str:
    """The name of a restart policy; a wrong one is refused although none is used."""
    name, _, retries = text.partition(":")
    if name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise ValueError("Not a restart policy")
    if retries:
        units.whole(retries)
    return name


def _put(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    if isinstance(value, dict):
        target.setdefault(name, {}).update(value)
    elif isinstance(value, list):
        target.setdefault(name, []).extend(value)
    else:
        target[name] = value


def _count(text: str) -> int:
    if text == "all":
        return -1
    return units.whole(text)


def _pair(text: str) -> dict[str, str]:
    key, value = units.key_value(text)
    return {key: value}


def _label(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    return {key: value}


def _one(convert: Callable[[str], str]) -> Callable[[str], list[str]]:
    return lambda text: [convert(text)]


def _absolute(text: str) -> str:
    if text.startswith((".", "~")):
        raise ValueError("A relative path is nowhere: there is no client to be relative to")
    return text


def _recursive(text: str) -> dict[str, bool]:
    if text not in _RECURSIVE:
        raise ValueError(f"Not one of {', '.join(_RECURSIVE)}")
    return _RECURSIVE[text]


def _mode(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise ValueError("Not an octal file mode")
    return int(text, 8)


_Grammar = dict[str, tuple[str, Callable[[str], Any]]]

_RECURSIVE: dict[str, dict[str, bool]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_GPUS: _Grammar = {
    "count": ("Count", _count),
    "driver": ("Driver", str),
    "device": ("DeviceIDs", lambda text: text.split(",")),
    "capabilities": ("Capabilities", lambda text: [list(dict.fromkeys([*text.split(","), "gpu"]))]),
    "options": ("Options", lambda text: dict(units.key_value(pair) for pair in text.split(","))),
}
_MOUNT: _Grammar = {
    "type": ("Type", str.lower),
    "source": ("Source", _absolute),
    "src": ("Source", _absolute),
    "target": ("Target", str),
    "dst": ("Target", str),
    "destination": ("Target", str),
    "readonly": ("ReadOnly", units.boolean),
    "ro": ("ReadOnly", units.boolean),
    "consistency": ("Consistency", str.lower),
    "bind-propagation": ("BindOptions.Propagation", str.lower),
    "bind-nonrecursive": ("BindOptions.NonRecursive", units.boolean),
    "bind-recursive": ("BindOptions", _recursive),
    "volume-subpath": ("VolumeOptions.Subpath", str),
    "volume-nocopy": ("VolumeOptions.NoCopy", units.boolean),
    "volume-label": ("VolumeOptions.Labels", _label),
    "volume-driver": ("VolumeOptions.DriverConfig.Name", str),
    "volume-opt": ("VolumeOptions.DriverConfig.Options", _pair),
    "image-subpath": ("ImageOptions.Subpath", str),
    "tmpfs-size": ("TmpfsOptions.SizeBytes", units.size),
    "tmpfs-mode": ("TmpfsOptions.Mode", _mode),
}
_NETWORK: _Grammar = {
    "alias": ("Aliases", _one(str)),
    "ip": ("IPAMConfig.IPv4Address", units.ipv4),
    "ip6": ("IPAMConfig.IPv6Address", units.ipv6),
    "link-local-ip": ("IPAMConfig.LinkLocalIPs", _one(units.address)),
    "mac-address": ("MacAddress", mac_address),
    "driver-opt": ("DriverOpts", _pair),
    "gw-priority": ("GwPriority", units.whole),
}
