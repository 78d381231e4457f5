"""The namespaces of a task group: what belongs to the infra container, and what joins it."""

from __future__ import annotations

import dataclasses

import pytest

from shim.engine.mapping import parse_default_container_dns
from shim.engine.mapping.pod import with_address
from shim.model.container import (
    LABEL_CONTAINER,
    LABEL_EXECUTOR,
    LABEL_FRAMEWORK,
    LABEL_TASK,
    Container,
    Phase,
)
from shim.model.orders import Launch
from tests.engine.mapping.pods import (
    EXECUTOR,
    INFRA,
    executor,
    member,
    own_container,
    ref,
    refusal,
    spec,
    task,
)

LINUX = "container { linux_info { %s } }"
PORTS = """container { type: MESOS hostname: "pod" network_infos { name: "back"
    port_mappings { host_port: 8001 container_port: 80 protocol: "tcp" } } }"""
DNS = """{"mesos": [
    {"network_mode": "CNI", "network_name": "back", "dns": {"nameservers": ["9.9.9.9"]}}
]}"""


def test_the_infra_container_has_network_ports_dns_and_host_name() -> None:
    made = own_container(
        executor(PORTS), ports="real", default_container_dns=parse_default_container_dns(DNS)
    )
    host = made.body["HostConfig"]
    assert made.name == INFRA
    assert made.image.text == made.body["Image"] == "mesos-shim/infra:1"
    assert made.body["Hostname"] == "pod"
    assert host["NetworkMode"] == "back"
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8001"}]}
    assert host["Dns"] == ["9.9.9.9"]
    assert host["IpcMode"] == "shareable"
    assert not {"Memory", "CpuShares", "Binds", "Mounts"} & set(host), "it needs nothing"
    assert not {"Cmd", "Entrypoint", "Volumes"} & set(made.body)
    assert not made.starts_after


def test_the_infra_container_is_known_as_an_executors_own() -> None:
    labels = own_container(executor()).body["Labels"]
    assert LABEL_TASK not in labels
    assert labels[LABEL_CONTAINER] == EXECUTOR.container_id
    found = Container(INFRA, "1", Phase.RUNNING, labels)
    assert (found.executor_key, found.task_key) == (EXECUTOR.key, None)


def test_the_infra_container_may_share_what_the_host_has() -> None:
    shares = "ipc_mode: SHARE_PARENT share_pid_namespace: true shm_size: 64"
    host = own_container(executor(LINUX % shares)).body["HostConfig"]
    assert (host["IpcMode"], host["PidMode"], host["ShmSize"]) == ("host", "host", 64 * 2**20)
    assert own_container(executor(), pod_image="reg.io/pause:3").image.text == "reg.io/pause:3"


def test_a_task_joins_the_infra_container() -> None:
    made = spec(task())
    host = made.body["HostConfig"]
    assert host["NetworkMode"] == host["IpcMode"] == f"container:{INFRA}"
    assert made.starts_after == INFRA
    labels = made.body["Labels"]
    assert (labels[LABEL_TASK], labels[LABEL_EXECUTOR]) == ("web", "pod.1")
    assert labels[LABEL_FRAMEWORK] == "F-0000"
    assert made.warnings == ()


def test_nothing_that_belongs_to_the_shared_network_reaches_the_engine() -> None:
    made = spec(
        task(
            'container { hostname: "x" network_infos { port_mappings { host_port: 1'
            " container_port: 2 } } }"
        )
    )
    assert not {"Hostname", "ExposedPorts", "NetworkingConfig"} & set(made.body)
    assert "PortBindings" not in made.body["HostConfig"]
    assert [warning.partition(":")[0] for warning in made.warnings] == [
        "container.hostname",
        "container.network_infos[0].port_mappings",
    ]


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("hostname", "x", "Hostname"),
        ("dns", "9.9.9.9", "HostConfig.Dns"),
        ("publish", "80", "ExposedPorts"),
        ("publish-all", "true", "HostConfig.PublishAllPorts"),
        ("add-host", "a:1.2.3.4", "HostConfig.ExtraHosts"),
        ("mac-address", "02:42:ac:11:00:02", "MacAddress"),
        ("link", "a:b", "HostConfig.Links"),
    ],
)
def test_a_parameter_about_the_network_is_refused(key: str, value: str, field: str) -> None:
    text = f'container {{ docker {{ parameters {{ key: "{key}" value: "{value}" }} }} }}'
    assert refusal(task(text)) == (
        f"A task in a task group has its executor's network: container '{field}'"
    )


def test_a_task_may_have_a_network_of_its_own() -> None:
    made = spec(task('container { hostname: "x" network_infos { name: "front" } }'))
    assert made.body["HostConfig"]["NetworkMode"] == "front"
    assert made.body["Hostname"] == "x"


def test_on_the_hosts_network_nothing_is_joined() -> None:
    info = task()
    made = spec(info, member(info, info=executor(""), infra=False), host_address="10.0.0.9")
    host = made.body["HostConfig"]
    assert host["NetworkMode"] == "host"
    assert "IpcMode" not in host
    assert made.starts_after == ""
    assert "MESOS_CONTAINER_IP=10.0.0.9" in made.body["Env"]


@pytest.mark.parametrize(
    ("of_task", "of_executor", "infra", "expected"),
    [
        ("", "", True, {"IpcMode": "container"}),
        ("ipc_mode: SHARE_PARENT", "", True, {"IpcMode": "container"}),
        ("ipc_mode: SHARE_PARENT", "ipc_mode: SHARE_PARENT", True, {"IpcMode": "host"}),
        ("", "ipc_mode: SHARE_PARENT", True, {"IpcMode": "host"}),
        ("ipc_mode: PRIVATE shm_size: 2", "", True, {"IpcMode": "private", "ShmSize": 2 * 2**20}),
        ("ipc_mode: PRIVATE", "", False, {"IpcMode": "private"}),
        ("ipc_mode: SHARE_PARENT", "ipc_mode: SHARE_PARENT", False, {"IpcMode": "host"}),
        ("share_pid_namespace: true", "", True, {"IpcMode": "container", "PidMode": "container"}),
        ("share_pid_namespace: true", "share_pid_namespace: true", False, {"PidMode": "host"}),
    ],
)
def test_namespaces(of_task: str, of_executor: str, infra: bool, expected: dict[str, str]) -> None:
    info = task(LINUX % of_task)
    made = spec(info, member(info, info=executor(LINUX % of_executor), infra=infra))
    host = made.body["HostConfig"]
    wanted = {k: f"container:{INFRA}" if v == "container" else v for k, v in expected.items()}
    assert {k: host[k] for k in ("IpcMode", "PidMode", "ShmSize") if k in host} == wanted


@pytest.mark.parametrize("field", ["ipc_mode: SHARE_PARENT", "share_pid_namespace: true"])
def test_there_is_nothing_to_share_without_an_infra_container(field: str) -> None:
    info = task(LINUX % field)
    said = refusal(info, member(info, info=executor(""), infra=False))
    assert "is on the host's network and has no namespace to share: container.linux_info." in said


def test_shared_memory_has_a_size_only_where_it_is_private() -> None:
    said = refusal(task(LINUX % "shm_size: 64"))
    assert said == (
        "Only a container with ipc_mode PRIVATE has its own: container.linux_info.shm_size"
    )
    assert "Unknown IPC mode" in refusal(task(LINUX % "ipc_mode: UNKNOWN"))


def test_the_address_of_the_infra_container_is_in_the_environment() -> None:
    info = task()
    made, order = spec(info), Launch(ref(), info, "A", member(info))
    env = with_address(made, order, ("172.17.0.2", "fd00::2")).body["Env"]
    assert env[-1] == "MESOS_CONTAINER_IP=172.17.0.2"
    assert with_address(made, order, ()) is made
    borrows = dataclasses.replace(made, starts_after="mesos-another-task")
    assert with_address(borrows, order, ("172.17.0.2",)) is borrows


def resources(**values: float) -> str:
    return "".join(
        f'resources {{ name: "{name}" type: SCALAR scalar {{ value: {value} }} }}'
        for name, value in values.items()
    )


@pytest.mark.parametrize(("shares", "mib"), [("true", 32 + 64 + 128), ("false", 64)])
def test_tasks_that_share_cgroups_have_one_limit(shares: str, mib: int) -> None:
    cgroups = LINUX % f"share_cgroups: {shares}"
    web = task(resources(cpus=1, mem=64) + cgroups)
    db = task(resources(cpus=2, mem=128) + cgroups, "db")
    of = member(web, db, info=executor(resources(cpus=0.5, mem=32)))
    host = spec(web, of, enable_cfs=True).body["HostConfig"]
    assert host["Memory"] == mib * 2**20
    assert host["CpuShares"] == 1024
    assert host["CpuQuota"] == (350_000 if shares == "true" else 100_000)
    alone = dataclasses.replace(of, infra=False)
    assert spec(web, alone, kind="triton").body["HostConfig"]["Memory"] == 64 * 2**20


def test_on_triton_each_task_has_the_executors_network_for_itself() -> None:
    info = task()
    made = spec(info, member(info, infra=False), kind="triton")
    assert made.body["HostConfig"]["NetworkMode"] == "back"
    assert made.body["HostConfig"].get("IpcMode") is None
    info = task(LINUX % "ipc_mode: SHARE_PARENT")
    assert "Triton would ignore it" in refusal(info, member(info, infra=False), kind="triton")
    info = task()
    of = member(info, info=executor(LINUX % "shm_size: 64"), infra=False)
    assert "executor.container.linux_info.shm_size '64'" in refusal(info, of, kind="triton")


def test_labels_of_the_executor_place_its_tasks_on_triton() -> None:
    label = 'labels { labels { key: "triton.cns.services" value: "%s" } }'
    info = task()
    of = member(info, info=executor(label % "pod"), infra=False)
    assert spec(info, of, kind="triton").body["Labels"]["triton.cns.services"] == "pod"
    info = task(label % "web")
    assert spec(info, of, kind="triton").body["Labels"]["triton.cns.services"] == "web"
