"""What the master orders the server to do, in the order in which it is to be done."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from shim.dev.master.v1json import Json
from shim.model.ids import Pid


@dataclass(frozen=True, slots=True)
class Tell:
    """Send ``message`` to an agent's process, from our process ``sender``."""

    to: Pid
    sender: str
    message: Message


@dataclass(frozen=True, slots=True)
class Link:
    """Hold one connection to this address from now on, and tell when it breaks."""

    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Emit:
    """Write one event to a framework's stream."""

    stream_id: str
    event: Json


@dataclass(frozen=True, slots=True)
class CloseStream:
    stream_id: str


@dataclass(frozen=True, slots=True)
class SaveRegistry:
    """Make the registry durable before what follows."""


@dataclass(frozen=True, slots=True)
class Log:
    level: int
    text: str


Effect = Tell | Link | Emit | CloseStream | SaveRegistry | Log
