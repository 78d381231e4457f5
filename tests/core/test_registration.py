"""Registration: requests, authentication, answers, pings, lost registrations."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from shim import limits
from shim.core.registration import TRANSITIONS, State
from shim.core.timers import RegistrationTimer
from shim.model import facts
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.ids import Pid
from shim.model.orders import Authenticate, Exit, Level, Notice, Order, Pong, Send
from shim.model.records import SaveShimId
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import Resource, TaskState, Value
from shim.wire.codec import TO_AGENT
from shim.wire.safety import check
from tests.core.harness import AGENT_ID, OBSERVER, Shim, framework_info, of, sent, task_info

NO_MASTER = "no leading master is known; tasks keep running"
REQUEST = (m.RegisterSlaveMessage, m.ReregisterSlaveMessage)


def requests(shim: Shim, seconds: float) -> list[float]:
    """Seconds from now until each request."""
    began = shim.time
    times: list[float] = []
    while (deadline := shim.core.deadline()) is not None and deadline <= began + seconds:
        given = of(Send, shim.wait(deadline - shim.time))
        times += [shim.time - began for order in given if isinstance(order.message, REQUEST)]
    return times


def warnings(given: list[Order]) -> list[str]:
    return [notice.text for notice in of(Notice, given) if notice.level is not Level.INFO]


# --- states -----------------------------------------------------------------------------------

R, D, C, E = State
NEXT: dict[str, dict[State, State]] = {
    "containers found": {R: D, D: D, C: C, E: E},
    "a new master is detected": {R: R, D: D, C: D, E: E},
    "no master is detected": {R: R, D: D, C: D, E: E},
    "the master answers": {R: R, D: C, C: C, E: E},
    "a ping about a broken link": {R: R, D: D, C: D, E: E},
    "no ping for 75 s": {R: R, D: D, C: D, E: E},
    "a kill of an unknown task, 10 s later": {R: R, D: D, C: D, E: E},
    "the master orders a shutdown": {R: R, D: E, C: E, E: E},
}
"""The state after each event in each state."""


def in_state(state: State) -> Shim:
    shim = Shim(registered=False)
    shim.detect()
    if state is not R:
        shim.recover()
        shim.wait(1.0)
    if state in (C, E):
        shim.answer_registration()
    if state is E:
        # A container still to be removed keeps the process from exiting.
        shim.running_task()
        shim.receive(m.ShutdownMessage())
    assert shim.core.registration.state is state
    return shim


def cause(event: str, shim: Shim) -> None:
    match event:
        case "containers found":
            shim.recover()
        case "a new master is detected":
            shim.detect(Pid("master", "10.0.0.2", 5050))
        case "no master is detected":
            shim.detect(None)
        case "the master answers":
            shim.answer_registration()
        case "a ping about a broken link":
            shim.ping(connected=False)
        case "no ping for 75 s":
            shim.wait(75.0)
        case "a kill of an unknown task, 10 s later":
            shim.kill("unknown", "unknown")
            shim.wait(limits.REREGISTER_DELAY)
        case "the master orders a shutdown":
            shim.receive(m.ShutdownMessage())


@pytest.mark.parametrize(
    ("event", "state"), [(event, state) for event in NEXT for state in State], ids=str
)
def test_the_next_state_of_every_pair_of_state_and_event(event: str, state: State) -> None:
    shim = in_state(state)
    cause(event, shim)
    assert shim.core.registration.state is NEXT[event][state]
    assert shim.core.ctx.connected == (NEXT[event][state] is C)


def test_every_transition_of_the_table_occurs_and_no_other() -> None:
    occurring = {(old, new) for row in NEXT.values() for old, new in row.items() if old is not new}
    # --recover=cleanup ends the registration before it begins.
    occurring.add((R, E))
    table = {(old, new) for old, row in TRANSITIONS.items() for new in row if old is not new}
    assert occurring == table


@pytest.mark.parametrize("state", [R, D, E], ids=str)
def test_no_timer_of_another_state_is_set(state: State) -> None:
    timers = {
        timer for timer in in_state(state).core.ctx.timers if isinstance(timer, RegistrationTimer)
    }
    requests = {RegistrationTimer.SEND_REQUEST, RegistrationTimer.NO_ANSWER}
    assert timers == (requests if state is D else set())


# --- rounds -----------------------------------------------------------------------------------


def test_no_request_is_sent_before_recovery() -> None:
    shim = Shim(registered=False)
    shim.detect()
    assert shim.core.deadline() is None
    shim.recover()
    assert requests(shim, 1.0) == [1.0]


def test_no_request_is_sent_without_a_master() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect(None)
    assert requests(shim, 600.0) == []


def test_no_warning_while_detection_takes_a_moment_at_start() -> None:
    shim = Shim(registered=False)
    assert not warnings(shim.recover().orders)
    assert not warnings(shim.wait(limits.DETECT_TIMEOUT / 2))
    assert not warnings(shim.detect().orders)
    assert not warnings(shim.wait(2 * limits.DETECT_TIMEOUT))


def test_a_missing_master_is_logged_once_after_a_while() -> None:
    shim = Shim(registered=False)
    shim.recover()
    assert warnings(shim.wait(limits.DETECT_TIMEOUT)) == [NO_MASTER]
    assert not warnings(shim.wait(600.0))


def test_a_lost_master_is_logged_at_once_and_once() -> None:
    shim = Shim()
    assert warnings(shim.detect(None).orders) == [NO_MASTER]
    assert not warnings(shim.wait(600.0))
    shim.register()
    assert warnings(shim.detect(None).orders) == [NO_MASTER]


def test_waits_double_from_the_factor_up_to_a_minute() -> None:
    shim = Shim(registered=False, registration_backoff=3.0)
    shim.recover()
    shim.detect()
    requests(shim, 400.0)
    assert shim.entropy.asked[:8] == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


def test_requests_come_after_the_waits() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    assert requests(shim, 200.0) == [1, 3, 7, 15, 31, 63, 123, 183]


def test_a_new_detection_starts_over() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    requests(shim, 60.0)
    shim.detect(Pid("master", "10.0.0.2", 5050))
    assert requests(shim, 10.0) == [1, 3, 7]


def test_an_answer_ends_the_requests() -> None:
    shim = Shim()
    assert requests(shim, 74.0) == []


def test_an_answer_to_a_repeated_first_registration_is_followed_by_a_reregistration() -> None:
    """The master may have registered the agent at the first request, and launched a task since."""
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    assert len(requests(shim, 10.0)) > 1
    shim.answer_registration()
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.ReregisterSlaveMessage)


def test_a_work_dir_without_agent_id_is_followed_by_a_reregistration() -> None:
    """An earlier process may have died between the master's answer and its record."""
    shim = Shim(registered=False)
    shim.disk.commit([SaveShimId("shim")])
    shim.restart()
    shim.register()
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.ReregisterSlaveMessage)


def test_an_answer_of_another_sender_is_ignored() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    answer = m.SlaveRegisteredMessage()
    answer.slave_id.value = "X"
    shim.receive(answer, Pid("master", "10.0.0.9", 5050))
    assert not shim.core.ctx.connected
    assert shim.core.ctx.agent_id is None


# --- requests ---------------------------------------------------------------------------------


def request(shim: Shim) -> m.RegisterSlaveMessage | m.ReregisterSlaveMessage:
    shim.detect()
    (message,) = sent(object, shim.wait(1.0))  # type: ignore[type-var]
    assert isinstance(message, REQUEST)
    check(message)
    return message


def test_the_first_registration_has_no_id() -> None:
    shim = Shim(registered=False)
    shim.recover()
    message = request(shim)
    assert isinstance(message, m.RegisterSlaveMessage)
    assert not message.slave.HasField("id")
    assert message.slave.checkpoint
    assert message.version == "1.11.0"
    assert [c.type for c in message.agent_capabilities] == list(AGENT_CAPABILITIES)


def test_the_agent_id_is_recorded_with_the_answer() -> None:
    shim = Shim()
    assert shim.disk.agent is not None
    shim.restart()
    message = request(shim)
    assert isinstance(message, m.ReregisterSlaveMessage)
    assert message.slave.id.value == AGENT_ID


def test_a_reregistration_reports_tasks_and_their_frameworks() -> None:
    shim = Shim()
    shim.framework("F", "killing", "aware")
    shim.run("staging")
    shim.running_task("running")
    shim.run("ended", "G")
    shim.handle(facts.LaunchFailed(shim.ref("ended", "G"), facts.Failure.PULL, "no"))
    shim.running_task("done", "H")
    shim.handle(facts.ContainerExited(shim.ref("done", "H"), 0))
    shim.acknowledge_all("done", "H")
    message = request(shim)
    assert isinstance(message, m.ReregisterSlaveMessage)
    states = {task.task_id.value: TaskState.Name(task.state) for task in message.tasks}
    assert states == {
        "staging": "TASK_STAGING",
        "running": "TASK_RUNNING",
        "ended": "TASK_FAILED",
    }
    assert [framework.id.value for framework in message.frameworks] == ["F", "G"]
    assert message.frameworks[0] == framework_info("F", "killing", "aware")
    assert not any(task.HasField("executor_id") for task in message.tasks)
    running = next(task for task in message.tasks if task.task_id.value == "running")
    assert running.resources[0].allocation_info.role == "prod"
    assert [status.state for status in running.statuses] == [0, 1]
    assert not any(status.HasField("data") for status in running.statuses)


def test_a_framework_is_sent_back_with_unknown_fields() -> None:
    shim = Shim()
    info = framework_info()
    raw = info.SerializeToString() + b"\xfa\x3e\x03new"  # field 1007, bytes
    run = m.RunTaskMessage(pid="@0.0.0.0:0")
    run.framework.ParseFromString(raw)
    shim.frameworks["F"] = run.framework
    shim.run()
    shim.restart()
    message = request(shim)
    assert isinstance(message, m.ReregisterSlaveMessage)
    assert b"\xfa\x3e\x03new" in message.frameworks[0].SerializeToString()


# --- authentication ---------------------------------------------------------------------------


def authenticating() -> Shim:
    shim = Shim(registered=False, authenticate=True)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    return shim


def test_authentication_comes_first() -> None:
    shim = authenticating()
    attempt = shim.last(Authenticate).attempt
    shim.handle(facts.Authenticated(attempt))
    assert isinstance(shim.last(Send).message, m.RegisterSlaveMessage)


def test_an_answer_to_an_earlier_attempt_is_ignored() -> None:
    shim = authenticating()
    attempt = shim.last(Authenticate).attempt
    shim.detect()
    shim.handle(facts.Authenticated(attempt))
    assert not shim.decision.orders
    shim.handle(facts.AuthenticationFailed(attempt, True, "late"))
    assert not shim.decision.orders


def test_a_reregistration_that_is_due_authenticates_once() -> None:
    shim = authenticating()
    shim.handle(facts.Authenticated(shim.last(Authenticate).attempt))
    shim.answer_registration()
    shim.kill("unknown")
    (order,) = of(Authenticate, shim.wait(limits.REREGISTER_DELAY + 1.0))
    shim.handle(facts.Authenticated(order.attempt))
    assert isinstance(shim.last(Send).message, m.ReregisterSlaveMessage)


@pytest.mark.parametrize("registered", [False, True])
def test_an_outcome_that_no_authentication_waits_for_is_ignored(registered: bool) -> None:
    shim = authenticating()
    attempt = shim.last(Authenticate).attempt
    shim.handle(facts.Authenticated(attempt))
    if registered:
        shim.answer_registration()
    timers = set(shim.core.ctx.timers)
    shim.handle(facts.AuthenticationFailed(attempt, True, "late"))
    assert not shim.decision.orders
    shim.handle(facts.Authenticated(attempt))
    assert not shim.decision.orders
    assert set(shim.core.ctx.timers) == timers


def test_each_round_authenticates_anew() -> None:
    shim = authenticating()
    shim.handle(facts.Authenticated(shim.last(Authenticate).attempt))
    shim.answer_registration()
    shim.ping(connected=False)
    assert of(Authenticate, shim.wait(1.0))


def test_failed_authentications_are_retried_after_growing_waits() -> None:
    shim = authenticating()
    waits, timeouts = [], []
    for _ in range(8):
        order = shim.last(Authenticate)
        timeouts.append(order.timeout)
        began = shim.time
        shim.handle(facts.AuthenticationFailed(order.attempt, False, "silence"))
        while not of(Authenticate, shim.decision.orders):
            deadline = shim.core.deadline()
            assert deadline is not None
            shim.wait(deadline - shim.time)
        waits.append(shim.time - began)
    assert waits == [3, 5, 9, 17, 33, 61, 61, 61]
    assert timeouts == [7, 9, 13, 21, 37, 60, 60, 60]


def test_a_rejected_credential_is_an_error_and_waits_a_minute() -> None:
    shim = authenticating()
    shim.handle(facts.AuthenticationFailed(shim.last(Authenticate).attempt, True, "wrong secret"))
    (notice,) = of(Notice, shim.decision.orders)
    assert notice.level is Level.ERROR
    assert "wrong secret" in notice.text
    assert not of(Authenticate, shim.wait(59.9))
    assert of(Authenticate, shim.wait(0.1))


# --- missing answers --------------------------------------------------------------------------


def test_a_master_that_never_answers_is_logged() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    given = shim.wait(limits.NO_ANSWER_INTERVAL - 1)
    assert not warnings(given)
    (text,) = warnings(shim.wait(1.0))
    assert "120 s" in text
    for hint in ("10.0.0.1:5050", "10.9.9.9:5051", "--credential", "--domain"):
        assert hint in text
    assert len(warnings(shim.wait(limits.NO_ANSWER_INTERVAL))) == 1, "and again"


def test_an_answer_ends_the_warnings() -> None:
    assert not warnings(Shim().wait(74.0))


# --- pings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["recovering", "disconnected", "connected"])
def test_a_ping_is_answered_to_its_sender_in_every_state(state: str) -> None:
    shim = Shim(registered=state == "connected")
    if state == "disconnected":
        shim.recover()
    shim.ping()
    assert shim.last(Pong) == Pong(OBSERVER)


def test_missing_pings_end_the_registration() -> None:
    shim = Shim()
    shim.wait(60.0)
    shim.ping()
    assert not shim.wait(74.9)
    (text,) = warnings(shim.wait(0.1))
    assert "75 s" in text
    assert not shim.core.ctx.connected
    assert requests(shim, 1.0) == [1.0]


def test_the_master_sets_the_ping_timeout() -> None:
    shim = Shim()
    answer = m.SlaveReregisteredMessage()
    answer.slave_id.value = AGENT_ID
    answer.connection.total_ping_timeout_seconds = 20.7
    shim.ping(connected=False)
    shim.receive(answer)
    shim.wait(19.9)
    assert shim.core.ctx.connected
    shim.wait(0.1)
    assert not shim.core.ctx.connected


def test_a_ping_of_another_masters_observer_does_not_count() -> None:
    shim = Shim()
    foreign = Pid("slave-observer(7)", "10.0.0.2", 5050)
    shim.wait(60.0)
    shim.ping(sender=foreign)
    assert shim.last(Pong) == Pong(foreign)
    shim.ping(connected=False, sender=foreign)
    assert shim.core.ctx.connected
    shim.wait(15.0)
    assert not shim.core.ctx.connected


def test_a_ping_about_a_broken_link_starts_a_new_round() -> None:
    shim = Shim()
    shim.ping(connected=False)
    assert not shim.core.ctx.connected
    assert requests(shim, 3.0) == [1, 3]


def test_a_ping_about_a_broken_link_during_a_round_changes_nothing() -> None:
    shim = Shim()
    shim.ping(connected=False)
    shim.wait(0.5)
    shim.ping(connected=False)
    assert requests(shim, 0.5) == [0.5]


# --- answers ----------------------------------------------------------------------------------


ANSWERS = [m.SlaveRegisteredMessage, m.SlaveReregisteredMessage]


def forged(kind: type, agent_id: str = "S9") -> m.SlaveRegisteredMessage:
    message: m.SlaveRegisteredMessage = kind()
    message.slave_id.value = agent_id
    return message


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_with_another_agent_id_leads_to_a_new_registration(kind: type) -> None:
    shim = Shim()
    shim.running_task()
    given = shim.receive(forged(kind)).orders
    assert not of(Exit, given)
    (text,) = warnings(given)
    assert "S9" in text
    assert AGENT_ID in text
    assert shim.core.ctx.counters["wrong_agent_ids"] == 1
    assert shim.core.ctx.connected
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.ReregisterSlaveMessage)
    assert request.slave.id.value == AGENT_ID
    assert len(request.tasks) == 1
    shim.answer_registration()
    assert (shim.core.ctx.connected, shim.core.ctx.agent_id) == (True, AGENT_ID)


@pytest.mark.parametrize("kind", ANSWERS)
def test_many_answers_with_other_agent_ids_give_one_warning_and_one_registration(
    kind: type,
) -> None:
    shim = Shim()
    given = [order for n in range(50) for order in shim.receive(forged(kind, f"S{n}9")).orders]
    assert len(warnings(given)) == 1
    assert shim.core.ctx.counters["wrong_agent_ids"] == 50
    assert requests(shim, limits.REREGISTER_DELAY) == [limits.REREGISTER_DELAY]


def test_a_new_agent_with_a_disputed_id_asks_for_its_id_again() -> None:
    """A forged first answer came before the master's own."""
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    shim.receive(forged(m.SlaveRegisteredMessage, "S666"))
    assert shim.core.ctx.agent_id == "S666"
    shim.receive(forged(m.SlaveRegisteredMessage, AGENT_ID))
    assert shim.core.ctx.agent_id == "S666"
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.RegisterSlaveMessage)
    shim.receive(forged(m.SlaveRegisteredMessage, AGENT_ID))
    assert (shim.core.ctx.connected, shim.core.ctx.agent_id) == (True, AGENT_ID)
    shim.running_task()
    shim.receive(forged(m.SlaveRegisteredMessage, "S666"))
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.ReregisterSlaveMessage)
    assert request.slave.id.value == AGENT_ID


def test_a_disputed_id_stays_while_a_status_update_names_it() -> None:
    """A rejected task is in no table, but its update would never be acknowledged for another id."""
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    rejected = task_info("t")
    reserved = rejected.resources.add(name="cpus", type=Value.SCALAR)
    reserved.scalar.value = 1.0
    reserved.reservations.add(type=Resource.ReservationInfo.DYNAMIC, role="prod")
    shim.run(rejected)
    shim.receive(forged(m.SlaveRegisteredMessage, "S2"))
    messages = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    (request,) = [each for each in messages if isinstance(each, m.ReregisterSlaveMessage)]
    assert request.slave.id.value == AGENT_ID
    assert not any(isinstance(each, m.RegisterSlaveMessage) for each in messages)


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_agent_id_of_the_journal_is_never_given_up(kind: type) -> None:
    shim = Shim()
    shim.restart()
    shim.register()
    shim.receive(forged(kind))
    (request,) = [s.message for s in of(Send, shim.wait(limits.REREGISTER_DELAY))]
    assert isinstance(request, m.ReregisterSlaveMessage)
    assert request.slave.id.value == AGENT_ID


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_without_a_request_assigns_no_agent_id(kind: type) -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.receive(forged(kind))
    assert shim.core.ctx.agent_id is None
    assert not shim.core.ctx.connected
    shim.wait(1.0)
    shim.answer_registration()
    assert shim.core.ctx.agent_id == AGENT_ID


@pytest.mark.parametrize(
    "message", [m.ShutdownMessage(), m.ShutdownMessage(message="gone")], ids=str
)
def test_a_shutdown_of_a_master_without_a_request_is_ignored(message: m.ShutdownMessage) -> None:
    shim = Shim()
    shim.running_task()
    shim.detect(Pid("master", "10.0.0.2", 5050))
    before = shim.core.ctx.counters["unexpected_messages"]
    given = shim.receive(message, Pid("master", "10.0.0.2", 5050)).orders
    assert not given
    assert shim.core.ctx.counters["unexpected_messages"] == before + 1
    assert shim.core.registration.state is D


@pytest.mark.parametrize("state", State, ids=str)
@pytest.mark.parametrize(
    "kind", sorted({*TO_AGENT.values()} - {m.ShutdownMessage}, key=str), ids=lambda k: k.__name__
)
def test_no_other_message_ends_or_renames_the_agent(kind: type, state: State) -> None:
    """With every id that names another agent, task or framework."""
    shim = in_state(state)
    known = shim.core.ctx.agent_id
    message = kind()
    fill(message, "other")
    given = shim.receive(message).orders
    assert not of(Exit, given)
    assert known in (None, shim.core.ctx.agent_id)


def fill(message: Message, text: str) -> None:
    """Set every required field, and every id."""
    for field in message.DESCRIPTOR.fields:
        if field.type == field.TYPE_MESSAGE and not field.is_repeated:
            if field.is_required or field.name.endswith("_id"):
                fill(getattr(message, field.name), text)
        elif field.is_required:
            values: dict[type, Any] = {str: text, bytes: text.encode()}
            value = values.get(type(getattr(message, field.name)))
            setattr(message, field.name, field.default_value if value is None else value)


def test_the_same_answer_twice_is_harmless() -> None:
    shim = Shim()
    shim.answer_registration()
    assert not of(Exit, shim.decision.orders)
    assert shim.core.ctx.connected


def asked_again(shim: Shim) -> bool:
    """Whether the agent registers again by itself, and is disconnected until the answer."""
    early = shim.wait(limits.REREGISTER_DELAY - 0.1)
    late = shim.wait(0.1)
    assert not sent(m.ReregisterSlaveMessage, early)
    again = bool(sent(m.ReregisterSlaveMessage, late))
    assert shim.core.ctx.connected is not again
    return again


def test_a_launch_before_the_registration_leads_to_a_reregistration() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    shim.run()
    assert not shim.decision.records
    shim.answer_registration()
    assert asked_again(shim)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_launch_before_recovery_leads_to_a_reregistration() -> None:
    shim = Shim(registered=False)
    shim.detect()
    shim.run()
    shim.recover()
    shim.wait(1.0)
    shim.answer_registration()
    assert asked_again(shim)


def test_an_answer_after_several_requests_leads_to_a_reregistration() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(3.0)
    shim.answer_registration()
    assert asked_again(shim)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_request_of_an_earlier_round_may_be_the_one_that_is_answered() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    shim.detect(None)
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert asked_again(shim)


@pytest.mark.parametrize("requested", [True, False])
def test_a_request_of_an_earlier_process_may_be_the_one_that_is_answered(requested: bool) -> None:
    shim = Shim()
    if requested:
        shim.detect()
        shim.wait(1.0)
        assert shim.disk.unanswered_request
    shim.restart()
    shim.register()
    assert asked_again(shim) is requested
    shim.restart()
    shim.register()
    assert asked_again(shim) is requested, "the second request is not answered either"
    shim.answer_registration()
    assert not shim.disk.unanswered_request
    shim.restart()
    shim.register()
    assert not asked_again(shim)


def test_a_request_to_another_master_does_not_count() -> None:
    shim = Shim()
    shim.detect(Pid("master", "10.0.0.2", 5050))
    shim.wait(1.0)
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_launch_ignored_without_a_master_leads_to_a_reregistration() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    shim.detect(None)
    shim.run()
    assert not of(Send, shim.decision.orders)
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert asked_again(shim)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_launch_ignored_after_a_request_leads_to_a_reregistration() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    shim.kill("unknown")
    shim.answer_registration()
    assert asked_again(shim)


def test_a_launch_ignored_before_the_request_is_settled_by_it() -> None:
    shim = Shim()
    shim.detect(None)
    shim.run()
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_stranger_causes_no_reregistration() -> None:
    shim = Shim()
    for message in (m.RunTaskMessage(), m.KillTaskMessage(), m.CheckpointResourcesMessage()):
        shim.receive(message, Pid("master", "10.6.6.6", 5050))
    assert not asked_again(shim)


@pytest.mark.parametrize("changed", [True, False])
def test_resources_changed_after_a_request_lead_to_a_reregistration(changed: bool) -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    message = m.CheckpointResourcesMessage()
    if changed:
        message.resources.add(name="cpus", type=0, role="prod").scalar.value = 1.0
    shim.receive(message)
    shim.answer_registration()
    assert asked_again(shim) is changed


def test_an_answer_to_the_only_request_is_final() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    shim.answer_registration()
    assert not asked_again(shim)


def test_a_kill_of_an_unknown_task_leads_to_one_reregistration() -> None:
    shim = Shim()
    shim.kill("a")
    shim.kill("b")
    assert not shim.decision.orders
    assert asked_again(shim)
    shim.answer_registration()
    assert not asked_again(shim)
