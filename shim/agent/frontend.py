"""What answers on the agent's port: pages, and libprocess messages of the master.

The port is open before the Docker endpoint has answered: a master that gets no pong for 75 seconds
gives up the agent's tasks. Until then starting pages and a :class:`PingResponder` answer. The
router and the messenger of the running agent replace both at once.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from shim.agent.executor_silence import PeerAddresses
from shim.http.router import Router
from shim.model.ids import Pid
from shim.protos.messages_pb2 import PingSlaveMessage, PongSlaveMessage
from shim.wire import codec
from shim.wire.link import Links
from shim.wire.server import Inbox

PING_MESSAGE = codec.name_of(PingSlaveMessage())
PONG_MESSAGE = codec.name_of(PongSlaveMessage())


class MessageReceiver(Protocol):
    """Takes libprocess messages. Both methods are called from the event loop and do not block."""

    def has_process(self, process: str) -> bool:
        """Whether messages to this process id are taken; 404 otherwise."""

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None: ...


class Frontend:
    """The two handlers behind the port. ``inbox`` and ``add_routes`` are for ``wire.server``."""

    def __init__(
        self, router: Router, receiver: MessageReceiver, *, require_peer_ip_match: bool = False
    ) -> None:
        self._router = router
        self._receiver = receiver
        self.peers = PeerAddresses()
        """Who sends requests and messages."""
        self.inbox = Inbox(
            self._has_process, self._deliver, require_peer_ip_match=require_peer_ip_match
        )

    def replace(self, router: Router, receiver: MessageReceiver) -> None:
        """All further requests and messages go to these."""
        self._router = router
        self._receiver = receiver

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._handle)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.peers.note(request.remote)
        return await self._router.handle(request)

    def _has_process(self, process: str) -> bool:
        return self._receiver.has_process(process)

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        self.peers.note(sender.ip)
        self._receiver.deliver(process, sender, name, body)


class NoReceiver:
    """Takes no message: of a standby. The agent that leads answers under another connection."""

    def has_process(self, process: str) -> bool:
        return False

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        """Never called."""


class PingResponder:
    """Answers pings and drops every other message. The master repeats what matters."""

    def __init__(self, pid: Pid, links: Links) -> None:
        self._pid = pid
        self._links = links

    def has_process(self, process: str) -> bool:
        return process == self._pid.id

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        if name in (PING_MESSAGE, codec.PING):
            pong = codec.PONG if name == codec.PING else PONG_MESSAGE
            self._links.send(sender, self._pid, pong, b"")
