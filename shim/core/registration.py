"""Being known to a master: detection, authentication, (re-)registration, pings.

::

    RECOVERING -(containers known)-> DISCONNECTED -(registered)-> CONNECTED
                                          ^                           |
                                          +- ping says so, silence, new leader

While RECOVERING pings are answered and nothing else is: registering before the tasks are known
would make the master give them up. A round of registration is a random wait, then authentication
where we have a credential, then (re-)registration, asked again with growing random waits until
the master answers. A master that refuses says nothing, so long silence is told to people.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from shim import limits
from shim.core.context import Context
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.facts import Authenticated, AuthenticationFailed
from shim.model.ids import AgentId, Pid
from shim.model.orders import Authenticate, Exit, Level, Pong, Send
from shim.model.records import SaveMeta
from shim.protos import journal_pb2
from shim.protos.messages_pb2 import (
    MasterSlaveConnection,
    PingSlaveMessage,
    RegisterSlaveMessage,
    ReregisterSlaveMessage,
    SlaveRegisteredMessage,
    SlaveReregisteredMessage,
)

_Request = RegisterSlaveMessage | ReregisterSlaveMessage


class State(enum.Enum):
    RECOVERING = "recovering"
    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    ENDED = "ended"


class Registration:
    def __init__(self, ctx: Context, fill: Callable[[_Request], None]) -> None:
        self._ctx = ctx
        self._fill = fill
        self.state = State.RECOVERING
        self._attempt = 0
        self._authenticated = False
        self._failures = 0
        self._asked = 0
        """Requests of the round under way."""
        self._backoff = 0.0
        self._ping_timeout = limits.PING_TIMEOUT
        self._doubted = False
        self.asking_since: float | None = None
        """When the round under way began (monotonic seconds); None when registered."""

    # --- rounds ---------------------------------------------------------------------------

    def recovered(self) -> None:
        """The tasks are known: a master may hear of us."""
        self.state = State.DISCONNECTED
        self._begin()

    def detected(self, master: Pid | None) -> None:
        lost = master is None and self._ctx.master is not None
        self._ctx.master = master
        if self.state in (State.DISCONNECTED, State.CONNECTED):
            self._begin()
        if lost and self.state is State.DISCONNECTED:
            self._masterless()

    def end(self) -> None:
        """Nothing is said to a master any more but answers to its pings."""
        self.state = State.ENDED
        self._ctx.connected = False
        for timer in ("ping", "register", "silence", "doubt"):
            self._ctx.timers.cancel(timer)

    def lose(self, why: str) -> None:
        """What the master knows of us can no longer be relied on: start over."""
        if self.state is State.CONNECTED:
            self._ctx.notice(Level.WARNING, f"registration lost: {why}")
            self._begin()

    def _begin(self) -> None:
        ctx, settings = self._ctx, self._ctx.settings
        self.state = State.DISCONNECTED
        ctx.connected = False
        self._authenticated = False
        self._failures = 0
        self._asked = 0
        self._attempt += 1
        self._backoff = 2 * settings.registration_backoff
        for timer in ("ping", "register", "silence", "doubt"):
            ctx.timers.cancel(timer)
        self.asking_since = ctx.now.mono
        if ctx.master is None:
            ctx.timers.set("silence", ctx.now.mono + limits.DETECT_PATIENCE)
            return
        wait = ctx.entropy.uniform(settings.registration_backoff)
        ctx.timers.set("register", ctx.now.mono + wait)
        ctx.timers.set("silence", ctx.now.mono + limits.REGISTER_SILENCE)

    def _masterless(self) -> None:
        self._ctx.timers.cancel("silence")
        self._ctx.notice(Level.WARNING, "no leading master is known; tasks go on")

    def ask(self) -> None:
        """The wait is over: authenticate, or ask to be (re-)registered."""
        ctx = self._ctx
        if self.state is not State.DISCONNECTED or ctx.master is None:
            return
        if ctx.settings.authenticate and not self._authenticated:
            ctx.order(Authenticate(ctx.master, self._attempt, self._authentication_timeout()))
            return
        ctx.order(Send(ctx.master, self._request()))
        self._asked += 1
        ctx.timers.set("register", ctx.now.mono + ctx.entropy.uniform(self._backoff))
        self._backoff = min(2 * self._backoff, limits.REGISTER_RETRY_MAX)

    def doubt(self) -> None:
        """What the master counts on may not be what we have: register again, which settles it.

        Not at once: what is still on its way, an answer to an older request first of all, would
        be taken for the answer.
        """
        if not self._doubted and self.state is State.CONNECTED:
            self._ctx.timers.set("doubt", self._ctx.now.mono + limits.DOUBT_DELAY)
        self._doubted = True

    def reconsider(self) -> None:
        """The time for doubts has come."""
        if self.state is State.CONNECTED:
            self._begin()
            self.ask()

    def _authentication_timeout(self) -> float:
        spread = self._ctx.settings.authentication_backoff * 2.0 ** min(self._failures + 1, 6)
        limit = limits.AUTHENTICATION_TIMEOUT_MIN + self._ctx.entropy.uniform(spread)
        return min(limit, limits.AUTHENTICATION_TIMEOUT_MAX)

    def authenticated(self, fact: Authenticated) -> None:
        if fact.attempt == self._attempt:
            self._authenticated = True
            self.ask()

    def authentication_failed(self, fact: AuthenticationFailed) -> None:
        if fact.attempt != self._attempt:
            return
        ctx = self._ctx
        self._failures += 1
        self._attempt += 1
        ctx.counters["authentication_failures"] += 1
        level = Level.ERROR if fact.refused else Level.WARNING
        ctx.notice(level, f"authentication with {ctx.master} failed: {fact.reason}")
        spread = ctx.settings.authentication_backoff * 2.0 ** min(self._failures, 6)
        wait = 1.0 + ctx.entropy.uniform(min(spread, limits.AUTHENTICATION_TIMEOUT_MAX))
        if fact.refused:
            wait = limits.AUTHENTICATION_REFUSED_RETRY
        ctx.timers.set("register", ctx.now.mono + wait)

    def _request(self) -> _Request:
        settings = self._ctx.settings
        request: _Request
        if self._ctx.agent_id is None:
            request = RegisterSlaveMessage(slave=settings.info, version=settings.version)
        else:
            request = ReregisterSlaveMessage(slave=settings.info, version=settings.version)
            request.slave.id.value = self._ctx.agent_id
        for capability in AGENT_CAPABILITIES:
            request.agent_capabilities.add(type=capability)
        self._fill(request)
        return request

    def silent(self) -> None:
        """Nobody answers: refusals are silent, so say what to look at."""
        ctx = self._ctx
        if ctx.master is None:
            self._masterless()
            return
        ctx.timers.set("silence", ctx.now.mono + limits.REGISTER_SILENCE)
        since = 0.0 if self.asking_since is None else ctx.now.mono - self.asking_since
        ctx.notice(
            Level.WARNING,
            f"no answer from {ctx.master} to our registration for {since:.0f} s. A master refuses "
            f"without a word: look in its log for {ctx.settings.pid}; is it the leader, does it "
            f"call itself {ctx.master}, can it reach {ctx.settings.pid.ip}:{ctx.settings.pid.port},"
            " does it want authentication (--credential) or a domain (--domain)?",
        )

    # --- answers --------------------------------------------------------------------------

    def registered(self, message: SlaveRegisteredMessage) -> None:
        ctx = self._ctx
        agent_id = AgentId(message.slave_id.value)
        if ctx.agent_id is not None and ctx.agent_id != agent_id:
            self._stranger(agent_id)
        elif self.state is State.DISCONNECTED:
            ctx.agent_id = agent_id
            ctx.notice(Level.INFO, f"registered with {ctx.master} as {agent_id}")
            self._connected(message.connection)

    def reregistered(self, message: SlaveReregisteredMessage) -> None:
        ctx = self._ctx
        agent_id = AgentId(message.slave_id.value)
        if ctx.agent_id != agent_id:
            self._stranger(agent_id)
        elif self.state is State.DISCONNECTED:
            ctx.notice(Level.INFO, f"re-registered with {ctx.master} as {agent_id}")
            # What was answered may be an older request, which told of tasks that ended since.
            self._doubted = self._asked > 1
            self._connected(message.connection)

    def _stranger(self, agent_id: AgentId) -> None:
        ours = self._ctx.agent_id
        self._ctx.order(Exit(1, f"the master knows us as agent {agent_id}, but we are {ours}"))

    def _connected(self, connection: MasterSlaveConnection) -> None:
        ctx = self._ctx
        self.state = State.CONNECTED
        self.asking_since = None
        ctx.connected = True
        for timer in ("register", "silence"):
            ctx.timers.cancel(timer)
        if connection.HasField("total_ping_timeout_seconds"):
            self._ping_timeout = float(int(connection.total_ping_timeout_seconds))
        ctx.timers.set("ping", ctx.now.mono + self._ping_timeout)
        if self._doubted:
            ctx.timers.set("doubt", ctx.now.mono + limits.DOUBT_DELAY)
        self.save()

    def save(self) -> None:
        """Make who we are durable."""
        ctx = self._ctx
        assert ctx.agent_id is not None
        agent = journal_pb2.Agent(info=ctx.settings.info, ip=ctx.settings.pid.ip)
        agent.info.id.value = ctx.agent_id
        ctx.record(SaveMeta("agent", agent.SerializeToString()))

    # --- pings ----------------------------------------------------------------------------

    def pinged(self, sender: Pid, message: PingSlaveMessage) -> bool:
        """Answer, in every state, to the sender. False: our link to the master had broken."""
        ctx = self._ctx
        ctx.order(Pong(sender))
        if ctx.master is None or sender.address != ctx.master.address:
            ctx.counters["foreign_pings"] += 1
            return True
        if self.state is not State.CONNECTED:
            return True
        ctx.timers.set("ping", ctx.now.mono + self._ping_timeout)
        return message.connected

    def ping_overdue(self) -> None:
        self.lose(f"no ping from {self._ctx.master} for {self._ping_timeout:g} s")
