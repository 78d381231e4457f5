"""Between wire and core: messages to facts, orders to messages, and authentication."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from itertools import count

from google.protobuf.message import Message

from shim import limits
from shim.core.registration import CAPABILITIES
from shim.errors import PeerError, UnsafeMessage
from shim.model.facts import Authenticated, AuthenticationFailed, Fact, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Authenticate
from shim.protos.messages_pb2 import PingSlaveMessage, PongSlaveMessage, ReregisterSlaveMessage
from shim.wire import codec
from shim.wire.auth import Authenticatee, Completed, Credential, Failed, Refused
from shim.wire.link import Links
from shim.wire.server import Inbox

log = logging.getLogger(__name__)

_AUTHENTICATEE = "crammd5-authenticatee"
_PONG = PongSlaveMessage()


class Messenger:
    """Everything libprocess that the agent process ``pid`` sends and receives."""

    def __init__(self, pid: Pid, credential: Credential | None, post: Callable[[Fact], None]):
        self._pid = pid
        self._credential = credential
        self._post = post
        self._sessions: dict[str, asyncio.Queue[tuple[Pid, Message]]] = {}
        self._session_numbers = count(1)
        self._old_pings: set[Pid] = set()
        self.links = Links(lambda address: log.info("link to %s:%d broke", *address))
        self.inbox = Inbox(self._has_process, self._deliver)
        self.counters: Counter[str] = Counter()

    async def close(self) -> None:
        await self.links.close()

    # --- out ------------------------------------------------------------------------------

    async def send(self, to: Pid, message: Message) -> None:
        """Encode and queue. A message that could abort a master is never sent, and loudly so.

        Messages are queued in call order; a re-registration, large as it may be, is encoded
        beside the loop, and nothing is to be sent before it is answered anyway.
        """
        try:
            if isinstance(message, ReregisterSlaveMessage):
                body = await asyncio.to_thread(codec.encode, message, frozenset(CAPABILITIES))
            else:
                body = codec.encode(message, frozenset(CAPABILITIES))
        except UnsafeMessage as error:
            self.counters["unsafe_messages"] += 1
            log.critical("not sent, it could abort the master: %s", error)
            return
        self.links.send(to, self._pid, codec.name_of(message), body)

    def pong(self, to: Pid) -> None:
        name = codec.PONG if to in self._old_pings else codec.name_of(_PONG)
        self.links.send(to, self._pid, name, b"")

    # --- in -------------------------------------------------------------------------------

    def _has_process(self, process: str) -> bool:
        return process == self._pid.id or process in self._sessions

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        try:
            message = codec.decode(name, body)
        except PeerError as error:
            self.counters["undecodable_messages"] += 1
            log.warning("message of %s dropped: %s", sender, error)
            return
        self.counters["messages_received"] += 1
        if process in self._sessions:
            self._sessions[process].put_nowait((sender, message))
            return
        if isinstance(message, PingSlaveMessage) and name == codec.PING:
            self._old_pings.add(sender)
        self._post(MessageReceived(sender, message))

    # --- authentication -------------------------------------------------------------------

    async def authenticate(self, order: Authenticate) -> None:
        """One exchange under an id of its own; its outcome is posted."""
        assert self._credential is not None
        me = Pid(f"{_AUTHENTICATEE}({next(self._session_numbers)})", self._pid.ip, self._pid.port)
        session = self._sessions[me.id] = asyncio.Queue(limits.AUTHENTICATION_MESSAGES)
        try:
            async with asyncio.timeout(order.timeout):
                outcome = await self._exchange(me, order.master, session)
        except TimeoutError:
            outcome = Failed(f"no answer within {order.timeout:.0f} s")
        finally:
            del self._sessions[me.id]
        self._post(_fact(order.attempt, outcome))

    async def _exchange(
        self, me: Pid, master: Pid, session: asyncio.Queue[tuple[Pid, Message]]
    ) -> Completed | Refused | Failed:
        assert self._credential is not None
        authenticatee = Authenticatee(self._credential, self._pid)
        self._reply(me, master, authenticatee.start())
        while True:
            sender, message = await session.get()
            reply = authenticatee.receive(message)
            if isinstance(reply, Completed | Refused | Failed):
                return reply
            if reply is not None:
                self._reply(me, sender, reply)

    def _reply(self, me: Pid, to: Pid, message: Message) -> None:
        self.links.send(to, me, codec.name_of(message), codec.encode(message))


def _fact(attempt: int, outcome: Completed | Refused | Failed) -> Fact:
    match outcome:
        case Completed():
            return Authenticated(attempt)
        case Refused():
            reason = "unknown principal or wrong secret (--credential)"
            return AuthenticationFailed(attempt, refused=True, reason=reason)
        case Failed():
            return AuthenticationFailed(attempt, refused=False, reason=outcome.error)
