"""Facts: everything that happens to the agent, in the past tense.

A fact enters the runtime's one mailbox and is handled by the core in arrival order. Facts about
containers carry a :class:`~shim.model.container.Ref`, so that a late one is recognised.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.container import Container, Ref
from shim.model.ids import Pid


@dataclass(frozen=True, slots=True)
class MasterDetected:
    """The leading master is ``pid`` now; None: there is none."""

    pid: Pid | None


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """``sender`` sent ``message`` to the agent's process."""

    sender: Pid
    message: Message


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The exchange ordered as ``attempt`` ended well."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """The exchange ordered as ``attempt`` did not end well."""

    attempt: int
    refused: bool
    """The master does not know the principal or the secret; otherwise no (useful) answer."""
    reason: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The clock reached what ``Core.deadline()`` asked for."""


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The operator asked us to kill all tasks, unregister and end (SIGUSR1)."""


@dataclass(frozen=True, slots=True)
class ContainersFound:
    """At start: every container of ours that the endpoint holds, in full."""

    containers: tuple[Container, ...]


class Stage(enum.Enum):
    """What a launch is busy with."""

    FETCHING = "fetching"
    PULLING = "pulling image"
    CREATING = "creating container"


@dataclass(frozen=True, slots=True)
class LaunchAdvanced:
    """A launch reached ``stage``; ``detail`` is for people."""

    ref: Ref
    stage: Stage
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStarted:
    """The container was seen running, or to have run (it may have ended by now)."""

    ref: Ref
    container: Container


class Failure(enum.Enum):
    """Why a launch came to nothing."""

    INVALID = "invalid"
    FETCH = "fetch"
    PULL = "pull"
    LAUNCH = "launch"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """The launch ended for good before the container ran; ``message`` has the endpoint's words."""

    ref: Ref
    failure: Failure
    message: str


@dataclass(frozen=True, slots=True)
class LaunchCancelled:
    """A launch ordered to be cancelled ended before its container ran."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class ContainerExited:
    """A container that ran has ended."""

    ref: Ref
    exit_code: int | None
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class ContainerVanished:
    """The endpoint answered, and a container that ran is no longer there: removed by others."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class ContainerRemoved:
    """The endpoint no longer has the container, for certain; nothing of it will appear again."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class HealthReported:
    """A health check gave a result worth an update."""

    ref: Ref
    healthy: bool
    kill: bool = False
    """The consecutive failures are used up: the task is to be killed as unhealthy."""


@dataclass(frozen=True, slots=True)
class CheckReported:
    """``task.check`` gave a new result; ``status`` is a serialized ``mesos.CheckStatusInfo``."""

    ref: Ref
    status: bytes


Fact = (
    MasterDetected
    | MessageReceived
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
    | ContainerRemoved
    | HealthReported
    | CheckReported
)
