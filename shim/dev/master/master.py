"""The embedded master as a pure machine: events in, effects out. It does no I/O.

The owner of a :class:`Master` calls one method for each event and carries out the returned effects
in order. ``deadline`` says when to call ``tick``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from google.protobuf.message import Message

from shim.dev.master import agent_updates, agents, frameworks, offers, operations, registration
from shim.dev.master.effects import Effect, HoldConnection, SendMessage
from shim.dev.master.master_state import MasterState
from shim.model.ids import AgentId, FrameworkId, Pid
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire.cram_md5 import Authenticator

_OBSERVER = re.compile(r"slave-observer\((\d+)\)")
_SESSION = re.compile(r"crammd5-authenticator-session\((\d+)\)")

Handler = Callable[[MasterState, Pid, Message], None]

_AGENT_HANDLERS: dict[type[Message], Callable[..., None]] = {
    internal.RegisterSlaveMessage: registration.register,
    internal.ReregisterSlaveMessage: registration.reregister,
    internal.UnregisterSlaveMessage: agents.unregister,
    internal.UpdateSlaveMessage: agent_updates.update_slave,
    internal.StatusUpdateMessage: agent_updates.status_update,
    internal.ExitedExecutorMessage: agent_updates.exited_executor,
    internal.ExecutorToFrameworkMessage: agent_updates.executor_message,
    internal.UpdateOperationStatusMessage: operations.updated,
}


class Master:
    """The embedded master: messages, calls and timers in, effects out.

    ``secrets`` holds the secret of each agent's principal.
    """

    def __init__(self, state: MasterState, secrets: dict[str, bytes] | None = None) -> None:
        self.state = state
        self._secrets = secrets or {}
        self._sessions: dict[int, _AgentAuthentication] = {}
        self._next_session = 1

    def start(self, now: float) -> list[Effect]:
        """Recover from the registry: its agents have a timeout to re-register."""
        self.state.now = self.state.started_at = now
        self.state.recovered = dict(self.state.registry.admitted)
        for agent_id in self.state.recovered:
            self.state.set_timer(
                "reregister", agent_id, self.state.options.agent_reregister_timeout
            )
        return self._flush()

    def has_process(self, process: str) -> bool:
        """Whether this libprocess id exists. A message to another id is answered 404."""
        if match := _OBSERVER.fullmatch(process):
            return any(a.observer == int(match[1]) for a in self.state.agents.values())
        if match := _SESSION.fullmatch(process):
            return int(match[1]) in self._sessions
        return process == "master"

    def receive(self, process: str, sender: Pid, message: Message, now: float) -> list[Effect]:
        """A message of an agent."""
        self.state.now = now
        if match := _OBSERVER.fullmatch(process):
            agents.pong(self.state, int(match[1]))
        elif match := _SESSION.fullmatch(process):
            self._authentication_step(int(match[1]), message)
        elif isinstance(message, auth.AuthenticateMessage):
            self._authenticate(sender, message)
        elif handler := _AGENT_HANDLERS.get(type(message)):
            handler(self.state, sender, message)
        return self._flush()

    def undecodable(self, sender: Pid, name: str, reason: str, now: float) -> list[Effect]:
        """A message that cannot be parsed: a master drops it."""
        self.state.now = now
        self.state.drop_message(sender, name, reason)
        return self._flush()

    def connection_lost(self, address: tuple[str, int], now: float) -> list[Effect]:
        self.state.now = now
        for number, session in list(self._sessions.items()):
            if session.peer.address == address:
                self._end_session(number, None)
        agents.disconnected(self.state, address)
        return self._flush()

    def apply(self, now: float, change: Callable[[MasterState], None]) -> list[Effect]:
        """Carry out a decision of the API on the state."""
        self.state.now = now
        change(self.state)
        return self._flush()

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due; None without timers."""
        return min(self.state.timers.values(), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Handle all due timers, the earliest first."""
        self.state.now = now
        while self.state.timers:
            key = min(self.state.timers, key=self.state.timers.__getitem__)
            if self.state.timers[key] > now:
                break
            del self.state.timers[key]
            self._timer_due(*key)
        return self._flush()

    def _timer_due(self, kind: str, name: str) -> None:
        match kind:
            case "ping":
                agents.ping_timed_out(self.state, AgentId(name))
            case "reregister":
                agents.reregistration_timed_out(self.state, AgentId(name))
            case "heartbeat":
                frameworks.send_heartbeat(self.state, FrameworkId(name))
            case "failover":
                frameworks.failover_timed_out(self.state, FrameworkId(name))
            case "offer_filters":
                offers.filter_expired(self.state, FrameworkId(name))
            case "allocate":
                offers.allocate(self.state)
            case "authentication":
                self._end_session(int(name), None)

    def _flush(self) -> list[Effect]:
        effects, self.state.out = self.state.out, []
        return effects

    # ---- authentication --------------------------------------------------------------------

    def _authenticate(self, sender: Pid, message: auth.AuthenticateMessage) -> None:
        try:
            agent = Pid.parse(message.pid)
        except ValueError as error:
            self.state.drop_message(sender, message, str(error))
            return
        if any(session.peer == sender for session in self._sessions.values()):
            self.state.drop_message(
                sender, message, "authentication of this process is already active"
            )
            return
        number, self._next_session = self._next_session, self._next_session + 1
        nonce = int.from_bytes(self.state.new_uuid(), "big")
        challenge = f"<{nonce}.{int(self.state.now)}@{self.state.hostname}>".encode()
        session = _AgentAuthentication(sender, agent, Authenticator(self._secrets, challenge))
        self._sessions[number] = session
        agents.authentication_started(self.state, agent)
        self.state.out.append(HoldConnection(sender.address))
        self.state.set_timer(
            "authentication", str(number), self.state.options.authentication_timeout
        )
        self._send_authentication(number, session, session.authenticator.start())

    def _send_authentication(
        self, number: int, session: _AgentAuthentication, message: Message
    ) -> None:
        name = f"crammd5-authenticator-session({number})"
        self.state.out.append(SendMessage(session.peer, name, message))

    def _authentication_step(self, number: int, message: Message) -> None:
        session = self._sessions.get(number)
        if session is None:
            return
        reply = session.authenticator.receive(message)
        if reply is not None:
            self._send_authentication(number, session, reply)
        if not isinstance(reply, auth.AuthenticationStepMessage):
            self._end_session(number, session.authenticator.principal)

    def _end_session(self, number: int, principal: str | None) -> None:
        session = self._sessions.pop(number, None)
        if session is None:
            return
        self.state.cancel_timer("authentication", str(number))
        held = agents.authentication_ended(self.state, session.agent, principal)
        if principal is None:
            self.state.log(f"authentication of {session.agent} failed")
        for message in held:
            _AGENT_HANDLERS[type(message)](self.state, session.agent, message)


class _AgentAuthentication:
    """One authentication of one agent."""

    def __init__(self, peer: Pid, agent: Pid, authenticator: Authenticator) -> None:
        self.peer = peer
        self.agent = agent
        self.authenticator = authenticator
