"""Custom executors: processes of frameworks that speak v0 or v1 to the agent, and may misbehave.

A :class:`Program` is the process in one container. It does what Mesos' own drivers do: it
registers, keeps tasks and updates until they are acknowledged, tells them when it registers again,
and ends when the agent turns it away. Its faults are in :class:`~tests.sim.plan.ExecutorTraits`.

All that is random here is drawn from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from shim.core.executors import ExecutorPhase
from shim.core.lifecycle import TaskPhase
from shim.model import facts, orders
from shim.model.container import Phase, Ref
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.protos import journal_pb2
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Call, Event
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, TaskInfo, TaskState, TaskStatus
from tests.sim.clock import Violation
from tests.sim.engine import Behaviour
from tests.sim.plan import ExecutorTraits

if TYPE_CHECKING:
    from tests.sim.process import Process
    from tests.sim.world import World

_DELAY = 0.002
_BACKOFF = 2.0
"""Longest pause of a v1 executor between two attempts to subscribe."""
_LATE = 30.0
"""The same of one that comes back too late."""
_RECOVERY_TIMEOUT = 900.0
"""How long an executor waits for an agent that is away."""
_ADDRESS = "172.17.0.2"
"""Of every container: see ``engine.py``."""
_IMPOSTOR = Pid("executor(1)", "10.6.6.6", 40_000)


@dataclass(slots=True)
class Program:
    """The process in the container of a custom executor."""

    ref: Ref
    traits: ExecutorTraits
    pid: Pid
    """Of a v0 executor; of a v1 executor it is never used."""
    stream: int = 0
    """Of a v1 executor: its last event stream."""
    open: bool = False
    """The stream is open; a v0 executor is registered."""
    subscribed: bool = False
    """The agent has answered on this connection."""
    link: int = 0
    """Number of the connection: what was sent on an earlier one is lost."""
    away_since: float | None = None
    """Since when it has had no agent, after it once had one."""
    known: set[TaskKey] = field(default_factory=set)
    """All tasks that it was ever handed."""
    live: set[TaskKey] = field(default_factory=set)
    """Tasks that it runs."""
    tasks: dict[TaskKey, TaskInfo] = field(default_factory=dict)
    """Tasks without an acknowledged update."""
    updates: dict[bytes, TaskStatus] = field(default_factory=dict)
    """Updates that are not acknowledged to it."""
    unsent: list[TaskStatus] = field(default_factory=list)
    """Updates for when the agent has answered."""

    @property
    def key(self) -> ExecutorKey:
        assert isinstance(self.ref.key, ExecutorKey)
        return self.ref.key


class ExecutorPrograms:
    """All of them, by the name of their container."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rng = Random(f"programs {world.plan.seed}")
        self._programs: dict[str, Program] = {}
        self._traits: dict[ExecutorKey, ExecutorTraits] = {}
        self._streams: dict[int, Program] = {}
        """All streams that were ever opened."""
        self.executor_of: dict[TaskKey, ExecutorKey] = {}
        """Of tasks that were launched for a custom executor."""
        self.handed_over = 0
        self.acknowledged = 0
        self.echoes = 0

    # --- what frameworks launch ---------------------------------------------------------------

    def info(self, framework_id: str, number: int) -> ExecutorInfo:
        """The framework's executor of this number in the plan."""
        info = ExecutorInfo(type=ExecutorInfo.CUSTOM)
        info.executor_id.value, info.framework_id.value = f"custom{number}", framework_id
        info.command.value = "./executor"
        info.container.type = ContainerInfo.DOCKER
        info.container.docker.image = "image"
        for name, value in (("cpus", 0.1), ("mem", 32.0)):
            resource = info.resources.add(name=name, type=0)
            resource.scalar.value, resource.allocation_info.role = value, "prod"
        return info

    def launched(self, keys: Iterable[TaskKey], number: int, behaviour: Behaviour) -> None:
        """Tasks are launched for this executor; the container behaves as the first task would."""
        for key in keys:
            executor = ExecutorKey(key.framework_id, ExecutorId(f"custom{number}"))
            self.executor_of[key] = executor
            if executor not in self._traits:
                self._traits[executor] = traits = self._world.plan.executors[number]
                trouble = behaviour.trouble or ("update" if traits.unfit else "")
                self._world.engine.behaviours[executor] = replace(
                    behaviour, ends=None, stubborn=traits.stubborn, trouble=trouble
                )

    def is_custom(self, ref: Ref) -> bool:
        return isinstance(ref.key, ExecutorKey) and ref.key in self._traits

    # --- its process --------------------------------------------------------------------------

    def started(self, ref: Ref) -> None:
        """The container of an executor started."""
        traits = self._traits.get(ref.key) if isinstance(ref.key, ExecutorKey) else None
        if traits is None:
            return
        for other in self._alive():
            if other.key == ref.key:
                raise Violation(f"{ref} is started, and {other.ref} of the same executor runs")
        pid = Pid("executor(1)", _ADDRESS, 40_000 + len(self._programs))
        program = self._programs[ref.name] = Program(ref, traits, pid)
        if traits.dies is not None:
            self._after(traits.dies, self._exit, program, 1)
        self._contact_soon(program)

    def _alive(self) -> Iterator[Program]:
        return (program for program in self._programs.values() if self._runs(program))

    def _runs(self, program: Program) -> bool:
        container = self._world.engine.containers.get(program.ref.name)
        return container is not None and container.phase is Phase.RUNNING

    def runs(self, key: TaskKey) -> bool:
        """Whether a process runs the task."""
        return any(key in program.live for program in self._alive())

    def _exit(self, program: Program, code: int) -> None:
        self._world.engine.exit(program.ref.name, code)

    def _after(self, delay: float, call: Callable[..., None], program: Program, *args: Any) -> None:
        """Call it then, if the process still runs."""

        def due() -> None:
            if self._runs(program):
                call(program, *args)

        self._world.clock.after(delay, due)

    # --- its connection -----------------------------------------------------------------------

    def _contact_soon(self, program: Program) -> None:
        if program.traits.silent:
            return
        late = program.traits.late and program.away_since is not None
        delay = self.rng.uniform(_BACKOFF, _LATE) if late else self.rng.uniform(0.001, _BACKOFF)
        self._after(delay, self._contact, program, program.link)

    def _contact(self, program: Program, link: int) -> None:
        """Subscribe; a v0 executor registers once."""
        if program.link != link or program.open:
            return
        if self._gives_up(program):
            self._exit(program, 1)
        elif program.traits.v1:
            self._subscribe(program)
        else:
            message = m.RegisterExecutorMessage()
            self._tell(program, self._named(program, message))

    def _gives_up(self, program: Program) -> bool:
        """An executor without checkpointing ends with its agent, any other one some time later."""
        if program.away_since is None:
            return False
        waits = _RECOVERY_TIMEOUT if self._checkpoint(program) else 0.0
        return self._world.clock.now - program.away_since > waits

    def _checkpoint(self, program: Program) -> bool:
        return self._world.schedulers[program.key.framework_id].traits["checkpoint"]

    def _subscribe(self, program: Program) -> None:
        program.stream, program.open, program.subscribed = len(self._streams) + 1, True, False
        self._streams[program.stream] = program
        call = Call(type=Call.SUBSCRIBE)
        call.subscribe.unacknowledged_tasks.extend(program.tasks.values())
        for status in program.updates.values():
            call.subscribe.unacknowledged_updates.add().status.CopyFrom(status)
        program.unsent.clear()
        self._call(program, call, program.stream)

    def _lose_agent(self, program: Program) -> None:
        """The connection broke. A v0 executor waits until its agent calls."""
        had_agent = program.subscribed or program.away_since is not None
        program.link += 1
        program.open = program.subscribed = False
        if had_agent and program.away_since is None:
            program.away_since = self._world.clock.now
        if program.traits.v1:
            self._contact_soon(program)
        elif not had_agent or not self._checkpoint(program):
            self._after(_DELAY, self._exit, program, 1)
        else:
            self._after(_RECOVERY_TIMEOUT, self._still_away, program, program.link)

    def _still_away(self, program: Program, link: int) -> None:
        if program.link == link and not program.subscribed:
            self._exit(program, 1)

    def agent_died(self) -> None:
        for program in list(self._alive()):
            self._lose_agent(program)

    # --- from the process to the agent ----------------------------------------------------------

    def _named(self, program: Program, message: Any) -> Message:
        message.framework_id.value = program.key.framework_id
        message.executor_id.value = program.key.executor_id
        assert isinstance(message, Message)
        return message

    def _call(self, program: Program, call: Call, stream: int | None = None) -> None:
        self._named(program, call)
        process = self._world.process
        self._after(_DELAY, self._called, program, program.link, process, call, stream)

    def _called(
        self, program: Program, link: int, process: Process | None, call: Call, stream: int | None
    ) -> None:
        """The checks of ``http.executor_api.handler``, then the core."""
        if program.link != link:
            return
        if process is None or process.dead or process is not self._world.process:
            self._lose_agent(program)
            return
        view = process.core.view
        if view.recovering:
            self._lose_agent(program)
            return
        known = view.custom_executors.get(program.key)
        if (
            program.key.framework_id not in view.frameworks
            or known is None
            or known.ref != program.ref
            or (stream is None and not known.is_subscribed)
        ):
            if known is not None and known.ref == program.ref and stream is not None:
                raise Violation(f"{program.ref} is refused by its own agent")
            self._exit(program, 1)
            return
        process.post(facts.ExecutorCalled(program.key, call, stream))

    def _tell(self, program: Program, message: Message) -> None:
        """A v0 message: nothing tells its sender whether it arrived."""
        self._after(_DELAY, self._told, program, program.link, self._world.process, message)

    def _told(self, program: Program, link: int, process: Process | None, message: Message) -> None:
        arrives = process is not None and not process.dead and process is self._world.process
        if program.link == link and arrives:
            assert process is not None
            process.post(facts.MessageReceived(program.pid, message))
        elif program.link == link:
            self._lose_agent(program)

    def _report(self, program: Program, key: TaskKey, state: TaskState.ValueType) -> None:
        """A new update, which the process keeps until it is acknowledged."""
        status = TaskStatus(state=state, source=TaskStatus.SOURCE_EXECUTOR)
        status.task_id.value, status.timestamp = key.task_id, self._world.clock.now
        status.uuid = self._uuid()
        program.updates[status.uuid] = status
        if not program.subscribed:
            program.unsent.append(status)
        else:
            self._send_update(program, status)

    def _uuid(self) -> bytes:
        value = bytearray(self.rng.randbytes(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        return bytes(value)

    def _send_update(self, program: Program, status: TaskStatus) -> None:
        traits, rng = program.traits, self.rng
        if not self._world.settling and rng.random() < traits.update_lost:
            if traits.v1:
                # Its driver sees that the call failed.
                self._lose_agent(program)
            return
        for _ in range(2 if rng.random() < traits.update_doubled else 1):
            if traits.v1:
                call = Call(type=Call.UPDATE)
                call.update.status.CopyFrom(status)
                self._call(program, call)
            else:
                message = m.StatusUpdateMessage(pid=str(program.pid))
                message.update.CopyFrom(self._v0_update(program, status))
                self._tell(program, message)

    def _v0_update(self, program: Program, status: TaskStatus) -> m.StatusUpdate:
        update = m.StatusUpdate(uuid=status.uuid, timestamp=status.timestamp)
        self._named(program, update)
        update.status.CopyFrom(status)
        return update

    # --- from the agent to the process ----------------------------------------------------------

    def _of_pid(self, pid: Pid) -> Program | None:
        return next((p for p in self._alive() if p.pid == pid and not p.traits.v1), None)

    @staticmethod
    def is_executor(pid: Pid) -> bool:
        return pid.id == "executor(1)"

    def send(self, to: Pid, message: Message) -> None:
        """A message to a v0 executor is carried out: is it as it must be?"""
        if to == _IMPOSTOR and not isinstance(message, m.ShutdownExecutorMessage):
            raise Violation(f"an impostor is sent {type(message).__name__}")
        program = self._of_pid(to)
        if isinstance(message, m.RunTaskMessage):
            self._check_handed_over(_task_key(message.task, message.framework_id.value))
        elif isinstance(message, m.StatusUpdateAcknowledgementMessage):
            framework_id, task_id = message.framework_id.value, message.task_id.value
            key = TaskKey(FrameworkId(framework_id), TaskId(task_id))
            self._check_acknowledged(key, message.uuid)
        if program is not None:
            self._after(_DELAY, self._hear_v0, program, program.link, message)

    def send_event(self, stream: int, event: Event) -> None:
        program = self._streams[stream]
        framework_id = program.key.framework_id
        if event.type == Event.LAUNCH:
            self._check_handed_over(_task_key(event.launch.task, framework_id))
        elif event.type == Event.LAUNCH_GROUP:
            for task in event.launch_group.task_group.tasks:
                self._check_handed_over(_task_key(task, framework_id))
        elif event.type == Event.ACKNOWLEDGED:
            task_id = TaskId(event.acknowledged.task_id.value)
            self._check_acknowledged(TaskKey(framework_id, task_id), event.acknowledged.uuid)
        self._after(_DELAY, self._hear_v1, program, program.link, stream, event)

    def end_stream(self, stream: int) -> None:
        self._after(_DELAY, self._stream_ended, self._streams[stream], stream)

    def _stream_ended(self, program: Program, stream: int) -> None:
        if program.stream == stream and program.open:
            self._lose_agent(program)

    def _check_handed_over(self, key: TaskKey) -> None:
        saved = self._world.disk.tasks.get(key)
        if saved is not None:
            phase = journal_pb2.TaskState.FromString(saved[1]).phase
            if phase == TaskPhase.QUEUED.value:
                raise Violation(f"{key} is handed over, and a restart would hand it over again")

    def _check_acknowledged(self, key: TaskKey, uuid: bytes) -> None:
        """An update is acknowledged when it is durable here, or when its task has ended."""
        disk = self._world.disk
        self.acknowledged += 1
        if uuid in disk.written:
            return
        saved = disk.tasks.get(key)
        if saved is not None:
            phase = journal_pb2.TaskState.FromString(saved[1]).phase
            if phase != TaskPhase.ENDED.value:
                raise Violation(f"an update of {key} is acknowledged and not durable")

    def _hear_v1(self, program: Program, link: int, stream: int, event: Event) -> None:
        if program.link != link or program.stream != stream or not program.open:
            return
        match event.type:
            case Event.SUBSCRIBED:
                self._registered(program)
            case Event.LAUNCH:
                self._take(program, event.launch.task)
            case Event.LAUNCH_GROUP:
                for task in event.launch_group.task_group.tasks:
                    self._take(program, task)
            case Event.ACKNOWLEDGED:
                self._forget(program, event.acknowledged.task_id.value, event.acknowledged.uuid)
            case Event.KILL:
                self._kill(program, event.kill.task_id.value)
            case Event.MESSAGE:
                self._echo(program, event.message.data)
            case Event.SHUTDOWN:
                self._shutdown(program)

    def _hear_v0(self, program: Program, link: int, message: Message) -> None:
        if isinstance(message, m.ShutdownExecutorMessage):
            self._shutdown(program)
        elif isinstance(message, m.ReconnectExecutorMessage):
            if not self._is_late(program):
                self._reregister(program)
        elif program.link != link:
            pass
        elif isinstance(message, (m.ExecutorRegisteredMessage, m.ExecutorReregisteredMessage)):
            self._registered(program)
        elif isinstance(message, m.FrameworkToExecutorMessage):
            self._echo(program, message.data)
        elif isinstance(message, m.KillTaskMessage):
            self._kill(program, message.task_id.value)
        elif not program.subscribed:
            pass  # its driver ignores them while it has no agent
        elif isinstance(message, m.RunTaskMessage):
            self._take(program, message.task)
        elif isinstance(message, m.StatusUpdateAcknowledgementMessage):
            self._forget(program, message.task_id.value, message.uuid)

    def _is_late(self, program: Program) -> bool:
        since = program.away_since
        late = program.traits.late and since is not None
        return late and self._world.clock.now < (since or 0.0) + _LATE

    def _reregister(self, program: Program) -> None:
        program.open, program.subscribed = True, False
        message = m.ReregisterExecutorMessage(tasks=program.tasks.values())
        message.updates.extend(self._v0_update(program, s) for s in program.updates.values())
        program.unsent.clear()
        self._tell(program, self._named(program, message))

    def _registered(self, program: Program) -> None:
        program.open = program.subscribed = True
        program.away_since = None
        unsent, program.unsent = program.unsent, []
        for status in unsent:
            self._send_update(program, status)

    # --- what the process does ------------------------------------------------------------------

    def _take(self, program: Program, task: TaskInfo) -> None:
        key = _task_key(task, program.key.framework_id)
        if key in program.known:
            raise Violation(f"{key} is handed to its executor a second time")
        if self.executor_of.get(key) != program.key:
            raise Violation(f"{key} is handed to {program.ref}, which is not its executor")
        self.handed_over += 1
        program.known.add(key)
        program.live.add(key)
        program.tasks[key] = task
        behaviour = self._world.engine.behaviours[key]
        self._after(0.01, self._running, program, key)
        if behaviour.ends is not None:
            self._after(0.02 + behaviour.ends, self._ends, program, key, behaviour.code)

    def _running(self, program: Program, key: TaskKey) -> None:
        if key in program.live:
            self._report(program, key, TaskState.TASK_RUNNING)

    def _ends(self, program: Program, key: TaskKey, code: int | None) -> None:
        if key in program.live:
            program.live.discard(key)
            state = TaskState.TASK_FAILED if code else TaskState.TASK_FINISHED
            self._report(program, key, state)

    def _kill(self, program: Program, task_id: str) -> None:
        key = TaskKey(program.key.framework_id, TaskId(task_id))
        if key in program.live and not program.traits.deaf:
            self._after(self.rng.uniform(0.0, 1.0), self._killed, program, key)

    def _killed(self, program: Program, key: TaskKey) -> None:
        if key in program.live:
            program.live.discard(key)
            self._report(program, key, TaskState.TASK_KILLED)

    def _forget(self, program: Program, task_id: str, uuid: bytes) -> None:
        program.updates.pop(uuid, None)
        program.tasks.pop(TaskKey(program.key.framework_id, TaskId(task_id)), None)

    def _echo(self, program: Program, data: bytes) -> None:
        if data != str(program.key).encode():
            raise Violation(f"{program.ref} gets the message {data!r}")
        if program.traits.v1 and program.subscribed:
            call = Call(type=Call.MESSAGE)
            call.message.data = data
            self._call(program, call)
        elif not program.traits.v1:
            self._tell(program, self._named(program, m.ExecutorToFrameworkMessage(data=data)))

    def _shutdown(self, program: Program) -> None:
        if not program.traits.stubborn:
            self._after(self.rng.uniform(0.0, 0.5), self._exit, program, 0)

    # --- events of the plan -----------------------------------------------------------------------

    def of(self, key: ExecutorKey) -> list[Program]:
        """Those that run: at most one."""
        return [program for program in self._alive() if program.key == key]

    def end_tasks(self, keys: Callable[[TaskKey], bool], code: int) -> None:
        """Tasks end by themselves."""
        for program in list(self._alive()):
            for key in sorted(filter(keys, program.live)):
                self._ends(program, key, code)

    def exit(self, key: ExecutorKey) -> None:
        for program in self.of(key):
            self._exit(program, 1)

    def break_link(self, key: ExecutorKey) -> None:
        for program in self.of(key):
            self._lose_agent(program)

    def impersonate(self, key: ExecutorKey) -> None:
        """Another process registers as the executor, and speaks for its tasks."""
        process = self._world.process
        if process is None:
            return
        message = m.RegisterExecutorMessage()
        message.framework_id.value, message.executor_id.value = key.framework_id, key.executor_id
        process.post(facts.MessageReceived(_IMPOSTOR, message))
        for task, executor in self.executor_of.items():
            if executor == key:
                update = m.StatusUpdateMessage()
                update.update.framework_id.value = key.framework_id
                update.update.executor_id.value = key.executor_id
                update.update.uuid, update.update.timestamp = self._uuid(), 1.0
                update.update.status.task_id.value = task.task_id
                update.update.status.state = TaskState.TASK_ERROR
                process.post(facts.MessageReceived(_IMPOSTOR, update))

    def echoed(self, message: m.ExecutorToFrameworkMessage) -> None:
        """A message of an executor arrived at the master."""
        key = ExecutorKey(
            FrameworkId(message.framework_id.value), ExecutorId(message.executor_id.value)
        )
        if message.data != str(key).encode():
            raise Violation(f"a message of {key} says {message.data!r}")
        self.echoes += 1

    def explain(self, process: Process, order: orders.ExplainSilence) -> None:
        """What ``agent.executor_silence`` finds out, or nothing."""
        if self.rng.random() < 0.7:
            fact = facts.SilenceExplained(order.ref, "simulated")
            self._world.clock.after(self.rng.uniform(0.1, 12.0), process.post, fact)

    # --- the end of a run -------------------------------------------------------------------------

    def settle(self) -> None:
        """Every task ends, then frameworks shut their executors down.

        A master passes that on for executors that it does not know as well.
        """
        self.end_tasks(lambda key: True, 0)
        for key in self._traits:
            if self._world.master is not None:
                self._world.master.shut_down(key)

    def check_groups(self) -> None:
        """After each commit: a group that is handed over is handed over whole."""
        groups: dict[tuple[FrameworkId, str, int], set[str]] = {}
        for key, (_, value) in self._world.disk.tasks.items():
            if key in self.executor_of:
                state = journal_pb2.TaskState.FromString(value)
                if state.custom_group:
                    name = (key.framework_id, state.executor_id, state.custom_group)
                    groups.setdefault(name, set()).add(state.phase)
        for name, phases in groups.items():
            if len(phases) > 1 and TaskPhase.QUEUED.value in phases:
                raise Violation(f"a part of the task group {name} waits: {sorted(phases)}")

    def check_create(self, ref: Ref) -> None:
        """A restart launches an executor again unless it is durable that it may exist."""
        if not self.is_custom(ref):
            return
        value = self._world.disk.executors.get(ref.container_id)
        if value is None:
            return
        saved = journal_pb2.Executor.FromString(value)
        registering = saved.phase == ExecutorPhase.REGISTERING.value
        if registering and not saved.custom.creating:
            raise Violation(f"{ref} is created, and a restart would launch it again")


def _task_key(task: TaskInfo, framework_id: str) -> TaskKey:
    return TaskKey(FrameworkId(framework_id), TaskId(task.task_id.value))
