"""Between wire and core: messages to facts, orders to messages, and authentication."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from itertools import count

from google.protobuf.message import Message

from shim import limits
from shim.errors import PeerError, UnsafeMessage
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.facts import Authenticated, AuthenticationFailed, Fact, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Authenticate
from shim.model.settings import Credential
from shim.protos.messages_pb2 import PingSlaveMessage, PongSlaveMessage, ReregisterSlaveMessage
from shim.wire import codec
from shim.wire.auth import Authenticatee, Completed, Failed, Refused
from shim.wire.link import Links
from shim.wire.server import Inbox

log = logging.getLogger(__name__)

_AUTHENTICATEE = "crammd5-authenticatee"
_PONG = PongSlaveMessage()


class Messenger:
    """Everything libprocess that the agent process sends and receives.

    Until :meth:`open` says where facts go, pings are answered and nothing else
    is taken: the core comes up only when the endpoint has answered, which may take a while.
    """

    def __init__(self, process: str, credential: Credential | None) -> None:
        self._process = process
        self._pid: Pid | None = None
        self._credential = credential
        self._post: Callable[[Fact], None] | None = None
        self._sessions: dict[str, asyncio.Queue[tuple[Pid, Message]]] = {}
        self._session_numbers = count(1)
        self._old_pings: set[Pid] = set()
        self.links = Links(lambda address: log.info("link to %s:%d broke", *address))
        self.inbox = Inbox(self._has_process, self._deliver)
        self.counters: Counter[str] = Counter()
        self._encoding: asyncio.Task[None] | None = None

    def introduce(self, pid: Pid) -> None:
        """Who we are, as soon as the port is known."""
        self._pid = pid

    @property
    def pid(self) -> Pid:
        assert self._pid is not None
        return self._pid

    def open(self, post: Callable[[Fact], None]) -> None:
        """From now on messages are facts."""
        self._post = post

    async def close(self) -> None:
        await self.links.close()

    # --- out ------------------------------------------------------------------------------

    def send(self, to: Pid, message: Message) -> None:
        """Encode and queue, in call order. What could abort a master is never sent, and loudly so.

        A re-registration may be large and is encoded beside the loop, one at a time: it is asked
        again anyway, and until it is answered there is nothing else to say to a master but pongs.
        """
        if isinstance(message, ReregisterSlaveMessage):
            if self._encoding is None or self._encoding.done():
                self._encoding = asyncio.create_task(self._send_beside(to, message))
        else:
            self._queue(to, message, self._encode(message))

    async def _send_beside(self, to: Pid, message: Message) -> None:
        self._queue(to, message, await asyncio.to_thread(self._encode, message))

    def _encode(self, message: Message) -> bytes | None:
        try:
            return codec.encode(message, frozenset(AGENT_CAPABILITIES))
        except UnsafeMessage as error:
            self.counters["unsafe_messages"] += 1
            log.critical("not sent, it could abort the master: %s", error)
            return None

    def _queue(self, to: Pid, message: Message, body: bytes | None) -> None:
        if body is not None:
            self.links.send(to, self.pid, codec.name_of(message), body)

    def pong(self, to: Pid) -> None:
        name = codec.PONG if to in self._old_pings else codec.name_of(_PONG)
        self.links.send(to, self.pid, name, b"")

    # --- in -------------------------------------------------------------------------------

    def _has_process(self, process: str) -> bool:
        return process == self._process or process in self._sessions

    def _deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        try:
            message = codec.decode(name, body)
        except PeerError as error:
            self.counters["undecodable_messages"] += 1
            log.warning("message of %s dropped: %s", sender, error)
            return
        if process in self._sessions:
            self._sessions[process].put_nowait((sender, message))
            return
        if isinstance(message, PingSlaveMessage) and name == codec.PING:
            self._old_pings.add(sender)
        if self._post is not None:
            self._post(MessageReceived(sender, message))
        elif isinstance(message, PingSlaveMessage):
            self.pong(sender)

    # --- authentication -------------------------------------------------------------------

    async def authenticate(self, order: Authenticate) -> None:
        """One exchange under an id of its own; its outcome is posted."""
        assert self._credential is not None
        number = next(self._session_numbers)
        me = Pid(f"{_AUTHENTICATEE}({number})", self.pid.ip, self.pid.port)
        session = self._sessions[me.id] = asyncio.Queue(limits.AUTHENTICATION_MESSAGES)
        try:
            async with asyncio.timeout(order.timeout):
                outcome = await self._exchange(me, order.master, session)
        except TimeoutError:
            outcome = Failed(f"no answer within {order.timeout:.0f} s")
        finally:
            del self._sessions[me.id]
        assert self._post is not None
        self._post(_fact(order.attempt, outcome))

    async def _exchange(
        self, me: Pid, master: Pid, session: asyncio.Queue[tuple[Pid, Message]]
    ) -> Completed | Refused | Failed:
        assert self._credential is not None
        authenticatee = Authenticatee(self._credential, self.pid)
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
