"""Sessions of exec: which there are, what becomes of each, and how each ended.

A session is what a stock agent calls a nested container: its id has the task's container as parent.
Here it is a process in that container. Sessions end with the process of the agent.

        launch          started            output ended, client gone, killed
    -------------> STARTING ------> RUNNING ---------------------------------> ENDED
                       |                                                         ^
                       +---------------------------------------------------------+
                                               failed
"""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shim import limits
from shim.http.operator_api.processes import Process
from shim.http.responses import HttpError
from shim.model.container import Ref
from shim.protos.mesos_pb2 import ContainerID

SIGKILL = 9


class SessionPhase(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class SessionEvent(enum.Enum):
    STARTED = "started"
    FAILED = "failed"
    OUTPUT_ENDED = "output ended"
    CLIENT_GONE = "client gone"


NEXT: Mapping[tuple[SessionPhase, SessionEvent], SessionPhase] = {
    (SessionPhase.STARTING, SessionEvent.STARTED): SessionPhase.RUNNING,
    (SessionPhase.STARTING, SessionEvent.FAILED): SessionPhase.ENDED,
    (SessionPhase.STARTING, SessionEvent.CLIENT_GONE): SessionPhase.ENDED,
    (SessionPhase.RUNNING, SessionEvent.OUTPUT_ENDED): SessionPhase.ENDED,
    (SessionPhase.RUNNING, SessionEvent.FAILED): SessionPhase.ENDED,
    (SessionPhase.RUNNING, SessionEvent.CLIENT_GONE): SessionPhase.ENDED,
}
"""Every other pair leaves the phase as it is: a session ends once."""


class OutputReader:
    """Records for a second client of a session's output. One that does not read is cut off."""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type
        self._records: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._ended = False

    def push(self, record: bytes) -> None:
        if self._bytes + len(record) > limits.SESSION_WAITING_BYTES:
            self.end()
        if not self._ended:
            self._bytes += len(record)
            self._records.put_nowait(record)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._records.put_nowait(None)

    async def next(self) -> bytes | None:
        """None at the end."""
        record = await self._records.get()
        self._bytes -= len(record or b"")
        return record


@dataclass(eq=False)
class Session:
    container_id: ContainerID
    """With its parent, the task's container."""
    ref: Ref
    """The task's container."""
    user: str
    """Of the process; empty: the container's own."""
    phase: SessionPhase = SessionPhase.STARTING
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    """In the environment of the process and its children, by which a signal finds them."""
    process: Process | None = None
    """While the session is RUNNING."""
    exit_status: int = SIGKILL
    """As wait(2) has it. A process whose end is not known went with its container."""
    readers: set[OutputReader] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last_input: float = 0.0
    """Monotonic time."""

    def apply(self, event: SessionEvent) -> None:
        self.phase = NEXT.get((self.phase, event), self.phase)
        if self.phase is SessionPhase.ENDED:
            self.ended.set()
            for reader in self.readers:
                reader.end()
            if self.process is not None:
                self.process.close()

    def touch(self) -> None:
        """A record of input has come."""
        self.last_input = time.monotonic()

    def started(self, process: Process) -> None:
        self.process = process
        self.apply(SessionEvent.STARTED)


class Sessions:
    """By the text of their ids. Ended ones are remembered for those who ask for the exit status."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._streams = 0

    def find(self, container_id: ContainerID) -> Session | None:
        return self._sessions.get(id_text(container_id))

    def running(self) -> Iterator[Session]:
        return (each for each in self._sessions.values() if each.phase is SessionPhase.RUNNING)

    def add(self, session: Session) -> None:
        self._sessions[id_text(session.container_id)] = session
        ended = [t for t, each in self._sessions.items() if each.phase is SessionPhase.ENDED]
        for text in ended[: -limits.SESSIONS_REMEMBERED]:
            del self._sessions[text]

    def remove(self, container_id: ContainerID) -> None:
        self._sessions.pop(id_text(container_id), None)

    def open_stream(self) -> StreamSlot:
        """For the time of one connection to a process: ``with``. Raises HttpError (503)."""
        if self._streams >= limits.SESSION_STREAMS:
            raise HttpError(
                503, f"{self._streams} streams of processes are open, the most there may be"
            )
        return StreamSlot(self)

    def _count(self, change: int) -> None:
        self._streams += change


class StreamSlot:
    """One of the streams that may be open at once."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __enter__(self) -> None:
        self._sessions._count(1)

    def __exit__(self, *_: object) -> None:
        self._sessions._count(-1)


def id_text(container_id: ContainerID) -> str:
    """``PARENT.CHILD``, as Mesos writes it."""
    if container_id.HasField("parent"):
        return f"{id_text(container_id.parent)}.{container_id.value}"
    return container_id.value
