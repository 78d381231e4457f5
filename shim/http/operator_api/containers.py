"""Waiting for, signalling and removing containers: those of tasks, and sessions of exec."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from shim import limits
from shim.core.status import exit_code_in
from shim.core.view import AgentView
from shim.errors import NotFound, Permanent, ShimError
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
        """The task's container of this id, if it was seen running and has not ended.

        The container of a task in a group has its executor's container as parent.
        """
        for task in self._agent.running_tasks():
            if task.ref.container_id == container_id.value:
                return task.ref
        return None

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
            return await self._task_end(request, container_id)
        finally:
            self._waiting -= 1

    async def _task_end(
        self, request: web.Request, container_id: ContainerID
    ) -> Response.WaitContainer:
        def ended() -> WireTask | None:
            """Raises HttpError (404)."""
            found = self._task(container_id)
            if found is None:
                raise HttpError(404, not_found(id_text(container_id)))
            return found if found.state in TERMINAL else None

        await _until(lambda: ended() is not None, request)
        return termination(ended() or WireTask())

    def _task(self, container_id: ContainerID) -> WireTask | None:
        for task in self._agent.tasks.values():
            if task.ref.container_id == container_id.value:
                return task.wire
        for framework_id in self._agent.completed_frameworks:
            for completed in self._agent.completed_tasks(framework_id):
                if completed.ref.container_id == container_id.value:
                    return completed.wire
        return None

    # --- kill and remove ----------------------------------------------------------------------

    async def kill(self, call: Call, who: str) -> None:
        body = call.kill_container
        if call.type == Call.KILL_NESTED_CONTAINER:
            body = Call.KillContainer()
            body.MergeFromString(call.kill_nested_container.SerializeToString())
        signal = body.signal if body.HasField("signal") else SIGKILL
        if signal not in _SIGNALS:
            raise HttpError(400, f"{signal} is no signal")
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
            return await signal_session(self._processes, session, signal)
        ref = self.running(container_id)
        if ref is None:
            return False
        await self._processes.kill(ref.name, signal)
        return True

    def remove(self, call: Call) -> None:
        body = call.remove_container
        if call.type == Call.REMOVE_NESTED_CONTAINER:
            body = Call.RemoveContainer(container_id=call.remove_nested_container.container_id)
        session = self._sessions.find(body.container_id)
        is_root = not body.container_id.HasField("parent")
        if session is None and (is_root or self.running(body.container_id)):
            raise HttpError(500, "Containers of tasks are removed by the agent")
        if session is not None and session.phase is not SessionPhase.ENDED:
            raise HttpError(500, "Nested container has not terminated yet")
        self._sessions.remove(body.container_id)


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
