"""Records: what must be durable before the orders of the same decision are carried out.

The journal applies them in order, all records of a commit or none. Values are serialized
messages; only the core knows what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass

from shim.model.ids import FrameworkId, TaskKey


@dataclass(frozen=True, slots=True)
class SaveMeta:
    """One of the agent's own facts (``agent``, ``resources``, ``drain``); None forgets it."""

    name: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class SaveFramework:
    framework_id: FrameworkId
    value: bytes | None


@dataclass(frozen=True, slots=True)
class AddTask:
    """A task was accepted. ``info`` never changes afterwards, ``state`` does."""

    key: TaskKey
    info: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class SaveTask:
    key: TaskKey
    state: bytes


@dataclass(frozen=True, slots=True)
class DropTask:
    """Forget the task itself; updates still to be delivered stay."""

    key: TaskKey


@dataclass(frozen=True, slots=True)
class AddUpdate:
    """A status update to be delivered; ``value`` is what is sent, byte for byte, each time.

    A terminal update may outlive its task's record, and one may exist for a task that was
    refused and so never had one.
    """

    key: TaskKey
    uuid: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class DropUpdate:
    """The update was acknowledged."""

    key: TaskKey
    uuid: bytes


@dataclass(frozen=True, slots=True)
class DropUpdates:
    """Nobody will acknowledge any more (the framework is gone): forget the task's stream."""

    key: TaskKey


Record = (
    SaveMeta | SaveFramework | AddTask | SaveTask | DropTask | AddUpdate | DropUpdate | DropUpdates
)


@dataclass(slots=True)
class Snapshot:
    """All that is durable, as loaded at start."""

    meta: dict[str, bytes]
    frameworks: dict[FrameworkId, bytes]
    tasks: dict[TaskKey, tuple[bytes, bytes]]
    """``(info, state)``"""
    updates: dict[TaskKey, list[bytes]]
    """Unacknowledged updates of each task, oldest first."""

    @classmethod
    def empty(cls) -> Snapshot:
        return cls({}, {}, {}, {})
