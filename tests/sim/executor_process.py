"""The process of a custom executor: its tasks, its updates, and how it may misbehave.

It does what Mesos' drivers of both protocols do: it keeps tasks and updates until they are
acknowledged, sends them when it registers again, and ends when the agent rejects it, or is away for
too long. ``executor_v0.py`` and ``executor_v1.py`` have the messages. Its faults are in
:class:`~tests.sim.plan.ExecutorTraits`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shim.model.container import Phase, Ref
from shim.model.ids import ExecutorKey, TaskId, TaskKey
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus
from tests.sim.plan import ExecutorTraits

if TYPE_CHECKING:
    from tests.sim.executors import ExecutorProcesses

DELAY = 0.002
"""Of each message, in either direction."""
LATE = 30.0
"""Longest pause before an executor that comes back too late subscribes again."""
RECOVERY_TIMEOUT = 900.0
"""How long an executor waits for an agent that is away."""
_BACKOFF = 2.0
"""Longest pause of any other executor between two attempts to subscribe."""


class ExecutorProcess(ABC):
    """Runs while the container runs."""

    def __init__(self, executors: ExecutorProcesses, ref: Ref, traits: ExecutorTraits) -> None:
        self._executors = executors
        self._world = executors.world
        self._rng = executors.rng
        self.ref = ref
        self.traits = traits
        self.open = False
        """A v1 executor's stream is open; a v0 executor is registered."""
        self.subscribed = False
        """The agent has answered on this connection."""
        self.link = 0
        """Number of the connection: what was sent on an earlier one is lost."""
        self.away_since: float | None = None
        """Since when it has had no agent, after it once had one."""
        self.live: set[TaskKey] = set()
        """Tasks that it runs."""
        self._known: set[TaskKey] = set()
        """All tasks that it was ever handed."""
        self._tasks: dict[TaskKey, TaskInfo] = {}
        """Tasks without an acknowledged update."""
        self._updates: dict[bytes, TaskStatus] = {}
        """Updates that are not acknowledged to it."""
        self._unsent: list[TaskStatus] = []
        """Updates for when the agent has answered."""

    @property
    def key(self) -> ExecutorKey:
        assert isinstance(self.ref.key, ExecutorKey)
        return self.ref.key

    @property
    def runs(self) -> bool:
        container = self._world.engine.containers.get(self.ref.name)
        return container is not None and container.phase is Phase.RUNNING

    def start(self) -> None:
        if self.traits.dies is not None:
            self._after(self.traits.dies, self.exit, 1)
        self._contact_soon()

    def exit(self, code: int) -> None:
        self._world.engine.exit(self.ref.name, code)

    def _after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call it then, if the process still runs."""

        def due() -> None:
            if self.runs:
                call(*args)

        self._world.clock.after(delay, due)

    # --- its connection -----------------------------------------------------------------------

    def _contact_soon(self) -> None:
        if self.traits.silent:
            return
        late = self.traits.late and self.away_since is not None
        delay = self._rng.uniform(_BACKOFF, LATE) if late else self._rng.uniform(0.001, _BACKOFF)
        self._after(delay, self._contact_on, self.link)

    def _contact_on(self, link: int) -> None:
        if self.link == link and not self.open:
            self._contact()

    @abstractmethod
    def _contact(self) -> None:
        """Register, or subscribe."""

    def lose_agent(self) -> None:
        """The connection broke."""
        had_agent = self.subscribed or self.away_since is not None
        self.link += 1
        self.open = self.subscribed = False
        if had_agent and self.away_since is None:
            self.away_since = self._world.clock.now
        self._disconnected(had_agent)

    @abstractmethod
    def _disconnected(self, had_agent: bool) -> None:
        """Find the agent again, or end."""

    @property
    def _checkpoint(self) -> bool:
        """An executor without checkpointing ends with its agent, any other one some time later."""
        return self._world.schedulers[self.key.framework_id].traits["checkpoint"]

    def _registered(self) -> None:
        self.open = self.subscribed = True
        self.away_since = None
        unsent, self._unsent = self._unsent, []
        for status in unsent:
            self._send_update(status)

    # --- updates ------------------------------------------------------------------------------

    def _report(self, key: TaskKey, state: TaskState.ValueType) -> None:
        """A new update, which the process keeps until it is acknowledged."""
        status = TaskStatus(state=state, source=TaskStatus.SOURCE_EXECUTOR)
        status.task_id.value, status.timestamp = key.task_id, self._world.clock.now
        status.uuid = self._executors.uuid()
        self._updates[status.uuid] = status
        if not self.subscribed:
            self._unsent.append(status)
        else:
            self._send_update(status)

    def _send_update(self, status: TaskStatus) -> None:
        if not self._world.settling and self._rng.random() < self.traits.update_lost:
            self._update_lost()
            return
        for _ in range(2 if self._rng.random() < self.traits.update_doubled else 1):
            self._send_status(status)

    @abstractmethod
    def _send_status(self, status: TaskStatus) -> None: ...

    @abstractmethod
    def _update_lost(self) -> None:
        """What its driver does when an update is lost on the way."""

    # --- what its driver calls: the names are those of Mesos' ``Executor`` -----------------------

    def _launch_task(self, task: TaskInfo) -> None:
        key = TaskKey(self.key.framework_id, TaskId(task.task_id.value))
        self._executors.invariants.check_launched(self.ref, key, again=key in self._known)
        self._known.add(key)
        self.live.add(key)
        self._tasks[key] = task
        behaviour = self._world.engine.behaviours[key]
        self._after(0.01, self._running, key)
        if behaviour.ends is not None:
            self._after(0.02 + behaviour.ends, self.end_task, key, behaviour.code)

    def _running(self, key: TaskKey) -> None:
        if key in self.live:
            self._report(key, TaskState.TASK_RUNNING)

    def end_task(self, key: TaskKey, code: int | None) -> None:
        """The task ends by itself."""
        if key in self.live:
            self.live.discard(key)
            self._report(key, TaskState.TASK_FAILED if code else TaskState.TASK_FINISHED)

    def _kill_task(self, task_id: str) -> None:
        key = TaskKey(self.key.framework_id, TaskId(task_id))
        if key in self.live and not self.traits.deaf:
            self._after(self._rng.uniform(0.0, 1.0), self._killed, key)

    def _killed(self, key: TaskKey) -> None:
        if key in self.live:
            self.live.discard(key)
            self._report(key, TaskState.TASK_KILLED)

    def _acknowledged(self, task_id: str, uuid: bytes) -> None:
        self._updates.pop(uuid, None)
        self._tasks.pop(TaskKey(self.key.framework_id, TaskId(task_id)), None)

    def _framework_message(self, data: bytes) -> None:
        """Send it back."""
        self._executors.invariants.check_message(self.key, data)
        self._send_message(data)

    @abstractmethod
    def _send_message(self, data: bytes) -> None:
        """A message for the framework."""

    def _shutdown(self) -> None:
        if not self.traits.stubborn:
            self._after(self._rng.uniform(0.0, 0.5), self.exit, 0)
