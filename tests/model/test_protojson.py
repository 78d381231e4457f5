from __future__ import annotations

import json

from shim.model.protojson import Writer
from shim.protos.mesos_pb2 import (
    CommandInfo,
    ContainerInfo,
    FrameworkInfo,
    HealthCheck,
    Parameter,
    Resource,
    Task,
    TaskState,
    TaskStatus,
    Value,
)

to_json = Writer().to_json


def test_explicit_defaults_are_written_and_others_are_not() -> None:
    assert to_json(CommandInfo()) == {"shell": True}
    health = to_json(HealthCheck())
    assert health == {
        "delay_seconds": 15.0,
        "interval_seconds": 10.0,
        "timeout_seconds": 20.0,
        "consecutive_failures": 3,
        "grace_period_seconds": 10.0,
    }
    docker = ContainerInfo.DockerInfo(image="i")
    assert to_json(docker) == {"image": "i", "network": "HOST", "privileged": False}
    assert "role" not in to_json(FrameworkInfo())
    assert "role" not in to_json(Resource(name="x", type=Value.SCALAR))


def test_numbers_texts_and_bytes() -> None:
    status = TaskStatus(uuid=b"\0\xff", timestamp=4, message='grüße / "x"')
    body = to_json(status)
    assert body["uuid"] == "AP8="
    assert json.dumps(body["timestamp"]) == "4.0"
    assert body["message"] == 'grüße / "x"'


def test_maps_are_objects_and_infinity_is_a_text() -> None:
    task = Task()
    task.limits["mem"].value = float("inf")
    task.limits["cpus"].value = 1.0
    assert to_json(task)["limits"] == {"cpus": {"value": 1.0}, "mem": {"value": "Infinity"}}


def test_an_enum_value_is_its_name() -> None:
    assert to_json(TaskStatus(state=TaskState.TASK_RUNNING))["state"] == "TASK_RUNNING"


def test_a_dialect_has_its_own_names_and_hides() -> None:
    def hide(parameter: dict[str, object]) -> None:
        parameter["VALUE"] = "***"

    writer = Writer(key=str.upper, enum_value=str.lower, redactions={"mesos.Parameter": hide})
    assert writer.to_json(TaskStatus(state=TaskState.TASK_RUNNING)) == {"STATE": "task_running"}
    docker = ContainerInfo.DockerInfo(image="i", parameters=[Parameter(key="k", value="v")])
    assert writer.to_json(docker)["PARAMETERS"] == [{"KEY": "k", "VALUE": "***"}]
