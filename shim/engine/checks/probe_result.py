"""The result of one probe, and what it means for a health check and for a check. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from shim.engine.checks.spec import CheckTarget, CommandCheck, HttpCheck, TcpCheck
from shim.protos.mesos_pb2 import CheckInfo, CheckStatusInfo


class ProbeStatus(enum.Enum):
    """How a probe ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """The address was reached, and no process listens on the port."""
    UNREACHABLE = "unreachable"
    """The address gave no answer to the connection attempt."""
    NO_ANSWER = "no answer"
    """The task was reached or the command run, without a usable answer in time."""
    IMPOSSIBLE = "impossible"
    """The image has no tool to probe with, or the port is not published."""
    UNKNOWN = "unknown"
    """The Docker endpoint did not answer, or the container is ending: no result of the task."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    status: ProbeStatus
    value: int = 0
    """Of an answer: the exit code or the HTTP status."""
    detail: str = ""
    """For the log."""


def passed(target: CheckTarget, result: ProbeResult) -> bool:
    """Return whether a health check counts the result as a success."""
    if result.status is not ProbeStatus.ANSWERED:
        return False
    match target:
        case CommandCheck():
            return result.value == 0
        case HttpCheck():
            return 200 <= result.value < 400
        case TcpCheck():
            return True


def is_certain(target: CheckTarget, result: ProbeResult) -> bool:
    """Return whether the result surely comes from a running task.

    Any other failure may come from the end of the container.
    """
    return passed(target, result) or (
        result.status is ProbeStatus.ANSWERED and not isinstance(target, CommandCheck)
    )


def check_status(target: CheckTarget, result: ProbeResult) -> bytes:
    """Return the serialized ``mesos.CheckStatusInfo``. Without an answer its part is empty."""
    status, answered = CheckStatusInfo(), result.status is ProbeStatus.ANSWERED
    match target:
        case CommandCheck():
            status.type = CheckInfo.COMMAND
            status.command.SetInParent()
            if answered:
                status.command.exit_code = result.value
        case HttpCheck():
            status.type = CheckInfo.HTTP
            status.http.SetInParent()
            if answered:
                status.http.status_code = result.value
        case TcpCheck():
            status.type = CheckInfo.TCP
            status.tcp.SetInParent()
            if answered or result.status in (ProbeStatus.REFUSED, ProbeStatus.UNREACHABLE):
                status.tcp.succeeded = answered
    return status.SerializeToString(deterministic=True)
