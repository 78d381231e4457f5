"""How an option's converted value enters the draft.

Each fold is given the option's API path; one that knows its own place ignores it. A ValueError
becomes the task's error.
"""

from __future__ import annotations

from typing import Any

from shim.engine.mapping.labels import RESERVED_LABELS
from shim.engine.mapping.spec_builder import SpecBuilder
from shim.engine.mapping.values import grammars
from shim.engine.mapping.values.publish import Publish
from shim.engine.mapping.volumes import NFS


def last(draft: SpecBuilder, path: str, value: Any) -> None:
    draft.put(path, value)


def each(draft: SpecBuilder, path: str, value: Any) -> None:
    draft.append(path, value)


def merge(draft: SpecBuilder, path: str, value: Any) -> None:
    draft.merge(path, value)


def publish(draft: SpecBuilder, path: str, value: list[Publish]) -> None:
    for item in value:
        binding = {"HostIp": item.host_ip, "HostPort": item.host_port}
        if draft.rules.triton:
            _check_triton_publish(item)
            binding = {"HostIp": "", "HostPort": ""}
        draft.merge("ExposedPorts", {item.port: {}})
        draft.append(f"{path}.{item.port}", binding)


def _check_triton_publish(item: Publish) -> None:
    if item.host_ip:
        raise ValueError("On Triton a port is published on an address of the container's own")
    if item.host_port not in ("", item.port.partition("/")[0]):
        raise ValueError(
            "Remapping of port numbers not allowed: on Triton every container has its own address"
        )


def env(draft: SpecBuilder, path: str, text: str) -> None:
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError("An environment variable needs a name")
    if equals:
        draft.set_env(name, value)
    else:
        draft.warn(f"parameter env {name!r} has no value, and there is no client to take one from")


def label(draft: SpecBuilder, path: str, text: str) -> None:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("A label needs a key")
    if key in RESERVED_LABELS:
        raise ValueError("This label is the agent's own")
    draft.labels[key] = value


def link(draft: SpecBuilder, path: str, text: str) -> None:
    draft.links.append(text)


def volume(draft: SpecBuilder, path: str, text: str) -> None:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError("Not a volume (source:destination[:mode] or destination)")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if not target.startswith("/") or source.startswith((".", "~")):
        raise ValueError("A relative path is nowhere: there is no client to be relative to")
    if source.startswith("/") and draft.rules.triton:
        raise ValueError("Triton has no host directories")
    if source:
        draft.append("HostConfig.Binds", text)
    else:
        draft.merge("Volumes", {target: {}})


def volume_driver(draft: SpecBuilder, path: str, text: str) -> None:
    if draft.rules.triton and text not in (NFS, "local"):
        raise ValueError(f"Triton has no volume driver but {NFS}")
    draft.put(path, text)


def device(draft: SpecBuilder, path: str, text: str) -> None:
    if grammars.is_cdi(text):
        draft.append("HostConfig.DeviceRequests", {"Driver": "cdi", "DeviceIDs": [text]})
    else:
        draft.append(path, grammars.device(text))


def security_opt(draft: SpecBuilder, path: str, text: str) -> None:
    name, _, value = text.partition("=" if "=" in text else ":")
    if name == "systempaths" and value == "unconfined":
        draft.put("HostConfig.MaskedPaths", [])
        draft.put("HostConfig.ReadonlyPaths", [])
        return
    if name == "seccomp" and value not in ("unconfined", "builtin") and not value.startswith("{"):
        raise ValueError("A seccomp profile is a file of the client, and there is none")
    draft.append(path, text)


def network(draft: SpecBuilder, path: str, value: tuple[str, dict[str, Any]]) -> None:
    """The first replaces the task's network (see ``apply_parameters``), further ones add one."""
    name, options = value
    if draft.rules.triton:
        raise ValueError("A container is on one network on Triton")
    draft.more_networks[name] = options


def restart(draft: SpecBuilder, path: str, name: str) -> None:
    if name not in ("", "no"):
        draft.warn(f"parameter restart {name!r} is dropped: restarting a task is the framework's")


def no_healthcheck(draft: SpecBuilder, path: str, value: bool) -> None:
    if value:
        draft.put(path, ["NONE"])


def platform(draft: SpecBuilder, path: str, text: str) -> None:
    draft.platform = text


def log_driver(draft: SpecBuilder, path: str, text: str) -> None:
    draft.put(path, text)
    if text not in ("json-file", "local", "journald"):
        draft.warn(f"parameter log-driver {text!r}: stdout and stderr cannot be read back")


def ignored(draft: SpecBuilder, path: str, value: bool) -> None:
    if value:
        draft.warn("parameter interactive: stdin is empty, as under a stock agent")


def swappiness(draft: SpecBuilder, path: str, value: int) -> None:
    """-1 is the command line's word for the default, which some kernels refuse to be told."""
    if value == -1:
        draft.discard(path)
    else:
        draft.put(path, value)
