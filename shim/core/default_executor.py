"""The default executor as two literal tables: its own life, and the life of a task group.

No process runs it: the agent does what Mesos' ``mesos-default-executor`` does.

The executor, with its infra container, which holds the network of its tasks::

    launch -> REGISTERING -(infra runs)-> RUNNING -(shutdown)-> TERMINATING
                   |                         |                       |
                   +-(failed, exited)-+      +-(exited)-+            |
                   |                  v                 v            |
                   +-(no task)--> TERMINATED <----------+--(no task)-+

An executor without an infra container (on the host's network, or with ``--triton_pods=separate``)
begins as RUNNING. A TERMINATED one is forgotten with its last task, and reported to the master.

A task group::

    launch -> QUEUED -(executor runs)-> LAUNCHING -(all launches answered)-> RUNNING
                |                           |                                   |
                +--(a task is killed)       +-----(a task failed, was killed)---+
                        v                                   v
                       OVER                              KILLING

=========  ================================================================================
QUEUED     the executor is not there yet. Images are pulled and URIs fetched meanwhile; no create
           is allowed before the infra container runs, and no state is reported
LAUNCHING  TASK_STARTING is reported for each task; not all launches have answered
RUNNING    TASK_RUNNING was reported, in the order of the group, for each that was launched
KILLING    a task ended in another state than TASK_FINISHED: the others are killed
OVER       the group ended before it was delivered to its executor
=========  ================================================================================

While a group is QUEUED or LAUNCHING, the end of a task (its launch failed, its container exited) is
only noted. A task of such a group whose container runs is in the task phase LAUNCHED.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from shim.core.executors import Executor, ExecutorPhase
from shim.core.lifecycle import Event
from shim.model.ids import TaskKey
from shim.protos.mesos_pb2 import ContainerInfo, TaskInfo


class ExecutorEvent(enum.Enum):
    CREATING = "the launch of the infra container waits to send its create"
    STARTED = "the infra container was seen running"
    FAILED = "the launch of the infra container failed permanently"
    CANCELLED = "the launch of the infra container ended before it ran"
    EXITED = "the infra container exited"
    VANISHED = "the infra container was removed by others"
    SHUTDOWN = "the executor is to end"
    EMPTY = "none of its tasks lives"


class ExecutorAction(enum.Enum):
    IGNORE = "do nothing"
    ALLOW_CREATE = "allow the create of the infra container"
    DELIVER = "deliver all queued groups"
    FAIL = "end all tasks: the launch of the infra container failed"
    ABANDON = "end all tasks: the infra container, and with it their network, is gone"
    KILL = "kill all tasks"
    REMOVE = "have the infra container and the executor's volumes removed"


class GroupPhase(enum.Enum):
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    KILLING = "killing"
    OVER = "over"


class GroupEvent(enum.Enum):
    DELIVERED = "the executor runs"
    ANSWERED = "every launch of the group has answered"
    BROKEN = "a task ended in another state than TASK_FINISHED"


class GroupAction(enum.Enum):
    IGNORE = "do nothing"
    START = "report TASK_STARTING for each task, then allow the creates that are due"
    RELEASE = "report TASK_RUNNING for each task that was launched, then apply the ends noted"
    KILL_REST = "kill the group's other tasks"


_EXECUTOR_IGNORE, _GROUP_IGNORE = ExecutorAction.IGNORE, GroupAction.IGNORE

EXECUTOR_TABLE: dict[ExecutorPhase, dict[ExecutorEvent, tuple[ExecutorPhase, ExecutorAction]]] = {
    ExecutorPhase.REGISTERING: {
        ExecutorEvent.CREATING: (ExecutorPhase.REGISTERING, ExecutorAction.ALLOW_CREATE),
        ExecutorEvent.STARTED: (ExecutorPhase.RUNNING, ExecutorAction.DELIVER),
        ExecutorEvent.FAILED: (ExecutorPhase.TERMINATING, ExecutorAction.FAIL),
        ExecutorEvent.CANCELLED: (ExecutorPhase.REGISTERING, _EXECUTOR_IGNORE),
        ExecutorEvent.EXITED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.VANISHED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        # Its tasks are queued: they end at once.
        ExecutorEvent.SHUTDOWN: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.EMPTY: (ExecutorPhase.TERMINATED, ExecutorAction.REMOVE),
    },
    ExecutorPhase.RUNNING: {
        ExecutorEvent.CREATING: (ExecutorPhase.RUNNING, _EXECUTOR_IGNORE),
        ExecutorEvent.STARTED: (ExecutorPhase.RUNNING, _EXECUTOR_IGNORE),
        ExecutorEvent.FAILED: (ExecutorPhase.RUNNING, _EXECUTOR_IGNORE),
        ExecutorEvent.CANCELLED: (ExecutorPhase.RUNNING, _EXECUTOR_IGNORE),
        ExecutorEvent.EXITED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.VANISHED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.SHUTDOWN: (ExecutorPhase.TERMINATING, ExecutorAction.KILL),
        ExecutorEvent.EMPTY: (ExecutorPhase.TERMINATED, ExecutorAction.REMOVE),
    },
    ExecutorPhase.TERMINATING: {
        ExecutorEvent.CREATING: (ExecutorPhase.TERMINATING, _EXECUTOR_IGNORE),
        ExecutorEvent.STARTED: (ExecutorPhase.TERMINATING, _EXECUTOR_IGNORE),
        ExecutorEvent.FAILED: (ExecutorPhase.TERMINATING, _EXECUTOR_IGNORE),
        ExecutorEvent.CANCELLED: (ExecutorPhase.TERMINATING, _EXECUTOR_IGNORE),
        ExecutorEvent.EXITED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.VANISHED: (ExecutorPhase.TERMINATING, ExecutorAction.ABANDON),
        ExecutorEvent.SHUTDOWN: (ExecutorPhase.TERMINATING, _EXECUTOR_IGNORE),
        ExecutorEvent.EMPTY: (ExecutorPhase.TERMINATED, ExecutorAction.REMOVE),
    },
    ExecutorPhase.TERMINATED: dict.fromkeys(
        ExecutorEvent, (ExecutorPhase.TERMINATED, _EXECUTOR_IGNORE)
    ),
}

GROUP_TABLE: dict[GroupPhase, dict[GroupEvent, tuple[GroupPhase, GroupAction]]] = {
    GroupPhase.QUEUED: {
        GroupEvent.DELIVERED: (GroupPhase.LAUNCHING, GroupAction.START),
        GroupEvent.ANSWERED: (GroupPhase.QUEUED, _GROUP_IGNORE),
        # Whatever ends a queued task ends its whole group in the same decision.
        GroupEvent.BROKEN: (GroupPhase.OVER, _GROUP_IGNORE),
    },
    GroupPhase.LAUNCHING: {
        GroupEvent.DELIVERED: (GroupPhase.LAUNCHING, _GROUP_IGNORE),
        GroupEvent.ANSWERED: (GroupPhase.RUNNING, GroupAction.RELEASE),
        GroupEvent.BROKEN: (GroupPhase.KILLING, GroupAction.KILL_REST),
    },
    GroupPhase.RUNNING: {
        GroupEvent.DELIVERED: (GroupPhase.RUNNING, _GROUP_IGNORE),
        GroupEvent.ANSWERED: (GroupPhase.RUNNING, _GROUP_IGNORE),
        GroupEvent.BROKEN: (GroupPhase.KILLING, GroupAction.KILL_REST),
    },
    GroupPhase.KILLING: dict.fromkeys(GroupEvent, (GroupPhase.KILLING, _GROUP_IGNORE)),
    GroupPhase.OVER: dict.fromkeys(GroupEvent, (GroupPhase.OVER, _GROUP_IGNORE)),
}


def executor_step(
    phase: ExecutorPhase, event: ExecutorEvent
) -> tuple[ExecutorPhase, ExecutorAction]:
    """The next phase, and the action to perform."""
    return EXECUTOR_TABLE[phase][event]


def group_step(phase: GroupPhase, event: GroupEvent) -> tuple[GroupPhase, GroupAction]:
    """The next phase, and the action to perform."""
    return GROUP_TABLE[phase][event]


@dataclass(slots=True, eq=False)
class Group:
    """The tasks of one LAUNCH_GROUP. Not durable: its phase follows from the tasks' records."""

    executor: Executor
    number: int
    """Counted from 1 for each executor."""
    phase: GroupPhase
    members: list[TaskKey] = field(default_factory=list)
    """In the order of the group; after a restart without those that are forgotten."""
    creates_due: list[TaskKey] = field(default_factory=list)
    """Tasks whose launches wait, in the phase QUEUED, to send their creates."""
    ends: dict[TaskKey, tuple[Event, object]] = field(default_factory=dict)
    """Ends noted while the group is QUEUED or LAUNCHING, with the action's argument."""


def shares_network(info: TaskInfo) -> bool:
    """Whether a task of a group names no network of its own."""
    return not any(network.name for network in info.container.network_infos)


def discovered_info(info: TaskInfo, executor: Executor) -> TaskInfo:
    """The TaskInfo for service discovery: with its executor's network, if it shares it, and with
    the labels and resources of its executor."""
    own = TaskInfo()
    own.CopyFrom(info)
    own.executor.executor_id.CopyFrom(executor.info.executor_id)
    own.executor.labels.CopyFrom(executor.info.labels)
    own.executor.resources.extend(executor.info.resources)
    if shares_network(info):
        own.container.type = ContainerInfo.MESOS
        del own.container.network_infos[:]
        own.container.network_infos.extend(executor.info.container.network_infos)
    return own
