"""The messages with which a master launches tasks, task groups, and tasks of custom executors."""

from __future__ import annotations

from collections.abc import Sequence

from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, Resource, TaskInfo, Value
from tests.sim.scheduler import Scheduler


def executor_message(
    scheduler: Scheduler, infos: Sequence[TaskInfo], executor: ExecutorInfo, kind: str
) -> m.RunTaskMessage | m.RunTaskGroupMessage:
    """``kind`` is "custom" for a task, "custom_group" for a group."""
    if kind == "custom_group":
        return group_message(scheduler, infos, executor)
    message = m.RunTaskMessage(pid="@0.0.0.0:0")
    message.framework.CopyFrom(scheduler.info)
    message.task.CopyFrom(infos[0])
    message.task.executor.CopyFrom(executor)
    return message


def custom_executor(framework_id: str, number: int) -> ExecutorInfo:
    """The framework's executor of this number in the plan."""
    info = ExecutorInfo(type=ExecutorInfo.CUSTOM)
    info.executor_id.value, info.framework_id.value = f"custom{number}", framework_id
    info.command.value = "./executor"
    info.container.type = ContainerInfo.DOCKER
    info.container.docker.image = "image"
    for name, value in (("cpus", 0.1), ("mem", 32.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR)
        resource.scalar.value, resource.allocation_info.role = value, "prod"
    return info


def group_message(
    scheduler: Scheduler, infos: Sequence[TaskInfo], executor: ExecutorInfo
) -> m.RunTaskGroupMessage:
    message = m.RunTaskGroupMessage()
    message.framework.CopyFrom(scheduler.info)
    message.executor.CopyFrom(executor)
    for info in infos:
        added = message.task_group.tasks.add()
        added.CopyFrom(info)
        added.executor.CopyFrom(message.executor)
    return message


def launch_message(scheduler: Scheduler, info: TaskInfo, kind: str) -> m.RunTaskMessage:
    message = m.RunTaskMessage(pid="@0.0.0.0:0")
    message.framework.CopyFrom(scheduler.info)
    message.task.CopyFrom(info)
    if kind == "executor":
        message.task.executor.executor_id.value = "custom"
    elif kind == "volume":
        message.task.resources.add().CopyFrom(reservation())
        message.task.resources[-1].scalar.value = 7.0
        message.task.resources[-1].allocation_info.role = "prod"
    if kind != "executor":
        message.task.command.value = "true"
        message.task.container.type = ContainerInfo.DOCKER
        message.task.container.docker.image = "image"
    return message


def reservation() -> Resource:
    resource = Resource(name="cpus", type=Value.SCALAR, role="prod")
    resource.scalar.value = 1.0
    resource.reservation.principal = "p"
    return resource
