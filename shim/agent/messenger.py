"""The libprocess messages of a running agent: in as facts, out as orders, and authentication."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count

from google.protobuf.message import Message

from shim import limits
from shim.agent.frontend import PONG_MESSAGE
from shim.errors import PeerError, UnsafeMessage
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.facts import Authenticated, AuthenticationFailed, Fact, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Authenticate
from shim.model.settings import Credential
from shim.protos.messages_pb2 import PingSlaveMessage, ReregisterSlaveMessage
from shim.wire import codec
from shim.wire.cram_md5 import Authenticatee, Completed, Failed, Refused
from shim.wire.link import Links

log = logging.getLogger(__name__)

_AUTHENTICATEE = "crammd5-authenticatee"


class Messenger:
    """Sends and receives for the agent's process and for the processes that authenticate it."""

    def __init__(
        self,
        pid: Pid,
        credential: Credential | None,
        links: Links,
        post: Callable[[Fact], None],
        capabilities: Iterable[int] = AGENT_CAPABILITIES,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """``post`` takes each received message, and the outcome of each authentication.

        ``capabilities`` are those that the agent announces. While ``may_act`` is false, nothing
        but pongs is sent: another agent may lead.
        """
        self._capabilities = frozenset(capabilities)
        self._may_act = may_act
        self._pid = pid
        self._credential = credential
        self._links = links
        self._post = post
        self._sessions: dict[str, asyncio.Queue[tuple[Pid, Message]]] = {}
        """Messages of each authentication under way, by its process id."""
        self._session_numbers = count(1)
        self._old_pings: set[Pid] = set()
        """Masters whose pings have the name of Mesos 0.24 and before, which pongs then need too."""
        self.counters: Counter[str] = Counter()
        """``unsafe_messages`` and ``undecodable_messages``."""
        self._encoding: asyncio.Task[None] | None = None
        """The re-registration that is being encoded."""

    # --- out ------------------------------------------------------------------------------

    def send(self, to: Pid, message: Message) -> None:
        """Encode the message and queue it for its link, in the order of calls.

        A message that could abort a master is not sent; it is logged as critical and counted.
        A re-registration may have megabytes and is encoded in a thread. Another one is dropped
        meanwhile: the core repeats it, and sends nothing but pongs until the master has answered.
        """
        if isinstance(message, ReregisterSlaveMessage):
            if self._encoding is None or self._encoding.done():
                self._encoding = asyncio.create_task(self._encode_in_thread(to, message))
        else:
            self._queue(to, message, self._encode(message))

    async def _encode_in_thread(self, to: Pid, message: Message) -> None:
        self._queue(to, message, await asyncio.to_thread(self._encode, message))

    def _encode(self, message: Message) -> bytes | None:
        try:
            return codec.encode(message, self._capabilities)
        except UnsafeMessage as error:
            self.counters["unsafe_messages"] += 1
            log.critical("not sent, it could abort the master: %s", error)
            return None

    def _queue(self, to: Pid, message: Message, body: bytes | None) -> None:
        # The lease may have ended meanwhile: the link holds the message back then.
        if body is not None:
            self._links.send(to, self._pid, codec.name_of(message), body, self._may_act)

    def pong(self, to: Pid) -> None:
        name = codec.PONG if to in self._old_pings else PONG_MESSAGE
        self._links.send(to, self._pid, name, b"")

    # --- in -------------------------------------------------------------------------------

    def has_process(self, process: str) -> bool:
        return process == self._pid.id or process in self._sessions

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        """Post the message as a fact, or hand it to its authentication session."""
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
        self._post(MessageReceived(sender, message))

    # --- authentication -------------------------------------------------------------------

    async def authenticate(self, order: Authenticate) -> None:
        """One exchange with the master under a process id of its own. The outcome is posted."""
        assert self._credential is not None
        number = next(self._session_numbers)
        process = Pid(f"{_AUTHENTICATEE}({number})", self._pid.ip, self._pid.port)
        authenticatee = Authenticatee(self._credential, self._pid)
        session = self._sessions[process.id] = asyncio.Queue(limits.AUTHENTICATION_MESSAGES)
        try:
            async with asyncio.timeout(order.timeout):
                outcome = await self._exchange(process, order.master, authenticatee, session)
        except TimeoutError:
            outcome = Failed(f"no answer within {order.timeout:.0f} s")
        finally:
            del self._sessions[process.id]
        self._post(_fact(order.attempt, outcome))

    async def _exchange(
        self,
        process: Pid,
        master: Pid,
        authenticatee: Authenticatee,
        session: asyncio.Queue[tuple[Pid, Message]],
    ) -> Completed | Refused | Failed:
        self._reply(process, master, authenticatee.start())
        while True:
            sender, message = await session.get()
            reply = authenticatee.receive(message)
            if isinstance(reply, Completed | Refused | Failed):
                return reply
            if reply is not None:
                self._reply(process, sender, reply)

    def _reply(self, process: Pid, to: Pid, message: Message) -> None:
        self._links.send(to, process, codec.name_of(message), codec.encode(message))


def _fact(attempt: int, outcome: Completed | Refused | Failed) -> Fact:
    match outcome:
        case Completed():
            return Authenticated(attempt)
        case Refused():
            reason = "unknown principal or wrong secret (--credential)"
            return AuthenticationFailed(attempt, refused=True, reason=reason)
        case Failed():
            return AuthenticationFailed(attempt, refused=False, reason=outcome.error)
