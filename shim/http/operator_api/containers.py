"""Waiting for, signalling and removing containers: those of tasks, and sessions of exec."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from shim import limits
from shim.core.custom_executor import CustomExecutor
from shim.core.executors import ExecutorPhase
from shim.core.status import exit_code_in
from shim.core.view import AgentView
from shim.errors import NotFound, Permanent, ShimError
from shim.http.executor import AnyExecutor, known_executors
from shim.http.operator_api.processes import Processes
from shim.http.operator_api.sessions import SIGKILL, SessionPhase, Sessions, id_text
from shim.http.operator_api.signals import signal_session
from shim.http.operator_api.streams import is_gone
from shim.http.responses import HttpError
from shim.model.container import Ref
from shim.model.states import TERMINAL
from shim.protos.agent_pb2 import Call, Response
from shim.protos.mesos_pb2 import ContainerID
from shim.protos.mesos_pb2 import Task as WireTask

log = logging.getLogger(__name__)

_SIGNALS = range(1, 65)


def not_found(container_id: str) -> str:
    return f"Container {container_id} cannot be found"


def unknown(container_id: str) -> str:
    return f"Unknown container {container_id}"


class Containers:
    def __init__(self, agent: AgentView, processes: Processes | None, sessions: Sessions) -> None:
        """``processes`` is None for an endpoint that cannot signal."""
        self._agent = agent
        self._processes = processes
        self._sessions = sessions
        self._waiting = 0

    def running(self, container_id: ContainerID) -> Ref | None:
        """The container of this id, if it was seen running and has not ended.

        It is a task's or an executor's own. The container of a task in a group has its executor's
        container as parent.
        """
        task = self._agent.task_in(container_id.value)
        if task is not None:
            return task.ref if task.container_running else None
        executor = self._executor(container_id)
        return executor.ref if executor is not None and has_running_container(executor) else None

    # --- wait -------------------------------------------------------------------------------

    async def wait(self, request: web.Request, call: Call) -> Response.WaitContainer:
        container_id = call.wait_container.container_id
        if call.type == Call.WAIT_NESTED_CONTAINER:
            container_id = call.wait_nested_container.container_id
        if self._waiting >= limits.API_WAITS:
            raise HttpError(503, f"{self._waiting} calls wait already, the most there may be")
        self._waiting += 1
        try:
            if session := self._sessions.find(container_id):
                await _until(session.ended.is_set, request)
                return Response.WaitContainer(exit_status=session.exit_status)
            if (executor := self._executor(container_id)) is not None:
                await _until(lambda: self._executor(container_id) is None, request)
                return executor_termination(executor)
            return await self._task_end(request, container_id)
        finally:
            self._waiting -= 1

    async def _task_end(
        self, request: web.Request, container_id: ContainerID
    ) -> Response.WaitContainer:
        def ended() -> WireTask | None:
            """Raises HttpError (404)."""
            task = self._agent.task_in(container_id.value)
            found = self._completed(container_id) if task is None else task.wire
            if found is None:
                raise HttpError(404, not_found(id_text(container_id)))
            return found if found.state in TERMINAL else None

        await _until(lambda: ended() is not None, request)
        return termination(ended() or WireTask())

    # --- looking up -------------------------------------------------------------------------

    def _completed(self, container_id: ContainerID) -> WireTask | None:
        for framework_id in self._agent.completed_frameworks:
            for completed in self._agent.completed_tasks(framework_id):
                is_own = not isinstance(completed.executor, CustomExecutor)
                if completed.ref.container_id == container_id.value and is_own:
                    return completed.wire
        return None

    def _executor(self, container_id: ContainerID) -> AnyExecutor | None:
        """The executor of a framework that has not ended."""
        for executor in known_executors(self._agent):
            is_ended = executor.phase is ExecutorPhase.TERMINATED
            if executor.container_id == container_id.value and not is_ended:
                return executor
        return None

    # --- kill and remove ----------------------------------------------------------------------

    async def kill(self, call: Call, who: str) -> None:
        body = call.kill_container
        if call.type == Call.KILL_NESTED_CONTAINER:
            body = Call.KillContainer()
            body.MergeFromString(call.kill_nested_container.SerializeToString())
        signal = body.signal if body.HasField("signal") else SIGKILL
        text = id_text(body.container_id)
        log.info("%s sends signal %d to container %s", who, signal, text)
        try:
            found = await self._signal(body.container_id, signal)
        except NotFound:
            found = False
        except ShimError as error:
            raise HttpError(500 if isinstance(error, Permanent) else 503, str(error)) from None
        if not found:
            raise HttpError(404, f"Container '{text}' cannot be found (or is already killed)")

    async def _signal(self, container_id: ContainerID, signal: int) -> bool:
        if self._processes is None:
            raise Permanent("This endpoint sends no signals")
        if session := self._sessions.find(container_id):
            if session.phase is not SessionPhase.RUNNING:
                return False
            _check_signal(signal)
            return await signal_session(self._processes, session, signal)
        ref = self.running(container_id)
        if ref is None:
            return False
        _check_signal(signal)
        await self._processes.kill(ref.name, signal)
        return True

    def remove(self, call: Call) -> None:
        body = call.remove_container
        if call.type == Call.REMOVE_NESTED_CONTAINER:
            body = Call.RemoveContainer(container_id=call.remove_nested_container.container_id)
        session = self._sessions.find(body.container_id)
        is_root = not body.container_id.HasField("parent")
        if session is None and (is_root or self._agent.task_in(body.container_id.value)):
            raise HttpError(500, "Containers of tasks are removed by the agent")
        if session is not None and session.phase is not SessionPhase.ENDED:
            raise HttpError(500, "Nested container has not terminated yet")
        if session is None and self.running(_root(body.container_id)) is None:
            raise HttpError(500, "Unknown root container")
        self._sessions.remove(body.container_id)


def _check_signal(signal: int) -> None:
    """Raises HttpError (400)."""
    if signal not in _SIGNALS:
        raise HttpError(400, f"{signal} is no signal")


def _root(container_id: ContainerID) -> ContainerID:
    return _root(container_id.parent) if container_id.HasField("parent") else container_id


def has_running_container(executor: AnyExecutor) -> bool:
    """Whether the executor has a container of its own, which was seen running."""
    if isinstance(executor, CustomExecutor):
        return executor.started and executor.live
    has_run = executor.phase in (ExecutorPhase.RUNNING, ExecutorPhase.TERMINATING)
    return executor.has_container and has_run


def executor_termination(executor: AnyExecutor) -> Response.WaitContainer:
    """How the container of an ended executor ended. That of a custom one is not kept."""
    if isinstance(executor, CustomExecutor) or executor.exit_status < 0:
        return Response.WaitContainer()
    return Response.WaitContainer(exit_status=executor.exit_status)


def termination(task: WireTask) -> Response.WaitContainer:
    """How the container of an ended task ended, as far as its last status says it."""
    body = Response.WaitContainer(state=task.state)
    if not task.statuses:
        return body
    last = task.statuses[-1]
    code = exit_code_in(last)
    if code is not None:
        body.exit_status = code << 8
    if last.HasField("reason"):
        body.reason = last.reason
    if last.HasField("limitation"):
        body.limitation.CopyFrom(last.limitation)
    if last.message:
        body.message = last.message
    return body


async def _until(condition: Callable[[], bool], request: web.Request) -> None:
    """Also returns when the client has gone, which no answer reaches."""
    while True:
        if condition() or is_gone(request):
            return
        await asyncio.sleep(limits.API_WAIT_POLL)
