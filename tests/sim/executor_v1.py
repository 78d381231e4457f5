"""A custom executor with Mesos' v1 library: it subscribes, and calls the agent over HTTP.

After a loss of its agent it subscribes again by itself, until its recovery timeout is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.model import facts
from shim.protos.executor_pb2 import Call, Event
from shim.protos.mesos_pb2 import TaskStatus
from tests.sim.clock import Violation
from tests.sim.executor_process import DELAY, RECOVERY_TIMEOUT, ExecutorProcess

if TYPE_CHECKING:
    from tests.sim.process import Process


class V1Executor(ExecutorProcess):
    stream: int = 0
    """The last event stream that it opened."""

    # --- its connection -----------------------------------------------------------------------

    def _contact(self) -> None:
        if self._gives_up():
            self.exit(1)
        else:
            self._subscribe()

    def _gives_up(self) -> bool:
        if self.away_since is None:
            return False
        waits = RECOVERY_TIMEOUT if self._checkpoint else 0.0
        return self._world.clock.now - self.away_since > waits

    def _subscribe(self) -> None:
        self.stream, self.open, self.subscribed = self._executors.open_stream(self), True, False
        call = Call(type=Call.SUBSCRIBE)
        call.subscribe.unacknowledged_tasks.extend(self._tasks.values())
        for status in self._updates.values():
            call.subscribe.unacknowledged_updates.add().status.CopyFrom(status)
        self._unsent.clear()
        self._call(call, self.stream)

    def _disconnected(self, had_agent: bool) -> None:
        self._contact_soon()

    # --- to the agent -------------------------------------------------------------------------

    def _call(self, call: Call, stream: int | None = None) -> None:
        call.framework_id.value = self.key.framework_id
        call.executor_id.value = self.key.executor_id
        self._after(DELAY, self._arrive, self.link, self._world.process, call, stream)

    def _arrive(self, link: int, process: Process | None, call: Call, stream: int | None) -> None:
        """The checks of ``http.executor_api.handler``, then the core."""
        if self.link != link:
            return
        if process is None or process.dead or process is not self._world.process:
            self.lose_agent()
            return
        view = process.core.view
        if view.recovering:
            self.lose_agent()
            return
        known = view.custom_executors.get(self.key)
        if (
            self.key.framework_id not in view.frameworks
            or known is None
            or known.ref != self.ref
            or (stream is None and not known.is_subscribed)
        ):
            if known is not None and known.ref == self.ref and stream is not None:
                raise Violation(f"{self.ref} is refused by its own agent")
            self.exit(1)
            return
        process.post(facts.ExecutorCalled(self.key, call, stream))

    def _send_status(self, status: TaskStatus) -> None:
        call = Call(type=Call.UPDATE)
        call.update.status.CopyFrom(status)
        self._call(call)

    def _update_lost(self) -> None:
        """The call failed: the library connects again."""
        self.lose_agent()

    def _send_message(self, data: bytes) -> None:
        if self.subscribed:
            call = Call(type=Call.MESSAGE)
            call.message.data = data
            self._call(call)

    # --- from the agent -----------------------------------------------------------------------

    def send(self, stream: int, event: Event) -> None:
        """The agent sends this event."""
        self._after(DELAY, self._receive, self.link, stream, event)

    def end_stream(self, stream: int) -> None:
        self._after(DELAY, self._stream_ended, stream)

    def _stream_ended(self, stream: int) -> None:
        if self.stream == stream and self.open:
            self.lose_agent()

    def _receive(self, link: int, stream: int, event: Event) -> None:
        if self.link != link or self.stream != stream or not self.open:
            return
        match event.type:
            case Event.SUBSCRIBED:
                self._registered()
            case Event.LAUNCH:
                self._launch_task(event.launch.task)
            case Event.LAUNCH_GROUP:
                for task in event.launch_group.task_group.tasks:
                    self._launch_task(task)
            case Event.ACKNOWLEDGED:
                self._acknowledged(event.acknowledged.task_id.value, event.acknowledged.uuid)
            case Event.KILL:
                self._kill_task(event.kill.task_id.value)
            case Event.MESSAGE:
                self._framework_message(event.message.data)
            case Event.SHUTDOWN:
                self._shutdown()
