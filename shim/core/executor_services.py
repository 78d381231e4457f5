"""Tasks of custom executors in service discovery: registered while they run.

A task runs inside its executor's container, so it is found at the container's address. It is
registered when its executor reports TASK_RUNNING, and again when its health changes. It is taken
out before a kill is passed on, and before the executor is ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor
from shim.core.executors import ExecutorPhase
from shim.core.lifecycle import TaskPhase
from shim.core.task import Task
from shim.model.orders import Publish, Withdraw
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import ExecutorInfo, TaskInfo, TaskState


class ExecutorServices:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def update(self, executor: CustomExecutor, task: Task) -> None:
        """Register the task if it runs and nothing ends it; else take it out."""
        if (
            task.phase is TaskPhase.DELIVERED
            and task.cause == Cause.NONE
            and task.wire.state == TaskState.TASK_RUNNING
            and executor.phase in (ExecutorPhase.REGISTERING, ExecutorPhase.RUNNING)
        ):
            info = published_info(task.info, executor.info)
            self._ctx.order(
                Publish(
                    task.ref,
                    info,
                    task.addresses,
                    task.healthy,
                    shares_network=True,
                    inside=True,
                )
            )
        elif task.wire.state != TaskState.TASK_STAGING:
            self.withdraw(task)

    def withdraw(self, task: Task) -> None:
        """Without effect when it is not registered."""
        self._ctx.order(Withdraw(task.ref, inside=True))

    def withdraw_all(self, tasks: Iterable[Task]) -> None:
        """Their executor is being ended."""
        for task in tasks:
            if task.phase is TaskPhase.DELIVERED:
                self.withdraw(task)


def published_info(info: TaskInfo, executor: ExecutorInfo) -> TaskInfo:
    """The TaskInfo with its executor's container, but for the ports of its docker parameters.

    A task of an executor has the ports that it names itself.
    """
    own = TaskInfo()
    own.CopyFrom(info)
    own.container.CopyFrom(executor.container)
    parameters = executor.container.docker.parameters
    if parameters:
        del own.container.docker.parameters[:]
        networks = (each for each in parameters if each.key in ("network", "net"))
        own.container.docker.parameters.extend(networks)
    return own
