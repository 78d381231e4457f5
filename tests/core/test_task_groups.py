"""Task groups and their default executors, as Mesos' own agent and default executor run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shim.core.context import PodNetwork
from shim.core.executors import ExecutorPhase
from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref
from shim.model.orders import Launch
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    CheckInfo,
    CheckStatusInfo,
    DiscoveryInfo,
    ExecutorInfo,
    HealthCheck,
    TaskInfo,
    TaskState,
    TaskStatus,
    Value,
)
from tests.core.executor_harness import ExecutorShim, inner_task
from tests.core.harness import (
    Shim,
    container,
    executor_info,
    key_of,
    of,
    running,
    sent,
    statuses,
    task_info,
)

SHARED = PodNetwork.SHARED
NAMES = ("a", "b", "c")


def shim_with(*traits: str, checkpoint: bool = True, **settings: Any) -> Shim:
    shim = Shim(**{"pod_network": SHARED, **settings})
    shim.framework("F", *(traits or ("killing", "aware")), checkpoint=checkpoint)
    return shim


def states(given: list[orders.Order]) -> list[tuple[str, str]]:
    return [(s.task_id.value, TaskState.Name(s.state)) for s in statuses(given)]


def exited_executors(given: list[orders.Order]) -> list[tuple[str, int]]:
    return [(e.executor_id.value, e.status) for e in sent(m.ExitedExecutorMessage, given)]


def acknowledge(shim: Shim, *names: str) -> None:
    for name in names:
        shim.acknowledge_all(name)


def end_all(shim: Shim, *names: str) -> None:
    for name in names:
        shim.exited(name)
        shim.acknowledge_all(name)


def removals(shim: Shim) -> list[str]:
    return [ref.name for ref in shim.core.tasks.pending_removals.values()]


# --- the way to TASK_RUNNING ------------------------------------------------------------------


def test_an_accepted_group_prepares_while_its_infra_container_is_launched() -> None:
    shim = shim_with()
    shim.run_group(*NAMES)
    (launch,) = of(orders.LaunchExecutor, shim.decision.orders)
    kinds = [type(order) for order in shim.decision.orders]
    assert kinds == [orders.LaunchExecutor, Launch, Launch, Launch], "the infra container first"
    assert not statuses(shim.decision.orders)
    assert launch.ref == shim.executor().ref
    assert launch.executor.framework_id.value == "F"
    assert launch.framework.id.value == "F"
    amounts = [r.scalar.value for r in launch.resources if r.name == "cpus"]
    assert sum(amounts) == pytest.approx(3.1), "those of the executor and of the group"
    shim.handle(facts.LaunchAdvanced(launch.ref, facts.Stage.CREATING))
    assert of(orders.AllowCreate, shim.decision.orders) == [orders.AllowCreate(launch.ref)]


def test_no_create_is_allowed_before_the_infra_container_runs() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    creating = shim.creating("a")
    assert not of(orders.AllowCreate, creating.orders)
    assert not creating.records, "a restart launches it again"
    shim.infra_started()
    assert states(shim.decision.orders) == [("a", "TASK_STARTING"), ("b", "TASK_STARTING")]
    assert of(orders.AllowCreate, shim.decision.orders) == [orders.AllowCreate(shim.ref("a"))]
    assert not of(Launch, shim.decision.orders)
    shim.creating("b")
    assert of(orders.AllowCreate, shim.decision.orders) == [orders.AllowCreate(shim.ref("b"))]
    for name in ("a", "b"):
        shim.started(name)
    assert shim.pending_states("a") == ["TASK_STARTING", "TASK_RUNNING"]


def test_a_launch_that_fails_meanwhile_is_told_when_all_have_answered() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.handle(facts.LaunchFailed(shim.ref("b"), facts.Failure.PULL, "no such image"))
    assert not statuses(shim.decision.orders)
    shim.creating("a")
    shim.infra_started()
    assert of(orders.AllowCreate, shim.decision.orders) == [orders.AllowCreate(shim.ref("a"))]
    assert shim.pending_states("b") == ["TASK_STARTING"]
    shim.started("a")
    assert shim.pending_states("a") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"]
    assert shim.pending_states("b") == ["TASK_STARTING", "TASK_FAILED"]


def test_launches_that_all_fail_meanwhile_end_the_group_when_the_infra_container_runs() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    for name in ("a", "b"):
        shim.creating(name)
        shim.handle(facts.LaunchFailed(shim.ref(name), facts.Failure.PULL, "no such image"))
    shim.infra_started()
    assert not of(orders.AllowCreate, shim.decision.orders)
    for name in ("a", "b"):
        assert shim.pending_states(name) == ["TASK_STARTING", "TASK_FAILED"]
    assert orders.Remove(shim.executor().ref, 0.0) in shim.decision.orders


def test_starting_of_all_is_reported_before_the_launches_when_the_infra_runs() -> None:
    shim = shim_with()
    shim.running_group("first")
    info = task_info("b")
    info.check.type = CheckInfo.TCP
    info.check.tcp.port = 80
    shim.run_group("a", info, launch=False)
    given = shim.decision.orders
    assert states(given) == [("a", "TASK_STARTING"), ("b", "TASK_STARTING")]
    kinds = [type(order) for order in given]
    assert kinds == [orders.Send, orders.Send, Launch, Launch]
    first, second = statuses(given)
    executor = shim.executor()
    assert first.executor_id.value == "e"
    assert first.source == TaskStatus.SOURCE_EXECUTOR
    assert first.container_status.container_id.value == shim.ref("a").container_id
    assert first.container_status.container_id.parent.value == executor.container_id
    assert not first.HasField("check_status")
    assert second.check_status == CheckStatusInfo(type=CheckInfo.TCP, tcp=CheckStatusInfo.Tcp()), (
        "set, and empty"
    )
    (member, _) = of(Launch, given)
    assert member.executor == orders.MemberOf(
        executor.ref,
        executor.info,
        infra=True,
        group=tuple((shim.ref(name), shim.task(name).info) for name in ("first", "a", "b")),
    )
    assert not member.task.HasField("executor")


def test_running_is_reported_in_the_order_of_the_group_when_all_launches_have_answered() -> None:
    shim = shim_with()
    shim.run_group(*NAMES)
    shim.infra_started()
    acknowledge(shim, *NAMES)
    for name in NAMES:
        shim.creating(name)
        assert not statuses(shim.decision.orders)
        assert of(orders.AllowCreate, shim.decision.orders)
    for name in ("c", "a"):
        shim.started(name)
        assert not statuses(shim.decision.orders)
    shim.started("b")
    given = shim.decision.orders
    assert states(given) == [(name, "TASK_RUNNING") for name in NAMES]
    status = statuses(given)[0]
    (network,) = status.container_status.network_infos
    assert network.name == "bridge", "the executor's network"
    assert [a.ip_address for a in network.ip_addresses] == ["172.17.0.9"], "the pod's address"
    assert not status.data
    assert [p.addresses for p in of(orders.Publish, given)] == [("172.17.0.9",)] * 3


def test_an_end_before_the_others_are_launched_is_told_after_running() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.infra_started()
    acknowledge(shim, "a", "b")
    shim.creating("a")
    shim.started("a")
    shim.exited("a", 0)
    assert not statuses(shim.decision.orders)
    shim.started("b")
    assert shim.pending_states("a") == ["TASK_RUNNING", "TASK_FINISHED"]
    assert shim.pending_states("b") == ["TASK_RUNNING"]


def test_a_failed_launch_is_noted_until_all_have_answered_then_it_ends_the_group() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.infra_started()
    acknowledge(shim, "a", "b")
    failed = facts.LaunchFailed(shim.ref("b"), facts.Failure.PULL, "no such image")
    shim.handle(failed)
    assert not statuses(shim.decision.orders)
    shim.started("a")
    assert shim.pending_states("a") == ["TASK_RUNNING", "TASK_KILLING"]
    assert shim.pending_states("b") == ["TASK_FAILED"]
    status = shim.last_status("b")
    assert (status.message, status.source) == ("no such image", TaskStatus.SOURCE_EXECUTOR)
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("a"), 3.0)]


@pytest.mark.parametrize(("host", "network"), [(True, SHARED), (False, PodNetwork.SEPARATE)])
def test_without_an_infra_container_the_group_is_launched_at_once(
    host: bool, network: PodNetwork
) -> None:
    shim = shim_with(pod_network=network, engine_ip="10.0.0.7")
    shim.run_group("a", "b", executor=executor_info(host=host))
    given = shim.decision.orders
    assert not of(orders.LaunchExecutor, given)
    assert states(given) == [("a", "TASK_STARTING"), ("b", "TASK_STARTING")]
    for launch in of(Launch, given):
        assert launch.executor is not None
        assert not launch.executor.infra
    acknowledge(shim, "a", "b")
    for name in ("a", "b"):
        shim.started(name)
    status = statuses(shim.decision.orders)[0]
    assert status.container_status.network_infos[0].ip_addresses[0].ip_address == "172.17.0.2"
    end_all(shim, "a", "b")
    assert shim.executor_ids == []


# --- the end of one task ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1, "Command exited with status 1"),
        (137, "Command terminated with signal Killed"),
        (None, "Command terminated with unknown status"),
    ],
)
def test_a_failed_task_kills_the_rest_of_its_group_with_three_seconds(
    code: int | None, message: str
) -> None:
    shim = shim_with()
    patient = task_info("b")
    patient.kill_policy.grace_period.nanoseconds = int(60e9)
    shim.running_group("a", patient, "c")
    shim.exited("a", code)
    status = shim.last_status("a")
    assert (status.state, status.message) == (TaskState.TASK_FAILED, message)
    assert of(orders.Stop, shim.decision.orders) == [
        orders.Stop(shim.ref("b"), 3.0),
        orders.Stop(shim.ref("c"), 3.0),
    ]
    for name in ("b", "c"):
        shim.exited(name, 0)
        assert shim.pending_states(name) == ["TASK_KILLING", "TASK_KILLED"]
        assert shim.last_status(name).message == "Command exited with status 0"


def test_a_finished_task_leaves_the_others_alone() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.exited("a", 0)
    assert states(shim.decision.orders) == [("a", "TASK_FINISHED")]
    assert not of(orders.Stop, shim.decision.orders)
    acknowledge(shim, "a")
    assert shim.task("b").live
    assert exited_executors(shim.decision.orders) == []


def test_a_kill_of_one_task_has_its_own_grace_and_ends_the_group() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.kill("a", grace=7.0)
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("a"), 7.0)]
    shim.kill("a", grace=9.0)
    assert not of(orders.Stop, shim.decision.orders), "a repeated kill is ignored"
    shim.exited("a", 0)
    assert shim.pending_states("a") == ["TASK_KILLING", "TASK_KILLED"]
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("b"), 3.0)]


def test_the_grace_without_a_policy_is_that_of_the_default_executor() -> None:
    shim = shim_with(shutdown_grace=30.0)
    shim.running_group("a")
    shim.kill("a")
    assert shim.last(orders.Stop).grace == 3.0


def test_a_task_killed_by_another_one_of_its_group_is_not_killed_twice() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.kill("a", grace=7.0)
    shim.kill("b", grace=8.0)
    shim.exited("a", 143)
    assert not of(orders.Stop, shim.decision.orders)


def test_memory_above_the_limit_is_told_with_the_limit() -> None:
    shim = shim_with()
    shim.running_group("a")
    shim.handle(facts.ContainerExited(shim.ref("a"), 137, oom_killed=True))
    status = shim.last_status("a")
    assert status.reason == TaskStatus.REASON_CONTAINER_LIMITATION_MEMORY
    assert status.HasField("limitation")
    assert "Command terminated with signal Killed" in status.message


def test_a_task_past_its_time_fails_and_ends_its_group_at_once() -> None:
    shim = shim_with()
    info = task_info("a")
    info.max_completion_time.nanoseconds = int(5e9)
    shim.run_group(info, "b")
    shim.infra_started()
    shim.wait(60.0)
    for name in ("a", "b"):
        shim.started(name)
    acknowledge(shim, "a", "b")
    assert not of(orders.Stop, shim.wait(4.5)), "counted from TASK_RUNNING"
    (stop,) = of(orders.Stop, shim.wait(1.0))
    assert (stop.ref, stop.grace) == (shim.ref("a"), 0.0)
    assert not statuses(shim.decision.orders), "no TASK_KILLING"
    shim.exited("a", 137)
    status = shim.last_status("a")
    assert status.state == TaskState.TASK_FAILED
    assert status.reason == TaskStatus.REASON_MAX_COMPLETION_TIME_REACHED
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("b"), 3.0)]


def test_the_time_of_a_task_goes_on_after_a_restart() -> None:
    shim = shim_with()
    info = task_info("a")
    info.max_completion_time.nanoseconds = int(50e9)
    shim.running_group(info)
    shim.wait(30.0)
    shim.restart(running(shim.ref("a")), running(shim.executor().ref))
    assert not of(orders.Stop, shim.wait(19.0))
    assert of(orders.Stop, shim.wait(2.0))


# --- checks -----------------------------------------------------------------------------------


def checked(name: str) -> TaskInfo:
    info = task_info(name)
    info.health_check.type = HealthCheck.TCP
    info.health_check.tcp.port = 80
    return info


def test_checks_run_at_the_address_of_the_pod() -> None:
    shim = shim_with()
    shim.running_group(checked("a"), "b")
    assert shim.task("a").addresses == ("172.17.0.9",)
    shim.handle(facts.HealthReported(shim.ref("a"), healthy=True))
    status = shim.last_status("a")
    assert status.reason == TaskStatus.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
    assert status.healthy


def test_after_an_unhealthy_task_all_ends_of_the_executor_say_so() -> None:
    shim = shim_with()
    shim.running_group(checked("a"), "b")
    shim.handle(facts.HealthReported(shim.ref("a"), healthy=False, kill=True))
    assert shim.last(orders.Stop).ref == shim.ref("a")
    shim.exited("a", 143)
    assert shim.last_status("a").state == TaskState.TASK_KILLED
    assert shim.last_status("a").HasField("healthy")
    shim.restart(running(shim.ref("b")), running(shim.executor().ref))
    shim.exited("b", 143)
    status = shim.last_status("b")
    assert (status.HasField("healthy"), status.healthy) == (True, False)


def test_a_task_is_published_with_the_network_and_the_labels_of_its_pod() -> None:
    shim = shim_with()
    executor = executor_info()
    executor.container.network_infos[0].port_mappings.add(host_port=31000, container_port=80)
    executor.labels.labels.add(key="consul", value="shop")
    web = task_info("web")
    web.discovery.visibility = DiscoveryInfo.CLUSTER
    web.discovery.ports.ports.add(number=31000, name="http")
    apart = task_info("apart")
    apart.container.network_infos.add(name="other")
    shim.run_group(web, apart, executor=executor)
    shim.infra_started()
    for name in ("web", "apart"):
        shim.started(name)
    own, other = of(orders.Publish, shim.decision.orders)
    assert (own.addresses, other.addresses) == (("172.17.0.9",), ("172.17.0.2",))
    (network,) = own.task.container.network_infos
    assert (network.name, network.port_mappings[0].container_port) == ("bridge", 80)
    assert (own.shares_network, other.shares_network) == (True, False)
    assert other.task.container == apart.container
    for order in (own, other):
        assert order.task.executor.labels == executor.labels
        assert list(order.task.executor.resources) == list(executor.resources)
    task = shim.task("web").info
    assert not task.container.network_infos, "the task itself is unchanged"
    assert not task.HasField("executor")


# --- several groups, and the end of the executor ----------------------------------------------


def test_a_second_group_joins_the_running_executor_and_lives_on_its_own() -> None:
    shim = shim_with()
    shim.running_group("a")
    shim.run_group("b", "c", launch=False)
    given = shim.decision.orders
    assert not of(orders.LaunchExecutor, given)
    assert [launch.ref for launch in of(Launch, given)] == [shim.ref("b"), shim.ref("c")]
    for name in ("b", "c"):
        shim.started(name)
        acknowledge(shim, name)
    shim.exited("b", 1)
    assert [stop.ref for stop in of(orders.Stop, shim.decision.orders)] == [shim.ref("c")]
    shim.exited("c", 1)
    acknowledge(shim, "b", "c")
    assert shim.task("a").live
    assert shim.executor().phase is ExecutorPhase.RUNNING


def test_a_second_group_waits_with_the_first_for_the_infra_container() -> None:
    shim = shim_with()
    shim.run_group("a")
    shim.run_group("b", launch=False)
    assert [type(order) for order in shim.decision.orders] == [Launch]
    shim.infra_started()
    assert states(shim.decision.orders) == [("a", "TASK_STARTING"), ("b", "TASK_STARTING")]


def test_the_executor_exits_when_the_last_end_is_acknowledged() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    infra = shim.executor().ref
    for name in ("a", "b"):
        shim.exited(name)
    remove = of(orders.Remove, shim.decision.orders)[-1]
    assert remove == orders.Remove(infra, 0.0), "the infra container goes with the last task"
    acknowledge(shim, "a")
    assert exited_executors(shim.decision.orders) == []
    assert shim.disk.executors
    acknowledge(shim, "b")
    assert exited_executors(shim.decision.orders) == [("e", 0)]
    assert not shim.disk.executors
    assert shim.executor_ids == []
    assert not shim.disk.frameworks


def test_an_executor_id_may_be_used_again_after_its_exit() -> None:
    shim = shim_with()
    shim.running_group("a")
    end_all(shim, "a")
    shim.running_group("a")
    assert shim.task("a").live


# --- the agent's own refusals -----------------------------------------------------------------


def refusal(shim: Shim, *names: str) -> tuple[TaskStatus, list[tuple[str, int]]]:
    """The one content of the updates of all named tasks, and the executors that exited."""
    given = shim.decision.orders
    told = statuses(given)
    assert [status.task_id.value for status in told] == list(names)
    assert len({(s.state, s.reason, s.message) for s in told}) == 1
    assert all(status.source == TaskStatus.SOURCE_SLAVE for status in told)
    assert all(status.executor_id.value == "e" for status in told)
    assert not of(Launch, given)
    assert not of(orders.LaunchExecutor, given)
    return told[0], exited_executors(given)


@pytest.mark.parametrize(
    ("traits", "state"),
    [(("aware",), TaskState.TASK_DROPPED), (("killing",), TaskState.TASK_LOST)],
)
def test_a_draining_agent_refuses_groups(traits: tuple[str, ...], state: int) -> None:
    shim = shim_with(*traits)
    shim.running_group("x", executor="other")
    shim.drain()
    shim.run_group("a", "b")
    status, exited = refusal(shim, "a", "b")
    assert (status.state, status.reason) == (state, TaskStatus.REASON_SLAVE_DRAINING)
    assert status.message == "Task was received while agent was already draining"
    assert exited == [("e", -1)]


def test_resources_that_the_agent_does_not_know_refuse_the_group() -> None:
    shim = shim_with()
    executor = executor_info()
    disk = executor.resources.add(name="disk", type=Value.SCALAR, role="prod")
    disk.scalar.value = 1.0
    disk.disk.persistence.id = "data"
    shim.run_group("a", "b", executor=executor)
    status, exited = refusal(shim, "a", "b")
    assert status.reason == TaskStatus.REASON_RESOURCES_UNKNOWN
    assert exited == [("e", -1)]


def test_no_executor_is_launched_unless_the_master_says_so() -> None:
    shim = shim_with()
    shim.run_group("a", launch=False)
    status, exited = refusal(shim, "a")
    assert status.reason == TaskStatus.REASON_EXECUTOR_TERMINATED
    assert status.message == "No executor is expected to launch and there is none running"
    assert exited == []


def test_an_old_master_does_not_say_whether_the_executor_is_to_be_launched() -> None:
    shim = shim_with()
    shim.run_group("a", launch=None)
    assert of(orders.LaunchExecutor, shim.decision.orders)
    shim.run_group("b", launch=None)
    assert shim.task("b").group is not None


def test_a_lingering_executor_is_shut_down() -> None:
    shim = shim_with()
    shim.running_group("x")
    shim.run_group("a", launch=True)
    status, exited = refusal_of(shim, "a")
    assert status.reason == TaskStatus.REASON_EXECUTOR_TERMINATED
    assert status.message == "Master wants to launch executor, but one already exists"
    assert exited == []
    assert [stop.ref for stop in of(orders.Stop, shim.decision.orders)] == [shim.ref("x")]
    shim.run_group("b", launch=False)
    status, exited = refusal_of(shim, "b")
    assert (status.message, exited) == ("Executor terminating", [])
    shim.exited("x", 0)
    shim.run_group("c", launch=False)
    assert refusal_of(shim, "c")[0].message == "Executor terminated"
    shim.run_group("d", launch=True)
    assert refusal_of(shim, "d")[1] == [("e", 0)] or refusal_of(shim, "d")[1] == [("e", -1)]


def refusal_of(shim: Shim, name: str) -> tuple[TaskStatus, list[tuple[str, int]]]:
    (status,) = [s for s in statuses(shim.decision.orders) if s.task_id.value == name]
    return status, exited_executors(shim.decision.orders)


def test_what_depends_on_other_tasks_of_the_executor_is_looked_at_with_all_of_them() -> None:
    looked_at: list[list[str]] = []

    def problem(launch: Launch) -> str | None:
        assert launch.executor is not None
        group = launch.executor.group
        assert (launch.ref, launch.task) in group
        assert len({ref.name for ref, _ in group}) == len(group)
        looked_at.append([info.task_id.value for _, info in group])
        return None

    shim = shim_with(launch_problem=problem)
    shim.running_group("x")
    shim.run_group("a", "b", launch=False)
    assert looked_at == [["x"], ["x", "a", "b"], ["x", "a", "b"]]


def test_one_unfit_task_refuses_the_whole_group_and_names_its_field() -> None:
    def problem(launch: Launch) -> str | None:
        unfit = launch.task.task_id.value == "b"
        return "container.volumes[0].mode: is what?" if unfit else None

    shim = shim_with(launch_problem=problem)
    shim.run_group(*NAMES)
    status, exited = refusal(shim, *NAMES)
    assert (status.state, status.reason) == (
        TaskState.TASK_FAILED,
        TaskStatus.REASON_TASK_GROUP_INVALID,
    )
    assert status.message == "task 'b': container.volumes[0].mode: is what?"
    assert exited == [("e", -1)]
    assert not shim.disk.executors


def other_info() -> ExecutorInfo:
    info = executor_info()
    info.labels.labels.add(key="other")
    return info


def test_another_executor_info_of_the_same_id_is_refused() -> None:
    shim = shim_with()
    shim.running_group("x")
    shim.run_group("a", executor=other_info(), launch=False)
    assert "differs" in refusal(shim, "a")[0].message
    assert shim.task("x").live


def test_a_task_id_in_use_refuses_the_group_and_keeps_the_task() -> None:
    shim = shim_with()
    shim.running_task("a")
    shim.run_group("a", "b")
    (status,) = statuses(shim.decision.orders)
    assert (status.task_id.value, status.message) == ("b", "task_group: task_id 'a' is in use")
    assert shim.task("a").live
    shim.run_group("c", "c")
    assert "same task_id" in shim.last_status("c").message


def test_a_repeated_launch_is_ignored() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.run_group("a", "b")
    assert not shim.decision.orders
    assert not shim.decision.records
    end_all(shim, "a")
    shim.run_group("a", "b")
    assert not shim.decision.orders, "also when one of its tasks is forgotten"


def test_a_rejected_launch_that_is_repeated_is_not_accepted() -> None:
    shim = shim_with()
    shim.run_group("a", "b", launch=False)
    acknowledge(shim, "b")
    shim.run_group("a")
    assert not shim.decision.orders, "its rejection is not acknowledged"
    shim.run_group("a", "b")
    (status,) = statuses(shim.decision.orders)
    assert (status.task_id.value, status.message) == ("b", "task_group: task_id 'a' is in use")
    acknowledge(shim, "a", "b")
    shim.run_group("a", "b")
    assert of(orders.LaunchExecutor, shim.decision.orders)


def of_another_framework() -> ExecutorInfo:
    info = executor_info()
    info.framework_id.value = "G"
    return info


def without_type() -> ExecutorInfo:
    info = executor_info()
    info.ClearField("type")
    return info


def task_of_another_executor() -> TaskInfo:
    info = task_info("a")
    info.executor.CopyFrom(executor_info("other"))
    return info


@pytest.mark.parametrize(
    ("task", "executor", "text"),
    [
        ("a", of_another_framework(), "executor.framework_id: 'G', and the framework is 'F'"),
        ("a", without_type(), "executor.type: not DEFAULT"),
        (
            task_of_another_executor(),
            executor_info(),
            "task 'a': executor.executor_id: 'other', and the executor of the group is 'e'",
        ),
    ],
    ids=["framework", "type", "executor"],
)
def test_what_no_master_lets_through_is_refused_with_its_field(
    task: TaskInfo | str, executor: ExecutorInfo, text: str
) -> None:
    shim = shim_with()
    message = m.RunTaskGroupMessage(launch_executor=True, executor=executor)
    message.framework.CopyFrom(shim.frameworks["F"])
    infos = [task_info(task) if isinstance(task, str) else task, task_info("b")]
    message.task_group.tasks.extend(infos)
    shim.receive(message)
    status, exited = refusal(shim, "a", "b")
    assert (status.message, exited) == (text, [("e", -1)])
    assert status.reason == TaskStatus.REASON_TASK_GROUP_INVALID
    assert not shim.disk.executors


def test_the_id_of_a_custom_executor_is_not_that_of_a_pod_as_well() -> None:
    shim = ExecutorShim(pod_network=SHARED)
    shim.framework("F", "killing", "aware")
    shim.run_inside("t")
    shim.run_group("a", executor="E")
    assert "differs" in shim.last_status("a").message
    shim.running_group("x")
    inner = inner_task("y")
    inner.executor.executor_id.value = "e"
    shim.run_inside(inner)
    assert "differs" in shim.last_status("y").message
    assert shim.task("x").live


def test_a_launch_without_tasks_is_not_for_this_agent() -> None:
    shim = shim_with()
    shim.run_group()
    assert not shim.decision.orders
    assert not shim.disk.executors


def test_without_pods_a_group_is_refused_in_one_sentence() -> None:
    shim = shim_with(pod_network=None, pods_refused="pods need --triton_pods=separate")
    shim.run_group("a", "b")
    status, exited = refusal(shim, "a", "b")
    assert (status.message, exited) == ("pods need --triton_pods=separate", [("e", -1)])


# --- kills before the start -------------------------------------------------------------------


KILLED_IN_QUEUE = "A task within the task group was killed before delivery to the executor"


def test_a_kill_that_arrives_before_the_group_ends_all_of_it() -> None:
    shim = shim_with()
    shim.kill("b")
    shim.run_group("a", "b")
    status, exited = refusal(shim, "a", "b")
    assert status.state == TaskState.TASK_KILLED
    assert status.reason == TaskStatus.REASON_TASK_KILLED_DURING_LAUNCH
    assert (status.message, exited) == (KILLED_IN_QUEUE, [("e", -1)])


def test_a_kill_while_the_infra_container_is_launched_ends_the_group_and_the_executor() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    infra = shim.executor().ref
    shim.kill("b")
    told = statuses(shim.decision.orders)
    assert {(s.state, s.message) for s in told} == {(TaskState.TASK_KILLED, KILLED_IN_QUEUE)}
    assert [s.task_id.value for s in told] == ["a", "b"]
    cancelled = [order.ref for order in of(orders.CancelLaunch, shim.decision.orders)]
    assert cancelled == [shim.ref("a"), shim.ref("b"), infra]
    assert removals(shim) == [ref.name for ref in cancelled]
    assert not of(Launch, shim.handle(facts.ContainerStarted(infra, running(infra))).orders)
    acknowledge(shim, "a", "b")
    assert exited_executors(shim.decision.orders) == [("e", 0)]


def test_a_kill_while_the_group_is_launched_cancels_and_ends_the_rest() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.infra_started()
    acknowledge(shim, "a", "b")
    shim.started("a")
    shim.kill("b")
    assert of(orders.CancelLaunch, shim.decision.orders) == [orders.CancelLaunch(shim.ref("b"))]
    shim.handle(facts.LaunchCancelled(shim.ref("b")))
    assert shim.pending_states("b") == ["TASK_KILLED"]
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("a"), 3.0)]
    shim.exited("a", 143)
    assert shim.pending_states("a") == ["TASK_KILLING", "TASK_KILLED"]


def test_a_kill_of_a_task_whose_launch_failed_tells_the_failure() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.infra_started()
    acknowledge(shim, "a", "b")
    shim.handle(facts.LaunchFailed(shim.ref("b"), facts.Failure.PULL, "no such image"))
    shim.kill("b")
    assert shim.pending_states("b") == ["TASK_FAILED"]
    assert of(orders.CancelLaunch, shim.decision.orders) == [orders.CancelLaunch(shim.ref("a"))]


# --- the infra container ----------------------------------------------------------------------


def test_an_infra_container_that_cannot_be_launched_fails_all_tasks() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    infra = shim.executor().ref
    shim.handle(facts.LaunchFailed(infra, facts.Failure.LAUNCH, "port 80 is taken"))
    told = statuses(shim.decision.orders)
    assert {(s.state, s.reason, s.message) for s in told} == {
        (
            TaskState.TASK_FAILED,
            TaskStatus.REASON_CONTAINER_LAUNCH_FAILED,
            "Failed to launch container: port 80 is taken",
        )
    }
    cancelled = [order.ref for order in of(orders.CancelLaunch, shim.decision.orders)]
    assert cancelled == [shim.ref("a"), shim.ref("b"), infra], "what the tasks prepare ends as well"
    assert removals(shim) == [ref.name for ref in cancelled]
    acknowledge(shim, "a", "b")
    assert exited_executors(shim.decision.orders) == [("e", -1)]


@pytest.mark.parametrize(
    "ended",
    [lambda ref: facts.ContainerExited(ref, 137), facts.ContainerVanished],
    ids=["exited", "vanished"],
)
def test_the_end_of_the_infra_container_ends_all_tasks(
    ended: Callable[[Ref], facts.Fact],
) -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    infra = shim.executor().ref
    shim.handle(ended(infra))
    assert not statuses(shim.decision.orders), "their containers still run"
    stops = of(orders.Stop, shim.decision.orders)
    assert stops == [orders.Stop(shim.ref(name), 0.0) for name in ("a", "b")]
    told = []
    for name in ("a", "b"):
        shim.exited(name, 137)
        told += statuses(shim.decision.orders)
    assert {(s.state, s.reason) for s in told} == {
        (TaskState.TASK_FAILED, TaskStatus.REASON_EXECUTOR_TERMINATED)
    }
    assert all(status.message.startswith("Executor terminated") for status in told)
    names = {shim.ref("a").name, shim.ref("b").name, infra.name}
    assert set(removals(shim)) == names, "containers without a network are removed"
    acknowledge(shim, "a", "b")
    ((_, code),) = exited_executors(shim.decision.orders)
    assert code in (137 << 8, -1)


# --- shutdowns, drains, gone frameworks -------------------------------------------------------


def shutdown_executor(shim: Shim, executor: str = "e") -> None:
    message = m.ShutdownExecutorMessage()
    message.framework_id.value, message.executor_id.value = "F", executor
    shim.receive(message)


def test_a_shutdown_of_the_executor_kills_all_its_groups() -> None:
    shim = shim_with()
    shim.running_group("a")
    shim.run_group("b", launch=False)
    shim.started("b")
    shutdown_executor(shim)
    assert [stop.grace for stop in of(orders.Stop, shim.decision.orders)] == [3.0, 3.0]
    shutdown_executor(shim)
    assert not shim.decision.orders
    end_all(shim, "a", "b")
    assert exited_executors(shim.decision.orders) == [("e", 0)]


def test_a_shutdown_of_an_executor_without_its_container_fails_the_queued_tasks() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shutdown_executor(shim)
    told = statuses(shim.decision.orders)
    assert {(s.state, s.message) for s in told} == {(TaskState.TASK_FAILED, "Executor terminated")}


def test_a_drain_kills_groups_with_its_reason_and_its_grace() -> None:
    shim = shim_with()
    patient = task_info("a")
    patient.kill_policy.grace_period.nanoseconds = int(60e9)
    shim.running_group(patient)
    shim.run_group("q", "r", executor="queued")
    shim.drain(grace=10.0)
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("a"), 10.0)]
    assert [shim.last_status(name).reason for name in ("q", "r")] == [
        TaskStatus.REASON_SLAVE_DRAINING
    ] * 2
    shim.exited("a", 0)
    assert shim.last_status("a").reason == TaskStatus.REASON_SLAVE_DRAINING
    acknowledge(shim, "a", "q", "r")
    assert shim.core.tasks.drain is None


def test_a_gone_framework_takes_its_executors_and_gets_no_updates() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.run_group("q", executor="queued")
    shim.shutdown_framework()
    assert [stop.grace for stop in of(orders.Stop, shim.decision.orders)] == [3.0, 3.0]
    assert not statuses(shim.decision.orders)
    shim.exited("a")
    shim.exited("b")
    assert not statuses(shim.decision.orders)
    assert shim.executor_ids == []
    assert not shim.disk.frameworks
    assert not shim.disk.tasks
    assert not shim.disk.executors


def test_a_leaving_agent_waits_for_its_infra_containers() -> None:
    shim = shim_with()
    shim.running_group("a")
    infra, task = shim.executor().ref, shim.ref("a")
    shim.handle(facts.LeaveRequested())
    shim.exited("a")
    acknowledge(shim, "a")
    shim.removed(task)
    assert not of(orders.Exit, shim.decision.orders)
    shim.removed(infra)
    assert of(orders.Exit, shim.decision.orders)
    assert not shim.disk.executors


# --- re-registration --------------------------------------------------------------------------


def reregistration(shim: Shim) -> m.ReregisterSlaveMessage:
    shim.detect(None)
    shim.detect()
    (message,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    return message


def test_a_reregistration_lists_executors_and_tasks_with_executor_id() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    shim.running_group("ended", executor="over")
    shim.exited("ended")
    shim.running_task("plain")
    message = reregistration(shim)
    (executor,) = message.executor_infos
    assert (executor.executor_id.value, executor.framework_id.value) == ("e", "F")
    assert executor.type == ExecutorInfo.DEFAULT
    assert not executor.HasField("command")
    ids = {task.task_id.value: task.executor_id.value for task in message.tasks}
    assert ids == {"a": "e", "b": "e", "ended": "over", "plain": ""}


def test_an_executor_of_a_dropped_framework_is_not_listed() -> None:
    shim = shim_with(checkpoint=False)
    shim.running_group("a")
    shim.ping(connected=False)
    (message,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert not message.executor_infos
    assert not message.tasks


# --- restarts ---------------------------------------------------------------------------------


def restarted(shim: Shim, *containers: Container) -> Shim:
    shim.restart(*containers)
    return shim


def test_after_a_restart_an_accepted_group_is_launched_from_the_infra_container_on() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.restart()
    (launch,) = of(orders.LaunchExecutor, shim.decision.orders)
    assert launch.framework.id.value == "F"
    ordered = [order.ref for order in shim.decision.orders if isinstance(order, Launch)]
    assert ordered == [shim.ref("a"), shim.ref("b")], "each once"
    kinds = [type(order) for order in shim.decision.orders]
    assert kinds.index(orders.LaunchExecutor) < kinds.index(Launch)
    assert sum(r.scalar.value for r in launch.resources if r.name == "cpus") == pytest.approx(2.1)
    assert not statuses(shim.decision.orders)


def test_after_a_restart_a_running_infra_container_is_adopted() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    infra = shim.executor().ref
    shim.restart(running(infra))
    given = shim.decision.orders
    assert orders.Watch(infra) in given
    assert [launch.ref for launch in of(Launch, given)] == [shim.ref("a"), shim.ref("b")]
    assert shim.pending_states("a") == ["TASK_STARTING"]
    assert not of(orders.RemoveOrphan, given)


def test_after_a_restart_the_rest_of_a_group_is_launched_and_running_told_with_it() -> None:
    shim = shim_with()
    shim.run_group(*NAMES)
    shim.infra_started()
    acknowledge(shim, *NAMES)
    shim.creating("a")
    first, infra = shim.ref("a"), shim.executor().ref
    shim.restart(running(infra), running(first))
    assert [launch.ref for launch in of(Launch, shim.decision.orders)] == [
        shim.ref("b"),
        shim.ref("c"),
    ]
    assert not statuses(shim.decision.orders)
    shim.register()
    shim.started("b")
    shim.started("c")
    assert [shim.pending_states(name) for name in NAMES] == [["TASK_RUNNING"]] * 3


def test_after_a_restart_a_lost_create_undoes_the_group() -> None:
    shim = shim_with()
    shim.run_group("a", "b")
    shim.infra_started()
    acknowledge(shim, "a", "b")
    shim.creating("a")
    shim.started("b")
    shim.restart(running(shim.executor().ref), running(shim.ref("b")))
    assert shim.pending_states("a") == ["TASK_DROPPED"]
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("b"), 3.0)]


def test_after_a_restart_a_running_group_is_watched_and_published() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    infra = shim.executor().ref
    shim.restart(running(infra), running(shim.ref("a")), running(shim.ref("b")))
    given = shim.decision.orders
    assert [watch.ref for watch in of(orders.Watch, given)] == [
        infra,
        shim.ref("a"),
        shim.ref("b"),
    ]
    assert [p.addresses for p in of(orders.Publish, given)] == [("172.17.0.9",)] * 2
    assert not statuses(given)
    shim.register()
    shim.exited("a", 1)
    assert of(orders.Stop, shim.decision.orders) == [orders.Stop(shim.ref("b"), 3.0)]


@pytest.mark.parametrize("found", ["missing", "exited", "created"])
def test_after_a_restart_without_its_infra_container_nothing_of_the_pod_lives(found: str) -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    infra = shim.executor().ref
    containers = [running(shim.ref("a")), running(shim.ref("b"))]
    if found != "missing":
        phase = Phase.EXITED if found == "exited" else Phase.CREATED
        containers.append(container(infra, phase, 137))
    shim.restart(*containers)
    assert not of(Launch, shim.decision.orders)
    assert orders.Stop(shim.ref("a"), 0.0) in shim.decision.orders
    for name in ("a", "b"):
        shim.exited(name, 137)
    assert [shim.pending_states(name) for name in ("a", "b")] == [["TASK_FAILED"]] * 2
    assert len(removals(shim)) == 3


def test_after_a_restart_the_end_of_an_executor_is_still_told() -> None:
    shim = shim_with()
    shim.running_group("a")
    infra = shim.executor().ref
    shim.exited("a")
    shim.restart()
    assert orders.Remove(infra) in shim.decision.orders
    shim.register()
    acknowledge(shim, "a")
    assert exited_executors(shim.decision.orders) == [("e", 0)]


def test_an_infra_container_without_an_executor_is_removed() -> None:
    shim = shim_with()
    shim.running_group("a")
    infra = shim.executor().ref
    stranger = Shim(pod_network=SHARED, registered=False)
    stranger.recover(container(infra, Phase.RUNNING))
    assert of(orders.RemoveOrphan, stranger.decision.orders) == [orders.RemoveOrphan(infra.name)]


def test_at_a_cleanup_an_infra_container_without_an_executor_is_waited_for() -> None:
    shim = shim_with()
    shim.running_group("a")
    infra = shim.executor().ref
    stranger = Shim(pod_network=SHARED, registered=False, cleanup=True)
    stranger.recover(container(infra, Phase.RUNNING))
    assert stranger.last(orders.Remove).ref == infra
    assert of(orders.Exit, stranger.handle(facts.ContainerRemoved(infra)).orders)


def test_only_the_infra_containers_with_unknown_addresses_are_inspected() -> None:
    shim = shim_with()
    shim.running_group("a")
    shim.run_group("b", executor="queued")
    needed = shim.core.recovery.needs_inspect()
    assert not needed(running(shim.executor().ref))
    assert needed(running(shim.executor("queued").ref))
    assert needed(container(shim.executor().ref, Phase.EXITED))


def test_a_late_fact_about_an_executor_is_ignored() -> None:
    shim = shim_with()
    shim.running_group("a")
    infra = shim.executor().ref
    end_all(shim, "a")
    assert not shim.handle(facts.ContainerExited(infra, 0)).orders
    assert shim.core.ctx.counters["late_facts"] == 1
    assert key_of("a") not in shim.core.tasks.table


def test_executors_are_known_until_their_containers_and_volumes_are_gone() -> None:
    shim = shim_with()
    shim.running_group("a", "b")
    executor = shim.executor().ref
    assert executor.container_id in shim.core.view.executor_containers()
    end_all(shim, "a", "b")
    assert executor.container_id in shim.core.view.executor_containers()
    shim.handle(facts.ContainerRemoved(executor))
    assert executor.container_id not in shim.core.view.executor_containers()
