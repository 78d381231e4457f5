"""Whether a task group is accepted: one unfit task refuses the whole group.

The update of each task of the group names the field that is refused. What depends on the state of
the executor is the business of :class:`shim.core.task_groups.TaskGroups`.
"""

from __future__ import annotations

from collections.abc import Mapping

from shim.core import rejections
from shim.core.context import Context, PodNetwork
from shim.core.executors import Executor
from shim.core.frameworks import Framework
from shim.core.reservations import Reservations
from shim.core.status import Report
from shim.core.tasks import Tasks
from shim.core.volumes import PersistentVolumes, problem_of_executor
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, TaskKey
from shim.model.orders import Launch, MemberOf
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo
from shim.protos.messages_pb2 import RunTaskGroupMessage

_UNUSED = ContainerId("00000000-0000-0000-0000-000000000000")
"""Of the launches that are only looked at, and not ordered."""


class GroupAdmission:
    """It changes nothing."""

    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        reservations: Reservations,
        volumes: PersistentVolumes,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._reservations = reservations
        self._volumes = volumes

    def has_infra(self, info: ExecutorInfo) -> bool:
        """Whether an infra container holds its network. One that names none is on the host's."""
        shared = self._ctx.settings.pod_network is PodNetwork.SHARED
        return shared and any(network.name for network in info.container.network_infos)

    def rejection(
        self,
        framework: Framework,
        message: RunTaskGroupMessage,
        infos: Mapping[TaskKey, TaskInfo],
        executor: Executor | None,
    ) -> Report | None:
        """Why this agent cannot run the group, whatever runs here; None when it can."""
        settings, info = self._ctx.settings, message.executor
        if settings.pod_network is None:
            return rejections.invalid_group(settings.pods_refused)
        problem = _malformed(framework, message) or self._conflict(info, infos, executor)
        if problem:
            return rejections.invalid_group(problem)
        resources = list(info.resources)
        for task_info in infos.values():
            resources += task_info.resources
        if problem := problem_of_executor(info, infos.values(), framework.info.role):
            return rejections.invalid_group(problem)
        known = self._reservations.resources
        return rejections.unknown_resources(framework, resources, known) or self._unfit(
            infos, info, executor
        )

    def _conflict(
        self, info: ExecutorInfo, infos: Mapping[TaskKey, TaskInfo], executor: Executor | None
    ) -> str:
        """What else here has the id of one of the tasks, or of the executor; empty: nothing."""
        if (used := self._tasks.in_use(infos)) is not None:
            return f"task_group: task_id {used!r} is in use"
        key = ExecutorKey(next(iter(infos)).framework_id, ExecutorId(info.executor_id.value))
        custom = key in self._tasks.custom_executors.table
        if custom or (executor is not None and not _equal(executor.info, info)):
            return f"executor: differs from executor {info.executor_id.value!r} that runs here"
        return ""

    def _unfit(
        self,
        infos: Mapping[TaskKey, TaskInfo],
        info: ExecutorInfo,
        executor: Executor | None,
    ) -> Report | None:
        """One task that cannot run here is enough: nothing of the group starts."""
        ctx = self._ctx
        key = ExecutorKey(next(iter(infos)).framework_id, ExecutorId(info.executor_id.value))
        known = () if executor is None else executor.task_keys
        others = [self._tasks.table[other] for other in known]
        # Containers differ by their ids, also those that may never exist.
        new = [
            (Ref(task, ContainerId(f"{_UNUSED}{number}")), infos[task])
            for number, task in enumerate(infos)
        ]
        group = (*((task.ref, task.info) for task in others), *new)
        mounts = self._volumes.mounts
        volumes = mounts(info.resources)
        infra = self.has_infra(info)
        member = MemberOf(Ref(key, _UNUSED), info, infra, group=group, volumes=volumes)
        for ref, task_info in new:
            if too_large := rejections.too_large(task_info, ctx.settings.max_task_bytes):
                return rejections.invalid_group(f"task {ref.task_key.task_id!r}: {too_large}")
            own = mounts(task_info.resources)
            launch = Launch(ref, task_info, str(ctx.agent_id), member, volumes=own)
            if problem := ctx.settings.launch_problem(launch):
                return rejections.invalid_group(f"task {ref.task_key.task_id!r}: {problem}")
        return None


def _malformed(framework: Framework, message: RunTaskGroupMessage) -> str:
    """What no master lets through, with the name of the field; empty: nothing."""
    info, tasks = message.executor, message.task_group.tasks
    if info.type != ExecutorInfo.DEFAULT:
        return "executor.type: not DEFAULT"
    framework_id, named = framework.info.id.value, info.framework_id.value
    if info.HasField("framework_id") and named != framework_id:
        return f"executor.framework_id: {named!r}, and the framework is {framework_id!r}"
    if len({task.task_id.value for task in tasks}) < len(tasks):
        return "task_group: two of its tasks have the same task_id"
    executor_id = info.executor_id.value
    for task in tasks:
        own = task.executor.executor_id.value
        if task.HasField("executor") and own != executor_id:
            field = f"task {task.task_id.value!r}: executor.executor_id"
            return f"{field}: {own!r}, and the executor of the group is {executor_id!r}"
    return ""


def _equal(known: ExecutorInfo, other: ExecutorInfo) -> bool:
    """The master compares as well, so a difference comes from a bug or from another sender."""
    copy = ExecutorInfo()
    copy.CopyFrom(other)
    copy.framework_id.value = known.framework_id.value
    return copy == known
