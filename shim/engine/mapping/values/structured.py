"""Option values that become an object or a list of the Engine API, as ``docker run`` reads them.

Every parser raises ValueError with a reason that can be shown to a user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from shim.engine.mapping.values import scalars

_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_ULIMITS = {
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
}  # fmt: skip


def pair(text: str) -> dict[str, str]:
    """Parse ``key=value``."""
    key, value = scalars.key_value(text)
    return {key: value}


def option_pair(text: str) -> dict[str, str]:
    """Parse ``key=value``; a bare ``key`` has the empty value."""
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("Not of the form key=value")
    return {key: value}


def tmpfs(text: str) -> dict[str, str]:
    """Parse ``path[:options]``."""
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError("Not an absolute path")
    return {path: options}


def health_command(text: str) -> list[str]:
    """Return ``Healthcheck.Test`` for a command that the image's shell runs."""
    return ["CMD-SHELL", text]


def entrypoint(text: str) -> list[str]:
    """Return an entrypoint of one word, as ``docker run`` does. The empty word clears it."""
    return [text]


def device(text: str) -> dict[str, str]:
    """Parse ``source[:destination][:permissions]``; the permissions are made of r, w and m."""
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
    """Return whether a device is a Container Device Interface name: ``vendor/class=name``."""
    return _CDI.fullmatch(text) is not None


def gpus(text: str) -> dict[str, Any]:
    """Parse ``all``, a number, or ``device=,driver=,count=,capabilities=,options=``."""
    request: dict[str, Any] = {}
    for field in scalars.csv_fields(text):
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
    """Parse ``type=,source=,target=,readonly,...`` into a Mount. The default type is volume."""
    result: dict[str, Any] = {"Type": "volume"}
    for field in scalars.csv_fields(text):
        key, equals, value = field.partition("=")
        if key.lower() not in _MOUNT:
            raise ValueError(f"Unknown key {key!r} of a mount")
        path, convert = _MOUNT[key.lower()]
        if not equals and convert is not scalars.boolean:
            raise ValueError(f"Key {key!r} of a mount needs a value")
        _set_at(result, path, convert(value if equals else "true"))
    if not result.get("Target"):
        raise ValueError("A mount needs a target")
    return result


def network(text: str) -> tuple[str, dict[str, Any]]:
    """Parse a network's name or ``name=,alias=,ip=,...`` into name and endpoint options."""
    if "=" not in text:
        if not text:
            raise ValueError("Not a network's name")
        return text, {}
    name = ""
    options: dict[str, Any] = {}
    for field in scalars.csv_fields(text):
        key, _, value = field.partition("=")
        if key == "name":
            name = value
        elif key in _NETWORK:
            path, convert = _NETWORK[key]
            _set_at(options, path, convert(value))
        else:
            raise ValueError(f"Unknown key {key!r} of a network")
    if not name:
        raise ValueError("A network needs a name")
    return name, options


def ulimit(text: str) -> dict[str, Any]:
    """Parse ``name=soft[:hard]``; -1 is unlimited."""
    name, value = scalars.key_value(text)
    if name not in _ULIMITS:
        raise ValueError(f"Unknown ulimit {name!r}")
    soft, colon, hard = value.partition(":")
    limits = (scalars.whole(soft), scalars.whole(hard if colon else soft))
    if limits[1] != -1 and (limits[0] == -1 or limits[0] > limits[1]):
        raise ValueError("The soft limit must not be above the hard one")
    return {"Name": name, "Soft": limits[0], "Hard": limits[1]}


def device_path_and(
    parse_value: Callable[[str], int], name: str
) -> Callable[[str], dict[str, Any]]:
    """Return a parser of ``path:value`` of a block device, into ``{"Path": path, name: value}``."""

    def parse(text: str) -> dict[str, Any]:
        path, _, value = text.rpartition(":")
        if not path.startswith("/dev/"):
            raise ValueError("Not of the form /dev/...:value")
        return {"Path": path, name: parse_value(value)}

    return parse


def mac_address(text: str) -> str:
    if not _MAC.fullmatch(text):
        raise ValueError("Not a MAC address")
    return text


def host_entry(text: str) -> str:
    """Parse ``host:ip`` or ``host=ip`` into ``host:ip``. The address may be ``host-gateway``."""
    host, separator, ip = text.partition("=" if "=" in text else ":")
    ip = ip.removeprefix("[").removesuffix("]")
    if not host or not separator:
        raise ValueError("Not of the form host:ip")
    return f"{host}:{ip if ip == 'host-gateway' else scalars.address(ip)}"


def restart(text: str) -> str:
    """Return the name of a restart policy. An unknown policy is an error although none is used."""
    name, _, retries = text.partition(":")
    if name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise ValueError("Not a restart policy")
    if retries:
        scalars.whole(retries)
    return name


def _set_at(target: dict[str, Any], path: str, value: Any) -> None:
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
    return scalars.whole(text)


def _label(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    return {key: value}


def _one(convert: Callable[[str], str]) -> Callable[[str], list[str]]:
    return lambda text: [convert(text)]


def _absolute(text: str) -> str:
    if text.startswith((".", "~")):
        raise ValueError("Relative paths are not supported; give an absolute path")
    return text


def _recursive(text: str) -> dict[str, bool]:
    if text not in _RECURSIVE:
        raise ValueError(f"Not one of {', '.join(_RECURSIVE)}")
    return _RECURSIVE[text]


def _mode(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise ValueError("Not an octal file mode")
    return int(text, 8)


_Keys = dict[str, tuple[str, Callable[[str], Any]]]

_RECURSIVE: dict[str, dict[str, bool]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_GPUS: _Keys = {
    "count": ("Count", _count),
    "driver": ("Driver", str),
    "device": ("DeviceIDs", lambda text: text.split(",")),
    "capabilities": ("Capabilities", lambda text: [list(dict.fromkeys([*text.split(","), "gpu"]))]),
    "options": (
        "Options",
        lambda text: dict(scalars.key_value(option) for option in text.split(",")),
    ),
}
_MOUNT: _Keys = {
    "type": ("Type", str.lower),
    "source": ("Source", _absolute),
    "src": ("Source", _absolute),
    "target": ("Target", str),
    "dst": ("Target", str),
    "destination": ("Target", str),
    "readonly": ("ReadOnly", scalars.boolean),
    "ro": ("ReadOnly", scalars.boolean),
    "consistency": ("Consistency", str.lower),
    "bind-propagation": ("BindOptions.Propagation", str.lower),
    "bind-nonrecursive": ("BindOptions.NonRecursive", scalars.boolean),
    "bind-recursive": ("BindOptions", _recursive),
    "volume-subpath": ("VolumeOptions.Subpath", str),
    "volume-nocopy": ("VolumeOptions.NoCopy", scalars.boolean),
    "volume-label": ("VolumeOptions.Labels", _label),
    "volume-driver": ("VolumeOptions.DriverConfig.Name", str),
    "volume-opt": ("VolumeOptions.DriverConfig.Options", pair),
    "image-subpath": ("ImageOptions.Subpath", str),
    "tmpfs-size": ("TmpfsOptions.SizeBytes", scalars.size),
    "tmpfs-mode": ("TmpfsOptions.Mode", _mode),
}
_NETWORK: _Keys = {
    "alias": ("Aliases", _one(str)),
    "ip": ("IPAMConfig.IPv4Address", scalars.ipv4),
    "ip6": ("IPAMConfig.IPv6Address", scalars.ipv6),
    "link-local-ip": ("IPAMConfig.LinkLocalIPs", _one(scalars.address)),
    "mac-address": ("MacAddress", mac_address),
    "driver-opt": ("DriverOpts", pair),
    "gw-priority": ("GwPriority", scalars.whole),
}
