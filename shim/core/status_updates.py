"""Reliable delivery of status updates: one first-in first-out stream per task.

The life of a stream::

                    add                         acknowledge, more in the queue
                     |                                  +------+
                     v                                  |      v
    (no stream) --> OPEN --(add of a terminal update)--> CLOSED --(last acknowledgement)--> (gone)
                     |  ^                                  |
       acknowledge,  +--+  add, acknowledge                +--(drop)--> (gone)
       queue empty   +---> (gone)

Only the head of a stream is sent. The head is sent again, byte for byte, after 10 s, 20 s, 40 s ...
at most 10 min, until an acknowledgement with its uuid arrives. The acknowledgement is recorded
before the next update is sent.

A CLOSED stream takes no more updates. Its head is sent with the terminal state as ``latest_state``:
the master then frees the task's resources even while the framework is away.

Nothing is sent while the agent is not registered. On registration every head is sent at once.

A master may ask about a task whose terminal update was acknowledged. It gets the same update again,
in a new CLOSED stream: see :mod:`shim.core.acknowledged_ends`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from shim import limits
from shim.core.acknowledged_ends import AcknowledgedEnds
from shim.core.context import Context
from shim.core.timers import UpdateRetry
from shim.model.ids import TaskKey
from shim.model.orders import Send
from shim.model.records import AddUpdate, DropUpdate, DropUpdates
from shim.model.states import TERMINAL
from shim.protos.mesos_pb2 import TaskState
from shim.protos.messages_pb2 import StatusUpdateMessage


@dataclass(slots=True)
class _Stream:
    queue: deque[StatusUpdateMessage] = field(default_factory=deque)
    """Never empty, except while its first update is added."""
    interval: float = limits.UPDATE_RETRY_MIN
    """Seconds until the head is sent again."""
    closed: bool = False
    """The last update of the queue is terminal."""


class StatusUpdateManager:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._streams: dict[TaskKey, _Stream] = {}
        self.acknowledged_ends = AcknowledgedEnds(ctx)

    def __len__(self) -> int:
        """How many tasks have unacknowledged updates."""
        return len(self._streams)

    @property
    def pending(self) -> int:
        """How many updates are not acknowledged."""
        return sum(len(stream.queue) for stream in self._streams.values())

    def unacknowledged(self, key: TaskKey) -> list[TaskState.ValueType]:
        """The states of the task's queued updates, oldest first."""
        stream = self._streams.get(key)
        return [] if stream is None else [each.update.status.state for each in stream.queue]

    def restore(self, values: dict[TaskKey, list[bytes]]) -> None:
        """The unacknowledged updates of each task, serialized, oldest first."""
        for key, updates in values.items():
            stream = self._streams.setdefault(key, _Stream())
            stream.queue.extend(StatusUpdateMessage.FromString(value) for value in updates)
            stream.closed = _is_terminal(stream.queue[-1])

    def closed(self, key: TaskKey) -> bool:
        """Whether the task has an unacknowledged terminal update."""
        return key in self._streams and self._streams[key].closed

    def oldest(self, key: TaskKey) -> float | None:
        """When the head was made, in seconds since the epoch; None without a stream."""
        stream = self._streams.get(key)
        return None if stream is None else stream.queue[0].update.timestamp

    def add(self, key: TaskKey, update: StatusUpdateMessage) -> None:
        """Record an update and queue it. The stream must not be closed."""
        self.acknowledged_ends.pop(key)
        stream = self._streams.setdefault(key, _Stream())
        assert not stream.closed, f"an update after the terminal one of {key}"
        stream.closed = _is_terminal(update)
        stream.queue.append(update)
        self._ctx.record(AddUpdate(key, update.update.uuid, update.SerializeToString()))
        if len(stream.queue) == 1:
            self._send(key, stream)

    def acknowledge(self, key: TaskKey, uuid: bytes) -> StatusUpdateMessage | None:
        """Remove the head and send the next update.

        Returns the acknowledged update, or None when ``uuid`` is not the head's.
        """
        stream = self._streams.get(key)
        if stream is None or stream.queue[0].update.uuid != uuid:
            self._ctx.counters["acknowledgements_ignored"] += 1
            return None
        done = stream.queue.popleft()
        self._ctx.record(DropUpdate(key, uuid))
        if stream.queue:
            self._send(key, stream)
        else:
            self._ctx.timers.cancel(UpdateRetry(key))
            del self._streams[key]
        return done

    def repeat_end(self, key: TaskKey) -> bool:
        """Queue the acknowledged terminal update of the task again; whether it is known."""
        update = self.acknowledged_ends.pop(key)
        if update is not None:
            self.add(key, update)
        return update is not None

    def drop(self, key: TaskKey) -> None:
        """Forget the task's updates: no acknowledgement will come."""
        if self._streams.pop(key, None) is not None:
            self._ctx.timers.cancel(UpdateRetry(key))
            self._ctx.record(DropUpdates(key))

    def resume(self, keys: Iterable[TaskKey] | None = None) -> None:
        """Send the heads (of ``keys``; None: all) at once, with the shortest retry interval."""
        for key in list(self._streams if keys is None else keys):
            if (stream := self._streams.get(key)) is not None:
                self._send(key, stream)

    def retry(self, key: TaskKey) -> None:
        """The head's retry interval passed without an acknowledgement: send it again."""
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
        ctx.timers.set(UpdateRetry(key), ctx.now.mono + interval)
        ctx.order(Send(ctx.master, _with_latest_state(stream)))


def _with_latest_state(stream: _Stream) -> StatusUpdateMessage:
    """The head, with the terminal state of a closed stream as its ``latest_state``.

    A changed head is a copy: an earlier order to send the unchanged one may not be carried out yet.
    """
    head, newest = stream.queue[0], stream.queue[-1].update.status.state
    if not stream.closed or head.update.latest_state == newest:
        return head
    message = StatusUpdateMessage()
    message.CopyFrom(head)
    message.update.latest_state = newest
    return message


def _is_terminal(update: StatusUpdateMessage) -> bool:
    return update.update.status.state in TERMINAL
