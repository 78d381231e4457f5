"""Terminal updates that were acknowledged, of tasks that a master may still ask about.

A master that removed the agent as unreachable admits it again by the oldest re-registration request
that reaches it. The request may have been sent before the task's end was acknowledged, and may be
one of an earlier process. The master then takes the task for a running one, and asks the agent to
reconcile it. A framework that knows the task's end must not be sent another one: the agent
answers with the very same update.

So the end of a task that a request lists is kept while such a request may be on its way. Most tasks
start and end between two re-registrations: their ends are not kept.

Durable: a restart answers as its earlier process would.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from shim import limits
from shim.core.context import Context
from shim.model.ids import FrameworkId, TaskId, TaskKey
from shim.model.records import AddAcknowledgedEnd, DropAcknowledgedEnd
from shim.protos.messages_pb2 import StatusUpdateMessage


class AcknowledgedEnds:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._updates: OrderedDict[TaskKey, StatusUpdateMessage] = OrderedDict()
        """Terminal updates, the latest acknowledged one last."""
        self._requested = ctx.now.mono
        """When the newest request was sent, in monotonic seconds. An earlier process may have
        sent one until its end."""

    def __len__(self) -> int:
        return len(self._updates)

    def restore(self, values: Iterable[bytes]) -> None:
        """Serialized updates, in any order."""
        updates = map(StatusUpdateMessage.FromString, values)
        for message in sorted(updates, key=lambda m: m.update.timestamp):
            update = message.update
            key = TaskKey(
                FrameworkId(update.framework_id.value), TaskId(update.status.task_id.value)
            )
            self._updates[key] = message

    def request_sent(self) -> None:
        """A re-registration request is sent now."""
        if not self._request_may_be_on_its_way:
            self.clear()
        self._requested = self._ctx.now.mono

    def add(self, key: TaskKey, message: StatusUpdateMessage) -> None:
        """Keep the acknowledged terminal update of a task that a request lists."""
        if not self._request_may_be_on_its_way:
            return
        self._updates[key] = message
        uuid = message.update.uuid
        self._ctx.record(AddAcknowledgedEnd(uuid, message.SerializeToString()))
        if len(self._updates) > limits.ACKNOWLEDGED_ENDS:
            self.pop(next(iter(self._updates)))

    def pop(self, key: TaskKey) -> StatusUpdateMessage | None:
        """The task's update, which is kept no more; None: none is kept."""
        message = self._updates.pop(key, None)
        if message is not None:
            self._ctx.record(DropAcknowledgedEnd(message.update.uuid))
        return message

    def clear(self) -> None:
        for key in list(self._updates):
            self.pop(key)

    @property
    def _request_may_be_on_its_way(self) -> bool:
        return self._ctx.now.mono - self._requested <= limits.REQUEST_AGE
