"""A simulated master: admission, three kinds of re-registration, tasks, pings, acknowledgements.

It leaves out offers, allocation and operations. It keeps the rules of a Mesos 1.12 master that an
agent relies on, and those that harm an agent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.model.states import TERMINAL
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    DrainConfig,
    ExecutorInfo,
    Offer,
    Resource,
    TaskInfo,
    TaskState,
    Value,
    Volume,
)
from tests.sim.clock import Violation
from tests.sim.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.sim.world import World

PING = 15.0
MISSES = 5
REREGISTER_TIMEOUT = 600.0


@dataclass(slots=True)
class Registry:
    """What a master recovers after a failover."""

    admitted: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    draining: dict[str, DrainConfig] = field(default_factory=dict)


@dataclass(slots=True)
class MasterTask:
    """A task as the master knows it."""

    state: int = TaskState.TASK_STAGING
    update: tuple[int, bytes] | None = None
    """State and uuid of the last update forwarded."""
    killed: bool = False


@dataclass(slots=True)
class Agent:
    id: str
    observer: int
    connected: bool = True
    missed: int = 0
    tasks: dict[TaskKey, MasterTask] = field(default_factory=dict)
    executors: set[ExecutorKey] = field(default_factory=set)
    """Booked: launched here or reported, and not told to have exited."""


class Master:
    def __init__(self, world: World, number: int, registry: Registry) -> None:
        self._world = world
        self.pid = Pid("master", f"10.0.0.{number}", 5050)
        self.alive = True
        self.registry = registry
        self.recovered = set(registry.admitted)
        self.agent: Agent | None = None
        self.known: set[FrameworkId] = set()
        self.completed: set[FrameworkId] = set()
        self._observers = 0
        self._agents = 0
        self._admitting = False
        self.reserved: list[Resource] = []
        self._operations: dict[bytes, Offer.Operation] = {}
        """Sent, and not known to be finished."""

    # --- messages ---------------------------------------------------------------------------

    def received(self, to: Pid, message: Message | None) -> None:
        if message is None:
            if self.agent is not None and to.id == f"slave-observer({self.agent.observer})":
                self.agent.missed = 0
            return
        self._world.say("master", self.pid, "receives", type(message).__name__)
        match message:
            case m.RegisterSlaveMessage():
                self._register(message)
            case m.ReregisterSlaveMessage():
                self._reregister(message)
            case m.StatusUpdateMessage():
                self._status_update(message)
            case m.UnregisterSlaveMessage():
                if self.agent is not None and self.agent.id == message.slave_id.value:
                    self._remove_agent("it unregistered")
            case m.ExitedExecutorMessage():
                if self.agent is not None and self.agent.id == message.slave_id.value:
                    self.agent.executors.discard(_executor_key(message))
            case m.UpdateOperationStatusMessage():
                self._operation_status(message)
            case m.UpdateSlaveMessage():
                self._compare_operations(message)
            case m.ExecutorToFrameworkMessage():
                self._world.executors.invariants.check_returned(message)
            case _:
                raise Violation(f"a master does not expect {type(message).__name__}")

    def _send(self, message: Message) -> None:
        self._world.network.to_agent(self.pid, message)

    def _tell(self, message: Message) -> None:
        """Send to the agent if its link stands; otherwise the message is lost."""
        if self.agent is not None and self.agent.connected:
            self._send(message)

    # --- admission --------------------------------------------------------------------------

    def _register(self, message: m.RegisterSlaveMessage) -> None:
        if self._admitting:
            return
        if self.agent is not None:
            if self.agent.connected:
                self._answer_registration()
                return
            self._remove_agent("it registered anew")
        self._admitting = True
        self._world.clock.after(self._world.rng.uniform(0.001, 0.05), self._admit, message)

    def _admit(self, message: m.RegisterSlaveMessage) -> None:
        if not self.alive:
            return
        self._admitting = False
        self.reserved = list(message.checkpointed_resources)
        self._agents += 1
        agent_id = f"{self.pid.ip}-{len(self.registry.admitted)}-S{self._agents}"
        self.registry.admitted.add(agent_id)
        self._add(agent_id)
        self._answer_registration()

    def _add(self, agent_id: str) -> None:
        self._observers += 1
        self.agent = Agent(agent_id, self._observers)
        self._ping(self.agent)
        if self._world.process is None:
            self._world.clock.after(0.01, self.link_broke)

    def _answer_registration(self) -> None:
        assert self.agent is not None
        message = m.SlaveRegisteredMessage()
        message.slave_id.value = self.agent.id
        message.connection.total_ping_timeout_seconds = PING * MISSES
        self._send(message)

    def _reregister(self, message: m.ReregisterSlaveMessage) -> None:
        agent_id = message.slave.id.value
        if agent_id in self.registry.gone:
            self._send(m.ShutdownMessage(message="Agent has been marked gone"))
        elif self.agent is not None and self.agent.id == agent_id:
            self._reregister_known(message)
        elif not self._admitting:
            if self.agent is not None:
                self._remove_agent("another agent has its address")
            self._admitting = True
            delay = self._world.rng.uniform(0.001, 0.05)
            self._world.clock.after(delay, self._reregister_admitted, message)

    def _reregister_known(self, message: m.ReregisterSlaveMessage) -> None:
        agent = self.agent
        assert agent is not None
        agent.connected = True
        agent.executors &= {_executor_key(executor) for executor in message.executor_infos}
        reported = _reported(message)
        missing = [key for key in agent.tasks if key not in reported]
        self._send(self._reregistered(missing))
        for key, task in agent.tasks.items():
            if task.killed and key in reported:
                self._send(_kill(key))
        self._after_return(reported, drain_first=False)
        if self._world.plan.volumes:
            self.reserved = list(message.checkpointed_resources)
        else:
            self.send_reserved()

    def _reregister_admitted(self, message: m.ReregisterSlaveMessage) -> None:
        if not self.alive:
            return
        self._admitting = False
        agent_id = message.slave.id.value
        if agent_id in self.registry.gone:
            return
        self.recovered.discard(agent_id)
        self.registry.admitted.add(agent_id)
        self._add(agent_id)
        assert self.agent is not None
        self.reserved = list(message.checkpointed_resources)
        reported = _reported(message)
        for key, state in reported.items():
            if key.framework_id not in self.completed:
                self.agent.tasks[key] = MasterTask(state)
                self.known.add(key.framework_id)
        self.agent.executors = {
            key
            for key in map(_executor_key, message.executor_infos)
            if key.framework_id not in self.completed
        }
        self._drain_again()
        self._send(self._reregistered([]))
        self._after_return(reported, drain_first=True)

    def send_reserved(self) -> None:
        self._send(m.CheckpointResourcesMessage(resources=self.reserved))

    def _reregistered(self, missing: list[TaskKey]) -> m.SlaveReregisteredMessage:
        assert self.agent is not None
        answer = m.SlaveReregisteredMessage()
        answer.slave_id.value = self.agent.id
        answer.connection.total_ping_timeout_seconds = PING * MISSES
        for key in missing:
            part = answer.reconciliations.add()
            part.framework_id.value = key.framework_id
            scheduler = self._world.schedulers[key.framework_id]
            part.framework.CopyFrom(scheduler.info)
            status = part.statuses.add(state=TaskState.TASK_STAGING)
            status.task_id.value = key.task_id
        return answer

    def _after_return(self, reported: dict[TaskKey, int], *, drain_first: bool) -> None:
        for framework_id in sorted({key.framework_id for key in reported} & self.completed):
            self._send(_shutdown_framework(framework_id))
        if not drain_first:
            self._drain_again()
        for framework_id in sorted(self.known - self.completed):
            scheduler = self._world.schedulers[framework_id]
            if scheduler.connected:
                self._update_framework(scheduler)

    # --- presence ---------------------------------------------------------------------------

    def _ping(self, agent: Agent) -> None:
        if not self.alive or self.agent is not agent:
            return
        if agent.missed >= MISSES:
            self.mark_unreachable("no pongs")
            return
        agent.missed += 1
        pid = Pid(f"slave-observer({agent.observer})", self.pid.ip, self.pid.port)
        self._world.network.to_agent(pid, m.PingSlaveMessage(connected=agent.connected))
        self._world.clock.after(PING, self._ping, agent)

    def link_broke(self) -> None:
        """The persistent connection to the agent ended."""
        agent = self.agent
        if agent is None or not agent.connected:
            return
        self._world.say("master", self.pid, "sees the link break")
        agent.connected = False
        for scheduler in self._world.schedulers.values():
            if not scheduler.traits["checkpoint"]:
                self._give_up(scheduler)
        self._world.clock.after(REREGISTER_TIMEOUT, self._reregister_timeout, agent)

    def _give_up(self, scheduler: Scheduler) -> None:
        """The tasks of the framework are lost, also those that this master does not know."""
        assert self.agent is not None
        self.agent.executors = {e for e in self.agent.executors if e.framework_id != scheduler.id}
        for key in scheduler.launched:
            if key in self.agent.tasks:
                del self.agent.tasks[key]
            self._world.invariants.excuse(key, "the link broke")

    def _reregister_timeout(self, agent: Agent) -> None:
        if self.alive and self.agent is agent and not agent.connected:
            self.mark_unreachable("no re-registration")

    def mark_unreachable(self, why: str) -> None:
        self._world.say("master", self.pid, "marks the agent unreachable:", why)
        assert self.agent is not None
        for key in list(self.agent.tasks):
            self._lose(key, None)
        self.agent = None

    def _remove_agent(self, why: str) -> None:
        assert self.agent is not None
        self._world.say("master", self.pid, "removes the agent:", why)
        for key in list(self.agent.tasks):
            self._lose(key, why)
        self.registry.admitted.discard(self.agent.id)
        self.agent = None

    def _lose(self, key: TaskKey, why: str | None) -> None:
        """``why`` is given when the agent will not report the task again."""
        assert self.agent is not None
        del self.agent.tasks[key]
        if why is not None:
            self._world.invariants.excuse(key, why)

    # --- tasks ------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the agent's resources are offered."""
        agent = self.agent
        return agent is not None and agent.connected and agent.id not in self.registry.draining

    def launch(self, scheduler: Scheduler, key: TaskKey, launch: Message) -> None:
        assert self.agent is not None
        self.known.add(scheduler.id)
        self.agent.tasks[key] = MasterTask()
        if isinstance(launch, m.RunTaskGroupMessage):
            for info in launch.task_group.tasks:
                member = TaskKey(scheduler.id, TaskId(info.task_id.value))
                self.agent.tasks[member] = MasterTask()
            executor = ExecutorKey(scheduler.id, ExecutorId(launch.executor.executor_id.value))
            self._book(launch, executor)
        elif isinstance(launch, m.RunTaskMessage) and key in self._world.executors.executor_of:
            self._book(launch, self._world.executors.executor_of[key])
        self._send(launch)
        if self._world.rng.random() < self._world.faults["launch_doubled"]:
            self._send(launch)

    def _book(
        self, launch: m.RunTaskMessage | m.RunTaskGroupMessage, executor: ExecutorKey
    ) -> None:
        assert self.agent is not None
        launch.launch_executor = executor not in self.agent.executors
        self.agent.executors.add(executor)

    def kill(self, key: TaskKey, message: Message) -> None:
        if self.agent is not None and key in self.agent.tasks:
            self.agent.tasks[key].killed = True
            self._tell(message)

    def shut_down(self, executor: ExecutorKey) -> None:
        message = m.ShutdownExecutorMessage()
        message.framework_id.value = executor.framework_id
        message.executor_id.value = executor.executor_id
        self._tell(message)

    def tell(self, message: Message) -> None:
        self._tell(message)

    def _status_update(self, message: m.StatusUpdateMessage) -> None:
        update = message.update
        agent = self.agent
        framework_id = FrameworkId(update.framework_id.value)
        if agent is None or agent.id != update.slave_id.value or framework_id in self.completed:
            return
        key = TaskKey(framework_id, TaskId(update.status.task_id.value))
        task = agent.tasks.get(key)
        if task is not None:
            if task.state not in TERMINAL:
                task.state = update.latest_state
            task.update = (update.status.state, update.uuid)
        scheduler = self._world.schedulers[framework_id]
        self._world.clock.after(
            self._world.rng.uniform(0.0, 0.002), scheduler.receive_update, message, key
        )

    def acknowledge(self, scheduler: Scheduler, key: TaskKey, update: m.StatusUpdate) -> None:
        agent = self.agent
        if agent is None or not agent.connected or agent.id != update.slave_id.value:
            return
        task = agent.tasks.get(key)
        if task is not None:
            if task.update is None:
                return
            state, uuid = task.update
            if uuid == update.uuid and state in TERMINAL:
                del agent.tasks[key]
                self._check_drained()
        message = m.StatusUpdateAcknowledgementMessage(uuid=update.uuid)
        message.slave_id.value = agent.id
        message.framework_id.value = key.framework_id
        message.task_id.value = key.task_id
        self._send(message)

    # --- operations -------------------------------------------------------------------------

    def has(self, volume: int) -> bool:
        return any(each.disk.persistence.id == f"v{volume}" for each in self.reserved)

    def may_use(self, volume: int) -> bool:
        """Whether the volume exists and no task that has not ended uses it."""
        if not self.has(volume) or self.agent is None:
            return False
        uses = self._world.uses
        live = [key for key, task in self.agent.tasks.items() if task.state not in TERMINAL]
        return all(uses.get(key) != volume for key in live)

    def operate(self, volume: int) -> None:
        """As a master since 1.5: changed here at once, and sent to the agent."""
        operation = Offer.Operation(type=Offer.Operation.CREATE)
        if not self.has(volume):
            self.reserved.append(volume_resource(volume))
            operation.create.volumes.append(volume_resource(volume))
        elif self.may_use(volume):
            self.reserved = [r for r in self.reserved if r.disk.persistence.id != f"v{volume}"]
            operation.type = Offer.Operation.DESTROY
            operation.destroy.volumes.append(volume_resource(volume))
        else:
            return
        message = m.ApplyOperationMessage(operation_info=operation)
        message.operation_uuid.value = self._world.uuid()
        message.resource_version_uuid.uuid.value = self._world.settings.resource_version
        self._operations[message.operation_uuid.value] = operation
        self._world.volumes.sent[message.operation_uuid.value] = operation
        self._tell(message)

    def _operation_status(self, message: m.UpdateOperationStatusMessage) -> None:
        uuid = message.operation_uuid.value
        if self.agent is None or self._operations.pop(uuid, None) is None:
            return
        if message.status.HasField("uuid"):
            answer = m.AcknowledgeOperationStatusMessage()
            answer.operation_uuid.value = uuid
            answer.status_uuid.value = message.status.uuid.value
            self._tell(answer)

    def _compare_operations(self, message: m.UpdateSlaveMessage) -> None:
        if self.agent is None or self.agent.id != message.slave_id.value:
            return
        reported = {each.uuid.value: each.info for each in message.operations.operations}
        question = m.ReconcileOperationsMessage()
        for uuid in self._operations:
            if uuid not in reported:
                question.operations.add().operation_uuid.value = uuid
        self._operations.update(reported)
        if question.operations:
            self._tell(question)

    # --- frameworks -------------------------------------------------------------------------

    def subscribe(self, scheduler: Scheduler) -> None:
        """The framework subscribed again, or changed its FrameworkInfo."""
        if self.agent is not None and self.agent.connected and scheduler.id in self.known:
            self._update_framework(scheduler)

    def _update_framework(self, scheduler: Scheduler) -> None:
        message = m.UpdateFrameworkMessage(pid="@0.0.0.0:0")
        message.framework_id.value = scheduler.id
        message.framework_info.CopyFrom(scheduler.info)
        self._send(message)

    def remove_framework(self, framework_id: FrameworkId) -> None:
        self.completed.add(framework_id)
        if self.agent is not None:
            executors = self.agent.executors
            self.agent.executors = {e for e in executors if e.framework_id != framework_id}
            for key in list(self.agent.tasks):
                if key.framework_id == framework_id:
                    del self.agent.tasks[key]
        self._tell(_shutdown_framework(framework_id))
        self._check_drained()

    # --- operators --------------------------------------------------------------------------

    def drain(self, config: DrainConfig) -> None:
        if self.agent is not None:
            self.registry.draining[self.agent.id] = config
            self._drain_again()
            self._check_drained()

    def _drain_again(self) -> None:
        agent = self.agent
        if agent is not None and agent.connected and agent.id in self.registry.draining:
            message = m.DrainSlaveMessage()
            message.config.CopyFrom(self.registry.draining[agent.id])
            self._send(message)

    def _check_drained(self) -> None:
        agent = self.agent
        if agent is None or agent.tasks:
            return
        config = self.registry.draining.get(agent.id)
        if config is not None and config.mark_gone:
            self._world.clock.after(0.01, self._gone_when_drained, agent)

    def _gone_when_drained(self, agent: Agent) -> None:
        if self.alive and self.agent is agent and not agent.tasks:
            self.mark_gone()

    def mark_gone(self) -> None:
        agent = self.agent
        if agent is not None:
            self.registry.gone.add(agent.id)
            self._send(m.ShutdownMessage(message="Agent has been marked gone"))
            self._remove_agent("it was marked gone")


def _reported(message: m.ReregisterSlaveMessage) -> dict[TaskKey, Any]:
    return {
        TaskKey(FrameworkId(t.framework_id.value), TaskId(t.task_id.value)): t.state
        for t in message.tasks
    }


def _executor_key(message: m.ExitedExecutorMessage | ExecutorInfo) -> ExecutorKey:
    return ExecutorKey(
        FrameworkId(message.framework_id.value), ExecutorId(message.executor_id.value)
    )


def _kill(key: TaskKey) -> m.KillTaskMessage:
    message = m.KillTaskMessage()
    message.framework_id.value = key.framework_id
    message.task_id.value = key.task_id
    return message


def _shutdown_framework(framework_id: FrameworkId) -> m.ShutdownFrameworkMessage:
    message = m.ShutdownFrameworkMessage()
    message.framework_id.value = framework_id
    return message


def executor_info(framework_id: FrameworkId, pod: int) -> ExecutorInfo:
    """A default executor; pod 0 has an infra container, pod 1 is on the host's network."""
    info = ExecutorInfo(type=ExecutorInfo.DEFAULT)
    info.executor_id.value, info.framework_id.value = f"pod{pod}", framework_id
    cpus = info.resources.add(name="cpus", type=0)
    cpus.scalar.value, cpus.allocation_info.role = 0.1, "prod"
    if pod == 0:
        info.container.type = ContainerInfo.MESOS
        info.container.network_infos.add(name="bridge")
    return info


def volume_resource(volume: int) -> Resource:
    """100 MB of the agent's disk, which is statically reserved."""
    resource = Resource(name="disk", type=Value.SCALAR, role="prod")
    resource.scalar.value = 100.0
    resource.disk.persistence.id = f"v{volume}"
    resource.disk.volume.container_path = "data"
    resource.disk.volume.mode = Volume.RW
    return resource


def task_info(key: TaskKey, agent_id: str) -> TaskInfo:
    info = TaskInfo(name=f"task {key.task_id}")
    info.task_id.value = key.task_id
    info.slave_id.value = agent_id
    for name, value in (("cpus", 0.1), ("mem", 32.0)):
        resource = info.resources.add(name=name, type=0)
        resource.scalar.value = value
        resource.allocation_info.role = "prod"
    return info
