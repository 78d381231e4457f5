"""The two directions of a process over HTTP: its output as an answer, its input as a request."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection

from aiohttp import web

from shim import limits
from shim.errors import ShimError
from shim.http.operator_api.envelope import RECORDIO, MediaTypes, parse_call
from shim.http.operator_api.process_io import heartbeat_record, output_record
from shim.http.operator_api.processes import Process
from shim.http.operator_api.sessions import OutputReader
from shim.http.operator_api.validation import process_io_problem
from shim.http.recordio import MalformedRecord, RecordDecoder
from shim.http.responses import HttpError
from shim.protos.agent_pb2 import Call, ProcessIO
from shim.protos.mesos_pb2 import TTYInfo

EOF = "Received EOF while reading request body"
"""Of a request that ends before its first record, or inside a record."""

_WINDOW_MAX = 65_535
"""Rows or columns: a terminal keeps them in 16 bits."""


class ClientGone(Exception):
    """The client has closed its connection, does not read, or was silent for too long."""


class OutputStream:
    """The streamed answer of one call. Nothing is kept for a client that reads slowly."""

    def __init__(self, request: web.Request, types: MediaTypes) -> None:
        self.media_type = types.record
        self._request = request
        headers = {"Content-Type": types.accept}
        if types.accept == RECORDIO:
            headers["Message-Content-Type"] = types.record
        self.response = web.StreamResponse(headers=headers)
        self._written = time.monotonic()

    async def open(self) -> None:
        self.response.enable_chunked_encoding()
        await self.response.prepare(self._request)

    async def write(self, record: bytes) -> None:
        """Returns when the client has taken enough. Raises ClientGone."""
        try:
            async with asyncio.timeout(limits.SESSION_WRITE_TIMEOUT):
                await self.response.write(record)
        except (OSError, TimeoutError) as error:
            raise ClientGone from error
        self._written = time.monotonic()

    async def keep_alive(self) -> None:
        """Write a heartbeat if one is due. Raises ClientGone."""
        if is_gone(self._request):
            raise ClientGone
        if time.monotonic() - self._written >= limits.SESSION_HEARTBEAT:
            await self.write(heartbeat_record(self.media_type))

    async def close(self) -> None:
        """The end of the records. A client that has gone does not matter any more."""
        try:
            await self.response.write_eof()
        except OSError:
            return


def is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def send_output(
    process: Process,
    stream: OutputStream,
    readers: Collection[OutputReader] = (),
    last_input: Callable[[], float] = lambda: 0.0,
) -> None:
    """Until the output ends. Raises ClientGone, and Transient of the process.

    ``last_input`` is the monotonic time of the newest input, which counts against silence.
    """
    last_output = time.monotonic()
    reading = asyncio.ensure_future(process.read())
    try:
        while True:
            await asyncio.wait({reading}, timeout=limits.SESSION_POLL)
            if not reading.done():
                await stream.keep_alive()
                if time.monotonic() - max(last_output, last_input()) > limits.SESSION_IDLE:
                    raise ClientGone
                continue
            piece = reading.result()
            if piece is None:
                return
            last_output = time.monotonic()
            reading = asyncio.ensure_future(process.read())
            await stream.write(output_record(*piece, stream.media_type))
            for reader in list(readers):
                reader.push(output_record(*piece, reader.media_type))
    finally:
        reading.cancel()


async def send_copies(reader: OutputReader, stream: OutputStream) -> None:
    """The same output for a second client. Raises ClientGone."""
    getting = asyncio.ensure_future(reader.next())
    try:
        while True:
            await asyncio.wait({getting}, timeout=limits.SESSION_POLL)
            if not getting.done():
                await stream.keep_alive()
                continue
            record = getting.result()
            if record is None:
                return
            getting = asyncio.ensure_future(reader.next())
            await stream.write(record)
    finally:
        getting.cancel()


class CallRecords:
    """The calls in the body of a streamed request."""

    def __init__(self, request: web.Request, media_type: str) -> None:
        self._content = request.content
        self._media_type = media_type
        self._decoder = RecordDecoder(limits.API_CALL_BYTES)
        self._records: deque[bytes] = deque()

    async def next(self) -> Call | None:
        """None at the end, also that of the connection. Raises HttpError (400, 408)."""
        while not self._records:
            try:
                async with asyncio.timeout(limits.SESSION_IDLE):
                    data = await self._content.readany()
            except TimeoutError:
                raise HttpError(408, f"No input for {limits.SESSION_IDLE:g} s") from None
            except ConnectionError:
                return None
            except web.RequestPayloadError as error:
                raise HttpError(400, f"The body cannot be read: {error}") from None
            if not data:
                if self._decoder.is_between_records:
                    return None
                raise HttpError(400, EOF)
            try:
                self._records.extend(self._decoder.feed(data))
            except MalformedRecord as error:
                raise HttpError(400, str(error)) from None
        return parse_call(self._records.popleft(), self._media_type)


async def pass_input(
    records: CallRecords, process: Process, touched: Callable[[], None] = lambda: None
) -> None:
    """Until the request ends; that alone is no end of the input. Raises HttpError (400, 500)."""
    while (call := await records.next()) is not None:
        touched()
        if problem := process_io_problem(call):
            raise HttpError(400, problem)
        message = call.attach_container_input.process_io
        if message.type == ProcessIO.CONTROL:
            if message.control.type == ProcessIO.Control.TTY_INFO:
                await resize(process, message.control.tty_info.window_size)
            continue
        try:
            if message.data.data:
                await process.write(message.data.data)
            else:
                await process.close_stdin()
        except ShimError as error:
            raise HttpError(500, f"Failed writing to stdin: {error}") from None


async def resize(process: Process, size: TTYInfo.WindowSize) -> None:
    """A size of 0 is none: clients send it to have the next one drawn. Raises HttpError (400)."""
    if max(size.rows, size.columns) > _WINDOW_MAX:
        given = f"{size.rows} rows, {size.columns} columns"
        raise HttpError(400, f"Unable to set the window size: {given}")
    if not process.tty or not size.rows or not size.columns:
        return
    try:
        await process.resize(size.rows, size.columns)
    except ShimError:
        # The process has ended, or its terminal is not there yet. The next size is set again.
        return
