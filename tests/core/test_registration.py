"""When what is asked of which master, and when a registration counts as lost."""

from __future__ import annotations

import pytest

from shim import limits
from shim.model import facts
from shim.model.capabilities import AGENT_CAPABILITIES
from shim.model.ids import Pid
from shim.model.orders import Authenticate, Exit, Level, Notice, Order, Pong, Send
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from shim.wire.safety import check
from tests.core.harness import AGENT_ID, OBSERVER, Shim, framework_info, of, sent

MASTERLESS = "no leading master is known; tasks go on"
REQUEST = (m.RegisterSlaveMessage, m.ReregisterSlaveMessage)


def requests(shim: Shim, seconds: float) -> list[float]:
    """When we ask, seen from now."""
    began = shim.time
    times: list[float] = []
    while (deadline := shim.core.deadline()) is not None and deadline <= began + seconds:
        given = of(Send, shim.wait(deadline - shim.time))
        times += [shim.time - began for order in given if isinstance(order.message, REQUEST)]
    return times


def warnings(given: list[Order]) -> list[str]:
    return [notice.text for notice in of(Notice, given) if notice.level is not Level.INFO]


# --- rounds -----------------------------------------------------------------------------------


def test_nothing_is_asked_before_the_containers_are_known() -> None:
    shim = Shim(registered=False)
    shim.detect()
    assert shim.core.deadline() is None
    shim.recover()
    assert requests(shim, 1.0) == [1.0]


def test_nothing_is_asked_while_no_master_is_known() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect(None)
    assert requests(shim, 600.0) == []


def test_a_start_is_not_warned_of_the_moment_in_which_nobody_knows_who_leads() -> None:
    shim = Shim(registered=False)
    assert not warnings(shim.recover().orders)
    assert not warnings(shim.wait(limits.DETECT_TIMEOUT / 2))
    assert not warnings(shim.detect().orders)
    assert not warnings(shim.wait(2 * limits.DETECT_TIMEOUT))


def test_that_no_master_is_found_is_told_once_after_a_while() -> None:
    shim = Shim(registered=False)
    shim.recover()
    assert warnings(shim.wait(limits.DETECT_TIMEOUT)) == [MASTERLESS]
    assert not warnings(shim.wait(600.0))


def test_that_the_master_is_lost_is_told_at_once_and_once() -> None:
    shim = Shim()
    assert warnings(shim.detect(None).orders) == [MASTERLESS]
    assert not warnings(shim.wait(600.0))
    shim.register()
    assert warnings(shim.detect(None).orders) == [MASTERLESS]


def test_waits_double_from_the_factor_up_to_a_minute() -> None:
    shim = Shim(registered=False, registration_backoff=3.0)
    shim.recover()
    shim.detect()
    requests(shim, 400.0)
    assert shim.chance.asked[:8] == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


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


def test_an_answer_ends_the_asking() -> None:
    shim = Shim()
    assert requests(shim, 74.0) == []


def test_an_answer_that_is_not_the_masters_is_ignored() -> None:
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
    (message,) = sent(object, shim.wait(1.0))  # type: ignore[arg-type]
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


def test_the_id_is_durable_when_it_is_given() -> None:
    shim = Shim()
    assert shim.disk.agent is not None
    shim.restart()
    message = request(shim)
    assert isinstance(message, m.ReregisterSlaveMessage)
    assert message.slave.id.value == AGENT_ID


def test_a_registration_again_reports_tasks_and_their_frameworks() -> None:
    shim = Shim()
    shim.framework("F", "killing", "aware")
    shim.run("staging")
    shim.running_task("running")
    shim.run("ended", "G")
    shim.tell(facts.LaunchFailed(shim.ref("ended", "G"), facts.Failure.PULL, "no"))
    shim.running_task("done", "H")
    shim.tell(facts.ContainerExited(shim.ref("done", "H"), 0))
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


def test_a_framework_is_echoed_with_fields_unknown_to_us() -> None:
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
    shim.tell(facts.Authenticated(attempt))
    assert isinstance(shim.last(Send).message, m.RegisterSlaveMessage)


def test_an_answer_to_an_earlier_attempt_is_ignored() -> None:
    shim = authenticating()
    attempt = shim.last(Authenticate).attempt
    shim.detect()
    shim.tell(facts.Authenticated(attempt))
    assert not shim.decision.orders
    shim.tell(facts.AuthenticationFailed(attempt, True, "late"))
    assert not shim.decision.orders


def test_each_round_authenticates_anew() -> None:
    shim = authenticating()
    shim.tell(facts.Authenticated(shim.last(Authenticate).attempt))
    shim.welcome()
    shim.ping(connected=False)
    assert of(Authenticate, shim.wait(1.0))


def test_a_failure_is_tried_again_after_growing_waits() -> None:
    shim = authenticating()
    waits, timeouts = [], []
    for _ in range(8):
        order = shim.last(Authenticate)
        timeouts.append(order.timeout)
        began = shim.time
        shim.tell(facts.AuthenticationFailed(order.attempt, False, "silence"))
        while not of(Authenticate, shim.decision.orders):
            deadline = shim.core.deadline()
            assert deadline is not None
            shim.wait(deadline - shim.time)
        waits.append(shim.time - began)
    assert waits == [3, 5, 9, 17, 33, 61, 61, 61]
    assert timeouts == [7, 9, 13, 21, 37, 60, 60, 60]


def test_a_refusal_is_an_error_and_waits_a_minute() -> None:
    shim = authenticating()
    shim.tell(facts.AuthenticationFailed(shim.last(Authenticate).attempt, True, "wrong secret"))
    (notice,) = of(Notice, shim.decision.orders)
    assert notice.level is Level.ERROR
    assert "wrong secret" in notice.text
    assert not of(Authenticate, shim.wait(59.9))
    assert of(Authenticate, shim.wait(0.1))


# --- silence ----------------------------------------------------------------------------------


def test_a_master_that_never_answers_is_told_to_people() -> None:
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


def test_an_answer_ends_the_silence() -> None:
    assert not warnings(Shim().wait(74.0))


# --- pings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["recovering", "disconnected", "connected"])
def test_a_ping_is_answered_to_its_sender_in_every_state(state: str) -> None:
    shim = Shim(registered=state == "connected")
    if state == "disconnected":
        shim.recover()
    shim.ping()
    assert shim.last(Pong) == Pong(OBSERVER)


def test_silence_of_pings_loses_the_registration() -> None:
    shim = Shim()
    shim.wait(60.0)
    shim.ping()
    assert not shim.wait(74.9)
    (text,) = warnings(shim.wait(0.1))
    assert "75 s" in text
    assert not shim.core.ctx.connected
    assert requests(shim, 1.0) == [1.0]


def test_the_master_says_how_long_silence_may_be() -> None:
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


def test_a_ping_that_says_disconnected_starts_over() -> None:
    shim = Shim()
    shim.ping(connected=False)
    assert not shim.core.ctx.connected
    assert requests(shim, 3.0) == [1, 3]


def test_a_ping_that_says_disconnected_changes_nothing_while_asking() -> None:
    shim = Shim()
    shim.ping(connected=False)
    shim.wait(0.5)
    shim.ping(connected=False)
    assert requests(shim, 0.5) == [0.5]


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [m.SlaveRegisteredMessage, m.SlaveReregisteredMessage])
def test_a_master_that_knows_us_by_another_id_ends_us(kind: type) -> None:
    shim = Shim()
    answer = kind()
    answer.slave_id.value = "S9"
    shim.receive(answer)
    assert shim.last(Exit).code == 1
    assert "S9" in shim.last(Exit).reason
    assert AGENT_ID in shim.last(Exit).reason


def test_the_same_answer_twice_is_harmless() -> None:
    shim = Shim()
    shim.welcome()
    assert not of(Exit, shim.decision.orders)
    assert shim.core.ctx.connected


def asked_again(shim: Shim) -> bool:
    """Whether we register again by ourselves, and listen to nobody until it is answered."""
    early = shim.wait(limits.REREGISTER_DELAY - 0.1)
    late = shim.wait(0.1)
    assert not sent(m.ReregisterSlaveMessage, early)
    again = bool(sent(m.ReregisterSlaveMessage, late))
    assert shim.core.ctx.connected is not again
    return again


def test_a_launch_before_the_answer_is_asked_for_again() -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect()
    shim.wait(1.0)
    shim.run()
    assert not shim.decision.records
    shim.welcome()
    assert asked_again(shim)
    shim.welcome()
    assert not asked_again(shim)


def test_a_launch_before_recovery_is_asked_for_again() -> None:
    shim = Shim(registered=False)
    shim.detect()
    shim.run()
    shim.recover()
    shim.wait(1.0)
    shim.welcome()
    assert asked_again(shim)


def test_an_answer_after_several_requests_may_be_to_an_old_one() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(3.0)
    shim.welcome()
    assert asked_again(shim)
    shim.welcome()
    assert not asked_again(shim)


def test_an_answer_to_the_only_request_is_believed() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    shim.welcome()
    assert not asked_again(shim)


def test_a_kill_of_a_task_that_never_came_registers_again_once() -> None:
    shim = Shim()
    shim.kill("a")
    shim.kill("b")
    assert not shim.decision.orders
    assert asked_again(shim)
    shim.welcome()
    assert not asked_again(shim)
