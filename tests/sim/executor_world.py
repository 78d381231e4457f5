"""A small world of custom executors: one agent, one executor process, a master; all may fail.

It runs the core behind the real barrier on the simulated disk. The agent dies at any point: before
its records are durable, and after any of the orders that follow them. Streams break, messages get
lost, the executor dies, reports twice, or speaks for tasks that it never got. The world is strict:
see :class:`Judge`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from shim.agent.barrier import Barrier
from shim.core.agent import Core
from shim.core.context import CoreSettings, Now
from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref
from shim.model.facts import Fact
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Call, Event
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus
from shim.wire import safety
from tests.core.executor_harness import container_of, executor_info, inner_task
from tests.core.harness import AGENT, MASTER, agent_info, framework_info
from tests.sim.clock import Violation
from tests.sim.disk import Disk

KEY = ExecutorKey(FrameworkId("F"), ExecutorId("E"))
STATES = (TaskState.TASK_RUNNING, TaskState.TASK_FINISHED, TaskState.TASK_FAILED)


class AgentDied(Exception):
    """The agent's process is gone, in the middle of a decision."""


@dataclass
class Program:
    """The executor's process in its container: v0, or v1 with an event stream."""

    ref: Ref
    is_v1: bool
    pid: Pid
    running: bool = False
    stream: int | None = None
    """The stream of a v1 executor, while it is open; 0 for a registered v0 executor."""
    tasks: dict[str, TaskInfo] = field(default_factory=dict)
    """Without an acknowledged update."""
    known: set[str] = field(default_factory=set)
    """All tasks that it was ever given."""
    updates: dict[bytes, TaskStatus] = field(default_factory=dict)
    """Not acknowledged by the agent."""


class Judge:
    """Raises Violation.

    * an update is acknowledged to the executor only when it is durable, or its task has ended;
    * a task is given to a process once;
    * no message is sent that would abort a master;
    * at the end each task has one terminal state, and neither container nor record is left.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.ends: dict[str, set[int]] = {}

    def acknowledged(self, task_id: str, uuid: bytes) -> None:
        if uuid in self._disk.written:
            return
        if task_id not in self.ends and not self._has_durable_end(task_id):
            raise Violation(f"an update of {task_id} is acknowledged and not durable")

    def _has_durable_end(self, task_id: str) -> bool:
        updates = map(m.StatusUpdateMessage.FromString, self._disk.written.values())
        return any(
            update.update.status.task_id.value == task_id
            and update.update.status.state not in (TaskState.TASK_RUNNING, TaskState.TASK_KILLING)
            for update in updates
        )

    def given(self, program: Program, task_id: str) -> None:
        if task_id in program.known:
            raise Violation(f"{task_id} is given to the executor a second time")

    def ended(self, task_id: str, state: int) -> None:
        states = self.ends.setdefault(task_id, set())
        states.add(state)
        if len(states) > 1:
            raise Violation(f"{task_id} ends as {states}")


class ExecutorWorld:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.disk = Disk()
        self.judge = Judge(self.disk)
        self.time = 0.0
        self.info = executor_info()
        self.is_v1 = self.rng.random() < 0.6
        self.launched: list[str] = []
        self.program: Program | None = None
        self.masters_view = False
        """The master has the executor."""
        self.calm = False
        self._uuids = 0
        self._streams = 0
        self._todo: list[orders.Order] = []
        self._fragile = self.rng.choice((0.0, 0.02, 0.1))
        self._boot()

    # --- randomness and time for the core ---------------------------------------------------

    def uuid(self) -> bytes:
        self._uuids += 1
        return self._uuids.to_bytes(6, "big") + b"\x40" + bytes(9)

    def uniform(self, limit: float) -> float:
        return limit

    @property
    def now(self) -> Now:
        return Now(self.time, 1e9 + self.time)

    # --- the agent --------------------------------------------------------------------------

    def _boot(self) -> None:
        settings = CoreSettings(AGENT, agent_info(), "1.11.0")
        self.core = Core(settings, self, self.disk.snapshot(), self.now)
        self.barrier = Barrier()
        self._todo.clear()
        if self.program is not None:
            self.program.stream = None
        found = [] if self.program is None else [self._container(self.program)]
        self.post(facts.ContainersFound(tuple(c for c in found if c is not None)))
        self.post(facts.MasterDetected(MASTER))
        self.pass_time(1.0)
        self._answer_registration()

    def _answer_registration(self) -> None:
        known = self.core.ctx.agent_id
        answer = m.SlaveRegisteredMessage() if known is None else m.SlaveReregisteredMessage()
        answer.slave_id.value = known or "S1"
        answer.connection.total_ping_timeout_seconds = 1e9
        self.post(facts.MessageReceived(MASTER, answer))
        self.masters_view = bool(
            KEY in self.core.custom_executors.table and self.core.custom_executors.table[KEY].live
        )

    def post(self, fact: Fact) -> None:
        """Handle a fact, commit its records, carry out its orders; die anywhere in between."""
        try:
            self.barrier.add(self.core.handle(fact, self.now))
            while self.barrier:
                batch = self.barrier.take()
                self._may_die()
                self.disk.commit(batch.records)
                self._may_die()
                for order in batch.orders:
                    self._carry_out(order)
                    self._may_die()
        except AgentDied:
            self._boot()
            return
        while self._todo:
            self._answer(self._todo.pop(0))

    def _may_die(self) -> None:
        if not self.calm and self.rng.random() < self._fragile:
            raise AgentDied

    def pass_time(self, seconds: float) -> None:
        until = self.time + seconds
        while (due := self.core.deadline()) is not None and due <= until:
            self.time = max(self.time, due)
            self.post(facts.DeadlinePassed())
        self.time = until

    # --- orders -----------------------------------------------------------------------------

    def _carry_out(self, order: orders.Order) -> None:
        match order:
            case orders.SendExecutorEvent(stream, event):
                program = self.program
                if program is not None and program.stream == stream and not self._lost():
                    self._hear(program, event)
            case orders.EndStream(stream):
                if self.program is not None and self.program.stream == stream:
                    self.program.stream = None
            case orders.Send(to, message):
                self._send(to, message)
            case _:
                self._todo.append(order)

    def _send(self, to: Pid, message: object) -> None:
        program = self.program
        if program is not None and to == program.pid:
            if program.running and not self._lost():
                self._hear_v0(program, message)
        elif isinstance(message, m.StatusUpdateMessage):
            safety.check(message)
            self._todo.append(orders.Send(to, message))
        elif isinstance(message, m.ExitedExecutorMessage):
            self.masters_view = False

    def _lost(self) -> bool:
        return not self.calm and self.rng.random() < 0.05

    def _answer(self, order: orders.Order) -> None:
        """What the engine and the master make of an order, as facts."""
        match order:
            case orders.LaunchExecutor(ref):
                self._launch(ref)
            case orders.AllowCreate(ref):
                if self.program is None or self.program.ref != ref:
                    pid = Pid("executor(1)", "172.17.0.9", 40_000 + self._uuids)
                    self.program = Program(ref, self.is_v1, pid, running=True)
                self.post(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))
            case orders.CancelLaunch(ref):
                if self.program is None or self.program.ref != ref:
                    self.post(facts.LaunchCancelled(ref))
                else:
                    self.post(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))
            case orders.Stop(ref):
                self._program_exits(137, ref)
            case orders.Remove(ref):
                if self.program is not None and self.program.ref == ref:
                    self.program = None
                self.post(facts.ContainerRemoved(ref))
            case orders.UpdateContainer(ref):
                error = "refused" if not self.calm and self.rng.random() < 0.1 else ""
                self.post(facts.ContainerUpdated(ref, error))
            case orders.Send(_, message):
                assert isinstance(message, m.StatusUpdateMessage)
                self._acknowledge(message)

    def _launch(self, ref: Ref) -> None:
        if self.program is not None and self.program.ref == ref:
            self.post(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))
        elif not self.calm and self.rng.random() < 0.1:
            self.post(facts.LaunchFailed(ref, facts.Failure.PULL, "no image"))
        else:
            self.post(facts.LaunchAdvanced(ref, facts.Stage.CREATING))

    def _acknowledge(self, message: m.StatusUpdateMessage) -> None:
        status = message.update.status
        if status.state not in (TaskState.TASK_RUNNING, TaskState.TASK_KILLING):
            self.judge.ended(status.task_id.value, status.state)
        if self._lost():
            return
        answer = m.StatusUpdateAcknowledgementMessage(uuid=message.update.uuid)
        answer.slave_id.value = message.update.slave_id.value
        answer.framework_id.value, answer.task_id.value = "F", status.task_id.value
        self.post(facts.MessageReceived(MASTER, answer))

    @staticmethod
    def _container(program: Program) -> Container | None:
        phase = Phase.RUNNING if program.running else Phase.EXITED
        return container_of(program.ref, phase, None if program.running else 1)

    # --- the executor -----------------------------------------------------------------------

    def _hear(self, program: Program, event: Event) -> None:
        match event.type:
            case Event.LAUNCH:
                self._take(program, event.launch.task)
            case Event.LAUNCH_GROUP:
                for task in event.launch_group.task_group.tasks:
                    self._take(program, task)
            case Event.ACKNOWLEDGED:
                self._forget(program, event.acknowledged.task_id.value, event.acknowledged.uuid)
            case Event.KILL:
                self._note(program, event.kill.task_id.value, TaskState.TASK_KILLED)
            case Event.SHUTDOWN:
                program.running = False

    def _hear_v0(self, program: Program, message: object) -> None:
        match message:
            case m.ExecutorRegisteredMessage() | m.ExecutorReregisteredMessage():
                program.stream = 0
            case m.ReconnectExecutorMessage():
                program.stream = None
            case m.RunTaskMessage():
                self._take(program, message.task)
            case m.StatusUpdateAcknowledgementMessage():
                self._forget(program, message.task_id.value, message.uuid)
            case m.KillTaskMessage():
                self._note(program, message.task_id.value, TaskState.TASK_KILLED)
            case m.ShutdownExecutorMessage():
                program.running = False

    def _take(self, program: Program, task: TaskInfo) -> None:
        self.judge.given(program, task.task_id.value)
        program.known.add(task.task_id.value)
        program.tasks[task.task_id.value] = task

    def _forget(self, program: Program, task_id: str, uuid: bytes) -> None:
        self.judge.acknowledged(task_id, uuid)
        program.updates.pop(uuid, None)
        program.tasks.pop(task_id, None)

    def _note(self, program: Program, task_id: str, state: TaskState.ValueType) -> TaskStatus:
        """An update that the executor keeps until it is acknowledged."""
        status = TaskStatus(state=state, source=TaskStatus.SOURCE_EXECUTOR, timestamp=self.time)
        status.task_id.value, status.uuid = task_id, self.uuid()
        program.updates[status.uuid] = status
        return status

    def executor_contacts(self) -> None:
        """Register or subscribe, if it is not connected."""
        program = self.program
        if program is None or not program.running or program.stream is not None:
            return
        if program.is_v1:
            self._streams += 1
            program.stream = self._streams
            call = Call(type=Call.SUBSCRIBE)
            call.subscribe.unacknowledged_tasks.extend(program.tasks.values())
            for status in program.updates.values():
                call.subscribe.unacknowledged_updates.add().status.CopyFrom(status)
            self._call(call, program.stream)
            return
        known = self.core.custom_executors.table.get(KEY)
        again = known is not None and known.pid == program.pid
        again_message = m.ReregisterExecutorMessage(tasks=program.tasks.values())
        for status in program.updates.values():
            again_message.updates.append(self._v0_update(status))
        message = again_message if again else m.RegisterExecutorMessage()
        message.framework_id.value, message.executor_id.value = "F", "E"
        self.post(facts.MessageReceived(program.pid, message))

    def _v0_update(self, status: TaskStatus) -> m.StatusUpdate:
        update = m.StatusUpdate(uuid=status.uuid, timestamp=status.timestamp)
        update.framework_id.value, update.executor_id.value, update.slave_id.value = "F", "E", "S1"
        update.status.CopyFrom(status)
        return update

    def executor_reports(self) -> None:
        """A new update about one of its tasks, or an old one again."""
        program = self.program
        if program is None or not program.running or program.stream is None:
            return
        if program.updates and self.rng.random() < 0.5:
            status = self.rng.choice(list(program.updates.values()))
        elif program.known:
            task_id = self.rng.choice(sorted(program.known))
            status = self._note(program, task_id, self.rng.choice(STATES))
        else:
            return
        if program.is_v1:
            call = Call(type=Call.UPDATE)
            call.update.status.CopyFrom(status)
            self._call(call)
        else:
            message = m.StatusUpdateMessage(pid=str(program.pid), update=self._v0_update(status))
            self.post(facts.MessageReceived(program.pid, message))

    def _call(self, call: Call, stream: int | None = None) -> None:
        call.framework_id.value, call.executor_id.value = "F", "E"
        self.post(facts.ExecutorCalled(KEY, call, stream))

    def executor_exits(self) -> None:
        if self.program is not None and self.program.running:
            self._program_exits(1, self.program.ref)

    def _program_exits(self, code: int, ref: Ref) -> None:
        if self.program is not None and self.program.ref == ref:
            self.program.running = False
            self.post(facts.ContainerExited(ref, code))
        else:
            self.post(facts.ContainerVanished(ref))

    def program_seen(self) -> None:
        """The watcher sees that a process has ended by itself."""
        program = self.program
        if program is not None and not program.running:
            self.post(facts.ContainerExited(program.ref, 0))

    # --- the master -------------------------------------------------------------------------

    def launch(self) -> None:
        name = f"t{len(self.launched)}"
        self.launched.append(name)
        message = m.RunTaskMessage(pid="@0.0.0.0:0", launch_executor=not self.masters_view)
        self.masters_view = True
        message.framework.CopyFrom(framework_info("F", "aware"))
        message.task.CopyFrom(inner_task(name, self.info, mem=self.rng.choice((0, 16))))
        self.post(facts.MessageReceived(MASTER, message))
        if TaskKey(FrameworkId("F"), TaskId(name)) not in self.disk.accepted:
            written = map(m.StatusUpdateMessage.FromString, self.disk.written.values())
            if not any(u.update.status.task_id.value == name for u in written):
                self.launched.remove(name)  # the agent died before it had the launch
                self.launched.append("")
        self.masters_view = self.masters_view and KEY in self.core.custom_executors.table

    def kill(self) -> None:
        """A master sends no kill of a task whose end it knows."""
        live = [name for name in self.launched if name and name not in self.judge.ends]
        if live:
            name = self.rng.choice(live)
            message = m.KillTaskMessage()
            message.framework_id.value, message.task_id.value = "F", name
            self.post(facts.MessageReceived(MASTER, message))

    def crash(self) -> None:
        self._boot()

    # --- a run ------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises Violation."""
        steps = (
            self.launch,
            self.kill,
            self.executor_contacts,
            self.executor_contacts,
            self.executor_reports,
            self.executor_reports,
            self.executor_exits,
            self.program_seen,
            self.crash,
        )
        weights = (3, 1, 4, 4, 6, 6, 0.3, 2, 0.5)
        for _ in range(self.rng.randrange(10, 60)):
            (step,) = self.rng.choices(steps, weights)
            step()
            self.pass_time(self.rng.choice((0.0, 0.1, 2.0, 30.0)))
        self._settle()

    def _settle(self) -> None:
        """Without faults everything ends: the scheduler shuts the executor down."""
        self.calm = True
        self._boot()
        for _ in range(20):
            if not (self.disk.tasks or self.disk.executors or self.program):
                break
            self.executor_contacts()
            message = m.ShutdownExecutorMessage()
            message.framework_id.value, message.executor_id.value = "F", "E"
            self.post(facts.MessageReceived(MASTER, message))
            self.program_seen()
            self.pass_time(700.0)
        missing = [name for name in self.launched if name and name not in self.judge.ends]
        if missing:
            raise Violation(f"no terminal state of {missing}")
        for what in ("tasks", "executors", "frameworks", "pending_removals"):
            if left := getattr(self.disk, what):
                raise Violation(f"{what} left: {left}")
        if self.program is not None:
            raise Violation(f"a container is left: {self.program}")
        live = [e for e in self.core.custom_executors.table.values() if e.live]
        assert not live, [e.phase is ExecutorPhase.RUNNING for e in live]
