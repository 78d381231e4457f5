"""Tasks of custom executors in service discovery."""

from __future__ import annotations

import pytest

from shim.core.executor_services import published_info
from shim.discovery.task_ports import task_ports
from shim.model import orders
from shim.model.container import Phase
from shim.model.orders import Publish, SendExecutorEvent, Withdraw
from shim.protos.mesos_pb2 import ContainerInfo, DiscoveryInfo, TaskState
from tests.core.executor_harness import (
    ExecutorShim,
    container_of,
    executor_info,
    inner_task,
    update_of,
)
from tests.core.harness import of


def given(shim: ExecutorShim) -> list[str]:
    """What the last decision says to service discovery."""
    kinds = (Publish, Withdraw)
    return [type(order).__name__ for order in shim.decision.orders if isinstance(order, kinds)]


def test_a_task_is_registered_at_the_address_of_its_executor_once_it_runs() -> None:
    shim = ExecutorShim()
    shim.run_inside()
    shim.executor_started()
    shim.subscribe()
    assert given(shim) == []
    shim.report(update_of("t", TaskState.TASK_STARTING))
    assert given(shim) == ["Withdraw"]
    shim.report(update_of("t", TaskState.TASK_RUNNING, 2))
    order = shim.last(Publish)
    assert order.ref == shim.task().ref
    assert order.addresses == ("172.17.0.9",)
    assert order.healthy is None
    assert order.inside
    assert order.shares_network


def test_the_health_that_an_executor_reports_is_passed_on() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    for number, healthy in enumerate((True, False), 2):
        shim.report(update_of("t", TaskState.TASK_RUNNING, number, healthy=healthy))
        assert shim.last(Publish).healthy is healthy


def test_a_kill_is_passed_on_after_the_task_was_taken_out() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    kinds = [type(order) for order in shim.kill().orders]
    assert kinds.index(Withdraw) < kinds.index(SendExecutorEvent)
    shim.report(update_of("t", TaskState.TASK_RUNNING, 2, healthy=True))
    assert given(shim) == ["Withdraw"], "it stays out"


@pytest.mark.parametrize("state", [TaskState.TASK_FINISHED, TaskState.TASK_KILLING])
def test_a_task_that_its_executor_ends_is_taken_out(state: TaskState.ValueType) -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.report(update_of("t", state, 2))
    assert given(shim) == ["Withdraw"]


def test_the_shutdown_of_an_executor_takes_its_tasks_out_first() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    kinds = [type(order) for order in shim.shutdown_executor().orders]
    assert kinds.index(Withdraw) < kinds.index(SendExecutorEvent)
    shim.report(update_of("t", TaskState.TASK_RUNNING, 2, healthy=True))
    assert given(shim) == ["Withdraw"]


def test_an_executor_that_exits_takes_its_tasks_along() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.executor_exited(1)
    assert given(shim) == ["Withdraw"]


def test_a_restarted_agent_registers_running_tasks_again() -> None:
    shim = ExecutorShim()
    shim.running_v1()
    shim.restart(container_of(shim.custom().ref, Phase.RUNNING))
    assert shim.last(Publish).addresses == ("172.17.0.9",)
    assert of(orders.Withdraw, shim.decision.orders) == []


def test_a_task_has_the_ports_that_it_names_itself() -> None:
    executor = executor_info()
    docker = executor.container.docker
    docker.network = ContainerInfo.DockerInfo.BRIDGE
    docker.port_mappings.add(host_port=31000, container_port=80)
    docker.port_mappings.add(host_port=31001, container_port=81)
    docker.parameters.add(key="publish", value="82")
    docker.parameters.add(key="network", value="shop")
    task = inner_task()
    assert not task_ports(published_info(task, executor), shares_network=True)
    task.discovery.visibility = DiscoveryInfo.FRAMEWORK
    task.discovery.ports.ports.add(number=31000, name="web")
    (port,) = task_ports(published_info(task, executor), shares_network=True)
    assert (port.container, port.host, port.name) == (80, 31000, "web")
