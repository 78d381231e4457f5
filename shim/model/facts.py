"""Facts: everything that happens to the agent, in the past tense.

A fact enters the runtime's one queue, and the core handles it in the order of arrival. A fact about
a container carries a :class:`~shim.model.container.Ref`, so that the core recognises a late one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.container import Container, Ref
from shim.model.ids import ExecutorKey, Pid
from shim.model.volume import Volume
from shim.protos.executor_pb2 import Call


@dataclass(frozen=True, slots=True)
class MasterDetected:
    """The leading master is ``pid`` now; None: there is no leader."""

    pid: Pid | None


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """``sender`` sent ``message`` to the agent's libprocess process."""

    sender: Pid
    message: Message


@dataclass(frozen=True, slots=True)
class ExecutorCalled:
    """A custom executor made a valid call of the v1 API: SUBSCRIBE, UPDATE or MESSAGE."""

    key: ExecutorKey
    call: Call
    stream: int | None = None
    """The event stream that a SUBSCRIBE opened."""
    authenticated: bool = False
    """It showed the token of its container."""


@dataclass(frozen=True, slots=True)
class SilenceExplained:
    """Why an executor did not register, as far as could be found out."""

    ref: Ref
    text: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The authentication ordered as ``attempt`` succeeded."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """The authentication ordered as ``attempt`` failed."""

    attempt: int
    refused: bool
    """The master rejected the principal or the secret. False: no valid answer came."""
    reason: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The clock reached ``Core.deadline()``."""


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The operator asked the agent to kill all tasks, unregister and exit (SIGUSR1)."""


@dataclass(frozen=True, slots=True)
class ContainersFound:
    """At start: every container of this shim at the endpoint."""

    containers: tuple[Container, ...]


class Stage(enum.Enum):
    """The step of a launch. The values are for pages."""

    FETCHING = "fetching"
    PULLING = "pulling image"
    CREATING = "creating container"


@dataclass(frozen=True, slots=True)
class LaunchAdvanced:
    """A launch reached ``stage``; ``detail`` is for pages.

    A launch that reached CREATING waits for the order AllowCreate.
    """

    ref: Ref
    stage: Stage
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStarted:
    """The container was seen running, or exited after it had run."""

    ref: Ref
    container: Container


class Failure(enum.Enum):
    """Why a launch failed."""

    INVALID = "invalid"
    FETCH = "fetch"
    PULL = "pull"
    LAUNCH = "launch"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """The launch failed permanently before the container ran.

    ``message`` holds the endpoint's own words.
    """

    ref: Ref
    failure: Failure
    message: str


@dataclass(frozen=True, slots=True)
class LaunchCancelled:
    """A cancelled launch ended before its container ran."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class ContainerExited:
    """A container that ran has exited. ``exit_code`` None: the endpoint does not know it."""

    ref: Ref
    exit_code: int | None
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class ContainerVanished:
    """The endpoint answered, and no longer has a container that ran: it was removed by others."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class LinkBroke:
    """The connection to this host and port broke, or a message was held back: some may be lost."""

    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class ContainerUpdated:
    """An UpdateContainer is carried out, or failed for good."""

    ref: Ref
    error: str = ""
    """The endpoint's own words; empty when the container has the resources."""


@dataclass(frozen=True, slots=True)
class ContainerRemoved:
    """The endpoint certainly has the container no more, and will not have it again."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class VolumesFound:
    """At start: every volume of this shim at the endpoint."""

    volumes: tuple[Volume, ...]


@dataclass(frozen=True, slots=True)
class VolumeRemoved:
    """The endpoint certainly has the persistent volume no more."""

    name: str


@dataclass(frozen=True, slots=True)
class HealthReported:
    """A health check has a result that is to be reported."""

    ref: Ref
    healthy: bool
    kill: bool = False
    """The limit of consecutive failures is reached: kill the task as unhealthy."""


@dataclass(frozen=True, slots=True)
class CheckReported:
    """``TaskInfo.check`` has a new result: a serialized ``mesos.CheckStatusInfo``."""

    ref: Ref
    status: bytes


Fact = (
    MasterDetected
    | MessageReceived
    | LinkBroke
    | ExecutorCalled
    | SilenceExplained
    | Authenticated
    | AuthenticationFailed
    | DeadlinePassed
    | LeaveRequested
    | ContainersFound
    | LaunchAdvanced
    | ContainerStarted
    | LaunchFailed
    | LaunchCancelled
    | ContainerExited
    | ContainerVanished
    | ContainerUpdated
    | ContainerRemoved
    | VolumesFound
    | VolumeRemoved
    | HealthReported
    | CheckReported
)
