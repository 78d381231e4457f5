"""In recorded situations the core sends the same messages as mesos-agent, field by field."""

from __future__ import annotations

from typing import TypeVar

import pytest
from google.protobuf.message import Message

from shim.core.context import PodNetwork
from shim.model import facts
from shim.model.ids import Pid
from shim.model.records import DropAgent
from shim.model.states import TERMINAL
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskState
from shim.wire import codec
from tests.replay.harness import MASTER, Recorded, ReplayedAgent, Script, fields, recorded

PORTS = {
    "slave.resources.ranges",
    "slave.resources.ranges.range",
    "slave.resources.ranges.range.begin",
    "slave.resources.ranges.range.end",
}
"""A shim offers no ports by default."""


M = TypeVar("M", bound=Message)


def of_agent(name: str, kind: type[M]) -> list[M]:
    return [r.message for r in recorded(name) if r.by_agent and isinstance(r.message, kind)]


def updates(messages: list[Message]) -> dict[str, list[m.StatusUpdateMessage]]:
    """By task, in order."""
    found: dict[str, list[m.StatusUpdateMessage]] = {}
    for message in messages:
        if isinstance(message, m.StatusUpdateMessage):
            found.setdefault(message.update.status.task_id.value, []).append(message)
    return found


def play(agent: ReplayedAgent, script: list[Recorded]) -> None:
    """Register as the recorded agent, then receive the recorded master's messages."""
    received = [r.message for r in script if not r.by_agent]
    (agent_id,) = {r.task.slave_id.value for r in received if isinstance(r, m.RunTaskMessage)}
    agent.register(agent_id)
    for message in received:
        agent.receive(message)


def same_updates(name: str, agent: ReplayedAgent) -> None:
    theirs, ours = updates(of_agent(name, m.StatusUpdateMessage)), updates(agent.sent)
    assert ours.keys() == theirs.keys()
    for task_id, expected in theirs.items():
        sent = ours[task_id]
        assert [u.update.status.state for u in sent] == [u.update.status.state for u in expected]
        for our, their in zip(sent, expected, strict=True):
            same_update(our, their)


def same_update(our: m.StatusUpdateMessage, their: m.StatusUpdateMessage) -> None:
    assert fields(our) == fields(their), TaskState.Name(their.update.status.state)
    a, b = our.update, their.update
    assert (our.pid, a.framework_id, a.executor_id, a.slave_id) == (
        their.pid,
        b.framework_id,
        b.executor_id,
        b.slave_id,
    )
    # A replayed task may end before its first acknowledgement: latest_state shows that early.
    assert a.latest_state == b.latest_state or a.latest_state in TERMINAL
    for name in ("state", "source", "reason", "healthy", "slave_id", "executor_id"):
        assert getattr(a.status, name) == getattr(b.status, name), name
    assert a.uuid == a.status.uuid
    assert a.timestamp == a.status.timestamp
    if "daemon" not in b.status.message:
        assert a.status.message == b.status.message


def test_the_life_of_four_tasks() -> None:
    """Four tasks (one finishes, one fails, one has no image, one is killed), then a teardown."""
    scripts = {
        "finishes": Script(exit_code=0),
        "fails": Script(exit_code=3, addresses=()),
        "no-image": Script(fails="manifest unknown"),
        "Long.Sleeper": Script(),
    }
    agent = ReplayedAgent(scripts)
    play(agent, list(recorded("lifecycle")))
    same_updates("lifecycle", agent)


def test_health_checks() -> None:
    agent = ReplayedAgent(
        {
            "web": Script(health=((True, False),)),
            "sick": Script(health=((False, False), (False, True)), stopped_code=137),
        }
    )
    play(agent, list(recorded("health")))
    same_updates("health", agent)


def test_registration() -> None:
    (theirs,) = of_agent("register", m.RegisterSlaveMessage)
    (ours,) = ReplayedAgent().sent
    assert isinstance(ours, m.RegisterSlaveMessage)
    assert fields(ours) == fields(theirs) - PORTS
    assert ours.slave.attributes == theirs.slave.attributes
    assert (ours.slave.hostname, ours.slave.port) == (theirs.slave.hostname, theirs.slave.port)


@pytest.mark.parametrize("name", ["agent-restart", "master-restart"])
def test_reregistration_with_a_running_task(name: str) -> None:
    """The request reports the same task as the recorded one."""
    launch = next(
        r.message for r in recorded("agent-restart") if isinstance(r.message, m.RunTaskMessage)
    )
    (theirs,) = of_agent(name, m.ReregisterSlaveMessage)
    assert isinstance(theirs, m.ReregisterSlaveMessage)
    agent = ReplayedAgent({launch.task.task_id.value: Script(addresses=())})
    play(agent, [r for r in recorded("agent-restart") if not _is_answer(r.message)])
    agent.handle(facts.MasterDetected(None))
    agent.handle(facts.MasterDetected(MASTER))
    agent.handle(facts.DeadlinePassed())
    ours = agent.sent[-1]
    assert isinstance(ours, m.ReregisterSlaveMessage)
    # With RESERVATION_REFINEMENT the launch leaves the role out; the core adds it.
    allowed = {
        "tasks.status_update_state",
        "tasks.status_update_uuid",
        "tasks.statuses.data",
        "tasks.resources.role",
    }
    expected = {f for f in fields(theirs) if not f.startswith("completed_frameworks")}
    assert fields(ours) - allowed == expected - PORTS - allowed
    assert not ours.executor_infos
    (task,), (their_task,) = ours.tasks, theirs.tasks
    assert task.state == their_task.state
    for resource in their_task.resources:
        resource.ClearField("role")
    assert task.resources == their_task.resources
    assert [s.state for s in task.statuses] == [s.state for s in their_task.statuses]
    assert codec.encode(ours)


def _is_answer(message: Message) -> bool:
    return isinstance(message, m.SlaveReregisteredMessage | m.UpdateFrameworkMessage)


def test_a_task_group_is_rejected_and_its_executor_released() -> None:
    (theirs,) = of_agent("group", m.ExitedExecutorMessage)
    launch = next(
        r.message for r in recorded("group") if isinstance(r.message, m.RunTaskGroupMessage)
    )
    agent = ReplayedAgent()
    agent.register(launch.task_group.tasks[0].slave_id.value)
    agent.receive(launch)
    for sent in updates(agent.sent).values():
        assert sent[-1].update.status.state == TaskState.TASK_FAILED
        assert sent[-1].update.executor_id == launch.executor.executor_id
    ours = agent.sent[-1]
    assert isinstance(ours, m.ExitedExecutorMessage)
    assert fields(ours) == fields(theirs)
    assert ours.executor_id == theirs.executor_id


CONTAINER = "update.status.container_status"
NETWORK = {
    f"{CONTAINER}.executor_pid",
    f"{CONTAINER}.network_infos",
    f"{CONTAINER}.network_infos.ip_addresses",
    f"{CONTAINER}.network_infos.ip_addresses.ip_address",
}
"""The stock agent knows the network of a nested container only while it runs."""


def test_a_task_group_has_the_updates_of_the_default_executor() -> None:
    theirs = updates(of_agent("group", m.StatusUpdateMessage))
    agent = ReplayedAgent(
        {task: Script(exit_code=0, addresses=()) for task in theirs}, pods=PodNetwork.SHARED
    )
    received = [r.message for r in recorded("group") if not r.by_agent]
    launch = next(r for r in received if isinstance(r, m.RunTaskGroupMessage))
    agent.register(launch.task_group.tasks[0].slave_id.value)
    for message in received:
        agent.receive(message)
    ours = updates(agent.sent)
    assert ours.keys() == theirs.keys()
    for task, expected in theirs.items():
        for our, their in zip(ours[task], expected, strict=True):
            assert fields(our) - NETWORK == fields(their) - NETWORK
            a, b = our.update.status, their.update.status
            for name in ("state", "source", "reason", "message", "executor_id", "task_id"):
                assert getattr(a, name) == getattr(b, name), name
            parent = a.container_status.container_id.parent.value
            assert parent != a.container_status.container_id.value
    order = [
        (u.update.status.state, u.update.status.task_id.value)
        for u in agent.sent
        if isinstance(u, m.StatusUpdateMessage)
    ]
    assert order[:4] == [(state, task) for state in STATES for task in ("pod-1", "pod-2")]
    (their_exit,) = of_agent("group", m.ExitedExecutorMessage)
    (our_exit,) = [s for s in agent.sent if isinstance(s, m.ExitedExecutorMessage)]
    assert our_exit == their_exit


STATES = (TaskState.TASK_STARTING, TaskState.TASK_RUNNING)


def test_operations_have_the_statuses_of_mesos_agent() -> None:
    """RESERVE, CREATE and DESTROY by the operator, each acknowledged by the master."""
    script = list(recorded("operations"))
    theirs = of_agent("operations", m.UpdateOperationStatusMessage)
    agent = ReplayedAgent()
    agent.register(theirs[0].slave_id.value)
    reserved: list[tuple[float, str]] = []
    for message in [r.message for r in script if not r.by_agent]:
        agent.receive(message)
        if isinstance(message, m.ApplyOperationMessage):
            (kept,) = agent.core.reservations.resources
            reserved.append((kept.scalar.value, kept.disk.persistence.id))
    assert reserved == [(512.0, ""), (512.0, "vol-1"), (512.0, "")]
    ours = [s for s in agent.sent if isinstance(s, m.UpdateOperationStatusMessage)]
    for our, their in zip(ours, theirs, strict=True):
        assert fields(our) == fields(their)
        assert our.latest_status == our.status
        assert len(our.status.uuid.value) == len(their.status.uuid.value)
        for message in (our, their):
            message.status.ClearField("uuid")
            message.latest_status.ClearField("uuid")
        assert our == their
    assert not len(agent.core.operations), "the master acknowledged every one"


@pytest.mark.parametrize("name", ["register", "agent-restart", "master-restart"])
def test_the_report_after_a_registration_is_that_of_mesos_agent(name: str) -> None:
    (theirs,) = of_agent(name, m.UpdateSlaveMessage)
    agent = ReplayedAgent()
    agent.register(theirs.slave_id.value)
    (ours,) = [s for s in agent.sent if isinstance(s, m.UpdateSlaveMessage)]
    assert fields(ours) == fields(theirs)
    ours.resource_version_uuid.CopyFrom(theirs.resource_version_uuid)
    assert ours == theirs


def test_an_agent_marked_gone_drops_its_id() -> None:
    agent = ReplayedAgent()
    agent.register("gone-S0")
    (shutdown,) = [r.message for r in recorded("gone") if isinstance(r.message, m.ShutdownMessage)]
    decision = agent.core.handle(facts.MessageReceived(MASTER, shutdown), agent.now)
    assert DropAgent() in decision.records


def test_pings_are_answered_to_the_observer() -> None:
    observer = Pid("slave-observer(1)", MASTER.ip, MASTER.port)
    agent = ReplayedAgent()
    agent.register("s-S0")
    ping = m.PingSlaveMessage(connected=True)
    decision = agent.core.handle(facts.MessageReceived(observer, ping), agent.now)
    assert [order.to for order in decision.orders] == [observer]  # type: ignore[union-attr]
