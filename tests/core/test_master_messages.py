"""The decision that each message of a master leads to."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from shim import limits
from shim.model import facts
from shim.model.container import Ref
from shim.model.ids import Pid
from shim.model.orders import (
    CancelLaunch,
    Exit,
    Launch,
    Notice,
    Order,
    Remove,
    Send,
    Stop,
    Watch,
    Withdraw,
)
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import Resource, TaskInfo, TaskState, TaskStatus, Value
from shim.wire.safety import check
from tests.core.harness import (
    AGENT_ID,
    MASTER,
    Shim,
    framework_info,
    key_of,
    of,
    running,
    sent,
    statuses,
    task_info,
)

Reason = TaskStatus.Reason
STRANGER = Pid("master", "10.0.0.9", 5050)


def state(status: TaskStatus) -> str:
    return TaskState.Name(status.state)


def reason(status: TaskStatus) -> str:
    return Reason.Name(status.reason).removeprefix("REASON_")


# --- who may say what ---------------------------------------------------------------------------


def test_only_messages_of_the_leading_master_count() -> None:
    shim = Shim()
    message = m.RunTaskMessage()
    message.framework.CopyFrom(framework_info())
    message.task.CopyFrom(task_info())
    shim.receive(message, STRANGER)
    assert not shim.decision.records
    (notice,) = shim.decision.orders
    assert isinstance(notice, Notice)
    assert str(STRANGER) in notice.text
    assert str(MASTER) in notice.text
    shim.receive(message, STRANGER)
    assert not shim.decision.orders, "each foreign sender is logged once"
    assert shim.core.ctx.counters["foreign_messages"] == 2


def test_foreign_senders_are_logged_once_and_only_a_few() -> None:
    shim = Shim()
    for i in range(3 * limits.FOREIGN_SENDERS_LOGGED):
        shim.receive(m.ShutdownMessage(), Pid("master", f"10.1.0.{i}", 5050))
    assert len(shim.core.master_messages._warned) == limits.FOREIGN_SENDERS_LOGGED


def test_without_a_master_all_messages_are_foreign() -> None:
    shim = Shim()
    shim.detect(None)
    shim.receive(m.ShutdownMessage())
    assert not of(Exit, shim.decision.orders)


@pytest.mark.parametrize("leader", [None, STRANGER])
def test_a_launch_before_the_first_registration_is_followed_by_a_reregistration(
    leader: Pid | None,
) -> None:
    shim = Shim(registered=False)
    shim.recover()
    shim.detect(leader)
    shim.run()
    assert not shim.decision.records
    shim.register()
    (order,) = of(Send, shim.wait(limits.REREGISTER_DELAY))
    assert isinstance(order.message, m.ReregisterSlaveMessage), "the master then reconciles"


def test_a_late_answer_to_the_first_registration_resumes_updates_as_well() -> None:
    shim = Shim()
    (launch,) = of(Launch, shim.run().orders)
    shim.ping(connected=False)
    shim.handle(facts.LaunchAdvanced(launch.ref, facts.Stage.CREATING))
    assert not statuses(shim.decision.orders), "the master is away"
    answer = m.SlaveRegisteredMessage()
    answer.slave_id.value = AGENT_ID
    answer.connection.total_ping_timeout_seconds = 75.0
    orders = shim.receive(answer).orders
    assert [state(status) for status in statuses(orders)] == ["TASK_STARTING"]


def test_messages_before_recovery_are_ignored() -> None:
    shim = Shim(registered=False)
    shim.detect()
    shim.run()
    assert not shim.decision.records
    assert shim.core.ctx.counters["unexpected_messages"] == 1


@pytest.mark.parametrize(
    "message",
    [m.ReconcileTasksMessage(), m.RegisterSlaveMessage(), m.UpdateSlaveMessage()],
    ids=lambda message: message.DESCRIPTOR.name,
)
def test_an_unexpected_message_is_counted(message: Message) -> None:
    shim = Shim()
    decision = shim.receive(message)
    assert not decision.records
    assert not decision.orders
    assert shim.core.ctx.counters["unexpected_messages"] == 1


def test_a_message_to_executors_is_dropped() -> None:
    shim = Shim()
    message = m.FrameworkToExecutorMessage(data=b"x")
    assert not shim.receive(message).orders


STOPPING = {"ShutdownMessage", "DrainSlaveMessage"}
"""Messages of the registered master that stop the tasks even without any field."""


@pytest.mark.parametrize("name", list(m.DESCRIPTOR.message_types_by_name))
@pytest.mark.parametrize("registered", [False, True])
def test_an_empty_message_of_any_kind_leaves_a_running_task_alone(
    name: str, registered: bool
) -> None:
    shim = Shim()
    ref = shim.running_task()
    if not registered:
        shim.detect()
    decision = shim.receive(getattr(m, name)())
    stops = name in STOPPING and (registered or name != "ShutdownMessage")
    assert not of(Exit, decision.orders)
    assert [order.ref for order in of(Stop, decision.orders)] == [ref] * stops
    assert shim.task().live
    for order in of(Send, decision.orders):
        check(order.message)


# --- launching ----------------------------------------------------------------------------------


def test_a_launch_is_recorded_with_its_framework_before_its_order() -> None:
    shim = Shim()
    shim.run()
    kinds = [type(record).__name__ for record in shim.decision.records]
    assert kinds == ["SaveFramework", "AddTask"]
    order = shim.last(Launch)
    assert order.ref.key == key_of()
    assert order.agent_id == AGENT_ID
    assert TaskInfo.FromString(shim.disk.tasks[key_of()][0]) == order.task == task_info()


def test_a_container_id_is_new_for_each_launch() -> None:
    shim = Shim()
    shim.run("a")
    shim.run("b")
    assert shim.ref("a").container_id != shim.ref("b").container_id


def test_a_launch_for_another_agent_is_ignored() -> None:
    shim = Shim()
    shim.run(task_info(agent="S2"))
    assert not shim.decision.records
    assert shim.core.ctx.counters["misdirected_launches"] == 1


def test_a_doubled_launch_is_one_launch() -> None:
    shim = Shim()
    shim.run()
    shim.run()
    assert not shim.decision.records
    assert not shim.decision.orders


def test_a_launch_of_a_task_whose_end_is_not_acknowledged_is_ignored() -> None:
    shim = Shim()
    shim.running_task()
    shim.exited()
    shim.run()
    assert not shim.decision.orders
    assert shim.pending_states() == ["TASK_FINISHED"]


def test_a_task_id_may_be_used_again_after_the_last_acknowledgement() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.exited()
    shim.acknowledge()
    shim.run()
    assert shim.ref().container_id != ref.container_id
    shim.handle(facts.ContainerExited(ref, 1))
    assert shim.pending_states() == [], "a late fact about the earlier container"
    assert shim.core.ctx.counters["late_facts"] == 1


def test_resources_without_allocation_get_the_frameworks_role() -> None:
    shim = Shim()
    info = task_info()
    info.resources[0].ClearField("allocation_info")
    shim.run(info)
    kept = TaskInfo.FromString(shim.disk.tasks[key_of()][0])
    assert kept.resources[0].allocation_info.role == "prod"
    assert shim.task().wire.resources[0].allocation_info.role == "prod"


def test_a_task_with_an_executor_is_rejected_and_the_executor_released() -> None:
    shim = Shim()
    info = task_info()
    info.executor.executor_id.value = "custom"
    shim.run(info)
    (status,) = shim.statuses
    assert (state(status), reason(status)) == ("TASK_FAILED", "TASK_INVALID")
    assert status.executor_id.value == "custom"
    assert "'custom'" in status.message
    (exited,) = sent(m.ExitedExecutorMessage, shim.decision.orders)
    check(exited)
    assert not of(Launch, shim.decision.orders)
    shim.acknowledge()
    assert not shim.disk.frameworks


def test_a_task_that_the_journal_does_not_take_is_rejected_by_name() -> None:
    shim = Shim(max_task_bytes=2000)
    info = task_info()
    info.data = b"x" * 2000
    shim.run(info)
    (status,) = shim.statuses
    assert (state(status), reason(status)) == ("TASK_FAILED", "TASK_INVALID")
    text = f"TaskInfo {info.task_id.value!r} has {info.ByteSize()} bytes"
    assert status.message.startswith(text)
    assert "takes 2000" in status.message
    assert not of(Launch, shim.decision.orders)
    assert not shim.disk.tasks


def test_a_task_of_the_largest_size_is_accepted() -> None:
    info = task_info()
    shim = Shim(max_task_bytes=info.ByteSize() + 100)
    shim.run(info)
    assert of(Launch, shim.decision.orders)


def test_all_tasks_of_a_group_are_rejected() -> None:
    shim = Shim()
    message = m.RunTaskGroupMessage()
    message.framework.CopyFrom(framework_info())
    message.executor.executor_id.value = "pod"
    for name in "ab":
        message.task_group.tasks.add().CopyFrom(task_info(name))
    shim.receive(message)
    assert [state(status) for status in shim.statuses] == ["TASK_FAILED"] * 2
    assert {reason(status) for status in shim.statuses} == {"TASK_GROUP_INVALID"}
    assert len(sent(m.ExitedExecutorMessage, shim.decision.orders)) == 1


@pytest.mark.parametrize("agent", ["S2", None])
def test_a_group_for_another_agent_is_ignored(agent: str | None) -> None:
    shim = Shim(registered=agent is not None)
    if agent is None:
        shim.recover()
        shim.detect()
    message = m.RunTaskGroupMessage()
    message.framework.CopyFrom(framework_info())
    message.executor.executor_id.value = "pod"
    message.task_group.tasks.add().CopyFrom(task_info("a", agent or AGENT_ID))
    decision = shim.receive(message)
    assert not decision.records
    assert not decision.orders
    assert not shim.core.frameworks.table


def volume(amount: float = 1.0) -> Resource:
    resource = Resource(name="disk", type=Value.SCALAR, role="prod")
    resource.scalar.value = amount
    resource.reservation.principal = "p"
    resource.disk.persistence.id = "v1"
    return resource


@pytest.mark.parametrize(("traits", "dropped"), [((), "TASK_LOST"), (("aware",), "TASK_DROPPED")])
def test_a_task_on_unknown_reservations_is_rejected(traits: tuple[str, ...], dropped: str) -> None:
    shim = Shim()
    shim.framework("F", *traits)
    info = task_info()
    info.resources.append(volume())
    shim.run(info)
    (status,) = shim.statuses
    assert (state(status), reason(status)) == (dropped, "RESOURCES_UNKNOWN")
    assert status.source == TaskStatus.SOURCE_SLAVE


def test_checkpointed_resources_are_accepted_reported_and_durable() -> None:
    shim = Shim()
    shim.receive(m.CheckpointResourcesMessage(resources=[volume()]))
    shim.restart()
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert list(request.checkpointed_resources) == [volume()]
    shim.answer_registration()
    info = task_info()
    info.resources.append(volume())
    shim.run(info)
    assert of(Launch, shim.decision.orders)
    shim.receive(m.CheckpointResourcesMessage())
    assert not shim.core.reservations.resources


def test_reservations_outlive_the_agent_id() -> None:
    shim = Shim()
    shim.receive(m.CheckpointResourcesMessage(resources=[volume()]))
    shim.receive(m.ShutdownMessage(message="Agent has been marked gone"))
    shim.restart()
    shim.detect()
    (request,) = sent(m.RegisterSlaveMessage, shim.wait(1.0))
    assert list(request.checkpointed_resources) == [volume()]


# --- killing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "own", "settings", "grace"),
    [
        (None, None, {}, 5.0),
        (None, None, {"stop_timeout": 9.0}, 9.0),
        (None, None, {"shutdown_grace": 7.0, "stop_timeout": 3.0}, 7.0),
        (None, 2.0, {"stop_timeout": 9.0}, 2.0),
        (1.0, 2.0, {}, 1.0),
        (0.0, 2.0, {}, 0.0),
        (-1.0, None, {}, 0.0),
    ],
)
def test_the_grace_period_of_a_kill(
    asked: float | None, own: float | None, settings: dict[str, Any], grace: float
) -> None:
    shim = Shim(**settings)
    info = task_info()
    if own is not None:
        info.kill_policy.grace_period.nanoseconds = int(own * 1e9)
    shim.running_task(info)
    shim.kill(grace=asked)
    assert shim.last(Stop).grace == grace


def test_a_kill_is_recorded_before_the_stop_and_restored_with_its_grace() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.kill(grace=33.0)
    kinds = [type(order).__name__ for order in shim.decision.orders]
    assert kinds == ["Withdraw", "StopChecks", "Stop"]
    shim.restart(running(ref))
    assert shim.last(Stop) == Stop(ref, 33.0)


def test_a_second_kill_changes_the_grace_without_another_update() -> None:
    shim = Shim()
    shim.framework("F", "killing")
    shim.running_task()
    shim.kill(grace=30.0)
    shim.kill(grace=1.0)
    assert shim.last(Stop).grace == 1.0
    assert shim.pending_states() == ["TASK_KILLING"]


def test_task_killing_is_sent_only_to_frameworks_with_the_capability() -> None:
    shim = Shim()
    shim.running_task()
    shim.kill()
    assert shim.pending_states() == []


def test_a_kill_before_the_container_runs_cancels_the_launch() -> None:
    shim = Shim()
    shim.run()
    shim.kill()
    assert shim.last(CancelLaunch).ref == shim.ref()
    shim.handle(facts.LaunchCancelled(shim.ref()))
    status = shim.last_status()
    assert (state(status), reason(status)) == ("TASK_KILLED", "TASK_KILLED_DURING_LAUNCH")
    assert status.source == TaskStatus.SOURCE_SLAVE


def test_a_second_kill_of_a_launch_is_recorded_with_its_grace() -> None:
    shim = Shim()
    shim.run()
    shim.kill()
    shim.kill(grace=50.0)
    ref = shim.ref()
    shim.restart(running(ref))
    assert shim.last(Stop).grace == 50.0


def test_a_kill_of_an_ended_task_has_no_effect() -> None:
    shim = Shim()
    shim.running_task()
    shim.exited()
    shim.kill()
    assert not shim.decision.orders
    assert not shim.decision.records


@pytest.mark.parametrize(("traits", "dropped"), [((), "TASK_LOST"), (("aware",), "TASK_DROPPED")])
def test_a_kill_of_an_unknown_task_of_a_known_framework(
    traits: tuple[str, ...], dropped: str
) -> None:
    shim = Shim()
    shim.framework("F", *traits)
    shim.run()
    shim.kill("other")
    (status,) = shim.statuses
    assert (state(status), reason(status)) == (dropped, "EXECUTOR_TERMINATED")
    assert status.message == "Cannot find executor"


def test_a_launch_after_its_kill_ends_at_once() -> None:
    shim = Shim()
    shim.kill()
    shim.run()
    (status,) = shim.statuses
    assert (state(status), reason(status)) == ("TASK_KILLED", "TASK_KILLED_DURING_LAUNCH")
    assert not of(Launch, shim.decision.orders)
    shim.acknowledge()
    shim.run()
    assert of(Launch, shim.decision.orders), "a kill ends one launch"


def test_early_kills_are_bounded_in_number_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EARLY_KILLS", 3)
    shim = Shim()
    for name in "abcd":
        shim.kill(name, "G")
    assert [key.task_id for key in shim.core.master_messages._early_kills._killed_at] == [
        "b",
        "c",
        "d",
    ]
    shim.wait(limits.EARLY_KILL_AGE + 1)
    shim.register()
    shim.kill("e", "G")
    assert [key.task_id for key in shim.core.master_messages._early_kills._killed_at] == ["e"]


def test_shutting_down_the_executor_of_a_command_task_kills_the_task() -> None:
    shim = Shim()
    ref = shim.running_task()
    message = m.ShutdownExecutorMessage()
    message.framework_id.value, message.executor_id.value = "F", "t"
    shim.receive(message)
    assert shim.last(Stop).ref == ref


def test_shutting_down_an_unknown_executor_has_no_effect() -> None:
    shim = Shim()
    message = m.ShutdownExecutorMessage()
    message.framework_id.value, message.executor_id.value = "F", "t"
    assert not shim.receive(message).orders


# --- frameworks ---------------------------------------------------------------------------------


def test_tasks_of_a_removed_framework_end_without_updates() -> None:
    shim = Shim()
    shim.framework("F", "killing")
    ref = shim.running_task("runs")
    shim.run("staging")
    shim.run("other", "G")
    shim.shutdown_framework()
    assert {type(order).__name__ for order in shim.decision.orders} == {
        "CancelLaunch",
        "Withdraw",
        "StopChecks",
        "Stop",
    }
    shim.handle(facts.LaunchCancelled(shim.ref("staging")))
    shim.handle(facts.ContainerExited(ref, 143))
    assert not statuses(shim.decision.orders)
    assert of(Remove, shim.decision.orders)
    assert not shim.disk.updates
    assert list(shim.disk.tasks) == [key_of("other", "G")]
    assert list(shim.disk.frameworks) == ["G"]


def test_an_end_without_updates_stays_so_after_a_restart() -> None:
    shim = Shim()
    shim.run()
    shim.kill()
    shim.shutdown_framework()
    shim.restart()
    shim.register()
    assert not shim.disk.tasks
    assert not shim.disk.updates


def test_a_task_without_updates_is_not_reported_at_reregistration() -> None:
    shim = Shim()
    shim.running_task()
    shim.shutdown_framework()
    shim.detect()
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert not request.tasks
    assert not request.frameworks


def test_removing_an_unknown_framework_has_no_effect() -> None:
    assert not Shim().shutdown_framework("X").orders


def test_a_changed_framework_is_recorded() -> None:
    shim = Shim()
    shim.running_task()
    message = m.UpdateFrameworkMessage(pid="scheduler@1.2.3.4:5")
    message.framework_id.value = "F"
    message.framework_info.CopyFrom(framework_info("F", "killing"))
    shim.receive(message)
    shim.restart(running(shim.ref()))
    shim.register()
    framework = shim.core.frameworks.table[key_of().framework_id]
    assert framework.wants_killing
    assert framework.pid == "scheduler@1.2.3.4:5"
    shim.kill()
    assert shim.pending_states() == ["TASK_KILLING"]


def test_an_update_of_an_unknown_framework_is_ignored() -> None:
    shim = Shim()
    message = m.UpdateFrameworkMessage(pid="x")
    message.framework_id.value = "X"
    shim.receive(message)
    assert not shim.core.frameworks.table


def test_a_framework_is_forgotten_with_its_last_update() -> None:
    shim = Shim()
    shim.running_task()
    shim.exited()
    assert shim.disk.frameworks
    shim.acknowledge()
    assert not shim.disk.frameworks
    assert not shim.core.frameworks.table


# --- a link that broke ----------------------------------------------------------------------------


def test_tasks_without_checkpointing_end_when_the_link_breaks() -> None:
    shim = Shim()
    shim.framework("F", checkpoint=False)
    ref = shim.running_task()
    shim.running_task("kept", "G")
    shim.ping(connected=False)
    assert shim.last(Stop).ref == ref
    shim.handle(facts.ContainerExited(ref, 143))
    assert not shim.disk.updates
    assert list(shim.disk.tasks) == [key_of("kept", "G")]


def test_tasks_without_checkpointing_end_at_a_restart() -> None:
    shim = Shim()
    shim.framework("F", checkpoint=False)
    ref = shim.running_task()
    shim.restart(running(ref))
    assert shim.last(Stop).ref == ref
    assert len(of(Watch, shim.decision.orders)) == 1


def test_tasks_without_checkpointing_stay_when_pings_stop() -> None:
    shim = Shim()
    shim.framework("F", checkpoint=False)
    shim.running_task()
    assert not of(Stop, shim.wait(200.0))


# --- reconciliation -------------------------------------------------------------------------------


def reconcile(shim: Shim, *names: str, traits: tuple[str, ...] = ()) -> None:
    shim.detect()
    shim.wait(1.0)
    answer = m.SlaveReregisteredMessage()
    answer.slave_id.value = AGENT_ID
    part = answer.reconciliations.add()
    part.framework_id.value = "F"
    part.framework.CopyFrom(framework_info("F", *traits))
    for name in names:
        part.statuses.add(state=TaskState.TASK_STAGING).task_id.value = name
    shim.receive(answer)


@pytest.mark.parametrize(("traits", "dropped"), [((), "TASK_LOST"), (("aware",), "TASK_DROPPED")])
def test_a_task_only_the_master_knows_is_rejected(traits: tuple[str, ...], dropped: str) -> None:
    shim = Shim()
    reconcile(shim, "never", traits=traits)
    (status,) = shim.statuses
    assert (state(status), reason(status)) == (dropped, "RECONCILIATION")
    assert status.source == TaskStatus.SOURCE_SLAVE
    assert status.message == "Reconciliation: task unknown to the agent"
    reconcile(shim, "never", traits=traits)
    assert shim.pending_states("never") == [dropped], "not twice"
    shim.acknowledge("never")
    assert not shim.disk.frameworks


def an_end_that_was_acknowledged(shim: Shim) -> bytes:
    """The serialized terminal update of task ``t``, which the agent has forgotten.

    A re-registration request listed the task.
    """
    shim.running_task()
    shim.register()
    shim.exited(code=1)
    (value,) = shim.disk.updates[key_of()].values()
    shim.acknowledge()
    assert not shim.disk.tasks
    assert not shim.disk.frameworks
    return value


def test_a_task_that_ended_here_is_answered_with_the_same_update() -> None:
    shim = Shim()
    value = an_end_that_was_acknowledged(shim)
    reconcile(shim, "t")
    assert list(shim.disk.updates[key_of()].values()) == [value]
    (update,) = sent(m.StatusUpdateMessage, shim.decision.orders)
    assert update.SerializeToString() == value
    reconcile(shim, "t")
    assert list(shim.disk.updates[key_of()].values()) == [value], "not twice"
    shim.acknowledge()
    assert not shim.disk.updates
    assert not shim.disk.frameworks


def test_a_kill_of_a_task_that_ended_here_is_answered_with_the_same_update() -> None:
    shim = Shim()
    value = an_end_that_was_acknowledged(shim)
    shim.run("other")
    shim.kill("t")
    assert list(shim.disk.updates[key_of()].values()) == [value]


def test_the_end_of_a_rejected_task_is_repeated_too() -> None:
    shim = Shim()
    shim.drain()
    reconcile(shim, "never")
    (value,) = shim.disk.updates[key_of("never")].values()
    shim.acknowledge("never")
    reconcile(shim, "never")
    assert list(shim.disk.updates[key_of("never")].values()) == [value]


def test_the_end_of_an_earlier_task_of_the_same_id_is_not_repeated() -> None:
    shim = Shim()
    an_end_that_was_acknowledged(shim)
    shim.framework("F", checkpoint=False)
    shim.run()
    shim.creating()
    shim.shutdown_framework()
    shim.handle(facts.LaunchCancelled(shim.ref()))
    reconcile(shim, "t")
    assert shim.pending_states() == ["TASK_LOST"]


def test_a_task_that_ended_in_an_earlier_process_is_answered_with_the_same_update() -> None:
    shim = Shim()
    value = an_end_that_was_acknowledged(shim)
    shim.restart()
    shim.register()
    reconcile(shim, "t")
    assert list(shim.disk.updates[key_of()].values()) == [value]
    assert not shim.disk.acknowledged_ends, "it is kept once"
    shim.restart()
    shim.register()
    shim.acknowledge()
    assert list(shim.disk.acknowledged_ends.values()) == [value]


def test_a_known_task_is_not_rejected_at_reconciliation() -> None:
    shim = Shim()
    shim.run()
    reconcile(shim, "t")
    assert shim.pending_states() == []


def test_a_task_without_updates_is_reported_when_the_master_asks() -> None:
    shim = Shim()
    shim.framework("F", checkpoint=False)
    ref = shim.running_task()
    shim.restart(running(ref))
    reconcile(shim, "t")
    assert shim.pending_states() == [], "it still runs"
    shim.handle(facts.ContainerExited(ref, 143))
    assert shim.pending_states() == ["TASK_KILLED"]


def test_reconciliation_without_framework_info() -> None:
    shim = Shim()
    shim.detect()
    shim.wait(1.0)
    answer = m.SlaveReregisteredMessage()
    answer.slave_id.value = AGENT_ID
    part = answer.reconciliations.add()
    part.framework_id.value = "F"
    part.statuses.add(state=TaskState.TASK_STAGING).task_id.value = "never"
    shim.receive(answer)
    assert shim.pending_states("never") == ["TASK_LOST"]
    shim.restart()
    assert shim.core.status_updates.closed(key_of("never"))


# --- draining -------------------------------------------------------------------------------------


def test_a_drain_kills_all_tasks_and_rejects_launches() -> None:
    shim = Shim()
    shim.framework("F", "killing", "aware")
    shim.running_task("a")
    shim.run("b")
    shim.drain(grace=2.0)
    assert shim.last(Stop).grace == 2.0
    assert of(CancelLaunch, shim.decision.orders)
    shim.run("c")
    (status,) = shim.statuses
    assert (state(status), reason(status)) == ("TASK_DROPPED", "SLAVE_DRAINING")


@pytest.mark.parametrize(("own", "grace"), [(1.0, 1.0), (60.0, 2.0)])
def test_a_drain_never_lengthens_a_grace_period(own: float, grace: float) -> None:
    shim = Shim()
    info = task_info()
    info.kill_policy.grace_period.nanoseconds = int(own * 1e9)
    shim.running_task(info)
    shim.drain(grace=2.0)
    assert shim.last(Stop).grace == grace


@pytest.mark.parametrize(
    ("mark_gone", "traits", "end"),
    [
        (False, ("killing", "aware"), "TASK_KILLED"),
        (True, ("killing", "aware"), "TASK_GONE_BY_OPERATOR"),
        (True, ("killing",), "TASK_KILLED"),
    ],
)
def test_the_terminal_state_of_a_drained_task(
    mark_gone: bool, traits: tuple[str, ...], end: str
) -> None:
    shim = Shim()
    shim.framework("F", *traits)
    shim.running_task()
    shim.drain(mark_gone=mark_gone)
    (killing,) = shim.statuses
    assert (state(killing), reason(killing)) == ("TASK_KILLING", "SLAVE_DRAINING")
    shim.exited(code=143)
    assert (state(shim.last_status()), reason(shim.last_status())) == (end, "SLAVE_DRAINING")


def test_a_drained_launch_has_no_container_status() -> None:
    shim = Shim()
    shim.run()
    shim.drain()
    shim.handle(facts.LaunchCancelled(shim.ref()))
    assert (state(shim.last_status()), reason(shim.last_status())) == (
        "TASK_KILLED",
        "SLAVE_DRAINING",
    )
    assert not shim.last_status().HasField("container_status")


def test_an_idle_agent_does_not_drain() -> None:
    shim = Shim()
    shim.drain()
    assert shim.disk.drain is None
    shim.run()
    assert of(Launch, shim.decision.orders)


def test_a_drain_survives_a_restart_and_ends_with_the_last_acknowledgement() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.drain()
    shim.restart(running(ref))
    shim.register()
    shim.run("new")
    assert shim.pending_states("new") == ["TASK_LOST"]
    shim.acknowledge("new")
    shim.exited(code=143)
    assert reason(shim.last_status()) == "SLAVE_DRAINING"
    assert shim.disk.drain is not None
    shim.acknowledge_all()
    assert shim.disk.drain is None
    shim.run()
    assert of(Launch, shim.decision.orders)


def test_a_drain_ends_with_a_last_task_without_updates() -> None:
    shim = Shim()
    shim.running_task()
    shim.drain()
    shim.shutdown_framework()
    shim.exited(code=143)
    assert shim.disk.drain is None


def test_tasks_killed_before_a_drain_keep_their_reason() -> None:
    shim = Shim()
    shim.running_task()
    shim.drain()
    shim.exited(code=143)
    assert shim.last_status().message == "Container exited with status 143"


# --- what an order looks like after all ----------------------------------------------------------


def orders_about(ref: Ref, given: list[Order]) -> list[str]:
    return [type(order).__name__ for order in given if getattr(order, "ref", None) == ref]


def test_a_task_is_withdrawn_from_discovery_before_its_stop() -> None:
    shim = Shim()
    ref = shim.running_task()
    shim.kill()
    about = orders_about(ref, shim.decision.orders)
    assert about.index("Withdraw") < about.index("Stop")
    shim.exited()
    assert of(Withdraw, shim.decision.orders)


def test_every_sent_message_is_safe_for_a_master() -> None:
    shim = Shim()
    info = task_info("executor")
    info.executor.executor_id.value = "custom"
    shim.run(info)
    given = list(shim.decision.orders)
    shim.running_task()
    shim.kill()
    shim.exited()
    given += shim.decision.orders
    shim.detect()
    given += shim.wait(1.0)
    assert len(of(Send, given)) >= 4
    for order in of(Send, given):
        check(order.message)


def test_a_shutdown_of_a_framework_counts_only_while_registered() -> None:
    shim = Shim()
    shim.running_task()
    shim.detect(STRANGER)
    message = m.ShutdownFrameworkMessage()
    message.framework_id.value = "F"
    assert not shim.receive(message, STRANGER).orders
    assert shim.core.ctx.counters["unexpected_messages"] == 1
