"""Checks of a LAUNCH_GROUP, in the order of Mesos' ``master/validation.cpp``."""

from __future__ import annotations

from shim.dev.master import task_validation
from shim.dev.master.master_state import Agent, MasterFramework
from shim.model.ids import ExecutorId
from shim.model.resource_sets import Resources
from shim.protos import mesos_pb2 as mesos

LaunchGroup = mesos.Offer.Operation.LaunchGroup
_NETWORK_CHECKS = (mesos.HealthCheck.HTTP, mesos.HealthCheck.TCP)
_MINIMUM = {"cpus": 0.01, "mem": 32.0}


def invalid_group(group: LaunchGroup, framework: MasterFramework, agent: Agent) -> str | None:
    """Why the whole group is rejected; None when it may be launched.

    Resources must be prepared: a known executor of the same id must have an equal ExecutorInfo.
    """
    for info in group.task_group.tasks:
        if reason := _task(info, framework, agent):
            return f"Task '{info.task_id.value}' is invalid: {reason}"
    return _executor(group, framework, agent)


def _task(info: mesos.TaskInfo, framework: MasterFramework, agent: Agent) -> str | None:
    # Of a LAUNCH a task has a command or an executor; here it may have both.
    alone = mesos.TaskInfo()
    alone.CopyFrom(info)
    alone.ClearField("executor")
    if reason := task_validation.invalid_task(alone, framework, agent):
        return reason
    if not info.HasField("executor"):
        return "'TaskInfo.executor' must be set"
    checked = info.HasField("health_check") and info.health_check.type in _NETWORK_CHECKS
    if info.container.network_infos and checked:
        return (
            "HTTP and TCP health checks are not supported for nested containers not joining "
            "parent's network"
        )
    if info.HasField("container") and info.container.type == mesos.ContainerInfo.DOCKER:
        return "Docker ContainerInfo is not supported on the task"
    linux = info.container.linux_info
    if info.limits and (not info.container.HasField("linux_info") or linux.share_cgroups):
        return (
            "Resource limits may only be set for tasks within a task group when the "
            "'share_cgroups' field is set to 'false'."
        )
    return None


def _executor(group: LaunchGroup, framework: MasterFramework, agent: Agent) -> str | None:
    executor = group.executor
    if not executor.HasField("framework_id"):
        # The master completes only a task's own executor.
        return "'ExecutorInfo.framework_id' must be set"
    if executor.type == mesos.ExecutorInfo.DEFAULT:
        if executor.HasField("command"):
            return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        if executor.HasField("container") and executor.container.type != mesos.ContainerInfo.MESOS:
            return "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
        if executor.container.mesos.HasField("image"):
            return "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
    if reason := task_validation.invalid_executor(executor, framework):
        return reason
    known = agent.executors.get((framework.id, ExecutorId(executor.executor_id.value)))
    if known is not None and known != executor:
        return "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID"
    if executor.type not in (mesos.ExecutorInfo.DEFAULT, mesos.ExecutorInfo.CUSTOM):
        return "'ExecutorInfo.type' must be set"
    if executor.container.type == mesos.ContainerInfo.DOCKER and executor.HasField("container"):
        return "Docker ContainerInfo is not supported on the executor"
    for info in group.task_group.tasks:
        if info.executor != executor:
            task_id, executor_id = info.task_id.value, executor.executor_id.value
            return (
                f"The `ExecutorInfo` of task '{task_id}' is different from executor '{executor_id}'"
            )
    return _executor_resources(executor)


def _executor_resources(executor: mesos.ExecutorInfo) -> str | None:
    held, name = Resources.of(executor.resources), executor.executor_id.value
    for resource, least in _MINIMUM.items():
        if held.scalar(resource) < least:
            return f"Executor '{name}' uses less {resource} than the minimum required ({least})"
    return None if held.scalar("disk") else f"Executor '{name}' uses no disk"
