"""A core with a simulated disk: tests hand facts in and look at the decisions."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any, TypeVar

from google.protobuf.message import Message

from shim.core.agent import Core
from shim.core.context import CoreSettings, Decision, Now
from shim.core.executors import Executor
from shim.core.task import Task
from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref, container_name
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.model.orders import Order
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    ExecutorInfo,
    FrameworkInfo,
    SlaveInfo,
    TaskInfo,
    TaskState,
    TaskStatus,
    Value,
)
from tests.sim.disk import Disk

MASTER = Pid("master", "10.0.0.1", 5050)
OBSERVER = Pid("slave-observer(1)", "10.0.0.1", 5050)
AGENT = Pid("slave(1)", "10.9.9.9", 5051)
AGENT_ID = "S1"
CAPABILITIES = {
    "killing": FrameworkInfo.Capability.TASK_KILLING_STATE,
    "aware": FrameworkInfo.Capability.PARTITION_AWARE,
    "roles": FrameworkInfo.Capability.MULTI_ROLE,
}

O = TypeVar("O", bound=Order)  # noqa: E741


class FakeEntropy:
    """UUIDs that count up, and waits that are always the longest."""

    def __init__(self) -> None:
        self.count = 0
        self.asked: list[float] = []

    def uuid(self) -> bytes:
        self.count += 1
        return uuid.UUID(int=self.count, version=4).bytes

    def uniform(self, limit: float) -> float:
        self.asked.append(limit)
        return limit


def agent_info() -> SlaveInfo:
    info = SlaveInfo(hostname="shim", port=5051, checkpoint=True)
    info.resources.add(name="cpus", type=Value.SCALAR, role="*").scalar.value = 8.0
    return info


def framework_info(name: str = "F", *traits: str, checkpoint: bool = True) -> FrameworkInfo:
    info = FrameworkInfo(user="u", name=f"framework {name}", checkpoint=checkpoint, role="prod")
    info.id.value = name
    for trait in traits:
        info.capabilities.add(type=CAPABILITIES[trait])
    return info


def task_info(name: str = "t", agent: str = AGENT_ID) -> TaskInfo:
    info = TaskInfo(name=f"task {name}")
    info.task_id.value = name
    info.slave_id.value = agent
    cpus = info.resources.add(name="cpus", type=Value.SCALAR)
    cpus.scalar.value = 1.0
    cpus.allocation_info.role = "prod"
    info.command.value = "true"
    info.container.type = ContainerInfo.DOCKER
    info.container.docker.image = "image"
    return info


def executor_info(name: str = "e", *, host: bool = False) -> ExecutorInfo:
    """A DEFAULT executor, on a network of its own unless ``host``."""
    info = ExecutorInfo(type=ExecutorInfo.DEFAULT)
    info.executor_id.value = name
    for resource, amount in (("cpus", 0.1), ("mem", 32.0), ("disk", 10.0)):
        added = info.resources.add(name=resource, type=Value.SCALAR)
        added.scalar.value = amount
        added.allocation_info.role = "prod"
    if not host:
        info.container.type = ContainerInfo.MESOS
        info.container.network_infos.add(name="bridge")
    return info


def key_of(task: str = "t", framework: str = "F") -> TaskKey:
    return TaskKey(FrameworkId(framework), TaskId(task))


M = TypeVar("M", bound=Message)


class Shim:
    """A core and its disk. Each call returns the decision that it led to."""

    def __init__(self, *, registered: bool = True, now: float = 0.0, **settings: Any) -> None:
        self.settings = dataclasses.replace(
            CoreSettings(AGENT, agent_info(), "1.11.0"),
            **settings,
        )
        self.entropy = FakeEntropy()
        self.disk = Disk()
        self.time = now
        self.decision = Decision()
        self.frameworks: dict[str, FrameworkInfo] = {}
        self._boot()
        if registered:
            self.recover()
            self.register()

    def _boot(self) -> None:
        self.core = Core(self.settings, self.entropy, self.disk.snapshot(), self.now)

    @property
    def now(self) -> Now:
        return Now(self.time, 1e9 + self.time)

    # --- facts ------------------------------------------------------------------------------

    def handle(self, fact: facts.Fact) -> Decision:
        """Handle the fact; the records of its decision are durable at once."""
        self.decision = self.core.handle(fact, self.now)
        self.disk.commit(self.decision.records)
        return self.decision

    def receive(self, message: Message, sender: Pid = MASTER) -> Decision:
        return self.handle(facts.MessageReceived(sender, message))

    def wait(self, seconds: float) -> list[Order]:
        """Let time pass, deadline after deadline. Returns all orders given meanwhile."""
        until, given = self.time + seconds, []
        while (deadline := self.core.deadline()) is not None and deadline <= until:
            self.time = max(self.time, deadline)
            given += self.handle(facts.DeadlinePassed()).orders
        self.time = until
        return given

    def detect(self, pid: Pid | None = MASTER) -> Decision:
        return self.handle(facts.MasterDetected(pid))

    def recover(self, *containers: Container) -> Decision:
        return self.handle(facts.ContainersFound(containers))

    def register(self) -> Decision:
        """Detection, the random wait, the request and the master's answer."""
        self.detect()
        self.wait(1.0)
        return self.answer_registration()

    def answer_registration(self) -> Decision:
        """The master's answer to a (re-)registration request."""
        answer: m.SlaveRegisteredMessage | m.SlaveReregisteredMessage
        known = self.core.ctx.agent_id
        answer = m.SlaveRegisteredMessage() if known is None else m.SlaveReregisteredMessage()
        answer.slave_id.value = known or AGENT_ID
        answer.connection.total_ping_timeout_seconds = 75.0
        return self.receive(answer)

    def restart(self, *containers: Container) -> Decision:
        """Crash, start again, and find these containers."""
        self._boot()
        return self.recover(*containers)

    # --- messages ---------------------------------------------------------------------------

    def framework(self, name: str, *traits: str, checkpoint: bool = True) -> None:
        self.frameworks[name] = framework_info(name, *traits, checkpoint=checkpoint)

    def run(self, task: TaskInfo | str = "t", framework: str = "F") -> Decision:
        message = m.RunTaskMessage(pid="@0.0.0.0:0")
        message.framework.CopyFrom(self.frameworks.get(framework) or framework_info(framework))
        message.task.CopyFrom(task_info(task) if isinstance(task, str) else task)
        return self.receive(message)

    def run_group(
        self,
        *tasks: TaskInfo | str,
        executor: ExecutorInfo | str = "e",
        framework: str = "F",
        launch: bool | None = True,
    ) -> Decision:
        message = m.RunTaskGroupMessage()
        message.framework.CopyFrom(self.frameworks.get(framework) or framework_info(framework))
        info = executor_info(executor) if isinstance(executor, str) else executor
        message.executor.CopyFrom(info)
        for task in tasks:
            added = message.task_group.tasks.add()
            added.CopyFrom(task_info(task) if isinstance(task, str) else task)
            added.executor.CopyFrom(info)
        if launch is not None:
            message.launch_executor = launch
        return self.receive(message)

    def kill(self, task: str = "t", framework: str = "F", grace: float | None = None) -> Decision:
        message = m.KillTaskMessage()
        message.framework_id.value, message.task_id.value = framework, task
        if grace is not None:
            message.kill_policy.grace_period.nanoseconds = int(grace * 1e9)
        return self.receive(message)

    def acknowledge(
        self, task: str = "t", framework: str = "F", uuid: bytes | None = None
    ) -> Decision:
        """The oldest update, unless ``uuid`` names another."""
        if uuid is None:
            uuid = next(iter(self.disk.updates[key_of(task, framework)]))
        message = m.StatusUpdateAcknowledgementMessage(uuid=uuid)
        message.slave_id.value = self.core.ctx.agent_id or AGENT_ID
        message.framework_id.value, message.task_id.value = framework, task
        return self.receive(message)

    def acknowledge_all(self, task: str = "t", framework: str = "F") -> None:
        for known in list(self.disk.updates.get(key_of(task, framework), ())):
            self.acknowledge(task, framework, known)

    def ping(self, *, connected: bool = True, sender: Pid = OBSERVER) -> Decision:
        return self.receive(m.PingSlaveMessage(connected=connected), sender)

    def shutdown_framework(self, framework: str = "F") -> Decision:
        message = m.ShutdownFrameworkMessage()
        message.framework_id.value = framework
        return self.receive(message)

    def drain(self, *, mark_gone: bool = False, grace: float | None = None) -> Decision:
        message = m.DrainSlaveMessage()
        message.config.mark_gone = mark_gone
        if grace is not None:
            message.config.max_grace_period.nanoseconds = int(grace * 1e9)
        return self.receive(message)

    # --- the engine --------------------------------------------------------------------------

    def task(self, task: str = "t", framework: str = "F") -> Task:
        return self.core.tasks.table[key_of(task, framework)]

    def ref(self, task: str = "t", framework: str = "F") -> Ref:
        return self.task(task, framework).ref

    def creating(self, task: str = "t") -> Decision:
        return self.handle(facts.LaunchAdvanced(self.ref(task), facts.Stage.CREATING))

    def started(self, task: str = "t") -> Decision:
        return self.handle(facts.ContainerStarted(self.ref(task), running(self.ref(task))))

    def exited(self, task: str = "t", code: int | None = 0) -> Decision:
        return self.handle(facts.ContainerExited(self.ref(task), code))

    def executor(self, executor: str = "e", framework: str = "F") -> Executor:
        key = ExecutorKey(FrameworkId(framework), ExecutorId(executor))
        return self.core.executors[key]

    @property
    def executor_ids(self) -> list[str]:
        return [key.executor_id for key in self.core.executors]

    def infra_started(self, executor: str = "e") -> Decision:
        ref = self.executor(executor).ref
        return self.handle(facts.ContainerStarted(ref, running(ref)))

    def running_group(self, *tasks: TaskInfo | str, executor: str = "e") -> None:
        """A group in TASK_RUNNING, in a new executor, with all updates acknowledged."""
        self.run_group(*tasks, executor=executor)
        self.infra_started(executor)
        names = [task if isinstance(task, str) else task.task_id.value for task in tasks]
        for name in names:
            self.creating(name)
        for name in names:
            self.started(name)
        for name in names:
            self.acknowledge_all(name)

    def removed(self, ref: Ref) -> Decision:
        return self.handle(facts.ContainerRemoved(ref))

    def running_task(self, task: TaskInfo | str = "t", framework: str = "F") -> Ref:
        """A task in TASK_RUNNING with all updates acknowledged."""
        self.run(task, framework)
        name = task if isinstance(task, str) else task.task_id.value
        ref = self.ref(name, framework)
        self.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
        self.handle(facts.ContainerStarted(ref, running(ref)))
        self.acknowledge_all(name, framework)
        return ref

    # --- decisions ---------------------------------------------------------------------------

    def last(self, kind: type[O]) -> O:
        """The one order of this type in the last decision."""
        (order,) = of(kind, self.decision.orders)
        return order

    @property
    def statuses(self) -> list[TaskStatus]:
        """Statuses of the updates that the last decision sends."""
        return statuses(self.decision.orders)

    def pending_states(self, task: str = "t", framework: str = "F") -> list[str]:
        """States of the task's unacknowledged updates, oldest first."""
        kept = self.disk.updates.get(key_of(task, framework), {}).values()
        updates = [m.StatusUpdateMessage.FromString(value) for value in kept]
        return [TaskState.Name(update.update.status.state) for update in updates]

    def last_status(self, task: str = "t", framework: str = "F") -> TaskStatus:
        """The newest status of the task that is on disk."""
        *_, value = self.disk.updates[key_of(task, framework)].values()
        return m.StatusUpdateMessage.FromString(value).update.status


def of(kind: type[O], given: list[Order]) -> list[O]:
    return [order for order in given if isinstance(order, kind)]


def sent(kind: type[M], given: list[Order]) -> list[M]:
    return [order.message for order in of(orders.Send, given) if isinstance(order.message, kind)]


def statuses(given: list[Order]) -> list[TaskStatus]:
    return [update.update.status for update in sent(m.StatusUpdateMessage, given)]


def running(ref: Ref) -> Container:
    return container(ref, Phase.RUNNING)


def container(ref: Ref, phase: Phase, exit_code: int | None = None) -> Container:
    key = ref.key
    labels = {
        "mesos-shim.id": "mine",
        "org.apache.mesos.framework_id": key.framework_id,
        "org.apache.mesos.container_id": ref.container_id,
    }
    if isinstance(key, ExecutorKey):
        labels["org.apache.mesos.executor_id"] = key.executor_id
        addresses = ("172.17.0.9",)
    else:
        labels["org.apache.mesos.task_id"] = key.task_id
        addresses = ("172.17.0.2",)
    name = container_name(ref.container_id)
    return Container(name, "0123", phase, labels, exit_code, addresses=addresses, inspect=b"[{}]")
