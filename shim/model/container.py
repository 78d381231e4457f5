"""A container as the endpoint describes it: its state, its files, its resource usage.

The same for Docker and Triton.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey

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
    """The life of a container as the endpoint shows it."""

    PROVISIONING = "provisioning"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class ContainerPort(NamedTuple):
    """A port that the image or the create request exposes."""

    number: int
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    host: int | None
    """The port of the engine's host that it is published at."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container as listed or inspected. Fields that the endpoint omits keep their defaults."""

    name: str
    id: str
    phase: Phase
    labels: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    """None while it runs, and when the endpoint does not know it: never a success."""
    oom_killed: bool = False
    error: str = ""
    """The endpoint's reason why it could not run, e.g. ``State.Error``."""
    addresses: tuple[str, ...] = ()
    """The container's own addresses, IPv4 first; empty on the host's network."""
    ports: tuple[ContainerPort, ...] = ()
    """Each number and protocol once. Only a running container has them."""
    created: float = 0.0
    """Seconds since the epoch; 0.0 when unknown."""
    inspect: bytes = b""
    """The full inspect answer as a JSON array of one object; empty when only listed."""

    @property
    def owner(self) -> str | None:
        """The id of the shim that made it. A shim never touches a container of another owner."""
        return self.labels.get(LABEL_SHIM)

    @property
    def task_key(self) -> TaskKey | None:
        """From its labels; None when one is missing, as on an executor's own container."""
        framework_id, task_id = self.labels.get(LABEL_FRAMEWORK), self.labels.get(LABEL_TASK)
        if framework_id is None or task_id is None:
            return None
        return TaskKey(FrameworkId(framework_id), TaskId(task_id))

    @property
    def executor_key(self) -> ExecutorKey | None:
        """From its labels, if it is an executor's own container: that has no task label."""
        framework_id, executor_id = (
            self.labels.get(LABEL_FRAMEWORK),
            self.labels.get(LABEL_EXECUTOR),
        )
        if framework_id is None or executor_id is None or LABEL_TASK in self.labels:
            return None
        return ExecutorKey(FrameworkId(framework_id), ExecutorId(executor_id))

    @property
    def container_id(self) -> ContainerId | None:
        """Mesos' ContainerID, from its label."""
        value = self.labels.get(LABEL_CONTAINER)
        return None if value is None else ContainerId(value)

    @property
    def created_as(self) -> str:
        """The name that the shim gave it. ``name`` differs after a ``docker rename``."""
        container_id = self.container_id
        return self.name if container_id is None else container_name(container_id)


@dataclass(frozen=True, slots=True)
class Ref:
    """The container that an order or a fact is about: a task's, or an executor's own.

    An executor's own container is the infra container of a DEFAULT executor, or the container of a
    CUSTOM one. An id may be used again. The container id tells a late fact about an earlier
    container from one about the present container.
    """

    key: TaskKey | ExecutorKey
    container_id: ContainerId

    @property
    def task_key(self) -> TaskKey:
        """The key of a task's container. Raises TypeError for an executor's own container."""
        if not isinstance(self.key, TaskKey):
            raise TypeError(f"{self} is not the container of a task")
        return self.key

    @property
    def name(self) -> str:
        """The container's name at the endpoint."""
        return container_name(self.container_id)

    def __str__(self) -> str:
        return f"{self.key} ({self.name})"


# --- sandbox and usage ----------------------------------------------------------------------

STDOUT, STDERR = "stdout", "stderr"
OUTPUTS = (STDERR, STDOUT)
"""The files of every sandbox, sorted by name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory."""

    name: str
    size: int = 0
    mtime: float = 0.0
    """Seconds since the epoch."""
    mode: str = "-rw-r--r--"
    """As ``ls -l`` shows it."""
    nlink: int = 1
    uid: str = "root"
    gid: str = "root"


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample. The names are those of Mesos' ResourceStatistics."""

    timestamp: float
    """Seconds since the epoch."""
    cpus_user_time_secs: float = 0.0
    cpus_system_time_secs: float = 0.0
    mem_rss_bytes: int = 0
    mem_total_bytes: int = 0
    processes: int = 0
    network: Mapping[str, int] = field(default_factory=dict)
    """``rx_bytes``, ``tx_packets`` ...; empty where the container has no network of its own."""
