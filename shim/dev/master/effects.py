"""Effects of the master's decisions. ``DevMaster`` carries them out in order."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.ids import Pid
from shim.model.v1_json import Json


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send ``message`` to an agent's process ``to``, from the master's process ``sender``."""

    to: Pid
    sender: str
    message: Message


@dataclass(frozen=True, slots=True)
class HoldConnection:
    """Keep one connection to this address open, and report when it breaks."""

    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class SendEvent:
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


Effect = SendMessage | HoldConnection | SendEvent | CloseStream | SaveRegistry | Log
