"""The container being put together, and the three ways an option can fail to be honoured."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, NoReturn

from shim.engine.mapping.rules import Rules
from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import ContainerInfo, TaskInfo

NET = "NetworkingConfig.EndpointsConfig.<net>"
"""API path of the options of the container's network; ``finish`` puts its name in."""
AFFINITY = "affinity:"
"""Begins an environment entry that is none: a filter of the servers a container may land on."""
_SHOWN = 120


class Triton(enum.Enum):
    """What becomes of an option on Triton."""

    YES = "yes"
    HINT = "no effect: warning"
    """Not read there, but the task runs as well without it."""
    NO = "no effect: `--triton_unsupported`"
    """Not read there, and the task would behave differently: refused, or a warning."""
    REFUSED = "refused"
    NOTE = "see note"


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the reference table: a field of a task and what becomes of it."""

    name: str
    api: str
    note: str = ""
    triton: Triton = Triton.YES
    local: str = "yes"


def invalid(reason: str, name: str, value: object = None) -> NoReturn:
    """Refuse the task: the reason, then the field and (cut to a readable length) its value."""
    raise InvalidTask(f"{reason}: {name}" + ("" if value is None else f" {shown(value)}"))


def shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def plain(name: str) -> str:
    """A name fit to stand in a field's path: cut, and without control characters."""
    return shown(name)[1:-1]


def no_nul(name: str, text: str) -> str:
    """The text, which no program could be given if it held a NUL."""
    if "\0" in text:
        invalid("NUL byte", name)
    return text


@dataclass(slots=True)
class SpecBuilder:
    """A create body in the making. API paths are dotted: ``HostConfig.Memory``."""

    rules: Rules
    task: TaskInfo
    body: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    """In the order of the ``Env`` array."""
    affinities: list[str] = field(default_factory=list)
    """Entries of the ``Env`` array as well. ``affinity:app!=web`` and ``affinity:app!=db`` are two
    filters, not one variable set twice: all are sent."""
    labels: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    network: str = ""
    more_networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    force_pull: bool = False
    platform: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def container(self) -> ContainerInfo:
        return self.task.container

    @property
    def is_docker(self) -> bool:
        """Whether it is meant for the Docker containerizer (otherwise for Mesos' own)."""
        return self.container.type == ContainerInfo.DOCKER

    @property
    def user_network(self) -> bool:
        """Whether the network is one that somebody named, with name service and options."""
        predefined = self.network in ("host", "bridge", "none", "default")
        return not predefined and not self.network.startswith("container:")

    def put(self, path: str, value: Any) -> None:
        parent, name = self._place(path)
        parent[name] = value

    def append(self, path: str, value: Any) -> None:
        parent, name = self._place(path)
        parent.setdefault(name, []).append(value)

    def merge(self, path: str, values: dict[str, Any]) -> None:
        parent, name = self._place(path)
        parent.setdefault(name, {}).update(values)

    def add(self, path: str, value: Any) -> None:
        """Put a value beside what is there already: lists and maps grow."""
        if isinstance(value, dict):
            self.merge(path, value)
        elif isinstance(value, list):
            for item in value:
                self.append(path, item)
        else:
            self.put(path, value)

    def discard(self, path: str) -> None:
        parent, name = self._place(path)
        parent.pop(name, None)

    def get(self, path: str) -> Any:
        parent, name = self._place(path)
        return parent.get(name)

    def set_env(self, name: str, value: str) -> None:
        """Set a variable; set again it moves to the end, as the last word counts."""
        if name.startswith(AFFINITY):
            self.affinities.append(f"{name}={value}")
        else:
            self.env.pop(name, None)
            self.env[name] = value

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def honoured(self, triton: Triton, name: str, value: object = None) -> bool:
        """Whether the option goes into the body; a refusal or a warning otherwise."""
        if not self.rules.triton or triton in (Triton.YES, Triton.NOTE):
            return True
        words = f"{name}" + ("" if value is None else f" {shown(value)}")
        if triton is Triton.REFUSED:
            raise InvalidTask(f"Not possible on Triton: {words}")
        if triton is Triton.NO and self.rules.triton_unsupported == "refuse":
            raise InvalidTask(f"Triton would ignore it (--triton_unsupported=refuse): {words}")
        self.warn(f"Triton ignores it: {words}")
        return False

    def _place(self, path: str) -> tuple[dict[str, Any], str]:
        *parents, name = path.split(".")
        place = self.body
        for parent in parents:
            place = place.setdefault(parent, {})
        return place, name
