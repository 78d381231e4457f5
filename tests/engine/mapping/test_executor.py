"""The container of a custom executor, and what containers without an image are made of."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import ContainerInfo, ExecutorInfo, TaskInfo
from tests.engine.mapping.pods import executor, own_container, refusal, spec, task
from tests.engine.mapping.tasks import PLAIN, spec_of
from tests.engine.mapping.tasks import body as task_body
from tests.engine.mapping.tasks import refusal as task_refusal

CUSTOM = """
    executor_id { value: "pod.1" } type: CUSTOM
    command { value: "./run" environment { variables { name: "MINE" value: "1" }
        variables { name: "MESOS_CHECKPOINT" value: "0" } } }
    container { type: DOCKER docker { image: "thermos:1" network: BRIDGE } }
"""
DOCKER = text_format.Parse(
    'type: DOCKER docker { image: "base:1" network: BRIDGE force_pull_image: true }',
    ContainerInfo(),
)
MESOS = text_format.Parse(
    'type: MESOS mesos { image { type: DOCKER docker { name: "base:2" } } }', ContainerInfo()
)
WITHOUT_IMAGE = "container { type: MESOS }"


def custom(text: str = "") -> ExecutorInfo:
    return text_format.Merge(text, text_format.Parse(CUSTOM, ExecutorInfo()))


def test_a_custom_executor_runs_its_command_in_its_image() -> None:
    variables = {"MESOS_EXECUTOR_ID": "pod.1", "MESOS_CHECKPOINT": "1"}
    made = own_container(custom(), variables)
    assert made.image.text == "thermos:1"
    assert made.body["Entrypoint"] == ["/bin/sh"]
    assert made.body["Cmd"] == ["-c", "./run"]
    env = dict(entry.split("=", 1) for entry in made.body["Env"])
    assert env == {
        "MINE": "1",
        "MESOS_EXECUTOR_ID": "pod.1",
        "MESOS_CHECKPOINT": "0",  # the executor's own variables win
        "MESOS_SANDBOX": "/mnt/mesos/sandbox",
        "MESOS_CONTAINER_NAME": made.name,
        "MESOS_ALLOCATION_ROLE": "*",
    }
    assert made.body["HostConfig"]["NetworkMode"] == "bridge"
    assert made.body["HostConfig"]["Memory"] == 64 * 2**20


def test_a_custom_executor_of_the_mesos_containerizer_needs_an_image() -> None:
    info = custom()
    info.container.CopyFrom(MESOS)
    assert own_container(info).image.text == "base:2"
    info.ClearField("container")
    assert own_container(info, default_container_info=DOCKER).image.text == "base:1"


def test_the_default_container_is_that_of_tasks_without_one() -> None:
    bare = text_format.Parse(PLAIN, TaskInfo())
    bare.ClearField("container")
    assert spec_of(bare, default_container_info=DOCKER).image.text == "base:1"
    with pytest.raises(InvalidTask, match=r"TaskInfo\.container is required"):
        spec_of(bare)
    assert task_body(default_container_info=DOCKER)["Image"] == "nginx:1"
    assert "No image" in task_refusal("container { docker { image: '' } }")


def test_a_task_of_a_pod_without_an_image_has_the_default_one() -> None:
    info = task()
    info.container.ClearField("mesos")
    made = spec(info, default_container_info=DOCKER)
    assert (made.image.text, made.force_pull) == ("base:1", True)
    assert made.body["HostConfig"]["NetworkMode"].startswith("container:")
    assert spec(info, default_container_info=MESOS).image.text == "base:2"
    assert refusal(info) == (
        "No image, and --default_container_info names none: container.mesos.image.docker.name ''"
    )
    assert info.container.ByteSize() == 2, "the task itself is not changed"


def test_an_infra_container_never_has_the_default_image() -> None:
    made = own_container(executor(""), default_container_info=DOCKER)
    assert made.image.text == "mesos-shim/infra:1"
