"""The create request of one container while it is built, and the ways to refuse an option."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, NoReturn

from shim.engine.mapping.mapping_settings import MappingSettings
from shim.errors import InvalidTask
from shim.model.orders import MemberOf
from shim.model.volume import VolumeMount
from shim.protos.mesos_pb2 import ContainerInfo, TaskInfo

NET = "NetworkingConfig.EndpointsConfig.<net>"
"""API path of the endpoint options of the container's network.

``container_spec`` replaces ``<net>`` by the network's name when all parameters are applied.
"""
AFFINITY = "affinity:"
"""Prefix of an entry of ``Env`` that is a placement filter and no variable."""
_SHOWN_CHARACTERS = 120


class TritonSupport(enum.Enum):
    """What Triton does with an option. The values are cells of the reference table."""

    YES = "yes"
    IGNORED = "no effect: warning"
    """Triton does not read the option, and the task runs as well without it."""
    UNSUPPORTED = "no effect: `--triton_unsupported`"
    """Triton does not read the option, and the task behaves differently without it."""
    REFUSED = "refused"
    SEE_NOTE = "see note"
    """Supported with the differences that the row's note describes."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One row of the reference table: a field of a task and where it goes in the Engine API."""

    name: str
    api: str
    note: str = ""
    triton: TritonSupport = TritonSupport.YES
    local: str = "yes"
    """What a local engine does with the field."""


def reject(reason: str, name: str, value: object = None) -> NoReturn:
    """Raise InvalidTask with the reason, the field's name and (shortened) its value."""
    raise InvalidTask(f"{reason}: {name}" + ("" if value is None else f" {quoted(value)}"))


def quoted(value: object) -> str:
    """Return the value as a quoted text of at most 120 characters."""
    text = value if isinstance(value, str) else str(value)
    limit = _SHOWN_CHARACTERS
    return repr(text if len(text) <= limit else text[:limit] + "...")


def printable(name: str) -> str:
    """Return a name fit for the path of a field: shortened, control characters escaped."""
    return quoted(name)[1:-1]


def without_nul(name: str, text: str) -> str:
    """Return the text. Raise InvalidTask for a NUL, which no argument of a program can hold."""
    if "\0" in text:
        reject("NUL byte", name)
    return text


@dataclass(slots=True)
class SpecBuilder:
    """The body of ``POST /containers/create`` while the parts of a task are added to it.

    Paths into the body are dotted: ``HostConfig.Memory``. Missing objects on the way are created.
    """

    settings: MappingSettings
    task: TaskInfo
    name: str = ""
    """The container's name."""
    member: MemberOf | None = None
    """Of a task in a task group."""
    persistent: tuple[VolumeMount, ...] = ()
    """The persistent volumes among the task's resources."""
    body: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    """Variables in the order of the ``Env`` array."""
    affinities: list[str] = field(default_factory=list)
    """Placement filters, entries of the ``Env`` array as well.

    ``affinity:app!=web`` and ``affinity:app!=db`` are two filters: both are sent.
    """
    labels: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    network: str = ""
    more_networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Endpoint options by name of each further network."""
    force_pull: bool = False
    completes_image_command: bool = False
    platform: str = ""
    starts_after: str = ""
    """The container that must run before this one is created."""
    default_workdir: str = ""
    """Where the command begins if the image does not say it; empty: the engine's own."""
    warnings: list[str] = field(default_factory=list)

    @property
    def container(self) -> ContainerInfo:
        return self.task.container

    @property
    def infra(self) -> str:
        """The infra container whose namespaces the task may join. Empty: there is none."""
        return self.member.ref.name if self.member is not None and self.member.infra else ""

    @property
    def is_docker(self) -> bool:
        """Whether the task is for the Docker containerizer. False: for the Mesos containerizer."""
        return self.container.type == ContainerInfo.DOCKER

    @property
    def user_network(self) -> bool:
        """Whether the network is a user-defined one, with name service and endpoint options."""
        predefined = self.network in ("host", "bridge", "none", "default")
        return not predefined and not self.network.startswith("container:")

    # --- the body ---------------------------------------------------------------------------

    def set(self, path: str, value: Any) -> None:
        """Set a value, in place of any earlier one."""
        parent, name = self._parent_of(path)
        parent[name] = value

    def append(self, path: str, value: Any) -> None:
        """Append a value to the list at ``path``."""
        parent, name = self._parent_of(path)
        parent.setdefault(name, []).append(value)

    def update(self, path: str, values: dict[str, Any]) -> None:
        """Add keys to the object at ``path``."""
        parent, name = self._parent_of(path)
        parent.setdefault(name, {}).update(values)

    def extend(self, path: str, value: Any) -> None:
        """Add the items of a list or of an object to what is there. Set any other value."""
        if isinstance(value, dict):
            self.update(path, value)
        elif isinstance(value, list):
            for item in value:
                self.append(path, item)
        else:
            self.set(path, value)

    def remove(self, path: str) -> None:
        parent, name = self._parent_of(path)
        parent.pop(name, None)

    def get(self, path: str) -> Any:
        """Return the value at ``path``, or None."""
        parent, name = self._parent_of(path)
        return parent.get(name)

    def _parent_of(self, path: str) -> tuple[dict[str, Any], str]:
        *parents, name = path.split(".")
        place = self.body
        for parent in parents:
            place = place.setdefault(parent, {})
        return place, name

    # --- beside the body --------------------------------------------------------------------

    def set_env(self, name: str, value: str) -> None:
        """Set a variable, or add a placement filter.

        A variable that is set again moves to the end of ``Env``, where the last entry counts.
        """
        if name.startswith(AFFINITY):
            self.affinities.append(f"{name}={value}")
        else:
            self.env.pop(name, None)
            self.env[name] = value

    def warn(self, text: str) -> None:
        """Add a warning for the agent's log, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def check_support(self, triton: TritonSupport, name: str, value: object = None) -> bool:
        """Return whether the endpoint honours an option.

        On Triton an option without effect adds a warning and returns False. InvalidTask for an
        option that Triton refuses, or that ``--triton_unsupported=refuse`` does.
        """
        if not self.settings.triton or triton in (TritonSupport.YES, TritonSupport.SEE_NOTE):
            return True
        text = f"{name}" + ("" if value is None else f" {quoted(value)}")
        if triton is TritonSupport.REFUSED:
            raise InvalidTask(f"Not possible on Triton: {text}")
        if triton is TritonSupport.UNSUPPORTED and self.settings.triton_unsupported == "refuse":
            raise InvalidTask(f"Triton would ignore it (--triton_unsupported=refuse): {text}")
        self.warn(f"Triton ignores it: {text}")
        return False
