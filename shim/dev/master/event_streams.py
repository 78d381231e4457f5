"""Event streams to frameworks, in RecordIO format."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

from aiohttp import web

from shim import limits
from shim.http.recordio import encode
from shim.model.v1_json import Json

log = logging.getLogger(__name__)

Queue = asyncio.Queue[Json | None]
"""The events of one stream. None ends the stream."""


class EventStreams:
    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    def open(self, stream_id: str) -> Queue:
        """The queue for the stream's events, to be passed to :func:`write_events`."""
        queue = self._queues[stream_id] = Queue()
        return queue

    def send_event(self, stream_id: str, event: Json | None) -> None:
        """Queue an event; None ends the stream. A framework that does not read is disconnected."""
        queue = self._queues.get(stream_id)
        if queue is None:
            return
        if queue.qsize() > limits.STREAM_EVENTS:
            log.error("framework at stream %s does not read: disconnected", stream_id)
            del self._queues[stream_id]
            event = None
        queue.put_nowait(event)

    def close(self, stream_id: str) -> None:
        """The connection has ended."""
        self._queues.pop(stream_id, None)

    def end(self) -> None:
        """End every stream after its queued events."""
        for queue in self._queues.values():
            queue.put_nowait(None)


async def write_events(queue: Queue, response: web.StreamResponse) -> None:
    """Write events as records, ``length\\n{json}``, until the stream is ended or broken."""
    with contextlib.suppress(ConnectionError):
        while (records := await _next_records(queue)) is not None:
            await response.write(records)
        await response.write_eof()


async def _next_records(queue: Queue) -> bytes | None:
    """All queued events as one piece of bytes; None at the end of the stream."""
    records = b""
    while True:
        event = await queue.get()
        if event is None:
            if records:
                queue.put_nowait(None)
            return records or None
        records += encode(json.dumps(event, separators=(",", ":")).encode())
        if queue.empty():
            return records
