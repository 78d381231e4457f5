"""Calls that read: what the pages show, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import TypeAlias

from google.protobuf.message import Message

from shim.core.executors import ExecutorPhase
from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.executor import AnyExecutor, executor_name, executor_of, known_executors
from shim.http.files import FilesPages, entry_path
from shim.http.metrics_snapshot import snapshot
from shim.http.operator_api.answers import Listing, with_reservations
from shim.http.operator_api.containers import has_running_container
from shim.http.operator_api.log_level import LogLevel
from shim.http.operator_api.sessions import Sessions
from shim.http.statistics import NO_SAMPLE, statistics_of
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import BUILD, View
from shim.model.container import Entry, Usage
from shim.model.ids import ContainerId, TaskKey
from shim.protos.agent_pb2 import (
    Call,
    FileInfo,
    Flag,
    Metric,
    ResourceStatistics,
    Response,
    VersionInfo,
)
from shim.protos.mesos_pb2 import ExecutorInfo, SlaveInfo, TaskInfo, TaskState
from shim.protos.mesos_pb2 import Task as WireTask

_KINDS = {
    "d": S_IFDIR,
    "l": S_IFLNK,
    "b": S_IFBLK,
    "c": S_IFCHR,
    "p": S_IFIFO,
    "s": S_IFSOCK,
}
"""The first character of a mode as ``ls`` shows it. Files have ``-``."""


class Reads:
    """One method for each call. Raises HttpError."""

    def __init__(
        self,
        view: View,
        cache: TaskJsonCache,
        files: FilesPages,
        sessions: Sessions,
        log_level: LogLevel,
    ) -> None:
        self._view = view
        self._agent = view.agent
        self._cache = cache
        self._files = files
        self._sessions = sessions
        self._log_level = log_level

    # --- the agent --------------------------------------------------------------------------

    async def health(self, call: Call) -> Message:
        return Response.GetHealth(healthy=not self._view.liveness().problems())

    async def flags(self, call: Call) -> Listing:
        return {"flags": [Flag(name=name, value=v) for name, v in self._view.flags.items()]}

    async def version(self, call: Call) -> Message:
        info = VersionInfo(version=self._agent.version, **BUILD)
        return Response.GetVersion(version_info=info)

    async def metrics(self, call: Call) -> Listing:
        found = await snapshot(self._view, self._cache)
        return {"metrics": [Metric(name=name, value=value) for name, value in found.items()]}

    async def logging_level(self, call: Call) -> Message:
        return Response.GetLoggingLevel(level=self._log_level.get())

    async def agent(self, call: Call) -> Message:
        info = SlaveInfo()
        info.CopyFrom(self._agent.info)
        info.ClearField("checkpoint")
        if self._agent.agent_id is not None:
            info.id.value = self._agent.agent_id
        body = Response.GetAgent(slave_info=with_reservations(info))
        if self._agent.drain_config is not None:
            body.drain_config.CopyFrom(self._agent.drain_config)
        return body

    async def operations(self, call: Call) -> Message:
        """An agent without resource providers keeps none."""
        return Response.GetOperations()

    async def resource_providers(self, call: Call) -> Message:
        return Response.GetResourceProviders()

    # --- files ------------------------------------------------------------------------------

    async def list_files(self, call: Call) -> Message | Listing:
        path = call.list_files.path
        entries = await self._files.entries(path)
        found = (file_info(path, entry) for entry in entries)
        return {"file_infos": found} if entries else Response.ListFiles()

    async def read_file(self, call: Call) -> Message:
        wanted = call.read_file
        length = wanted.length if wanted.HasField("length") else -1
        size, data = await self._files.read_bytes(wanted.path, wanted.offset, length)
        return Response.ReadFile(size=size, data=data)

    # --- frameworks, executors and tasks ------------------------------------------------------

    async def state(self, call: Call) -> Listing:
        return {
            "get_tasks": await self.tasks(call),
            "get_executors": await self.executors(call),
            "get_frameworks": await self.frameworks(call),
        }

    async def frameworks(self, call: Call) -> Listing:
        active = {id_: known.info for id_, known in self._agent.frameworks.items()}
        ended = self._agent.completed_frameworks
        return {
            "frameworks": [
                Response.GetFrameworks.Framework(framework_info=info) for info in active.values()
            ],
            "completed_frameworks": [
                Response.GetFrameworks.Framework(framework_info=info)
                for id_, info in ended.items()
                if id_ not in active
            ],
        }

    async def executors(self, call: Call) -> Listing:
        """Those of frameworks, and the command executor of each other task."""
        live: dict[ContainerId, _ExecutorOf] = {}
        ended: dict[ContainerId, _ExecutorOf] = {}
        time_slice = self._view.time_slicer.begin()
        for known in known_executors(self._agent):
            await time_slice.checkpoint()
            is_ended = known.phase is ExecutorPhase.TERMINATED
            (ended if is_ended else live)[known.container_id] = known
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            if not task.wire.HasField("executor_id"):
                (live if task.live else ended)[task.ref.container_id] = task
        for completed in self._completed():
            await time_slice.checkpoint()
            executor = completed.executor
            key = completed.ref.container_id if executor is None else executor.container_id
            if key not in live:
                ended.setdefault(key, completed if executor is None else executor)
        return {
            "executors": map(_executor, live.values()),
            "completed_executors": map(_executor, ended.values()),
        }

    async def tasks(self, call: Call) -> Listing:
        queued: list[WireTask] = []
        launched: list[WireTask] = []
        terminated: list[WireTask] = []
        time_slice = self._view.time_slicer.begin()
        for task in list(self._agent.tasks.values()):
            await time_slice.checkpoint()
            if not task.live:
                terminated.append(task.wire)
            elif task.wire.state == TaskState.TASK_STAGING:
                queued.append(task.wire)
            else:
                launched.append(task.wire)
        return {
            "pending_tasks": (),
            "queued_tasks": map(with_reservations, queued),
            "launched_tasks": map(with_reservations, launched),
            "terminated_tasks": map(with_reservations, terminated),
            "completed_tasks": (with_reservations(each.wire) for each in self._completed()),
        }

    def _completed(self) -> Iterator[CompletedTask]:
        """Without ended tasks whose last update is unacknowledged: the agent has those as well."""
        tasks = self._agent.tasks
        for framework_id in self._agent.completed_frameworks:
            for task in self._agent.completed_tasks(framework_id):
                kept = tasks.get(task.ref.task_key)
                if kept is None or kept.ref != task.ref:
                    yield task

    # --- containers -------------------------------------------------------------------------

    async def containers(self, call: Call) -> Message | Listing:
        """Of tasks, and of executors that have one; sessions of exec are nested ones."""
        usages = await self._view.usages()
        agent = self._agent
        found: Iterable[Message] = (
            _container(task, executor_of(task, agent), usages.get(task.ref, NO_SAMPLE))
            for task in list(agent.tasks.values())
            if task.container_running
        )
        own = map(_own_container, filter(has_running_container, known_executors(agent)))
        nested = list(self._nested()) if call.get_containers.show_nested else []
        every = chain(found, own, nested)
        first = next(every, None)
        return Response.GetContainers() if first is None else {"containers": chain([first], every)}

    def _nested(self) -> Iterator[Message]:
        for session in self._sessions.running():
            body, key = Response.GetContainers.Container(), session.ref.key
            body.container_id.CopyFrom(session.container_id)
            body.framework_id.value = key.framework_id
            task = self._agent.tasks.get(key) if isinstance(key, TaskKey) else None
            executor_id = key.task_id if isinstance(key, TaskKey) else key.executor_id
            body.executor_id.value = executor_id if task is None else task.executor_id
            yield body


_ExecutorOf: TypeAlias = Task | CompletedTask | AnyExecutor
"""What an ExecutorInfo is made of."""


def _executor(of: _ExecutorOf) -> Message:
    if isinstance(of, Task | CompletedTask):
        return Response.GetExecutors.Executor(executor_info=command_executor(of.info, of.wire))
    return Response.GetExecutors.Executor(executor_info=with_reservations(of.info))


def command_executor(info: TaskInfo, wire: WireTask) -> ExecutorInfo:
    """The one that a stock agent would have made for the task."""
    executor = ExecutorInfo(name=executor_name(info), source=info.task_id.value)
    executor.executor_id.value = info.task_id.value
    for part in ("command", "container", "labels"):
        if info.HasField(part):
            getattr(executor, part).CopyFrom(getattr(info, part))
    executor.framework_id.value = wire.framework_id.value
    return executor


def _container(task: Task, executor: AnyExecutor | None, usage: Usage) -> Message:
    """The container of a task in a group has its executor's as parent."""
    statistics = ResourceStatistics(**statistics_of(task, usage))
    body = Response.GetContainers.Container(resource_statistics=statistics)
    body.framework_id.value = task.key.framework_id
    body.executor_id.value = task.executor_id
    body.executor_name = executor_name(task.info) if executor is None else executor.info.name
    body.container_id.value = task.ref.container_id
    if executor is not None:
        body.container_id.parent.value = executor.container_id
    body.container_status.CopyFrom(task.wire.statuses[-1].container_status)
    return body


def _own_container(executor: AnyExecutor) -> Message:
    """Of an executor. It has no statistics: its tasks' containers have them."""
    body = Response.GetContainers.Container(executor_name=executor.info.name)
    body.framework_id.value = executor.key.framework_id
    body.executor_id.value = executor.key.executor_id
    body.container_id.value = executor.container_id
    return body


def file_info(directory: str, entry: Entry) -> FileInfo:
    info = FileInfo(
        path=entry_path(directory, entry.name),
        nlink=entry.nlink,
        size=entry.size,
        mode=mode_bits(entry.mode),
        uid=entry.uid,
        gid=entry.gid,
    )
    info.mtime.nanoseconds = int(entry.mtime * 1e9)
    return info


def mode_bits(text: str) -> int:
    """``-rw-r--r--`` -> 0o100644, as in ``st_mode``."""
    bits = 0
    for character in text[1:10]:
        bits = bits << 1 | (character not in "-ST")
    for position, special in ((3, 0o4000), (6, 0o2000), (9, 0o1000)):
        if text[position : position + 1] in tuple("sStT"):
            bits |= special
    return _KINDS.get(text[:1], S_IFREG) | bits
