"""Identifiers. The wire converts them once: inside the shim an id is one of these types."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple, NewType

AgentId = NewType("AgentId", str)
FrameworkId = NewType("FrameworkId", str)
TaskId = NewType("TaskId", str)
ExecutorId = NewType("ExecutorId", str)
ContainerId = NewType("ContainerId", str)
"""Mesos' ContainerID (a random UUID's text), not the engine's id."""


class TaskKey(NamedTuple):
    """A task's identity: task ids are unique only within their framework."""

    framework_id: FrameworkId
    task_id: TaskId

    def __str__(self) -> str:
        return f"{self.framework_id}/{self.task_id}"


@dataclass(frozen=True, slots=True)
class ExecutorKey:
    """An executor's identity: executor ids are unique only within their framework.

    Not a NamedTuple: an executor never equals a task, even when their ids are the same.
    """

    framework_id: FrameworkId
    executor_id: ExecutorId

    def __str__(self) -> str:
        return f"{self.framework_id}/executor {self.executor_id}"


@dataclass(frozen=True, slots=True)
class Pid:
    """A libprocess address, ``id@ip:port``. ``ip`` is an IPv4 literal."""

    id: str
    ip: str
    port: int

    def __post_init__(self) -> None:
        ipaddress.IPv4Address(self.ip)
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is not in 0..65535")

    @classmethod
    def parse(cls, text: str) -> Pid:
        """``slave(1)@10.0.0.1:5051`` -> Pid. Raises ValueError naming the text."""
        name, at, address = text.strip().partition("@")
        ip, colon, port = address.rpartition(":")
        try:
            if not (at and colon and port.isascii() and port.isdigit()):
                raise ValueError
            return cls(name, ip, int(port))
        except ValueError:
            raise ValueError(f"not a libprocess pid: {text!r}") from None

    @property
    def address(self) -> tuple[str, int]:
        return (self.ip, self.port)

    def __str__(self) -> str:
        return f"{self.id}@{self.ip}:{self.port}"
