"""Tasks for the tests, as protobuf text merged over a plain Docker task."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format

from shim.engine.api import ContainerSpec
from shim.engine.mapping import MappingSettings, container_spec
from shim.errors import InvalidTask
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.protos.mesos_pb2 import TaskInfo

REF = Ref(TaskKey(FrameworkId("F-0000"), TaskId("web.1")), ContainerId("0c2f-11"))
PLAIN = """
    name: "web" task_id { value: "web.1" } slave_id { value: "S0" }
    command { shell: false }
    container { type: DOCKER docker { image: "nginx:1" network: BRIDGE } }
"""
MESOS = 'container { type: MESOS mesos { image { type: DOCKER docker { name: "nginx:1" } } } }'


def task(text: str = "") -> TaskInfo:
    """Return the plain task with ``text`` (protobuf's text format) merged over it."""
    result = text_format.Parse(PLAIN, TaskInfo())
    return text_format.Merge(text, result)


def spec(text: str = "", **settings: Any) -> ContainerSpec:
    return spec_of(task(text), **settings)


def spec_of(info: TaskInfo, **settings: Any) -> ContainerSpec:
    made = MappingSettings(**({"shim_id": "shim-1"} | settings))
    return container_spec(REF, info, agent_id="A-S1", executor_id="web.1", settings=made)


def body(text: str = "", **settings: Any) -> Any:
    return spec(text, **settings).body


def host(text: str = "", **settings: Any) -> Any:
    return body(text, **settings)["HostConfig"]


def refusal(text: str, **settings: Any) -> str:
    """Return the text of the InvalidTask for the task."""
    with pytest.raises(InvalidTask) as caught:
        spec(text, **settings)
    return str(caught.value)


def parameters(*options: str) -> str:
    """Return ``key=value`` texts as docker parameters."""
    info = TaskInfo()
    for option in options:
        key, _, value = option.partition("=")
        info.container.docker.parameters.add(key=key, value=value)
    return text_format.MessageToString(info)


def resources(**values: float) -> str:
    return "".join(
        f'resources {{ name: "{name}" type: SCALAR scalar {{ value: {value} }} }}'
        for name, value in values.items()
    )


def ports(*ranges: tuple[int, int]) -> str:
    inner = "".join(f"range {{ begin: {a} end: {b} }}" for a, b in ranges)
    return f'resources {{ name: "ports" type: RANGES ranges {{ {inner} }} }}'


def mapping(host_port: int, container_port: int, protocol: str = "") -> str:
    word = f'protocol: "{protocol}"' if protocol else ""
    return (
        "container { docker { port_mappings {"
        f" host_port: {host_port} container_port: {container_port} {word} }} }} }}"
    )
