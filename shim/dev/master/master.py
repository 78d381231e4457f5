"""The embedded master as one pure machine: events in, effects out.

Whoever owns a :class:`Master` calls a method for everything that happens and carries out the
effects it returns, in order. ``deadline`` says when to call ``tick``. Nothing here knows a socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from google.protobuf.message import Message

from shim.dev.master import agents, frameworks, offers, operations, registration, reports
from shim.dev.master.effects import Effect, Link, Tell
from shim.dev.master.state import World
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire.auth import Authenticator

_OBSERVER = re.compile(r"slave-observer\((\d+)\)")
_SESSION = re.compile(r"crammd5-authenticator-session\((\d+)\)")

Handler = Callable[[World, Pid, Message], None]

_FROM_AGENTS: dict[type[Message], Callable[..., None]] = {
    internal.RegisterSlaveMessage: registration.register,
    internal.ReregisterSlaveMessage: registration.reregister,
    internal.UnregisterSlaveMessage: agents.unregister,
    internal.UpdateSlaveMessage: reports.update_slave,
    internal.StatusUpdateMessage: reports.status_update,
    internal.ExitedExecutorMessage: reports.exited_executor,
    internal.ExecutorToFrameworkMessage: reports.executor_message,
    internal.UpdateOperationStatusMessage: operations.updated,
}


class Master:
    """``secrets`` are the credentials of agents by principal."""

    def __init__(self, world: World, secrets: dict[str, bytes] | None = None) -> None:
        self.world = world
        self._secrets = secrets or {}
        self._sessions: dict[int, _Session] = {}
        self._next_session = 1

    def start(self, now: float) -> list[Effect]:
        """Give the agents of the registry their time to come back."""
        self.world.now = self.world.started_at = now
        self.world.recovered = dict(self.world.registry.admitted)
        for agent_id in self.world.recovered:
            self.world.timer("reregister", agent_id, self.world.options.agent_reregister_timeout)
        return self._flush()

    def has_process(self, process: str) -> bool:
        """Whether a message to ``process`` would be taken; otherwise it is answered 404."""
        if match := _OBSERVER.fullmatch(process):
            return any(a.observer == int(match[1]) for a in self.world.agents.values())
        if match := _SESSION.fullmatch(process):
            return int(match[1]) in self._sessions
        return process == "master"

    def receive(self, process: str, sender: Pid, message: Message, now: float) -> list[Effect]:
        """A message of an agent."""
        self.world.now = now
        if match := _OBSERVER.fullmatch(process):
            agents.pong(self.world, int(match[1]))
        elif match := _SESSION.fullmatch(process):
            self._converse(int(match[1]), message)
        elif isinstance(message, auth.AuthenticateMessage):
            self._authenticate(sender, message)
        elif handler := _FROM_AGENTS.get(type(message)):
            handler(self.world, sender, message)
        return self._flush()

    def undecodable(self, sender: Pid, name: str, reason: str, now: float) -> list[Effect]:
        """A message that a master would fail to parse, and drop."""
        self.world.now = now
        self.world.refuse(sender, name, reason)
        return self._flush()

    def link_lost(self, address: tuple[str, int], now: float) -> list[Effect]:
        self.world.now = now
        for number, session in list(self._sessions.items()):
            if session.peer.address == address:
                self._end_session(number, None)
        agents.link_lost(self.world, address)
        return self._flush()

    def run(self, now: float, decide: Callable[[World], None]) -> list[Effect]:
        """Carry out a decision of the API on the world."""
        self.world.now = now
        decide(self.world)
        return self._flush()

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due."""
        return min(self.world.timers.values(), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Everything whose time has come, oldest first."""
        self.world.now = now
        while self.world.timers:
            key = min(self.world.timers, key=self.world.timers.__getitem__)
            if self.world.timers[key] > now:
                break
            del self.world.timers[key]
            self._due(*key)
        return self._flush()

    def _due(self, kind: str, name: str) -> None:
        match kind:
            case "ping":
                agents.ping_due(self.world, AgentId(name))
            case "reregister":
                agents.reregister_overdue(self.world, AgentId(name))
            case "heartbeat":
                frameworks.heartbeat_due(self.world, FrameworkId(name))
            case "failover":
                frameworks.failover_overdue(self.world, FrameworkId(name))
            case "refused":
                offers.refusal_over(self.world, FrameworkId(name))
            case "allocate":
                offers.allocate(self.world)
            case "authentication":
                self._end_session(int(name), None)

    def _flush(self) -> list[Effect]:
        effects, self.world.out = self.world.out, []
        return effects

    # ---- authentication --------------------------------------------------------------------

    def _authenticate(self, sender: Pid, message: auth.AuthenticateMessage) -> None:
        try:
            agent = Pid.parse(message.pid)
        except ValueError as error:
            self.world.refuse(sender, message, str(error))
            return
        if any(session.peer == sender for session in self._sessions.values()):
            self.world.refuse(sender, message, "authentication of this process is already active")
            return
        number, self._next_session = self._next_session, self._next_session + 1
        nonce = int.from_bytes(self.world.new_uuid(), "big")
        challenge = f"<{nonce}.{int(self.world.now)}@{self.world.hostname}>".encode()
        session = _Session(sender, agent, Authenticator(self._secrets, challenge))
        self._sessions[number] = session
        agents.authentication_started(self.world, agent)
        self.world.out.append(Link(sender.address))
        self.world.timer("authentication", str(number), self.world.options.authentication_timeout)
        self._answer(number, session, session.authenticator.start())

    def _answer(self, number: int, session: _Session, message: Message) -> None:
        name = f"crammd5-authenticator-session({number})"
        self.world.out.append(Tell(session.peer, name, message))

    def _converse(self, number: int, message: Message) -> None:
        session = self._sessions.get(number)
        if session is None:
            return
        reply = session.authenticator.receive(message)
        if reply is not None:
            self._answer(number, session, reply)
        if not isinstance(reply, auth.AuthenticationStepMessage):
            self._end_session(number, session.authenticator.principal)

    def _end_session(self, number: int, principal: str | None) -> None:
        session = self._sessions.pop(number, None)
        if session is None:
            return
        self.world.stop_timer("authentication", str(number))
        held = agents.authentication_ended(self.world, session.agent, principal)
        if principal is None:
            self.world.log(f"authentication of {session.agent} failed")
        for message in held:
            _FROM_AGENTS[type(message)](self.world, session.agent, message)


class _Session:
    """One exchange with one authenticatee."""

    def __init__(self, peer: Pid, agent: Pid, authenticator: Authenticator) -> None:
        self.peer = peer
        self.agent = agent
        self.authenticator = authenticator
