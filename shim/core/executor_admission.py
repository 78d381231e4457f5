"""Whether a launch for a custom executor is accepted. Pure.

Source: Mesos' ``slave/slave.cpp`` (``__run``), and what an agent without a host cannot run.
"""

from __future__ import annotations

from collections.abc import Sequence

from shim.core.custom_executor import CustomExecutor, Size, same_executor
from shim.core.executors import ExecutorPhase
from shim.core.frameworks import Framework
from shim.core.status import Reason, Report, rejected
from shim.model.volume import VolumeMount
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, TaskInfo, TaskState


def unfit(
    info: ExecutorInfo,
    framework_id: str,
    tasks: Sequence[TaskInfo],
    *,
    has_default_container: bool,
) -> Report | None:
    """Why this agent can never run the executor; None when it can."""
    name = f"ExecutorInfo {info.executor_id.value!r}"
    if info.framework_id.value != framework_id:
        text = f"{name}: its framework_id is {info.framework_id.value!r}, not {framework_id!r}"
        return _invalid(text)
    if info.type == ExecutorInfo.DEFAULT:
        return _invalid(f"{name}: a DEFAULT executor runs task groups only")
    if not (_has_image(info.container) or has_default_container):
        text = f"{name}: it has no container image, so it would be a process on the agent's host"
        if any(_has_image(task.container) for task in tasks):
            text += "; TaskInfo.container is not the executor's"
        return _invalid(
            f"{text}. This agent has no host: it runs containers at a Docker endpoint. Set "
            "ExecutorInfo.container to DOCKER, or to MESOS with a Docker image, give "
            "--default_container_info, or launch command tasks"
        )
    for task in tasks:
        if task.HasField("container"):
            text = f"TaskInfo.container of {task.task_id.value!r}: a task of {name} runs inside"
            return _invalid(f"{text} the executor's container and has none of its own")
    return None


def refused(
    executor: CustomExecutor | None,
    info: ExecutorInfo,
    framework: Framework,
    *,
    launch_executor: bool | None,
) -> Report | None:
    """Why the present state of the executor does not allow the launch; None when it does."""
    if executor is None:
        if launch_executor is False:
            return _dropped(
                framework, "No executor is expected to launch and there is none running"
            )
        return None
    if launch_executor:
        return _dropped(framework, "Master wants to launch executor, but one already exists")
    if executor.phase in (ExecutorPhase.TERMINATING, ExecutorPhase.TERMINATED):
        return _dropped(framework, f"Executor {executor.phase.value}")
    if not same_executor(executor.info, info):
        return other_info(info)
    return None


def other_info(info: ExecutorInfo) -> Report:
    """An executor with this id runs already, and is another one."""
    name = repr(info.executor_id.value)
    return _invalid(f"ExecutorInfo {name} differs from the one that runs already with the same id")


def too_large(executor: CustomExecutor, needed: Size) -> Report | None:
    """Why the tasks do not fit into a container whose size is fixed; None when they do."""
    if executor.size.covers(needed):
        return None
    text = (
        f"The container of {executor} has {executor.size}, and with this task it needs {needed}: "
        "a container on Triton keeps the size of its first tasks. Give ExecutorInfo.resources what "
        "all its tasks need"
    )
    return rejected(TaskState.TASK_FAILED, Reason.REASON_CONTAINER_UPDATE_FAILED, text)


def not_mounted(executor: CustomExecutor, volumes: Sequence[VolumeMount]) -> Report | None:
    """Why a task cannot have volumes that the running container lacks; None without such."""
    if not volumes:
        return None
    names = ", ".join(repr(volume.persistence_id) for volume in volumes)
    return _invalid(
        f"TaskInfo.resources: the container of {executor} runs without the persistent volumes "
        f"{names}, and no container is given one later: name them in ExecutorInfo.resources"
    )


def _has_image(container: ContainerInfo) -> bool:
    if container.type == ContainerInfo.DOCKER:
        return bool(container.docker.image)
    return bool(container.mesos.image.docker.name)


def _invalid(text: str) -> Report:
    return rejected(TaskState.TASK_FAILED, Reason.REASON_TASK_INVALID, text)


def _dropped(framework: Framework, text: str) -> Report:
    state = framework.state_or_lost(TaskState.TASK_DROPPED)
    return rejected(state, Reason.REASON_EXECUTOR_TERMINATED, text)
