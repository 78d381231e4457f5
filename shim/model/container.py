"""A container as an endpoint describes it, whatever endpoint that is."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey

LABEL_SHIM = "mesos-shim.id"
LABEL_AGENT = "org.apache.mesos.agent_id"
LABEL_FRAMEWORK = "org.apache.mesos.framework_id"
LABEL_EXECUTOR = "org.apache.mesos.executor_id"
LABEL_TASK = "org.apache.mesos.task_id"
LABEL_CONTAINER = "org.apache.mesos.container_id"


def container_name(container_id: ContainerId) -> str:
    """The engine's name for a Mesos container: unique, lower case, a DNS label (42 characters)."""
    return f"mesos-{container_id}".lower()


class Phase(enum.Enum):
    """Where a container is in its life, as far as its endpoint tells."""

    PROVISIONING = "provisioning"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Container:
    """One endpoint's word about one container. Fields an endpoint does not tell keep defaults."""

    name: str
    id: str
    phase: Phase
    labels: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    """None while it runs, and when the endpoint does not know it (never taken for success)."""
    oom_killed: bool = False
    error: str = ""
    """The endpoint's own words about why it could not run, e.g. ``State.Error``."""
    addresses: tuple[str, ...] = ()
    """Its own addresses, IPv4 first; empty when it shares its host's network."""
    created: float = 0.0
    """Seconds since the epoch; 0.0 when the endpoint was not asked."""
    inspect: bytes = b""
    """The full inspect answer as a JSON array of one object; empty when only listed."""

    @property
    def owner(self) -> str | None:
        """The shim that made it, or None: not ours to touch."""
        return self.labels.get(LABEL_SHIM)

    @property
    def task_key(self) -> TaskKey | None:
        framework_id, task_id = self.labels.get(LABEL_FRAMEWORK), self.labels.get(LABEL_TASK)
        if framework_id is None or task_id is None:
            return None
        return TaskKey(FrameworkId(framework_id), TaskId(task_id))

    @property
    def container_id(self) -> ContainerId | None:
        value = self.labels.get(LABEL_CONTAINER)
        return None if value is None else ContainerId(value)


@dataclass(frozen=True, slots=True)
class Ref:
    """Which container of which task an order or a fact is about.

    The container id is part of it because a task id may be used again: a late word about an
    earlier container must never be taken for one about the present one.
    """

    key: TaskKey
    container_id: ContainerId

    @property
    def name(self) -> str:
        return container_name(self.container_id)

    def __str__(self) -> str:
        return f"{self.key} ({self.name})"
