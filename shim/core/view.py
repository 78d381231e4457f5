"""The read-only view of the core: everything that pages, metrics and the wiring may look at.

:attr:`shim.core.agent.Core.view` holds the one instance. Mappings are live: they show the state at
the moment of each access, so a reader that awaits between two accesses copies what it iterates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from shim.core.context import Context
from shim.core.custom_executor import CustomExecutor
from shim.core.executors import Executor, Executors
from shim.core.frameworks import Framework, Frameworks
from shim.core.history import CompletedTask
from shim.core.operations import Operations
from shim.core.registration import Registration, State
from shim.core.reservations import Reservations
from shim.core.status_updates import StatusUpdateManager
from shim.core.task import Task
from shim.core.tasks import Tasks
from shim.core.volumes import PersistentVolumes
from shim.model.container import Ref
from shim.model.ids import AgentId, ContainerId, ExecutorKey, FrameworkId, Pid, TaskKey
from shim.protos.mesos_pb2 import DrainConfig, FrameworkInfo, Resource, SlaveInfo, TaskState


class AgentView:
    """The agent as pages and metrics see it. Readers must not change what it returns."""

    def __init__(
        self,
        ctx: Context,
        tasks: Tasks,
        executors: Executors,
        frameworks: Frameworks,
        status_updates: StatusUpdateManager,
        registration: Registration,
        reservations: Reservations,
        volumes: PersistentVolumes,
        operations: Operations,
    ) -> None:
        self._ctx = ctx
        self._tasks = tasks
        self._status_updates = status_updates
        self._registration = registration
        self._reservations = reservations
        self._volumes = volumes
        self._operations = operations
        self.tasks: Mapping[TaskKey, Task] = MappingProxyType(tasks.table)
        """Accepted tasks, oldest first, until their terminal update is acknowledged."""
        self.frameworks: Mapping[FrameworkId, Framework] = MappingProxyType(frameworks.table)
        """Frameworks with a task or an unacknowledged update here."""
        self.executors: Mapping[ExecutorKey, Executor] = executors
        """Executors of task groups, until the last update of their tasks is acknowledged."""
        self.pending_removals: Mapping[ContainerId, Ref] = tasks.pending_removals
        """Containers of ended tasks that the endpoint may still have."""
        self.counters: Mapping[str, int] = MappingProxyType(ctx.counters)
        """Event counts by kind, since the start of the process."""

    # --- the agent ------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """The Mesos version that the agent reports."""
        return self._ctx.settings.version

    @property
    def info(self) -> SlaveInfo:
        """The agent as it registers: hostname, resources, attributes; without its id."""
        return self._ctx.settings.info

    @property
    def pid(self) -> Pid:
        """The agent's own libprocess address."""
        return self._ctx.settings.pid

    @property
    def agent_id(self) -> AgentId | None:
        """None until the first registration."""
        return self._ctx.agent_id

    @property
    def master(self) -> Pid | None:
        """The leading master; None when no leader is known."""
        return self._ctx.master

    @property
    def recovering(self) -> bool:
        """The containers of an earlier process are not known yet."""
        return self._registration.state is State.RECOVERING

    @property
    def connected(self) -> bool:
        """Registered with :attr:`master`."""
        return self._registration.state is State.CONNECTED

    @property
    def drain_config(self) -> DrainConfig | None:
        """The drain under way, if any."""
        return self._tasks.drain

    @property
    def checkpointed_resources(self) -> Sequence[Resource]:
        """Dynamic reservations and persistent volumes, with those of operations."""
        return self._reservations.resources

    @property
    def capabilities(self) -> Sequence[SlaveInfo.Capability.Type.ValueType]:
        """Those that the agent announces to a master."""
        return self._ctx.settings.capabilities

    @property
    def volumes(self) -> Mapping[str, bool]:
        """Names of persistent volumes at the endpoint. False: the volume is being removed."""
        return self._volumes.names

    # --- executors ------------------------------------------------------------------------

    @property
    def custom_executors(self) -> Mapping[ExecutorKey, CustomExecutor]:
        """Executors of frameworks that run in a container of their own, oldest first."""
        return MappingProxyType(self._tasks.custom_executors.table)

    def executor_containers(self) -> set[ContainerId]:
        """Container ids of all executors, and of those whose removal is not done."""
        known = {executor.container_id for executor in self.executors.values()}
        known.update(custom.ref.container_id for custom in self.custom_executors.values())
        return known | set(self.pending_removals)

    # --- tasks ----------------------------------------------------------------------------

    def task_in(self, container_id: str) -> Task | None:
        """The task whose own container this is: those of a custom executor have none."""
        return self._tasks.by_container.get(ContainerId(container_id))

    def running_tasks(self) -> list[Task]:
        """Tasks whose container was seen running and has not ended."""
        return [task for task in self.tasks.values() if task.container_running]

    def completed_tasks(self, framework_id: FrameworkId) -> list[CompletedTask]:
        """The newest completed tasks of a framework, oldest first."""
        return self._tasks.history.tasks_of(framework_id)

    @property
    def completed_frameworks(self) -> Mapping[FrameworkId, FrameworkInfo]:
        """Frameworks with completed tasks in the history."""
        return self._tasks.history.frameworks()

    @property
    def ended_by_state(self) -> Mapping[TaskState.ValueType, int]:
        """How many tasks ended since the start of the process, by terminal state."""
        return MappingProxyType(self._tasks.history.totals)

    @property
    def unacknowledged_updates(self) -> int:
        """Status updates that no framework has acknowledged."""
        return self._status_updates.pending

    def unacknowledged_states(self, key: TaskKey) -> list[TaskState.ValueType]:
        """The states of a task that no framework has acknowledged, oldest first."""
        return self._status_updates.unacknowledged(key)
