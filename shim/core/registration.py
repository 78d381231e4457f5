"""Registration with a master: detection, authentication, (re-)registration, pings.

::

    RECOVERING --(containers known)--> DISCONNECTED <--------+
         |                                  |                | new leader, ping timeout,
         |                             (registered)          | broken link, re-registration due
         |                                  v                |
         +--(shutdown)--> ENDED <------ CONNECTED -----------+
                            ^               |
                            +--(shutdown)---+---- also from DISCONNECTED

============  =======================================  ==========================
state         messages to the master                   timers
============  =======================================  ==========================
RECOVERING    answers to pings                         none
DISCONNECTED  answers to pings, (re-)registration      SEND_REQUEST, NO_ANSWER
CONNECTED     everything                               PING_TIMEOUT, REREGISTER
ENDED         answers to pings                         none
============  =======================================  ==========================

An agent does not register while RECOVERING: the master would give up every task that the request
does not report.

A registration round is a random wait, then authentication if there is a credential, then requests
with growing random waits between them, until the master answers. A master does not answer a request
that it rejects, so the round logs a warning when no answer comes for long.

An answer does not name its request, and a master that admits the agent takes the oldest request and
ignores later ones. A re-registration is therefore scheduled after a registration whose request may
be out of date:

* more than one request was sent to this master since its last answer;
* an earlier process sent one, and ended before an answer settled it (which is durable);
* tasks or reservations changed, or a message of the master was ignored, after the first of them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from shim import limits
from shim.core.context import Context
from shim.core.timers import RegistrationTimer
from shim.model.facts import Authenticated, AuthenticationFailed
from shim.model.ids import AgentId, Pid
from shim.model.orders import Authenticate, Level, Pong, Send
from shim.model.records import (
    AddUnansweredRequest,
    DropUnansweredRequest,
    SaveAgent,
    Snapshot,
)
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


TRANSITIONS: dict[State, frozenset[State]] = {
    State.RECOVERING: frozenset({State.DISCONNECTED, State.ENDED}),
    State.DISCONNECTED: frozenset({State.DISCONNECTED, State.CONNECTED, State.ENDED}),
    State.CONNECTED: frozenset({State.DISCONNECTED, State.ENDED}),
    State.ENDED: frozenset({State.ENDED}),
}
"""Every allowed change of state. DISCONNECTED follows itself when a new round begins."""


class Registration:
    """The agent's side of the registration; see the module's docstring.

    ``add_agent_state`` adds tasks, frameworks and resources to a request. ``has_updates``:
    whether status updates under the present agent id are not yet acknowledged.
    """

    def __init__(
        self,
        ctx: Context,
        add_agent_state: Callable[[_Request], None],
        has_updates: Callable[[], bool],
    ) -> None:
        self._ctx = ctx
        self._add_agent_state = add_agent_state
        self._has_updates = has_updates
        self.state = State.RECOVERING
        self._attempt = 0
        """Number of the newest authentication attempt; answers to older ones are ignored."""
        self._authenticating = False
        """The newest attempt is under way."""
        self._authenticated = False
        self._failures = 0
        """Failed authentications of this round."""
        self._requested_from: Pid | None = None
        """The master that the newest request was sent to."""
        self._unanswered = 0
        """Requests sent to that master since its last answer, in this round and in earlier ones."""
        self._backoff = 0.0
        self._ping_timeout = limits.PING_TIMEOUT
        self._reregistration_due = False
        """Master and agent may disagree about the agent's tasks."""
        self._asks_for_id = False
        """Whether the newest request is a first registration, whose answer assigns an agent id."""
        self._id_is_new = False
        """Whether the agent id was assigned in this process."""
        self._id_disputed = False
        """Two answers assigned different ids to a new agent: one of them is forged."""
        self.may_be_known = False
        """An earlier process may have registered this agent and died before it kept the id."""
        self._request_recorded = False
        """It is durable that a re-registration request may be on its way."""
        self._requested_earlier = False
        """An earlier process sent such a request, and no answer has settled it."""
        self.requesting_since: float | None = None
        """When this round began, in monotonic seconds; None while CONNECTED."""

    def restore(self, snapshot: Snapshot) -> None:
        self.may_be_known = snapshot.agent is None and bool(snapshot.shim_id)
        self._request_recorded = snapshot.unanswered_request
        self._requested_earlier = snapshot.unanswered_request and snapshot.agent is not None

    def _change_state(self, new: State) -> None:
        assert new in TRANSITIONS[self.state], f"registration: {self.state} -> {new}"
        self.state = new
        self._ctx.connected = new is State.CONNECTED
        self._authenticating = False
        for timer in RegistrationTimer:
            self._ctx.timers.cancel(timer)

    # --- rounds ---------------------------------------------------------------------------

    def detected(self, master: Pid | None) -> None:
        """The leading master changed; None: there is no leader."""
        lost = master is None and self._ctx.master is not None
        self._ctx.master = master
        if self.state in (State.DISCONNECTED, State.CONNECTED):
            self.start_round()
        if lost and self.state is State.DISCONNECTED:
            self._warn_no_master()

    def end(self) -> None:
        """From now on the only messages to a master are answers to its pings."""
        self._change_state(State.ENDED)

    def disconnect(self, why: str) -> None:
        """The master may have given this agent up: register again."""
        if self.state is State.CONNECTED:
            self._ctx.notice(Level.WARNING, f"registration lost: {why}")
            self.start_round()

    def start_round(self) -> None:
        """Begin a registration round. The agent's tasks must be known."""
        ctx, settings = self._ctx, self._ctx.settings
        self._change_state(State.DISCONNECTED)
        self._authenticated = False
        self._failures = 0
        self._attempt += 1
        self._backoff = 2 * settings.registration_backoff
        self.requesting_since = ctx.now.mono
        if ctx.master is None:
            ctx.timers.set(RegistrationTimer.NO_ANSWER, ctx.now.mono + limits.DETECT_TIMEOUT)
            return
        wait = ctx.entropy.uniform(settings.registration_backoff)
        ctx.timers.set(RegistrationTimer.SEND_REQUEST, ctx.now.mono + wait)
        ctx.timers.set(RegistrationTimer.NO_ANSWER, ctx.now.mono + limits.NO_ANSWER_INTERVAL)

    def send_request(self) -> None:
        """The wait is over: authenticate, or send a (re-)registration request."""
        ctx = self._ctx
        if self.state is not State.DISCONNECTED or ctx.master is None:
            return
        ctx.timers.cancel(RegistrationTimer.SEND_REQUEST)
        if ctx.settings.authenticate and not self._authenticated:
            self._authenticating = True
            ctx.order(Authenticate(ctx.master, self._attempt, self._authentication_timeout()))
            return
        request = self._request()
        ctx.order(Send(ctx.master, request))
        self._count_request(ctx.master, request)
        next_request = ctx.now.mono + ctx.entropy.uniform(self._backoff)
        ctx.timers.set(RegistrationTimer.SEND_REQUEST, next_request)
        self._backoff = min(2 * self._backoff, limits.REGISTER_RETRY_MAX)

    @property
    def all_answered(self) -> bool:
        """No request of this process to the present master is unanswered."""
        return self._unanswered == 0 or self._requested_from != self._ctx.master

    def _count_request(self, master: Pid, request: _Request) -> None:
        if master != self._requested_from:
            self._requested_from, self._unanswered = master, 0
        self._unanswered += 1
        if isinstance(request, ReregisterSlaveMessage):
            # This request covers messages ignored before it, unless an older one is answered.
            self._reregistration_due = False
            if not self._request_recorded:
                self._request_recorded = True
                self._ctx.record(AddUnansweredRequest())

    def schedule_reregistration(self) -> None:
        """Master and agent may disagree about the agent's tasks: schedule a re-registration.

        The request is delayed. Otherwise the answer to an older request, still on its way, would
        be taken for the answer to this one.
        """
        if not self._reregistration_due and self.state is State.CONNECTED:
            self._set_reregister_timer()
        self._reregistration_due = True

    def _set_reregister_timer(self) -> None:
        at = self._ctx.now.mono + limits.REREGISTER_DELAY
        self._ctx.timers.set(RegistrationTimer.REREGISTER, at)

    def reregister_now(self) -> None:
        """The delay of a scheduled re-registration is over."""
        if self.state is State.CONNECTED:
            self.start_round()
            self.send_request()

    def _request(self) -> _Request:
        """A re-registration if there is an agent id, else a first registration.

        A new agent with a disputed id and nothing to report registers for the first time again.
        The master then repeats the id that it has for this agent's pid.
        """
        settings = self._ctx.settings
        self._asks_for_id = self._ctx.agent_id is None
        if self._ctx.agent_id is not None:
            again = ReregisterSlaveMessage(slave=settings.info, version=settings.version)
            again.slave.id.value = self._ctx.agent_id
            self._complete(again)
            empty = not (again.frameworks or again.tasks or again.checkpointed_resources)
            self._asks_for_id = self._id_disputed and empty and not self._has_updates()
            if not self._asks_for_id:
                return again
        first = RegisterSlaveMessage(slave=settings.info, version=settings.version)
        self._complete(first)
        return first

    def _complete(self, request: _Request) -> None:
        for capability in self._ctx.settings.capabilities:
            request.agent_capabilities.add(type=capability)
        request.resource_version_uuid.value = self._ctx.settings.resource_version
        self._add_agent_state(request)

    # --- authentication -------------------------------------------------------------------

    def _authentication_timeout(self) -> float:
        spread = self._ctx.settings.authentication_backoff * 2.0 ** min(self._failures + 1, 6)
        limit = limits.AUTHENTICATION_TIMEOUT_MIN + self._ctx.entropy.uniform(spread)
        return min(limit, limits.AUTHENTICATION_TIMEOUT_MAX)

    def authenticated(self, fact: Authenticated) -> None:
        if self._authenticating and fact.attempt == self._attempt:
            self._authenticating = False
            self._authenticated = True
            self.send_request()

    def authentication_failed(self, fact: AuthenticationFailed) -> None:
        if not self._authenticating or fact.attempt != self._attempt:
            return
        ctx = self._ctx
        self._authenticating = False
        self._failures += 1
        self._attempt += 1
        ctx.counters["authentication_failures"] += 1
        level = Level.ERROR if fact.refused else Level.WARNING
        ctx.notice(level, f"authentication with {ctx.master} failed: {fact.reason}")
        spread = ctx.settings.authentication_backoff * 2.0 ** min(self._failures, 6)
        wait = 1.0 + ctx.entropy.uniform(min(spread, limits.AUTHENTICATION_TIMEOUT_MAX))
        if fact.refused:
            wait = limits.AUTHENTICATION_REFUSED_RETRY
        ctx.timers.set(RegistrationTimer.SEND_REQUEST, ctx.now.mono + wait)

    # --- warnings -------------------------------------------------------------------------

    def _warn_no_master(self) -> None:
        self._ctx.timers.cancel(RegistrationTimer.NO_ANSWER)
        self._ctx.notice(Level.WARNING, "no leading master is known; tasks keep running")

    def warn_no_answer(self) -> None:
        """A master rejects requests silently: name the usual reasons in the log."""
        ctx = self._ctx
        if ctx.master is None:
            self._warn_no_master()
            return
        ctx.timers.set(RegistrationTimer.NO_ANSWER, ctx.now.mono + limits.NO_ANSWER_INTERVAL)
        since = 0.0 if self.requesting_since is None else ctx.now.mono - self.requesting_since
        pid = ctx.settings.pid
        ctx.notice(
            Level.WARNING,
            f"no answer from {ctx.master} to the registration for {since:.0f} s. A master rejects "
            f"without an answer: look in its log for {pid}. Does --master name the leader exactly "
            f"as the master's own pid does? Can it reach {pid.ip}:{pid.port}? Does it want "
            "authentication (--credential) or a domain (--domain)?",
        )

    # --- answers --------------------------------------------------------------------------

    @property
    def master_has_request(self) -> bool:
        """Whether the leading master has registered this agent, or has a request to do so."""
        return self.state is State.CONNECTED or self._awaits_answer

    @property
    def _awaits_answer(self) -> bool:
        requested = self._unanswered > 0 and self._requested_from == self._ctx.master
        return requested and self.state is State.DISCONNECTED

    def registered(self, message: SlaveRegisteredMessage) -> None:
        ctx = self._ctx
        agent_id = AgentId(message.slave_id.value)
        if ctx.agent_id is None and not self._awaits_answer:
            ctx.counters["unexpected_messages"] += 1
        elif ctx.agent_id not in (None, agent_id) and not (
            self._awaits_answer and self._asks_for_id
        ):
            self._ignore_agent_id(agent_id)
        elif self.state is State.DISCONNECTED:
            self._id_is_new = self._id_is_new or self._asks_for_id
            self._id_disputed = False
            if self._unanswered > 1 or self.may_be_known:
                # A master that has registered this agent before answers in the same words. A
                # launch since then may be lost: a re-registration makes the master reconcile.
                self._reregistration_due = True
            ctx.agent_id = agent_id
            ctx.notice(Level.INFO, f"registered with {ctx.master} as {agent_id}")
            self._connect(message.connection)

    def reregistered(self, message: SlaveReregisteredMessage) -> None:
        ctx = self._ctx
        agent_id = AgentId(message.slave_id.value)
        if ctx.agent_id != agent_id:
            self._ignore_agent_id(agent_id)
        elif self.state is State.DISCONNECTED:
            self._id_is_new = self._id_disputed = False
            ctx.notice(Level.INFO, f"re-registered with {ctx.master} as {agent_id}")
            if self._unanswered > 1 or self._requested_earlier:
                # The answer may be to an older request, which reported tasks that ended since.
                self._reregistration_due = True
            self._connect(message.connection)

    def _ignore_agent_id(self, agent_id: AgentId) -> None:
        """An answer names another agent id. The agent keeps its own and registers again.

        The sender is only a header of the message, so the answer may be forged.
        """
        ctx = self._ctx
        ctx.counters["wrong_agent_ids"] += 1
        self._id_disputed = self._id_disputed or self._id_is_new
        if not self._reregistration_due:
            own = f"is {ctx.agent_id}" if ctx.agent_id else "has no id yet"
            text = f"registration answer of {ctx.master} ignored: it names agent {agent_id}, "
            ctx.notice(Level.WARNING, f"{text}this agent {own}")
        self.schedule_reregistration()

    def _connect(self, connection: MasterSlaveConnection) -> None:
        ctx = self._ctx
        self._change_state(State.CONNECTED)
        self.requesting_since = None
        self._unanswered = 0
        if connection.HasField("total_ping_timeout_seconds"):
            self._ping_timeout = float(int(connection.total_ping_timeout_seconds))
        self._set_ping_timer()
        self._requested_earlier = False
        if self._reregistration_due:
            self._set_reregister_timer()
        elif self._request_recorded:
            self._request_recorded = False
            ctx.record(DropUnansweredRequest())
        assert ctx.agent_id is not None
        agent = journal_pb2.Agent(info=ctx.settings.info, ip=ctx.settings.pid.ip)
        agent.info.id.value = ctx.agent_id
        ctx.record(SaveAgent(agent))

    # --- pings ----------------------------------------------------------------------------

    def ping_received(self, sender: Pid, message: PingSlaveMessage) -> bool:
        """Answer the ping, in every state. False: the master's link to this agent broke."""
        ctx = self._ctx
        ctx.order(Pong(sender))
        if ctx.master is None or sender.address != ctx.master.address:
            ctx.counters["foreign_pings"] += 1
            return True
        if self.state is not State.CONNECTED:
            return True
        self._set_ping_timer()
        return message.connected

    def _set_ping_timer(self) -> None:
        at = self._ctx.now.mono + self._ping_timeout
        self._ctx.timers.set(RegistrationTimer.PING_TIMEOUT, at)

    def ping_timed_out(self) -> None:
        self.disconnect(f"no ping from {self._ctx.master} for {self._ping_timeout:g} s")
