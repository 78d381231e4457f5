"""An executor's own container: launched as if it were a task.

Of a CUSTOM executor it is the container of its ExecutorInfo, running its command. Of a DEFAULT
executor it is the infra container, which runs nothing but holds what the tasks share.
"""

from __future__ import annotations

from collections.abc import Mapping

from shim.engine.mapping.mapping_settings import MappingSettings
from shim.model.orders import Launch, LaunchExecutor
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, Image, TaskInfo


def executor_launch(
    order: LaunchExecutor, settings: MappingSettings, environment: Mapping[str, str]
) -> Launch:
    """Return the launch of the executor's own container, whose task stands for the executor.

    ``environment`` is what the agent gives a CUSTOM executor; its own variables win.
    """
    executor = order.executor
    task = TaskInfo(name=executor.name or executor.executor_id.value, executor=executor)
    task.task_id.value = executor.executor_id.value
    task.slave_id.value = order.agent_id
    task.resources.extend(order.resources)
    task.labels.CopyFrom(executor.labels)
    if executor.HasField("container"):
        task.container.CopyFrom(executor.container)
    if executor.type == ExecutorInfo.DEFAULT:
        _put_infra(task, settings)
    else:
        task.command.CopyFrom(executor.command)
        _put_environment(task, environment)
    infra = executor.type == ExecutorInfo.DEFAULT
    volumes = () if infra else order.volumes
    return Launch(order.ref, task, order.agent_id, volumes=volumes)


def _put_infra(task: TaskInfo, settings: MappingSettings) -> None:
    """The volumes of the executor are for its tasks, not for the infra container."""
    container = task.container
    container.type = ContainerInfo.MESOS
    container.ClearField("volumes")
    container.ClearField("docker")
    container.mesos.image.type = Image.DOCKER
    container.mesos.image.docker.name = settings.pod_image
    container.mesos.image.cached = True
    task.command.shell = False


def _put_environment(task: TaskInfo, environment: Mapping[str, str]) -> None:
    own = list(task.command.environment.variables)
    del task.command.environment.variables[:]
    for name, value in environment.items():
        task.command.environment.variables.add(name=name, value=value)
    task.command.environment.variables.extend(own)
