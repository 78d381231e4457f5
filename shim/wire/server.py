"""Incoming messages: one HTTP server for libprocess messages and for ordinary requests.

A message is read, delivered and answered with 202 before the next one of its connection is read.
A master regards the connection that it opened as its link to the agent: when the connection
breaks, the agent counts as disconnected. So the server never closes a connection on which a message
came, or nothing yet: neither an idle one, nor after an oversized body, nor after a failed delivery.
``connection_guard`` ends the connections of other clients.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from shim import limits
from shim.errors import PeerError
from shim.model.ids import Pid
from shim.wire.connection_guard import guarded
from shim.wire.framing import is_message, sender_of, target_of
from shim.wire.listener import Acceptor
from shim.wire.tls import Tls

Deliver = Callable[[str, Pid, str, bytes], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class _OneLineErrors(logging.Filter):
    """Logs a request that is not HTTP (a port scanner, TLS) as one line without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg = f"{record.getMessage()}: {' '.join(error.message.split())[:200]}"
            record.args, record.exc_info = (), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


_requests = logging.getLogger(f"{__name__}.requests")
_requests.addFilter(_OneLineErrors())


class Inbox:
    """Passes messages for existing processes (``has_process``) to ``deliver``.

    ``deliver(process id, sender, name, body)`` is called on the loop, in the order of the messages
    of one connection. It must not block. Its exceptions are logged.
    """

    def __init__(
        self,
        has_process: Callable[[str], bool],
        deliver: Deliver,
        *,
        require_peer_ip_match: bool = False,
    ) -> None:
        """``require_peer_ip_match``: the IP address in the sender's pid has to be the one from
        which the message comes; otherwise it is answered with 400, as by libprocess."""
        self._require_peer_ip_match = require_peer_ip_match
        self._has_process = has_process
        self._deliver = deliver
        self.answered: Counter[int] = Counter()
        self.failed = 0
        """``answered``: messages by the status of their answer. ``failed``: messages whose delivery
        raised an exception."""

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_message(request.method, request.headers):
            return await handler(request)
        status = await self._receive(request)
        self.answered[status] += 1
        return web.Response(status=status)

    async def _receive(self, request: web.Request) -> int:
        """Returns the status of the answer. The body is always read to its end; otherwise aiohttp
        would close the connection."""
        try:
            body = await _read_body(request)
            process, name = target_of(request.raw_path)
            sender = sender_of(request.headers)
        except (PeerError, ClientError, web.RequestPayloadError, ConnectionError) as error:
            log.warning("invalid message from %s: %s", request.remote, error)
            return 400
        if self._require_peer_ip_match and request.remote != sender.ip:
            log.warning("%s of %s rejected: it was sent from IP %s", name, sender, request.remote)
            return 400
        if body is None:
            log.error("%s of %s is larger than %d bytes", name, sender, limits.MESSAGE_BYTES)
            return 413
        if not self._has_process(process):
            return 404
        self._deliver_safely(process, sender, name, body)
        return 202

    def _deliver_safely(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        try:
            self._deliver(process, sender, name, body)
        except Exception:
            self.failed += 1
            log.exception("%s of %s to %s could not be delivered", name, sender, process)


async def _read_body(request: web.Request) -> bytes | None:
    """The complete body; None for a body that is too large, which is read to its end as well."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size <= limits.MESSAGE_BYTES:
            parts.append(part)
    return b"".join(parts) if size <= limits.MESSAGE_BYTES else None


async def _not_found(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


class Listener:
    """A listening server, returned by ``serve``."""

    def __init__(self, runner: web.AppRunner, acceptor: Acceptor) -> None:
        self._runner = runner
        self._acceptor = acceptor
        self.port = acceptor.port
        """The actual port, also when port 0 was requested."""

    async def close(self) -> None:
        await self._acceptor.close()
        await self._runner.cleanup()


def bind(ip: str, port: int) -> socket.socket:
    """A socket that listens on ``ip:port`` (0: any free port). ``serve`` takes its connections.

    Raises OSError if the address cannot be had.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ip, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


async def serve(
    setup: Callable[[web.Application], None],
    inbox: Inbox,
    listening: socket.socket,
    tls: Tls | None = None,
) -> Listener:
    """Answers on a socket of ``bind``; ``setup`` adds the ordinary routes."""
    app = web.Application(middlewares=[guarded, inbox.middleware])
    setup(app)
    # Without this route aiohttp would raise an exception for every message before its 404.
    app.router.add_route("*", "/{anything:.*}", _not_found)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_requests,
        keepalive_timeout=limits.KEEPALIVE,
        shutdown_timeout=limits.SERVER_CLOSE,
    )
    await runner.setup()
    acceptor = Acceptor(runner, listening, tls)
    await acceptor.start()
    return Listener(runner, acceptor)
