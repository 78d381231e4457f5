"""Custom executors after a restart of the agent: the journal against the endpoint's containers.

======================  =================================================================
the container is        then
======================  =================================================================
running                 an executor that was registered is expected back within
                        ``--executor_reregistration_timeout``: a v0 one is asked to register
                        again, a v1 one subscribes by itself. One that was not registered has
                        its registration timeout once more
created, provisioning   the launch is ordered again, and finds the container by its name
exited                  the executor ended during the restart
missing                 it had run: it ended. Its create was under way: whether it ran is
                        unknown, so its tasks are dropped. Its create was not yet asked for: the
                        launch is ordered again
======================  =================================================================

An executor that was being ended is stopped at once: its grace period is not counted again.
"""

from __future__ import annotations

from collections.abc import Mapping

from shim.core import executor_ends
from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor, CustomExecutorEvent
from shim.core.custom_executors import CustomExecutors
from shim.core.executors import ExecutorPhase
from shim.core.frameworks import Frameworks
from shim.model.container import Container, Phase
from shim.model.facts import ContainerExited, ContainerVanished
from shim.model.ids import ContainerId
from shim.model.orders import Watch
from shim.protos import journal_pb2


class ExecutorRecovery:
    def __init__(self, ctx: Context, executors: CustomExecutors, frameworks: Frameworks) -> None:
        self._ctx = ctx
        self._executors = executors
        self._frameworks = frameworks

    def restore(self, saved: Mapping[ContainerId, bytes]) -> None:
        """From the journal. Raises google's DecodeError on a damaged record."""
        found = (journal_pb2.Executor.FromString(value) for value in saved.values())
        for record in sorted(found, key=lambda record: record.accepted):
            if record.HasField("custom"):
                executor = CustomExecutor.restore(record)
                self._executors.table[executor.key] = executor
                framework = self._frameworks.table[executor.key.framework_id]
                framework.executor_ids.add(executor.key.executor_id)

    def reconcile(self, found: Mapping[ContainerId, Container]) -> None:
        """Compare every live executor with its container."""
        for executor in list(self._executors.table.values()):
            if executor.live:
                self._resume(executor, found.get(executor.ref.container_id))

    def _resume(self, executor: CustomExecutor, container: Container | None) -> None:
        apply, ref = self._executors.apply, executor.ref
        if container is None:
            self._container_missing(executor)
        elif container.phase is Phase.EXITED:
            exited = ContainerExited(
                ref, container.exit_code, container.oom_killed, container.error
            )
            apply(executor, CustomExecutorEvent.ENDED, exited)
        elif container.phase is Phase.RUNNING:
            self._ctx.order(Watch(ref))
            self._container_running(executor, container)
        elif executor.phase is ExecutorPhase.REGISTERING and not executor.started:
            self._ctx.order(self._executors.launch_order(executor))
        else:
            apply(executor, CustomExecutorEvent.ENDED, ContainerVanished(ref))

    def _container_missing(self, executor: CustomExecutor) -> None:
        vanished = ContainerVanished(executor.ref)
        if executor.phase is ExecutorPhase.REGISTERING and not executor.started:
            if not executor.creating:
                self._ctx.order(self._executors.launch_order(executor))
                return
            framework = self._frameworks.table[executor.key.framework_id]
            executor.ended_by = executor_ends.launch_interrupted(framework)
        self._executors.apply(executor, CustomExecutorEvent.ENDED, vanished)

    def _container_running(self, executor: CustomExecutor, container: Container) -> None:
        if executor.phase is not ExecutorPhase.TERMINATING:
            for task in self._executors.tasks_of(executor):
                self._executors.services.update(executor, task)
        if executor.phase is ExecutorPhase.TERMINATING:
            executor.started = True
            self._executors.apply(executor, CustomExecutorEvent.GRACE_OVER)
        elif executor.pid is not None or executor.subscribed:
            executor.phase = ExecutorPhase.REGISTERING
            executor.reconnecting = True
            timeout = self._ctx.settings.executor_reregistration_timeout
            executor.retry_until = self._ctx.now.mono + timeout
            self._executors.registration.await_reconnection(executor)
        elif executor.started:
            self._executors.registration.await_registration(executor)
        else:
            self._ctx.counters["launches_adopted"] += 1
            self._executors.started(executor.ref, container)
