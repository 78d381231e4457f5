"""How the parsed value of a ``docker run`` option enters the container's spec.

A setter is called with the builder, the option's API path and the parsed value. Setters of options
with an API path of their own ignore the argument. A ValueError becomes the task's error.
"""

from __future__ import annotations

from typing import Any

from shim.engine.mapping.labels import AGENT_LABELS
from shim.engine.mapping.spec_builder import SpecBuilder
from shim.engine.mapping.values import structured
from shim.engine.mapping.values.ports import PublishedPort
from shim.engine.mapping.volumes import NFS


def set_value(builder: SpecBuilder, path: str, value: Any) -> None:
    """For an option that is given once: the last value counts."""
    builder.set(path, value)


def append_value(builder: SpecBuilder, path: str, value: Any) -> None:
    """For an option that may be given several times, each time with one item."""
    builder.append(path, value)


def update_object(builder: SpecBuilder, path: str, value: Any) -> None:
    """For an option that may be given several times, each time with keys of one object."""
    builder.update(path, value)


def publish_ports(builder: SpecBuilder, path: str, value: list[PublishedPort]) -> None:
    for item in value:
        binding = {"HostIp": item.host_ip, "HostPort": item.host_port}
        if builder.settings.triton:
            _check_triton_port(item)
            binding = {"HostIp": "", "HostPort": ""}
        builder.update("ExposedPorts", {item.port: {}})
        builder.append(f"{path}.{item.port}", binding)


def _check_triton_port(item: PublishedPort) -> None:
    if item.host_ip:
        raise ValueError("On Triton a port is published on the container's own address")
    if item.host_port not in ("", item.port.partition("/")[0]):
        raise ValueError(
            "Remapping of port numbers not allowed: on Triton every container has its own address"
        )


def set_env(builder: SpecBuilder, path: str, text: str) -> None:
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError("An environment variable needs a name")
    if equals:
        builder.set_env(name, value)
    else:
        builder.warn(f"parameter env {name!r} has no value and is dropped: give NAME=VALUE")


def set_label(builder: SpecBuilder, path: str, text: str) -> None:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("A label needs a key")
    if key in AGENT_LABELS:
        raise ValueError("This label is reserved for the agent")
    builder.labels[key] = value


def add_link(builder: SpecBuilder, path: str, text: str) -> None:
    builder.links.append(text)


def add_volume(builder: SpecBuilder, path: str, text: str) -> None:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError("Not a volume (source:destination[:mode] or destination)")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if not target.startswith("/") or source.startswith((".", "~")):
        raise ValueError("Relative paths are not supported; give an absolute path")
    if source.startswith("/") and builder.settings.triton:
        raise ValueError("Triton has no host directories")
    if source:
        builder.append("HostConfig.Binds", text)
    else:
        builder.update("Volumes", {target: {}})


def set_volume_driver(builder: SpecBuilder, path: str, text: str) -> None:
    if builder.settings.triton and text not in (NFS, "local"):
        raise ValueError(f"Triton has no volume driver but {NFS}")
    builder.set(path, text)


def add_device(builder: SpecBuilder, path: str, text: str) -> None:
    if structured.is_cdi(text):
        builder.append("HostConfig.DeviceRequests", {"Driver": "cdi", "DeviceIDs": [text]})
    else:
        builder.append(path, structured.device(text))


def add_security_opt(builder: SpecBuilder, path: str, text: str) -> None:
    name, _, value = text.partition("=" if "=" in text else ":")
    if name == "systempaths" and value == "unconfined":
        builder.set("HostConfig.MaskedPaths", [])
        builder.set("HostConfig.ReadonlyPaths", [])
        return
    if name == "seccomp" and value not in ("unconfined", "builtin") and not value.startswith("{"):
        raise ValueError("seccomp=FILE is not supported; give the profile as JSON")
    builder.append(path, text)


def add_network(builder: SpecBuilder, path: str, value: tuple[str, dict[str, Any]]) -> None:
    """Connect a further network. The first one of a task is handled by ``apply_parameters``."""
    name, options = value
    if builder.settings.triton:
        raise ValueError("A container is on one network on Triton")
    builder.more_networks[name] = options


def drop_restart(builder: SpecBuilder, path: str, name: str) -> None:
    if name not in ("", "no"):
        builder.warn(
            f"parameter restart {name!r} is dropped: the framework restarts tasks, not the engine"
        )


def set_no_healthcheck(builder: SpecBuilder, path: str, value: bool) -> None:
    if value:
        builder.set(path, ["NONE"])


def set_platform(builder: SpecBuilder, path: str, text: str) -> None:
    builder.platform = text


def set_log_driver(builder: SpecBuilder, path: str, text: str) -> None:
    builder.set(path, text)
    if text not in ("json-file", "local", "journald"):
        builder.warn(f"parameter log-driver {text!r}: stdout and stderr cannot be read back")


def drop_interactive(builder: SpecBuilder, path: str, value: bool) -> None:
    if value:
        builder.warn("parameter interactive: stdin is empty, as under a stock agent")


def set_swappiness(builder: SpecBuilder, path: str, value: int) -> None:
    """Set the swappiness. -1 means the default, which some kernels refuse as an explicit value."""
    if value == -1:
        builder.remove(path)
    else:
        builder.set(path, value)
