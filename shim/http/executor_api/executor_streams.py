"""Open event streams to executors, in RecordIO: the length of each event, a line break, the event.

A stream takes events without waiting. An executor that does not read them is disconnected when too
many bytes wait; it subscribes again. Events for a closed stream are lost, as at a stock agent: the
next subscription settles which tasks the executor has.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import count

from shim import limits
from shim.http import recordio
from shim.http.protojson import dump
from shim.http.responses import JSON
from shim.model.v1_json import to_json
from shim.protos.executor_pb2 import Event
from shim.wire.non_utf8 import encode_strings

log = logging.getLogger(__name__)


class EventStream:
    """The events of one subscription that are not written yet."""

    def __init__(self, content_type: str, who: str) -> None:
        """``who`` is the executor, for the log."""
        self.content_type = content_type
        self._who = who
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._ending = False
        self.broken = asyncio.Event()
        """Set when the rest of the stream is given up."""

    def push(self, event: Event) -> None:
        """Queue an event."""
        if self._ending:
            return
        self._records.append(record(event, self.content_type))
        self._bytes += len(self._records[-1])
        if self._bytes > limits.EXECUTOR_STREAM_BYTES:
            log.error("%s does not read its events: disconnected", self._who)
            self._ending = True
            self.broken.set()
        self._wake.set()

    def end(self) -> None:
        """Close the stream after the queued events."""
        self._ending = True
        self._wake.set()

    async def next(self) -> bytes | None:
        """All queued records as one piece; None at the end of the stream.

        Returns a heartbeat when there was no event for ``limits.EXECUTOR_HEARTBEAT`` seconds.
        """
        while not self._records:
            if self._ending:
                return None
            self._wake.clear()
            try:
                async with asyncio.timeout(limits.EXECUTOR_HEARTBEAT):
                    await self._wake.wait()
            except TimeoutError:
                self.push(Event(type=Event.HEARTBEAT))
        taken = b"".join(self._records)
        self._records.clear()
        self._bytes = 0
        return taken


class ExecutorStreams:
    """The open streams by number. The core names a stream by its number."""

    def __init__(self) -> None:
        self._streams: dict[int, EventStream] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, content_type: str, who: str) -> tuple[int, EventStream]:
        number = next(self._numbers)
        stream = self._streams[number] = EventStream(content_type, who)
        return number, stream

    def send(self, number: int, event: Event) -> None:
        """Queue an event. Without effect on a stream that has ended."""
        stream = self._streams.get(number)
        if stream is None:
            log.info("%s is lost: its stream has ended", Event.Type.Name(event.type))
        else:
            stream.push(event)

    def end(self, number: int) -> None:
        """Close the stream after its queued events. Without effect when it has ended."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.end()

    def forget(self, number: int) -> None:
        """The connection of the stream is closed."""
        self._streams.pop(number, None)


def record(event: Event, content_type: str) -> bytes:
    """The event as one record."""
    if content_type == JSON:
        value = to_json(event)
        if "subscribed" in value:
            # AgentInfo of v1 has no such field.
            value["subscribed"]["agent_info"].pop("checkpoint", None)
        body = dump(value)
    else:
        body = encode_strings(event.SerializeToString(), Event)
    return recordio.encode(body)
