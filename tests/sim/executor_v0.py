"""A custom executor with Mesos' v0 driver: it sends libprocess messages, which may be lost.

It registers once. After a loss of its agent it waits for the agent's ReconnectExecutorMessage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from shim.model import facts
from shim.model.container import Ref
from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskStatus
from tests.sim.executor_process import DELAY, LATE, RECOVERY_TIMEOUT, ExecutorProcess
from tests.sim.plan import ExecutorTraits

if TYPE_CHECKING:
    from tests.sim.executors import ExecutorProcesses
    from tests.sim.process import Process

_ADDRESS = "172.17.0.2"
"""Of every container: see ``engine.py``."""


class V0Executor(ExecutorProcess):
    """Its driver has a libprocess port."""

    def __init__(
        self, executors: ExecutorProcesses, ref: Ref, traits: ExecutorTraits, port: int
    ) -> None:
        super().__init__(executors, ref, traits)
        self.pid = Pid("executor(1)", _ADDRESS, port)

    # --- its connection -----------------------------------------------------------------------

    def _contact(self) -> None:
        self._send(self._named(m.RegisterExecutorMessage()))

    def _reregister(self) -> None:
        self.open, self.subscribed = True, False
        message = m.ReregisterExecutorMessage(tasks=self._tasks.values())
        message.updates.extend(self._update(status) for status in self._updates.values())
        self._unsent.clear()
        self._send(self._named(message))

    def _disconnected(self, had_agent: bool) -> None:
        if not had_agent or not self._checkpoint:
            self._after(DELAY, self.exit, 1)
        else:
            self._after(RECOVERY_TIMEOUT, self._still_away, self.link)

    def _still_away(self, link: int) -> None:
        if self.link == link and not self.subscribed:
            self.exit(1)

    # --- to the agent -------------------------------------------------------------------------

    def _named(self, message: Any) -> Message:
        message.framework_id.value = self.key.framework_id
        message.executor_id.value = self.key.executor_id
        assert isinstance(message, Message)
        return message

    def _send(self, message: Message) -> None:
        """The sender does not learn whether it arrived."""
        self._after(DELAY, self._arrive, self.link, self._world.process, message)

    def _arrive(self, link: int, process: Process | None, message: Message) -> None:
        if self.link != link:
            return
        if process is None or process.dead or process is not self._world.process:
            self.lose_agent()
        else:
            process.post(facts.MessageReceived(self.pid, message))

    def _send_status(self, status: TaskStatus) -> None:
        message = m.StatusUpdateMessage(pid=str(self.pid))
        message.update.CopyFrom(self._update(status))
        self._send(message)

    def _update(self, status: TaskStatus) -> m.StatusUpdate:
        update = m.StatusUpdate(uuid=status.uuid, timestamp=status.timestamp)
        self._named(update)
        update.status.CopyFrom(status)
        return update

    def _update_lost(self) -> None:
        pass

    def _send_message(self, data: bytes) -> None:
        self._send(self._named(m.ExecutorToFrameworkMessage(data=data)))

    # --- from the agent -----------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """The agent sends this message."""
        self._after(DELAY, self._receive, self.link, message)

    def _receive(self, link: int, message: Message) -> None:
        if isinstance(message, m.ShutdownExecutorMessage):
            self._shutdown()
        elif isinstance(message, m.ReconnectExecutorMessage):
            if not self._is_late():
                self._reregister()
        elif self.link != link:
            pass
        elif isinstance(message, (m.ExecutorRegisteredMessage, m.ExecutorReregisteredMessage)):
            self._registered()
        elif isinstance(message, m.FrameworkToExecutorMessage):
            self._framework_message(message.data)
        elif isinstance(message, m.KillTaskMessage):
            self._kill_task(message.task_id.value)
        elif not self.subscribed:
            pass  # its driver ignores them while it has no agent
        elif isinstance(message, m.RunTaskMessage):
            self._launch_task(message.task)
        elif isinstance(message, m.StatusUpdateAcknowledgementMessage):
            self._acknowledged(message.task_id.value, message.uuid)

    def _is_late(self) -> bool:
        since = self.away_since
        late = self.traits.late and since is not None
        return late and self._world.clock.now < (since or 0.0) + LATE
