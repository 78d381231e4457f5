from __future__ import annotations

import argparse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.engine.mapping import MappingSettings, container_spec
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.v1_json import from_json
from shim.model.validation import id_problem
from shim.protos.mesos_pb2 import TaskInfo
from shim.run.task_spec import OfferedResources, PortMapping, TaskSpec, id_part, task_info

Json = dict[str, Any]


def offer(cpus: float = 1.0, mem: float = 100.0, *ports: tuple[int, int], **more: Any) -> Json:
    resources: list[Json] = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}, "role": "*"},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}, "role": "*"},
    ]
    if ports:
        ranges = [{"begin": a, "end": b} for a, b in ports]
        resources.append({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}})
    return {"id": {"value": "O1"}, "agent_id": {"value": "S1"}, "resources": resources, **more}


def test_as_many_tasks_as_fit_are_placed() -> None:
    available = OfferedResources(offer(cpus=0.3, mem=1000))
    spec = TaskSpec("busybox", "web", cpus=0.1, mem=10)
    placed = [available.place(spec, str(n)) for n in range(4)]
    assert [info is not None for info in placed] == [True, True, True, False]


def test_a_reserved_resource_is_not_used() -> None:
    body = offer()
    body["resources"][0]["role"] = "web"
    assert OfferedResources(body).place(TaskSpec("busybox", "web"), "1") is None


def test_offered_ports_are_used_once() -> None:
    available = OfferedResources(offer(1, 1000, (8000, 8001)))
    first = available.place(TaskSpec("nginx", "web", ports=[PortMapping(8000, 80)]), "1")
    assert first is not None
    assert first["resources"][-1]["ranges"] == {"range": [{"begin": 8000, "end": 8000}]}
    assert first["container"]["docker"]["port_mappings"] == [
        {"host_port": 8000, "container_port": 80, "protocol": "tcp"}
    ]
    assert available.place(TaskSpec("nginx", "web", ports=[PortMapping(8000, 80)]), "2") is None
    assert available.place(TaskSpec("nginx", "web", ports=[PortMapping(8001, 80)]), "3") is not None


def test_without_offered_ports_a_parameter_publishes_them() -> None:
    info = OfferedResources(offer()).place(
        TaskSpec("nginx", "web", ports=[PortMapping(8000, 80, "udp")]), "1"
    )
    assert info is not None
    assert info["container"]["docker"]["parameters"] == [{"key": "publish", "value": "8000:80/udp"}]
    assert {r["name"] for r in info["resources"]} == {"cpus", "mem"}


def test_every_option_is_in_the_task() -> None:
    spec = TaskSpec(
        "img",
        "name",
        command="echo $A",
        env=[("A", "1")],
        labels=[("l", "v")],
        network="blue",
        user="nobody",
        grace=1.5,
        parameters=[("dns", "8.8.8.8")],
    )
    info = OfferedResources(offer()).place(spec, "id")
    assert info is not None
    assert info["command"] == {
        "shell": True,
        "value": "echo $A",
        "environment": {"variables": [{"name": "A", "value": "1"}]},
    }
    assert info["container"]["docker"]["parameters"] == [
        {"key": "label", "value": "l=v"},
        {"key": "dns", "value": "8.8.8.8"},
        {"key": "user", "value": "nobody"},
    ]
    assert info["labels"] == {"labels": [{"key": "l", "value": "v"}]}
    assert info["container"]["docker"]["network"] == "USER"
    assert info["container"]["network_infos"] == [{"name": "blue"}]
    assert info["kill_policy"] == {"grace_period": {"nanoseconds": 1_500_000_000}}
    assert info["agent_id"] == {"value": "S1"}


def test_the_agent_honours_every_option() -> None:
    """Checks the container spec that the agent makes from the TaskInfo."""
    spec = TaskSpec(
        "img:1",
        "name",
        command="echo $A",
        cpus=0.5,
        mem=100,
        env=[("A", "1")],
        labels=[("l", "v"), ("empty", ""), ("mesos-shim.id", "a task's own")],
        network="blue",
        ports=[PortMapping(41080, 80)],
        user="nobody",
        grace=1.5,
        force_pull=True,
        parameters=[("dns", "8.8.8.8")],
    )
    v1 = task_info(spec, "id", {"value": "S1"}, with_ports=False)
    task = from_json(v1, TaskInfo())
    ref = Ref(TaskKey(FrameworkId("F"), TaskId("id")), ContainerId("c"))
    made = container_spec(
        ref, task, agent_id="S1", executor_id="id", settings=MappingSettings("shim")
    )
    body, host = made.body, made.body["HostConfig"]
    assert (made.force_pull, made.warnings) == (True, ())
    assert body["User"] == "nobody"
    assert "echo $A" in [*body.get("Entrypoint", []), *body.get("Cmd", [])]
    assert "A=1" in body["Env"]
    assert [label.value for label in task.labels.labels] == ["v", "", "a task's own"]
    assert (body["Labels"]["l"], body["Labels"]["empty"]) == ("v", "")
    assert body["Labels"]["mesos-shim.id"] == "shim"
    assert (host["CpuShares"], host["Memory"]) == (512, 100 * 2**20)
    assert host["NetworkMode"] == "blue"
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "41080"}]}
    assert host["Dns"] == ["8.8.8.8"]
    assert task.kill_policy.grace_period.nanoseconds == 1_500_000_000


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("web", "web"),
        ("/team/web", "team-web"),
        ("web/1", "web-1"),
        ("a\\b", "a-b"),
        ("a\tb", "a-b"),
        ("..", "run"),
        ("", "run"),
        ("web.prod_1", "web.prod_1"),
        ("日本語", "日本語"),
    ],
)
def test_a_name_is_made_fit_for_a_task_id(name: str, part: str) -> None:
    assert id_part(name) == part


@given(st.text())
def test_every_name_gives_a_valid_task_id(name: str) -> None:
    assert id_problem(f"{id_part(name)}-0123abcd-9999") is None


def test_without_a_command_the_images_own_runs() -> None:
    info = OfferedResources(offer()).place(TaskSpec("img", "n", arguments=["-v"]), "id")
    assert info is not None
    assert info["command"] == {"shell": False, "arguments": ["-v"]}


@pytest.mark.parametrize("text", ["80", "a:b", "0:80", "80:70000", "80:80/sctp", ""])
def test_an_invalid_port_is_an_error(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="".join(f"[{c}]" for c in text) or "''"):
        PortMapping.parse(text)
