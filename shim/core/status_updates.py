"""Reliable delivery of status updates: one first-in first-out stream a task.

Only the head of a stream is sent. It is sent again, byte for byte, after 10 s, 20 s, 40 s ...
at most 10 min, until an acknowledgement with its uuid comes; the acknowledgement is durable before
the next update goes out. One thing may change on the way: once the task has ended, what is sent for
it says so to the master (``latest_state``), which then frees the task's resources, however long its
framework stays away. Nothing is sent while we are not registered; on registration every head
goes out at once. After a terminal update a stream takes no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from shim import limits
from shim.core.context import Context
from shim.model.ids import TaskKey
from shim.model.orders import Send
from shim.model.records import AddUpdate, DropUpdate, DropUpdates
from shim.model.states import TERMINAL
from shim.protos.messages_pb2 import StatusUpdateMessage


@dataclass(slots=True)
class _Stream:
    queue: deque[StatusUpdateMessage] = field(default_factory=deque)
    interval: float = limits.UPDATE_RETRY_MIN
    closed: bool = False


class StatusUpdateManager:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._streams: dict[TaskKey, _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, key: TaskKey) -> bool:
        return key in self._streams

    @property
    def pending(self) -> int:
        """Updates not yet acknowledged."""
        return sum(len(stream.queue) for stream in self._streams.values())

    def restore(self, values: dict[TaskKey, list[bytes]]) -> None:
        for key, updates in values.items():
            stream = self._streams.setdefault(key, _Stream())
            stream.queue.extend(StatusUpdateMessage.FromString(value) for value in updates)
            stream.closed = _is_terminal(stream.queue[-1])

    def closed(self, key: TaskKey) -> bool:
        """A terminal update of the task is still to be acknowledged."""
        return key in self._streams and self._streams[key].closed

    def add(self, key: TaskKey, update: StatusUpdateMessage) -> None:
        """Queue an update, durable before it is sent. The stream must not be closed."""
        stream = self._streams.setdefault(key, _Stream())
        assert not stream.closed, f"an update after the terminal one of {key}"
        stream.closed = _is_terminal(update)
        stream.queue.append(update)
        uuid, value = update.update.uuid, update.SerializeToString()
        self._ctx.record(AddUpdate(key, uuid, value))
        if len(stream.queue) == 1:
            self._send(key, stream)

    def acknowledge(self, key: TaskKey, uuid: bytes) -> StatusUpdateMessage | None:
        """The update that is done with, or None when ``uuid`` is not the head's."""
        stream = self._streams.get(key)
        if stream is None or not stream.queue or stream.queue[0].update.uuid != uuid:
            self._ctx.counters["acknowledgements_ignored"] += 1
            return None
        done = stream.queue.popleft()
        self._ctx.record(DropUpdate(key, uuid))
        if stream.queue:
            self._send(key, stream)
        else:
            self._ctx.timers.cancel(("update", key))
            del self._streams[key]
        return done

    def drop(self, key: TaskKey) -> None:
        """Nobody will acknowledge any more."""
        if self._streams.pop(key, None) is not None:
            self._ctx.timers.cancel(("update", key))
            self._ctx.record(DropUpdates(key))

    def oldest(self, key: TaskKey) -> float | None:
        """When the update in flight was made, in seconds since the epoch."""
        stream = self._streams.get(key)
        return None if stream is None else stream.queue[0].update.timestamp

    def resume(self, keys: Iterable[TaskKey] | None = None) -> None:
        """Send the heads (of ``keys``) at once, with fresh timers."""
        for key in list(self._streams if keys is None else keys):
            if (stream := self._streams.get(key)) is not None:
                self._send(key, stream)

    def retry(self, key: TaskKey) -> None:
        """The head's retry interval passed without an acknowledgement."""
        stream = self._streams.get(key)
        if stream is None or not self._ctx.connected:
            return
        self._ctx.counters["updates_resent"] += 1
        self._send(key, stream, min(stream.interval * 2, limits.UPDATE_RETRY_MAX))

    def _send(
        self, key: TaskKey, stream: _Stream, interval: float = limits.UPDATE_RETRY_MIN
    ) -> None:
        ctx = self._ctx
        if not ctx.connected or ctx.master is None:
            return
        stream.interval = interval
        ctx.timers.set(("update", key), ctx.now.mono + interval)
        ctx.order(Send(ctx.master, _knowing_the_end(stream)))


def _knowing_the_end(stream: _Stream) -> StatusUpdateMessage:
    """The head. A copy where it must say more than it did: its first sending may still wait."""
    head, newest = stream.queue[0], stream.queue[-1].update.status.state
    if not stream.closed or head.update.latest_state == newest:
        return head
    message = StatusUpdateMessage()
    message.CopyFrom(head)
    message.update.latest_state = newest
    return message


def _is_terminal(update: StatusUpdateMessage) -> bool:
    return update.update.status.state in TERMINAL
