"""Sessions of exec, and attaching to processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from shim import limits
from shim.errors import NotFound, Permanent, ShimError, Transient
from shim.http.operator_api import streams
from shim.http.operator_api.containers import Containers, not_found, unknown
from shim.http.operator_api.envelope import MediaTypes
from shim.http.operator_api.processes import Process, Processes
from shim.http.operator_api.sessions import (
    SIGKILL,
    OutputReader,
    Session,
    SessionEvent,
    SessionPhase,
    Sessions,
    id_text,
)
from shim.http.operator_api.signals import MARK, signal_session
from shim.http.operator_api.streams import CallRecords, ClientGone, OutputStream
from shim.http.responses import HttpError
from shim.model.container import Ref
from shim.protos.agent_pb2 import Call
from shim.protos.mesos_pb2 import CommandInfo, ContainerID

log = logging.getLogger(__name__)

_COMMAND_SHOWN = 200
"""Characters of a command in the log."""

_KILLED = {True: "process killed", False: "no process was found"}


class ExecCalls:
    def __init__(self, processes: Processes, containers: Containers, sessions: Sessions) -> None:
        self._processes = processes
        self._containers = containers
        self._sessions = sessions
        self._inputs: set[str] = set()
        """Containers with an input connection: one each, as at a stock agent."""
        self._endings: set[asyncio.Task[None]] = set()

    # --- output -----------------------------------------------------------------------------

    async def launch_session(
        self, request: web.Request, call: Call, types: MediaTypes, who: str
    ) -> web.StreamResponse:
        launch = call.launch_nested_container_session
        ref = self._containers.running(launch.container_id.parent)
        if ref is None:
            parent = id_text(launch.container_id.parent)
            raise HttpError(400, f"Root container {parent} not found")
        if self._sessions.find(launch.container_id) is not None:
            return web.Response(status=202)
        with self._sessions.open_stream():
            session = Session(launch.container_id, ref, launch.command.user)
            self._sessions.add(session)
            argv = argv_of(launch.command)
            shown = shlex.join(argv)[:_COMMAND_SHOWN]
            log.info(
                "%s runs %s in task %s, session %s",
                who,
                shown,
                ref.key,
                id_text(launch.container_id),
            )
            process = await self._start(session, launch, argv)
            return await self._serve(request, session, process, types)

    async def _start(
        self, session: Session, launch: Call.LaunchNestedContainerSession, argv: list[str]
    ) -> Process:
        variables = launch.command.environment.variables
        env = {variable.name: variable.value for variable in variables}
        tty = launch.container.HasField("tty_info")
        try:
            process = await self._processes.start_exec(
                session.ref.name,
                argv,
                {**env, MARK: session.mark},
                tty=tty,
                user=session.user,
            )
        except ShimError as error:
            session.apply(SessionEvent.FAILED)
            self._sessions.remove(session.container_id)
            status = 400 if isinstance(error, Permanent) else 503
            raise HttpError(status, str(error)) from None
        except BaseException:
            session.apply(SessionEvent.FAILED)
            raise
        session.started(process)
        if launch.container.tty_info.HasField("window_size"):
            await streams.resize(process, launch.container.tty_info.window_size)
        return process

    async def _serve(
        self, request: web.Request, session: Session, process: Process, types: MediaTypes
    ) -> web.StreamResponse:
        """Send the output; the process is killed when its client goes first."""
        stream = OutputStream(request, types)
        event = SessionEvent.FAILED
        try:
            await stream.open()
            await streams.send_output(process, stream, session.readers, lambda: session.last_input)
            code = await process.exit_code()
            session.exit_status = SIGKILL if code is None else code << 8
            event = SessionEvent.OUTPUT_ENDED
        except (ClientGone, OSError):
            event = SessionEvent.CLIENT_GONE
        except ShimError as error:
            log.warning("session %s: %s", id_text(session.container_id), error)
        finally:
            session.apply(event)
            if event is not SessionEvent.OUTPUT_ENDED:
                self._end_later(session)
        await stream.close()
        return stream.response

    def _end_later(self, session: Session) -> None:
        """End the process of a session without a client, also while its call is cancelled."""
        ending = asyncio.create_task(self._end_process(session))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _end_process(self, session: Session) -> None:
        """Kill it, with a second and third attempt where the endpoint does not answer."""
        shown = id_text(session.container_id)
        for attempt in range(1, limits.SIGNAL_ATTEMPTS + 1):
            try:
                found = await signal_session(self._processes, session, SIGKILL)
            except Transient as error:
                log.warning("session %s: its process may still run: %s", shown, error)
                if attempt < limits.SIGNAL_ATTEMPTS:
                    await asyncio.sleep(limits.SIGNAL_RETRY)
                continue
            except ShimError as error:
                log.warning("session %s: its process may still run: %s", shown, error)
                return
            log.info("session %s: its client has gone: %s", shown, _KILLED[found])
            return

    async def attach_output(
        self, request: web.Request, call: Call, types: MediaTypes, who: str
    ) -> web.StreamResponse:
        container_id = call.attach_container_output.container_id
        if session := self._session(container_id):
            return await self._copy_output(request, session, types)
        ref = self._find(container_id)
        with self._sessions.open_stream():
            log.info("%s reads the output of task %s", who, ref.key)
            process = await self._attach(ref, stdin=False)
            stream = OutputStream(request, types)
            try:
                await stream.open()
                await streams.send_output(process, stream)
            except (ClientGone, OSError):
                log.debug("%s has stopped reading the output of task %s", who, ref.key)
            except ShimError as error:
                log.warning("output of task %s: %s", ref.key, error)
            finally:
                process.close()
            await stream.close()
            return stream.response

    async def _copy_output(
        self, request: web.Request, session: Session, types: MediaTypes
    ) -> web.StreamResponse:
        with self._sessions.open_stream():
            stream = OutputStream(request, types)
            reader = OutputReader(stream.media_type)
            session.readers.add(reader)
            try:
                await stream.open()
                await streams.send_copies(reader, stream)
            except (ClientGone, OSError):
                log.debug("session %s has lost a reader", id_text(session.container_id))
            finally:
                session.readers.discard(reader)
            await stream.close()
            return stream.response

    # --- input ------------------------------------------------------------------------------

    async def attach_input(self, call: Call, records: CallRecords, who: str) -> web.StreamResponse:
        attach = call.attach_container_input
        if attach.type != Call.AttachContainerInput.CONTAINER_ID:
            raise HttpError(400, "Expecting 'attach_container_input.type' to be CONTAINER_ID")
        text = id_text(attach.container_id)
        if text in self._inputs:
            raise HttpError(409, "Multiple input connections are not allowed")
        self._inputs.add(text)
        try:
            if session := self._session(attach.container_id):
                await self._session_input(session, records)
            else:
                await self._task_input(self._find(attach.container_id), records, who)
        finally:
            self._inputs.discard(text)
        return web.Response()

    async def _session_input(self, session: Session, records: CallRecords) -> None:
        if session.process is None:
            raise HttpError(500, f"Unknown container {id_text(session.container_id)}")
        passing = streams.pass_input(records, session.process, session.touch)
        await _first(passing, session.ended.wait())

    async def _task_input(self, ref: Ref, records: CallRecords, who: str) -> None:
        with self._sessions.open_stream():
            log.info("%s writes to the input of task %s", who, ref.key)
            process = await self._attach(ref, stdin=True, output=False)
            try:
                await _first(streams.pass_input(records, process), _end_of(process))
            finally:
                process.close()

    # --- looking up -------------------------------------------------------------------------

    async def _attach(self, ref: Ref, *, stdin: bool, output: bool = True) -> Process:
        try:
            return await self._processes.attach(ref.name, stdin=stdin, output=output)
        except NotFound:
            raise HttpError(404, not_found(ref.container_id)) from None
        except ShimError as error:
            status = 500 if isinstance(error, Permanent) else 503
            raise HttpError(status, str(error)) from None

    def _session(self, container_id: ContainerID) -> Session | None:
        """Raises HttpError (500) for a session that has ended."""
        session = self._sessions.find(container_id)
        if session is not None and session.phase is SessionPhase.ENDED:
            raise HttpError(500, "I/O switchboard has shutdown")
        return session

    def _find(self, container_id: ContainerID) -> Ref:
        """A task's container. Raises HttpError: 404 without its root, 500 for a child of none."""
        ref = self._containers.running(container_id)
        if ref is not None:
            return ref
        text = id_text(container_id)
        if container_id.HasField("parent") and self._containers.running(container_id.parent):
            raise HttpError(500, unknown(text))
        raise HttpError(404, not_found(text))

    async def close(self) -> None:
        """End the processes of all sessions."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.SESSION_CLOSE_TIMEOUT):
                await asyncio.gather(*map(self._end_process, self._sessions.running()))
                await asyncio.gather(*self._endings)


def argv_of(command: CommandInfo) -> list[str]:
    """As Mesos runs a command. ``arguments[0]`` is only the name that the program sees."""
    if command.shell:
        return ["sh", "-c", command.value]
    return [command.value, *command.arguments[1:]]


async def _first(passing: Coroutine[Any, Any, None], ended: Coroutine[Any, Any, Any]) -> None:
    """Wait until the input or its process ends. An exception of ``passing`` is raised."""
    tasks = asyncio.ensure_future(passing), asyncio.ensure_future(ended)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end_of(process: Process) -> None:
    """Of the container's process, whose output is not asked for."""
    with contextlib.suppress(ShimError):
        while await process.read() is not None:
            continue
