"""Records: what must be durable before the orders of the same decision are carried out.

The journal applies records in order, all records of a commit or none. ``Save*`` writes a value over
the one before, ``Add*`` adds an entry that must not exist, ``Drop*`` removes. A record must not
change once it was handed over: messages in it are built for it alone.

:mod:`shim.agent.journal_codec` turns records into rows and rows into a :class:`Snapshot`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskKey
from shim.model.resources import role_of
from shim.model.volume import persistent_volume_name
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import DrainConfig

# --- the agent itself -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SaveShimId:
    """The owner label of all containers that this shim makes."""

    shim_id: str


@dataclass(frozen=True, slots=True)
class SaveAgent:
    """The agent's identity as registered: its SlaveInfo with id, and its address."""

    agent: journal_pb2.Agent


@dataclass(frozen=True, slots=True)
class DropAgent:
    """The agent id is of no use any more: the next start registers as a new agent."""


@dataclass(frozen=True, slots=True)
class AddUnansweredRequest:
    """A re-registration request is sent. It may reach a master after the end of this process."""


@dataclass(frozen=True, slots=True)
class DropUnansweredRequest:
    """A master's answer left no request in doubt."""


@dataclass(frozen=True, slots=True)
class SaveResources:
    """Dynamic reservations and persistent volumes, in the format of before Mesos 1.4."""

    resources: journal_pb2.Resources


@dataclass(frozen=True, slots=True)
class SaveVolume:
    """A persistent volume that the agent keeps, or that it removes from the endpoint."""

    name: str
    value: bytes
    """A serialized ``shim.journal.PersistentVolume``."""


@dataclass(frozen=True, slots=True)
class DropVolume:
    """The endpoint no longer has the volume."""

    name: str


@dataclass(frozen=True, slots=True)
class SaveOperation:
    """An operation whose last status no master has acknowledged."""

    uuid: bytes
    value: bytes
    """A serialized ``mesos.Operation``."""


@dataclass(frozen=True, slots=True)
class DropOperation:
    """Its last status was acknowledged, or the agent id that it belonged to was given up."""

    uuid: bytes


@dataclass(frozen=True, slots=True)
class SaveDrain:
    """The drain under way."""

    config: DrainConfig


@dataclass(frozen=True, slots=True)
class DropDrain:
    """No drain is under way."""


@dataclass(frozen=True, slots=True)
class AddPendingRemoval:
    """The container of an ended task or executor: it must be removed from the endpoint."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class DropPendingRemoval:
    """The endpoint no longer has the container."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True)
class SaveExecutor:
    """An executor of a framework, from its launch until its last terminal update is acknowledged.

    The executors of command tasks have no record.
    """

    container_id: ContainerId
    value: bytes
    """A serialized ``shim.journal.Executor``."""


@dataclass(frozen=True, slots=True)
class DropExecutor:
    container_id: ContainerId


@dataclass(frozen=True, slots=True)
class AddAcknowledgedEnd:
    """A task's terminal update was acknowledged, but a master may still ask about the task."""

    uuid: bytes
    value: bytes
    """A serialized ``mesos.internal.StatusUpdateMessage``, as in :class:`AddUpdate`."""


@dataclass(frozen=True, slots=True)
class DropAcknowledgedEnd:
    """No master asks about the task any more, or its end is an update to be delivered again."""

    uuid: bytes


# --- frameworks and tasks -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SaveFramework:
    framework_id: FrameworkId
    framework: journal_pb2.Framework


@dataclass(frozen=True, slots=True)
class DropFramework:
    framework_id: FrameworkId


@dataclass(frozen=True, slots=True)
class AddTask:
    """A task was accepted. ``info`` never changes afterwards, ``state`` does."""

    key: TaskKey
    info: bytes
    """A serialized ``mesos.TaskInfo``."""
    state: bytes
    """A serialized ``shim.journal.TaskState``."""


@dataclass(frozen=True, slots=True)
class SaveTask:
    key: TaskKey
    state: bytes
    """A serialized ``shim.journal.TaskState``."""


@dataclass(frozen=True, slots=True)
class DropTask:
    """Forget the task itself; updates still to be delivered stay."""

    key: TaskKey


@dataclass(frozen=True, slots=True)
class AddUpdate:
    """A status update to be delivered.

    An update may outlive its task's record, and may exist for a task that was rejected and so
    never had a record.
    """

    key: TaskKey
    uuid: bytes
    value: bytes
    """A serialized ``mesos.internal.StatusUpdateMessage``: what is sent, each time the same."""


@dataclass(frozen=True, slots=True)
class DropUpdate:
    """The update was acknowledged."""

    key: TaskKey
    uuid: bytes


@dataclass(frozen=True, slots=True)
class DropUpdates:
    """Forget all updates of the task: its framework is gone and cannot acknowledge them."""

    key: TaskKey


AgentRecord = (
    SaveShimId
    | SaveAgent
    | DropAgent
    | AddUnansweredRequest
    | DropUnansweredRequest
    | SaveResources
    | SaveVolume
    | DropVolume
    | SaveOperation
    | DropOperation
    | SaveDrain
    | DropDrain
    | AddPendingRemoval
    | DropPendingRemoval
    | SaveExecutor
    | DropExecutor
    | AddAcknowledgedEnd
    | DropAcknowledgedEnd
)
Record = (
    AgentRecord
    | SaveFramework
    | DropFramework
    | AddTask
    | SaveTask
    | DropTask
    | AddUpdate
    | DropUpdate
    | DropUpdates
)


@dataclass(slots=True)
class Snapshot:
    """Everything durable, as loaded at start.

    Tasks and updates stay serialized: the core parses one at a time, which keeps the memory of ten
    thousand tasks low.
    """

    shim_id: str = ""
    agent: journal_pb2.Agent | None = None
    """None: never registered, or the agent id was given up."""
    resources: journal_pb2.Resources = field(default_factory=journal_pb2.Resources)
    drain: DrainConfig | None = None
    pending_removals: dict[ContainerId, Ref] = field(default_factory=dict)
    executors: dict[ContainerId, bytes] = field(default_factory=dict)
    """As in :class:`SaveExecutor`."""
    frameworks: dict[FrameworkId, journal_pb2.Framework] = field(default_factory=dict)
    tasks: dict[TaskKey, tuple[bytes, bytes]] = field(default_factory=dict)
    """``(info, state)`` of each task, as in :class:`AddTask`, oldest first."""
    updates: dict[TaskKey, list[bytes]] = field(default_factory=dict)
    """Unacknowledged updates of each task, as in :class:`AddUpdate`, oldest first."""
    volumes: dict[str, bytes] = field(default_factory=dict)
    """As in :class:`SaveVolume`, by name."""
    operations: dict[bytes, bytes] = field(default_factory=dict)
    """As in :class:`SaveOperation`, by uuid."""
    acknowledged_ends: list[bytes] = field(default_factory=list)
    """As in :class:`AddAcknowledgedEnd`, in any order."""
    unanswered_request: bool = False
    """As in :class:`AddUnansweredRequest`."""

    def volume_names(self) -> set[str]:
        """Names at the endpoint of the persistent volumes that are known here."""
        # A journal of before there were records of volumes has them among its resources only.
        return set(self.volumes) | {
            persistent_volume_name(self.shim_id, role_of(each), each.disk.persistence.id, 0)
            for each in self.resources.resources
            if each.disk.HasField("persistence")
        }
