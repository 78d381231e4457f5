"""The content of status updates, case by case."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shim.core import status
from shim.model import facts
from shim.model.facts import Failure
from shim.model.orders import Send
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    CheckInfo,
    CheckStatusInfo,
    HealthCheck,
    NetworkInfo,
    TaskState,
    TaskStatus,
    Value,
)
from tests.core.harness import Shim, of, task_info

E, S = TaskStatus.SOURCE_EXECUTOR, TaskStatus.SOURCE_SLAVE
Reason = TaskStatus.Reason


def staged() -> Shim:
    shim = Shim()
    shim.framework("F", "killing", "aware")
    shim.run()
    return shim


def running() -> Shim:
    shim = Shim()
    shim.framework("F", "killing", "aware")
    shim.running_task()
    return shim


def launch_failed(failure: Failure) -> Shim:
    shim = staged()
    shim.handle(facts.LaunchFailed(shim.ref(), failure, "the daemon's words"))
    return shim


def exited(code: int | None, error: str = "", *, oom: bool = False) -> Shim:
    shim = running()
    shim.handle(facts.ContainerExited(shim.ref(), code, oom, error))
    return shim


def killed(code: int | None = 143) -> Shim:
    shim = running()
    shim.kill()
    shim.acknowledge_all()
    shim.exited(code=code)
    return shim


def unhealthy(*, ended: bool) -> Shim:
    shim = running()
    shim.handle(facts.HealthReported(shim.ref(), healthy=False, kill=ended))
    if ended:
        shim.acknowledge_all()
        shim.exited(code=143)
    return shim


def expired(*, started: bool) -> Shim:
    shim = Shim()
    info = task_info()
    info.max_completion_time.nanoseconds = int(5e9)
    if started:
        shim.running_task(info)
        shim.wait(5.0)
        shim.exited(code=137)
    else:
        shim.run(info)
        shim.wait(5.0)
        shim.handle(facts.LaunchCancelled(shim.ref()))
    return shim


def vanished(*, killing: bool = False) -> Shim:
    shim = running()
    if killing:
        shim.kill()
        shim.acknowledge_all()
    shim.handle(facts.ContainerVanished(shim.ref()))
    return shim


def cancelled() -> Shim:
    shim = staged()
    shim.kill()
    shim.handle(facts.LaunchCancelled(shim.ref()))
    return shim


def half_launched() -> Shim:
    shim = staged()
    shim.creating()
    shim.acknowledge_all()
    shim.restart()
    return shim


LAUNCH = "Failed to launch container: the daemon's words"
OOM = "Memory limit exceeded: the container's limit is 0MB. Container exited with status 137"
TABLE: list[tuple[str, Callable[[], Shim], str, int, str | None, str | None]] = [
    ("exit 0", lambda: exited(0), "FINISHED", E, None, "Container exited with status 0"),
    ("exit 3", lambda: exited(3), "FAILED", E, None, "Container exited with status 3"),
    (
        "exit with the daemon's words",
        lambda: exited(127, "no such file"),
        "FAILED",
        E,
        None,
        "Container exited with status 127: no such file",
    ),
    (
        "exit unknown",
        lambda: exited(None),
        "FAILED",
        E,
        None,
        "Failed to get exit status of container",
    ),
    (
        "out of memory",
        lambda: exited(137, oom=True),
        "FAILED",
        S,
        "CONTAINER_LIMITATION_MEMORY",
        OOM,
    ),
    (
        "out of memory, but well",
        lambda: exited(0, oom=True),
        "FINISHED",
        E,
        None,
        "Container exited with status 0",
    ),
    ("killed", killed, "KILLED", E, None, "Container exited with status 143"),
    ("killed, exit 0", lambda: killed(0), "KILLED", E, None, "Container exited with status 0"),
    (
        "killed as unhealthy",
        lambda: unhealthy(ended=True),
        "KILLED",
        E,
        None,
        "Container exited with status 143",
    ),
    (
        "time is over",
        lambda: expired(started=True),
        "FAILED",
        E,
        "MAX_COMPLETION_TIME_REACHED",
        "Container exited with status 137",
    ),
    (
        "time is over while launching",
        lambda: expired(started=False),
        "FAILED",
        E,
        "MAX_COMPLETION_TIME_REACHED",
        "Given up before the container was started",
    ),
    ("vanished", vanished, "FAILED", S, "EXECUTOR_TERMINATED", None),
    (
        "vanished while killed",
        lambda: vanished(killing=True),
        "KILLED",
        E,
        None,
        "Container is gone",
    ),
    (
        "killed before the start",
        cancelled,
        "KILLED",
        S,
        "TASK_KILLED_DURING_LAUNCH",
        "Killed before the container was started",
    ),
    (
        "bad options",
        lambda: launch_failed(Failure.INVALID),
        "FAILED",
        E,
        None,
        "Failed to create docker run options: the daemon's words",
    ),
    (
        "pull failed",
        lambda: launch_failed(Failure.PULL),
        "FAILED",
        S,
        "CONTAINER_LAUNCH_FAILED",
        LAUNCH,
    ),
    (
        "fetch failed",
        lambda: launch_failed(Failure.FETCH),
        "FAILED",
        S,
        "CONTAINER_LAUNCH_FAILED",
        LAUNCH,
    ),
    (
        "create failed",
        lambda: launch_failed(Failure.LAUNCH),
        "FAILED",
        S,
        "CONTAINER_LAUNCH_FAILED",
        LAUNCH,
    ),
    (
        "took too long",
        lambda: launch_failed(Failure.TIMEOUT),
        "FAILED",
        S,
        "EXECUTOR_REGISTRATION_TIMEOUT",
        LAUNCH,
    ),
    (
        "lost by a restart",
        half_launched,
        "DROPPED",
        S,
        "SLAVE_RESTARTED",
        "Task launched during agent restart",
    ),
]


@pytest.mark.parametrize(
    ("make", "state", "source", "reason", "text"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_the_terminal_update_of_every_end(
    make: Callable[[], Shim], state: str, source: int, reason: str | None, text: str | None
) -> None:
    sent = make().last_status()
    assert TaskState.Name(sent.state) == f"TASK_{state}"
    assert sent.source == source
    name = Reason.Name(sent.reason) if sent.HasField("reason") else None
    assert name == (None if reason is None else f"REASON_{reason}")
    if text is not None:
        assert sent.message == text


def test_task_starting_has_no_reason_and_no_message() -> None:
    shim = staged()
    shim.creating()
    sent = shim.last_status()
    assert (sent.state, sent.source) == (TaskState.TASK_STARTING, E)
    assert not sent.HasField("reason")
    assert not sent.HasField("message")


def test_task_running_carries_the_inspect_and_the_address() -> None:
    shim = staged()
    shim.started()
    sent = shim.last_status()
    assert (sent.state, sent.source) == (TaskState.TASK_RUNNING, E)
    assert sent.data == b"[{}]"
    assert not sent.HasField("healthy")
    (network,) = sent.container_status.network_infos
    (address,) = network.ip_addresses
    assert address.ip_address == "172.17.0.2"
    assert sent.container_status.container_id.value == shim.ref().container_id


def test_a_health_update_has_no_inspect() -> None:
    sent = unhealthy(ended=False).last_status()
    assert Reason.Name(sent.reason) == "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
    assert sent.healthy is False
    assert sent.data == b""
    assert sent.container_status.network_infos[0].ip_addresses[0].ip_address == "172.17.0.2"


def test_a_task_killed_as_unhealthy_reports_healthy_false() -> None:
    assert unhealthy(ended=True).last_status().healthy is False
    assert not killed().last_status().HasField("healthy")


def test_a_task_without_a_container_has_no_container_status() -> None:
    assert not launch_failed(Failure.PULL).last_status().HasField("container_status")
    assert not cancelled().last_status().HasField("container_status")
    assert exited(1).last_status().HasField("container_status")


def test_an_out_of_memory_update_names_the_limit() -> None:
    shim = Shim()
    info = task_info()
    info.resources.add(name="mem", type=Value.SCALAR).scalar.value = 64.0
    shim.running_task(info)
    shim.handle(facts.ContainerExited(shim.ref(), 137, oom_killed=True))
    sent = shim.last_status()
    assert "64MB" in sent.message
    assert [resource.name for resource in sent.limitation.resources] == ["mem"]
    assert not exited(1).last_status().HasField("limitation")


@pytest.mark.parametrize(
    ("limit", "exhausted", "words"), [(128.0, 128.0, "128MB"), (float("inf"), 64.0, "ran out")]
)
def test_an_out_of_memory_update_names_the_limit_and_not_the_request(
    limit: float, exhausted: float, words: str
) -> None:
    shim, info = Shim(), task_info()
    info.resources.add(name="mem", type=Value.SCALAR).scalar.value = 64.0
    info.limits["mem"].value = limit
    shim.running_task(info)
    shim.handle(facts.ContainerExited(shim.ref(), 137, oom_killed=True))
    sent = shim.last_status()
    assert words in sent.message
    assert [r.scalar.value for r in sent.limitation.resources] == [exhausted]


def test_the_first_network_info_is_copied_with_the_real_addresses() -> None:
    info = task_info()
    network = info.container.network_infos.add(name="overlay")
    network.ip_addresses.add(ip_address="9.9.9.9")
    network.labels.labels.add(key="k", value="v")
    info.container.network_infos.add(name="second")
    name = status.container_status("cid", info.container, ["10.1.1.1", "fd00::1"])
    (copy,) = name.network_infos
    assert copy.name == "overlay"
    assert copy.labels.labels[0].key == "k"
    first, second = copy.ip_addresses
    assert (first.ip_address, first.HasField("protocol")) == ("10.1.1.1", False)
    assert (second.ip_address, second.protocol) == ("fd00::1", NetworkInfo.IPv6)


@pytest.mark.parametrize("host", [None, "192.0.2.7"])
def test_a_container_without_an_address_reports_that_of_the_engine_host(host: str | None) -> None:
    shim = Shim(engine_ip=host)
    shim.run()
    shim.creating()
    networks = shim.last_status().container_status.network_infos
    found = [address.ip_address for network in networks for address in network.ip_addresses]
    assert found == ([host] if host else [])


def test_task_running_carries_an_empty_check_status() -> None:
    shim = Shim()
    info = task_info()
    info.check.type = CheckInfo.COMMAND
    info.check.command.command.value = "true"
    shim.run(info)
    shim.started()
    sent = shim.last_status()
    assert sent.check_status.type == 1
    assert sent.check_status.HasField("command")
    assert not sent.check_status.command.HasField("exit_code")


def test_task_running_repeats_the_last_results_of_both_checks() -> None:
    shim = Shim()
    info = task_info()
    info.check.type = CheckInfo.COMMAND
    info.check.command.command.value = "true"
    info.health_check.type = HealthCheck.COMMAND
    shim.running_task(info)
    result = CheckStatusInfo(type=CheckInfo.COMMAND)
    result.command.exit_code = 3
    shim.handle(facts.CheckReported(shim.ref(), result.SerializeToString()))
    assert Reason.Name(shim.last_status().reason) == "REASON_TASK_CHECK_STATUS_UPDATED"
    assert shim.last_status().check_status == result
    shim.acknowledge_all()
    shim.handle(facts.HealthReported(shim.ref(), healthy=True))
    sent = shim.last_status()
    assert sent.healthy is True
    assert sent.check_status == result


def test_every_update_has_its_own_uuid() -> None:
    shim = running()
    shim.kill()
    killing = shim.last(Send).message
    shim.acknowledge_all()
    shim.exited()
    assert isinstance(killing, m.StatusUpdateMessage)
    (ended,) = (order.message for order in of(Send, shim.decision.orders))
    assert isinstance(ended, m.StatusUpdateMessage)
    assert killing.update.uuid != ended.update.uuid
