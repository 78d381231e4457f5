"""Answers of raw bytes on the connection: logs, and the output of exec."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.triton.backends import Line
from tests.triton.datacenter import Datacenter
from tests.triton.machines import Machine, State

RAW = b"application/vnd.docker.raw-stream"
POLL = 0.05


async def send_logs(
    request: web.Request, datacenter: Datacenter, machine: Machine
) -> web.StreamResponse:
    """The answer ends with the connection. Without ``tail`` (NaN to Triton) it is empty."""
    transport = request.transport
    assert transport is not None
    transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + RAW + b"\r\n\r\n")
    stamps = request.query.get("timestamps", "").lower() in ("1", "true")
    lines = await _readable(datacenter, machine)
    sent = len(lines)
    for line in _tail(lines, request.query.get("tail", "")):
        transport.write(_frame(machine, line, stamps))
    while request.query.get("follow", "").lower() in ("1", "true") and not transport.is_closing():
        running = machine.state is State.RUNNING
        lines = await _readable(datacenter, machine)
        for line in lines[sent:]:
            transport.write(_frame(machine, line, stamps))
        sent = len(lines)
        if not running:
            break
        await asyncio.sleep(POLL)
    return _close(transport)


async def run_exec(datacenter: Datacenter, entry: dict[str, Any]) -> bytes:
    body = entry["body"]
    code, output = await datacenter.backend.exec(
        entry["machine"], body["Cmd"], body.get("Env") or []
    )
    entry["running"], entry["code"] = False, code
    return output


class RawInput:
    """What a client sends after its connection was upgraded: a parser of aiohttp's server."""

    def __init__(self, request: web.Request) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost = asyncio.Event()
        """The connection is gone, in both directions."""
        protocol: Any = request.protocol
        protocol.set_parser(self)
        self._keep_open(request.transport)

    def _keep_open(self, transport: Any) -> None:
        """An end of the input leaves the output open. asyncio's TLS would end both with it."""
        tls = getattr(transport, "_ssl_protocol", None)
        if tls is None:
            return
        shut_down = tls._start_shutdown

        def start_shutdown() -> None:
            if transport.is_closing():
                shut_down()
            else:
                self._pieces.put_nowait(b"")

        tls._start_shutdown = start_shutdown

    async def read(self) -> bytes:
        """Empty at the end."""
        return await self._pieces.get()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pieces.put_nowait(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        self._pieces.put_nowait(b"")
        self.lost.set()

    def set_exception(self, *_: Any) -> None:
        self.feed_eof()


async def send_exec(
    request: web.Request, datacenter: Datacenter, entry: dict[str, Any]
) -> web.StreamResponse:
    """The process of an exec, or, without a ``body``, the machine's own.

    The head has no ``Connection`` and no ``Upgrade``. An attached exec is inspected as one that
    does not run, without a code before its end.
    """
    transport = request.transport
    assert transport is not None
    source = RawInput(request)
    transport.write(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: " + RAW + b"\r\n\r\n")
    machine: Machine = entry["machine"]

    async def read() -> bytes:
        """The size of a machine's terminal is set with the next input after it was sent."""
        data = await source.read()
        if data and "body" not in entry and machine.tty and machine.next_size is not None:
            size, machine.next_size = machine.next_size, None
            await datacenter.backend.resize(entry, *size)
        return data

    talking = asyncio.ensure_future(datacenter.backend.talk(entry, read, transport.write))
    lost = asyncio.ensure_future(source.lost.wait())
    await asyncio.wait({talking, lost}, return_when=asyncio.FIRST_COMPLETED)
    lost.cancel()
    if talking.done():
        entry["code"] = talking.result()
    else:
        talking.cancel()
    return _close(transport)


async def _readable(datacenter: Datacenter, machine: Machine) -> list[Line]:
    """The lines of the log's current file; none with a driver other than ``json-file``."""
    if (machine.host_config.get("LogConfig") or {}).get("Type") not in (None, "", "json-file"):
        return []
    lines = await datacenter.backend.output(machine)
    rotate = datacenter.options.log_rotate_lines
    return lines[len(lines) - (len(lines) % rotate or rotate) :] if rotate else lines


def _tail(lines: list[Line], tail: str) -> list[Line]:
    if tail == "all":
        return lines
    return lines[-int(tail) :] if tail.isdigit() and int(tail) else []


def _frame(machine: Machine, line: Line, stamps: bool) -> bytes:
    stream, moment, text = line
    if stamps:
        stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:-6]
        text = f"{stamp}000Z ".encode() + text
    return text if machine.tty else struct.pack(">BxxxI", stream, len(text)) + text


def _close(transport: asyncio.Transport) -> web.StreamResponse:
    """The answer was written already; aiohttp discards the one returned here."""
    transport.close()
    return web.Response()
