"""A core with custom executors: tests speak as a master, as an engine, and as the executors."""

from __future__ import annotations

from typing import Any

from shim.core.context import Decision
from shim.core.custom_executor import CustomExecutor
from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref
from shim.model.ids import ExecutorId, ExecutorKey, FrameworkId, Pid
from shim.model.orders import Order
from shim.protos import messages_pb2 as m
from shim.protos.executor_pb2 import Call, Event
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    ExecutorInfo,
    TaskInfo,
    TaskState,
    TaskStatus,
    Value,
)
from tests.core.harness import AGENT_ID, Shim, framework_info, of, sent

V0 = Pid("executor(1)", "172.17.0.9", 40000)
"""The process of a v0 executor, at its container's address."""


def executor_info(name: str = "E", framework: str = "F") -> ExecutorInfo:
    info = ExecutorInfo(name="an executor", type=ExecutorInfo.CUSTOM)
    info.executor_id.value, info.framework_id.value = name, framework
    info.command.value = "./run"
    info.container.type = ContainerInfo.DOCKER
    info.container.docker.image = "image"
    for resource, amount in (("cpus", 0.1), ("mem", 32.0)):
        added = info.resources.add(name=resource, type=Value.SCALAR)
        added.scalar.value = amount
        added.allocation_info.role = "prod"
    return info


def inner_task(name: str = "t", executor: ExecutorInfo | None = None, mem: float = 0) -> TaskInfo:
    info = TaskInfo(name=f"task {name}")
    info.task_id.value, info.slave_id.value = name, AGENT_ID
    for resource, amount in (("cpus", 1.0), ("mem", mem)):
        if amount:
            added = info.resources.add(name=resource, type=Value.SCALAR)
            added.scalar.value = amount
            added.allocation_info.role = "prod"
    info.executor.CopyFrom(executor_info() if executor is None else executor)
    return info


def update_of(task: str, state: TaskState.ValueType, number: int = 1, **fields: Any) -> TaskStatus:
    """A status as an executor sends it; the task and ``number`` make the uuid."""
    status = TaskStatus(state=state, source=TaskStatus.SOURCE_EXECUTOR, **fields)
    status.task_id.value = task
    status.uuid = task.encode().ljust(6)[:6] + b"\x40" + bytes([number]) * 9
    status.timestamp = 1e9 + number
    return status


class ExecutorShim(Shim):
    def custom(self, name: str = "E") -> CustomExecutor:
        return self.core.custom_executors.table[ExecutorKey(FrameworkId("F"), ExecutorId(name))]

    @property
    def has_executor(self) -> bool:
        return bool(self.core.custom_executors.table)

    # --- the master -------------------------------------------------------------------------

    def run_inside(self, task: TaskInfo | str = "t", *, launch: bool | None = None) -> Decision:
        message = m.RunTaskMessage(pid="@0.0.0.0:0", launch_executor=launch)
        message.framework.CopyFrom(self.frameworks.get("F") or framework_info("F"))
        message.task.CopyFrom(inner_task(task) if isinstance(task, str) else task)
        return self.receive(message)

    def run_group_inside(self, *names: str, launch: bool | None = None) -> Decision:
        message = m.RunTaskGroupMessage(launch_executor=launch, executor=executor_info())
        message.framework.CopyFrom(self.frameworks.get("F") or framework_info("F"))
        message.task_group.tasks.extend(inner_task(name) for name in names)
        return self.receive(message)

    def shutdown_executor(self, name: str = "E") -> Decision:
        message = m.ShutdownExecutorMessage()
        message.executor_id.value, message.framework_id.value = name, "F"
        return self.receive(message)

    # --- the engine -------------------------------------------------------------------------

    def executor_started(self, name: str = "E") -> Decision:
        ref = self.custom(name).ref
        self.handle(facts.LaunchAdvanced(ref, facts.Stage.CREATING))
        return self.handle(facts.ContainerStarted(ref, container_of(ref, Phase.RUNNING)))

    def executor_exited(self, code: int | None = 0, **fields: Any) -> Decision:
        return self.handle(facts.ContainerExited(self.custom().ref, code, **fields))

    def resized(self, error: str = "") -> Decision:
        return self.handle(facts.ContainerUpdated(self.custom().ref, error))

    # --- a v1 executor ----------------------------------------------------------------------

    def subscribe(
        self,
        stream: int = 1,
        tasks: tuple[str, ...] = (),
        updates: tuple[TaskStatus, ...] = (),
        name: str = "E",
        *,
        authenticated: bool = False,
    ) -> Decision:
        call = Call(type=Call.SUBSCRIBE)
        call.subscribe.SetInParent()
        call.subscribe.unacknowledged_tasks.extend(inner_task(task) for task in tasks)
        for status in updates:
            call.subscribe.unacknowledged_updates.add().status.CopyFrom(status)
        return self._call(call, name, stream, authenticated=authenticated)

    def report(self, status: TaskStatus, name: str = "E") -> Decision:
        call = Call(type=Call.UPDATE)
        call.update.status.CopyFrom(status)
        return self._call(call, name)

    def say(self, data: bytes, name: str = "E") -> Decision:
        call = Call(type=Call.MESSAGE)
        call.message.data = data
        return self._call(call, name)

    def _call(
        self, call: Call, name: str, stream: int | None = None, *, authenticated: bool = False
    ) -> Decision:
        call.framework_id.value, call.executor_id.value = "F", name
        key = ExecutorKey(FrameworkId("F"), ExecutorId(name))
        return self.handle(facts.ExecutorCalled(key, call, stream, authenticated))

    # --- a v0 executor ----------------------------------------------------------------------

    def register_v0(self, sender: Pid = V0, name: str = "E") -> Decision:
        message = m.RegisterExecutorMessage()
        message.framework_id.value, message.executor_id.value = "F", name
        return self.receive(message, sender)

    def reregister_v0(self, sender: Pid = V0, *, tasks: tuple[str, ...] = ()) -> Decision:
        message = m.ReregisterExecutorMessage(tasks=[inner_task(task) for task in tasks])
        message.framework_id.value, message.executor_id.value = "F", "E"
        return self.receive(message, sender)

    def report_v0(self, status: TaskStatus, sender: Pid = V0) -> Decision:
        message = m.StatusUpdateMessage(pid=str(sender))
        message.update.framework_id.value = "F"
        message.update.executor_id.value = "E"
        message.update.slave_id.value = AGENT_ID
        message.update.status.CopyFrom(status)
        message.update.timestamp = status.timestamp
        if status.uuid:
            message.update.uuid = status.uuid
        return self.receive(message, sender)

    # --- lives ------------------------------------------------------------------------------

    def running_v1(self, task: str = "t") -> None:
        """An executor that runs one task, with all updates acknowledged."""
        self.run_inside(task)
        self.executor_started()
        self.subscribe()
        self.report(update_of(task, TaskState.TASK_RUNNING))
        self.acknowledge_all(task)

    def running_v0(self, task: str = "t") -> None:
        self.run_inside(task)
        self.executor_started()
        self.register_v0()
        self.report_v0(update_of(task, TaskState.TASK_RUNNING))
        self.acknowledge_all(task)

    # --- what is said to executors ----------------------------------------------------------

    @property
    def events(self) -> list[str]:
        """Types of the events that the last decision sends."""
        return event_types(self.decision.orders)

    @property
    def exits(self) -> list[int]:
        """Wait statuses of the executors that the last decision reports as exited."""
        return [e.status for e in sent(m.ExitedExecutorMessage, self.decision.orders)]


def event_types(given: list[Order]) -> list[str]:
    return [Event.Type.Name(order.event.type) for order in of(orders.SendExecutorEvent, given)]


def container_of(ref: Ref, phase: Phase, exit_code: int | None = None) -> Container:
    """The container of an executor, as the endpoint shows it."""
    assert isinstance(ref.key, ExecutorKey)
    labels = {
        "mesos-shim.id": "mine",
        "org.apache.mesos.framework_id": ref.key.framework_id,
        "org.apache.mesos.executor_id": ref.key.executor_id,
        "org.apache.mesos.container_id": ref.container_id,
    }
    return Container(ref.name, "0123", phase, labels, exit_code, addresses=("172.17.0.9",))
