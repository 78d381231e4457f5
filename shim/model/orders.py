"""Orders: everything the core wants done, in the imperative.

The runtime carries them out only after the records of the same decision are durable, and in the
order given as far as one peer or one task goes. Every order about a container may be given again
after a crash: carrying it out twice has the effect of once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.container import Ref
from shim.model.ids import Pid
from shim.protos.mesos_pb2 import TaskInfo


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``message`` to a libprocess process."""

    to: Pid
    message: Message


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer a ping: needs no record, so it does not wait for the disk."""

    to: Pid


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Run one CRAM-MD5 exchange with ``master``; answer with a fact carrying ``attempt``."""

    master: Pid
    attempt: int
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Bring the task's container up: fetch, pull, create (or adopt), start, look.

    Answered by LaunchAdvanced*, then one of ContainerStarted, LaunchFailed, LaunchCancelled.
    """

    ref: Ref
    task: TaskInfo
    agent_id: str
    executor_id: str


@dataclass(frozen=True, slots=True)
class CancelLaunch:
    """Give up a launch. If the container may already run it is answered as if not cancelled."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Watch:
    """Take over a running container after a restart: its end, its logs."""

    ref: Ref
    task: TaskInfo


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop gently, then by force after ``grace`` seconds; again with another grace replaces it.

    Answered by ContainerExited or ContainerVanished. Retried until one of them is certain.
    """

    ref: Ref
    grace: float


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the container, running or not, after ``delay`` seconds.

    Retried until the endpoint has it no more, also when a create is still under way. Answered by
    ContainerRemoved.
    """

    ref: Ref
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoveOrphan:
    """Stop and remove a container of ours that no record knows, by name. Not answered."""

    name: str


@dataclass(frozen=True, slots=True)
class StartChecks:
    """Run the task's health check and check from now on."""

    ref: Ref
    task: TaskInfo
    addresses: tuple[str, ...]
    was_healthy: bool = False
    """A success was reported before a restart: the grace period is over."""


@dataclass(frozen=True, slots=True)
class StopChecks:
    ref: Ref


@dataclass(frozen=True, slots=True)
class Publish:
    """The task runs and may be found in service discovery; given again when its health changes."""

    ref: Ref
    task: TaskInfo
    addresses: tuple[str, ...]
    healthy: bool | None
    """None: it has no health check, or none has answered yet."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The task is ending: take it out of service discovery. Comes before the Stop."""

    ref: Ref


class Level(enum.Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell people."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process: ``code`` 0 stopped, 1 failed for good, with its one-line reason."""

    code: int
    reason: str


Order = (
    Send
    | Pong
    | Authenticate
    | Launch
    | CancelLaunch
    | Watch
    | Stop
    | Remove
    | RemoveOrphan
    | StartChecks
    | StopChecks
    | Publish
    | Withdraw
    | Notice
    | Exit
)
