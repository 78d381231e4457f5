"""Task groups for the tests: executors and members, as protobuf text."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format

from shim.engine.api import ContainerSpec
from shim.engine.mapping import MappingSettings, container_spec
from shim.engine.mapping.executor import executor_launch
from shim.errors import InvalidTask
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.orders import LaunchExecutor, MemberOf
from shim.protos.mesos_pb2 import ExecutorInfo, FrameworkInfo, TaskInfo

FRAMEWORK = FrameworkId("F-0000")
EXECUTOR = Ref(ExecutorKey(FRAMEWORK, ExecutorId("pod.1")), ContainerId("0c2f-EE"))
INFRA = EXECUTOR.name
NETWORK = 'container { type: MESOS network_infos { name: "back" } }'
SETTINGS = {"shim_id": "shim-1", "pod_image": "mesos-shim/infra:1"}


def executor(text: str = NETWORK) -> ExecutorInfo:
    info = ExecutorInfo(type=ExecutorInfo.DEFAULT)
    info.executor_id.value = "pod.1"
    return text_format.Merge(text, info)


def task(text: str = "", name: str = "web") -> TaskInfo:
    info = text_format.Parse(
        f"""name: "{name}" task_id {{ value: "{name}" }} slave_id {{ value: "S0" }}
        command {{ shell: false }}
        container {{
            type: MESOS mesos {{ image {{ type: DOCKER docker {{ name: "nginx:1" }} }} }}
        }}
        """,
        TaskInfo(),
    )
    return text_format.Merge(text, info)


def ref(name: str = "web") -> Ref:
    return Ref(TaskKey(FRAMEWORK, TaskId(name)), ContainerId(f"0c2f-{name}"))


def member(
    *tasks: TaskInfo, info: ExecutorInfo | None = None, infra: bool = True, **rest: Any
) -> MemberOf:
    group = tuple((ref(each.name), each) for each in tasks)
    return MemberOf(EXECUTOR, info or executor(), infra, group=group, **rest)


def spec(info: TaskInfo, of: MemberOf | None = None, **settings: Any) -> ContainerSpec:
    """The create request of a task in a task group, by default of this task alone."""
    return container_spec(
        ref(info.name),
        info,
        agent_id="A-S1",
        executor_id="pod.1",
        settings=MappingSettings(**(SETTINGS | settings)),
        member=of or member(info),
    )


def refusal(info: TaskInfo, of: MemberOf | None = None, **settings: Any) -> str:
    with pytest.raises(InvalidTask) as caught:
        spec(info, of, **settings)
    return str(caught.value)


def own_container(
    info: ExecutorInfo, environment: dict[str, str] | None = None, **settings: Any
) -> ContainerSpec:
    """The create request of an executor's own container."""
    made = MappingSettings(**(SETTINGS | settings))
    resources = tuple(
        text_format.Parse(text, TaskInfo()).resources[0]
        for text in (
            'resources { name: "mem" type: SCALAR scalar { value: 64 } }',
            'resources { name: "ports" type: RANGES ranges { range { begin: 8000 end: 8009 } } }',
        )
    )
    order = LaunchExecutor(EXECUTOR, info, FrameworkInfo(user="", name=""), "A-S1", resources)
    launch = executor_launch(order, made, environment or {})
    return container_spec(
        launch.ref,
        launch.task,
        agent_id=launch.agent_id,
        executor_id="pod.1",
        settings=made,
    )
