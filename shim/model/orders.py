"""Orders: everything the core wants done, in the imperative.

The runtime carries out an order only after the records of the same decision are durable. Orders for
one peer, or about one task, are carried out in the order given. After a crash an order about a
container may be given again: carrying it out twice has the same effect as once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.container import ContainerPort, Ref
from shim.model.ids import Pid
from shim.model.volume import VolumeMount
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import ExecutorInfo, FrameworkInfo, Resource, TaskInfo


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``message`` to a libprocess process."""

    to: Pid
    message: Message
    withdrawn: Ref | None = None
    """Send it once this task has left service discovery: it is the task's kill."""


@dataclass(frozen=True, slots=True)
class SendExecutorEvent:
    """Send an event to the v1 executor that opened the stream; lost when the stream has ended."""

    stream: int
    event: Event
    withdrawn: Ref | None = None
    """As of Send."""


@dataclass(frozen=True, slots=True)
class EndStream:
    """Close the event stream of a v1 executor, after the events ordered before."""

    stream: int


@dataclass(frozen=True, slots=True)
class ExplainSilence:
    """Find out why a running executor did not register. Answered by SilenceExplained."""

    ref: Ref
    addresses: tuple[str, ...]
    """Of its container."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer a ping. A Pong needs no record, so it does not wait for the disk."""

    to: Pid


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Run one CRAM-MD5 exchange with ``master``. Answered by a fact with the same ``attempt``."""

    master: Pid
    attempt: int
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class MemberOf:
    """The executor of the task group that a launched task belongs to."""

    ref: Ref
    """The executor's own container, or what would be it: its volumes are named after it."""
    executor: ExecutorInfo
    infra: bool
    """The executor has an infra container, which the task joins once it runs."""
    group: tuple[tuple[Ref, TaskInfo], ...] = ()
    """All tasks of its executor, of every task group, itself included, with their containers.

    In the order in which they came. Of them depend limits that they share, and on Triton volumes.
    """
    volumes: tuple[VolumeMount, ...] = ()
    """The persistent volumes among the executor's own resources."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Start the task's container: fetch, pull, create (or adopt), start, inspect.

    Answered by LaunchAdvanced*, then one of ContainerStarted, LaunchFailed, LaunchCancelled.
    After LaunchAdvanced with stage CREATING, the create waits for AllowCreate.
    """

    ref: Ref
    task: TaskInfo
    agent_id: str
    executor: MemberOf | None = None
    """None: the task belongs to no task group."""
    volumes: tuple[VolumeMount, ...] = ()
    """The persistent volumes among its resources."""


@dataclass(frozen=True, slots=True)
class LaunchExecutor:
    """Start the executor's own container. Answered as a Launch; every other order takes its ref.

    A Remove of the ref removes the executor's named volumes as well, also when the executor never
    had a container of its own.
    """

    ref: Ref
    executor: ExecutorInfo
    framework: FrameworkInfo
    agent_id: str
    resources: tuple[Resource, ...]
    """Those of the executor and of its first task or task group."""
    volumes: tuple[VolumeMount, ...] = ()
    """The persistent volumes among the executor's own resources."""


@dataclass(frozen=True, slots=True)
class AllowCreate:
    """The launch may send its create: it is durable that its container may exist.

    Without effect when no launch waits for it.
    """

    ref: Ref


@dataclass(frozen=True, slots=True)
class CancelLaunch:
    """Cancel a launch. If the container may already run, the launch is answered as before."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch for the end of a container that an earlier process started."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Stop:
    """Send SIGTERM, then SIGKILL after ``grace`` seconds. A second Stop replaces the grace.

    Answered by ContainerExited or ContainerVanished. Retried until one of the two is certain.
    """

    ref: Ref
    grace: float


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the container, running or not, after ``delay`` seconds.

    Retried until the endpoint has it no more, even while its create is under way. Answered by
    ContainerRemoved.
    """

    ref: Ref
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class UpdateContainer:
    """Give a running executor's container these resources. Answered by ContainerUpdated."""

    ref: Ref
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class RemoveOrphan:
    """Stop and remove, by name, a container of this shim without a task. Not answered."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    """Remove a persistent volume with its data.

    Retried until the endpoint has it no more, even while a container still mounts it. Answered by
    VolumeRemoved.
    """

    name: str
    again: bool = False
    """An earlier process may have asked for it: its call, or a container's, may still come."""


@dataclass(frozen=True, slots=True)
class StartChecks:
    """Run the task's health check and check from now on."""

    ref: Ref
    task: TaskInfo
    addresses: tuple[str, ...]
    was_healthy: bool = False
    """A result was reported before a restart: the grace period is over."""


@dataclass(frozen=True, slots=True)
class StopChecks:
    """Stop them. Without effect when none run."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Publish:
    """Register the task in service discovery; given again when its health changes."""

    ref: Ref
    task: TaskInfo
    addresses: tuple[str, ...]
    healthy: bool | None
    """None: the task has no health check, or no result yet."""
    ports: tuple[ContainerPort, ...] = ()
    """The container's ports, for a task that names none itself."""
    shares_network: bool = False
    """Its network is its executor's, with the port mappings of all tasks there."""
    inside: bool = False
    """Its container is that of its custom executor, which may run other tasks as well."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The task is ending: take it out of service discovery. Given before the Stop, or the kill."""

    ref: Ref
    inside: bool = False
    """As of its Publish."""


class Level(enum.Enum):
    """Of a line in the agent's log."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Write a line to the agent's log."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process. ``code`` 0: stopped as asked; 1: failed. ``reason`` is one line."""

    code: int
    reason: str


Order = (
    Send
    | SendExecutorEvent
    | EndStream
    | ExplainSilence
    | Pong
    | Authenticate
    | Launch
    | LaunchExecutor
    | AllowCreate
    | CancelLaunch
    | Watch
    | Stop
    | Remove
    | UpdateContainer
    | RemoveOrphan
    | RemoveVolume
    | StartChecks
    | StopChecks
    | Publish
    | Withdraw
    | Notice
    | Exit
)
