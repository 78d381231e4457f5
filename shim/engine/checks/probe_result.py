"""What one probe found, and what that says about the task. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from shim.engine.checks.spec import Command, Http, Target, Tcp
from shim.protos.mesos_pb2 import CheckInfo, CheckStatusInfo


class ProbeStatus(enum.Enum):
    """How a probe ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """Somebody is there, and nothing listens."""
    UNREACHABLE = "unreachable"
    """Nobody answers at that address at all."""
    SILENT = "silent"
    """It was reached or run, and gave no (useful) answer in time."""
    IMPOSSIBLE = "impossible"
    """There is nothing to probe with, or no address to probe."""
    UNKNOWN = "unknown"
    """The Docker endpoint did not answer, or the container ends: says nothing about the task."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    sign: ProbeStatus
    value: int = 0
    """Of an answer: the exit code, or the HTTP status."""
    detail: str = ""


def passed(target: Target, outcome: ProbeResult) -> bool:
    """Whether a health check calls it a success."""
    if outcome.sign is not ProbeStatus.ANSWERED:
        return False
    match target:
        case Command():
            return outcome.value == 0
        case Http():
            return 200 <= outcome.value < 400
        case Tcp():
            return True


def is_certain(target: Target, outcome: ProbeResult) -> bool:
    """Whether it is the task's own word. Any other failure may be its container's ending."""
    return passed(target, outcome) or (
        outcome.sign is ProbeStatus.ANSWERED and not isinstance(target, Command)
    )


def check_status(target: Target, outcome: ProbeResult) -> bytes:
    """``mesos.CheckStatusInfo``; a probe without an answer gives the empty sub-message."""
    status, answered = CheckStatusInfo(), outcome.sign is ProbeStatus.ANSWERED
    match target:
        case Command():
            status.type = CheckInfo.COMMAND
            status.command.SetInParent()
            if answered:
                status.command.exit_code = outcome.value
        case Http():
            status.type = CheckInfo.HTTP
            status.http.SetInParent()
            if answered:
                status.http.status_code = outcome.value
        case Tcp():
            status.type = CheckInfo.TCP
            status.tcp.SetInParent()
            if answered or outcome.sign in (ProbeStatus.REFUSED, ProbeStatus.UNREACHABLE):
                status.tcp.succeeded = answered
    return status.SerializeToString(deterministic=True)
