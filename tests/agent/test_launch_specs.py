"""What is wrong with a launch is known before anything of it starts, with the field's name."""

from __future__ import annotations

import pytest

from shim.agent.launch_specs import LaunchSpecs
from shim.engine.mapping import MappingSettings
from shim.errors import InvalidTask
from shim.model.orders import Launch, LaunchExecutor
from shim.protos.mesos_pb2 import FrameworkInfo
from tests.engine.mapping.pods import EXECUTOR, executor, member, ref, task

SPECS = LaunchSpecs(MappingSettings("me", ports="real", pod_image="mesos-shim/infra:1"))
PORT = """container { type: MESOS network_infos { name: "back"
    port_mappings { host_port: 31000 container_port: 80 } } }"""
OFFERED = 'resources { name: "ports" type: RANGES ranges { range { begin: 31000 end: 31000 } } }'
FIELD = "container.network_infos[0].port_mappings[0].host_port"


def problems(text: str, *tasks: str) -> list[str | None]:
    infos = [task(each, f"task-{number}") for number, each in enumerate(tasks)]
    of = member(*infos, info=executor(text))
    return [SPECS.problem(Launch(ref(info.name), info, "A", of)) for info in infos]


def test_a_task_is_named_by_what_it_cannot_have() -> None:
    unfit = "container { linux_info { shm_size: 64 } }"
    good, bad = problems(PORT, OFFERED, unfit)
    assert good is None
    assert bad is not None
    assert bad.endswith("container.linux_info.shm_size")


def test_the_infra_container_is_looked_at_with_the_first_task() -> None:
    assert problems(PORT, "", OFFERED) == [None, None], "a port of any of them is the pod's"
    first, second = problems(PORT, "", "")
    assert first == f"executor: Port mappings require port resources: {FIELD} '31000'"
    assert second is None


def test_an_unfit_container_of_an_executor_is_told_as_the_executors() -> None:
    order = LaunchExecutor(EXECUTOR, executor(PORT), FrameworkInfo(user="", name=""), "A", ())
    with pytest.raises(InvalidTask, match=r"executor: Port mappings require port resources"):
        SPECS.spec(SPECS.executor_launch(order, {}))
    infra = SPECS.spec(
        SPECS.executor_launch(
            LaunchExecutor(EXECUTOR, executor(), FrameworkInfo(user="", name=""), "A", ()), {}
        )
    )
    assert "Volumes" not in infra.body, "an infra container has no sandbox"
    of_task = SPECS.spec(Launch(ref(), task(), "A", member(task())))
    assert "/mnt/mesos/sandbox" in of_task.body["Volumes"]
