from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from shim.http.operator_api.validation import problem_of, process_io_problem
from shim.protos.agent_pb2 import Call


def call(body: dict[str, Any]) -> Call:
    return json_format.ParseDict(body, Call())


def launch(**body: Any) -> dict[str, Any]:
    full = {
        "container_id": {"value": "c", "parent": {"value": "p"}},
        "command": {"value": "x"},
        **body,
    }
    return {
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": full,
    }


def test_a_session_needs_no_more_than_an_id_and_a_command() -> None:
    assert problem_of(call(launch())) == ""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "ID must not be empty"),
        ("..", "'..' is disallowed"),
        ("a/b", "'a/b' contains invalid characters"),
        ("a\\b", "'a\\b' contains invalid characters"),
        ("a\nb", "'a\nb' contains invalid characters"),
        ("a.b", "'ContainerID.value' 'a.b' contains invalid characters"),
        ("a b", "'ContainerID.value' 'a b' contains invalid characters"),
        ("x" * 243, f"'ContainerID.value' '{'x' * 243}' exceeds the maximum length (242)"),
    ],
)
def test_ids_are_fit_for_paths_and_logs(value: str, problem: str) -> None:
    name = "'wait_container.container_id' is invalid: "
    wait = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": value}}}
    assert problem_of(call(wait)) == name + problem
    wait["wait_container"] = {"container_id": {"value": "c", "parent": {"value": value}}}
    assert problem_of(call(wait)) == f"{name}'ContainerID.parent' is invalid: {problem}"


@pytest.mark.parametrize("value", ["'\"><script>", "ä", "x" * 242])
def test_other_ids_are_fine(value: str) -> None:
    wait = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": value}}}
    assert problem_of(call(wait)) == ""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"container_id": {"value": "c"}}, "Expecting 'NAME.container_id.parent' to be present"),
        ({"command": {}}, "'NAME.command' is invalid: Expecting 'value' to be present"),
        ({"command": {"value": "a\0b"}}, "'NAME.command' is invalid: it contains a null byte"),
        (
            {"command": {"value": "x", "environment": {"variables": [{"name": "A"}]}}},
            "'NAME.command' is invalid: Environment variable 'A' of type 'VALUE' must have a value"
            " set",
        ),
        (
            {
                "command": {
                    "value": "x",
                    "environment": {"variables": [{"name": "A=B", "value": "c"}]},
                }
            },
            "'NAME.command' is invalid: 'A=B' is no name of an environment variable",
        ),
        (
            {"container": {"type": "DOCKER"}},
            "'NAME.container' is invalid: DockerInfo 'docker' is not set for DOCKER typed"
            " ContainerInfo",
        ),
        (
            {
                "container": {
                    "type": "DOCKER",
                    "docker": {"image": "a", "parameters": [{"key": "name", "value": "b"}]},
                }
            },
            "'NAME.container' is invalid: Parameter in DockerInfo must not be 'name'",
        ),
        (
            {"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}},
            "'NAME.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for"
            " nested container sessions",
        ),
    ],
)
def test_what_a_session_cannot_be(body: dict[str, Any], problem: str) -> None:
    name = "launch_nested_container_session"
    assert problem_of(call(launch(**body))) == problem.replace("NAME", name)


@pytest.mark.parametrize("kind", ["ADD", "UPDATE"])
def test_a_new_resource_provider_has_no_id(kind: str) -> None:
    kind += "_RESOURCE_PROVIDER_CONFIG"
    info = {"type": "a", "name": "b", "id": {"value": "c"}}
    text = f"Expecting '{kind.lower()}.info.id' to be unset"
    assert problem_of(call({"type": kind, kind.lower(): {"info": info}})) == text


def test_a_session_without_a_command_is_none() -> None:
    body = launch()
    del body["launch_nested_container_session"]["command"]
    text = "Expecting 'launch_nested_container_session.command' to be present"
    assert problem_of(call(body)) == text


@pytest.mark.parametrize(
    ("process_io", "problem"),
    [
        ({}, "Expecting 'process_io.type' to be present"),
        ({"type": "UNKNOWN"}, "'process_io.type' is unknown"),
        ({"type": "DATA"}, "Expecting 'process_io.data' to be present"),
        ({"type": "DATA", "data": {}}, "Expecting 'process_io.data.type' to be present"),
        (
            {"type": "DATA", "data": {"type": "STDOUT"}},
            "Expecting 'process_io.data.type' to be 'STDIN'",
        ),
        (
            {"type": "DATA", "data": {"type": "STDIN"}},
            "Expecting 'process_io.data.data' to be present",
        ),
        ({"type": "DATA", "data": {"type": "STDIN", "data": ""}}, ""),
        ({"type": "CONTROL"}, "Expecting 'process_io.control' to be present"),
        ({"type": "CONTROL", "control": {}}, "Expecting 'process_io.control.type' to be present"),
        (
            {"type": "CONTROL", "control": {"type": "UNKNOWN"}},
            "'process_io.control.type' is unknown",
        ),
        (
            {"type": "CONTROL", "control": {"type": "TTY_INFO"}},
            "Expecting 'process_io.control.tty_info' to be present",
        ),
        (
            {"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": {}}},
            "Expecting 'tty_info.window_size' to be present",
        ),
        (
            {"type": "CONTROL", "control": {"type": "HEARTBEAT"}},
            "Expecting 'process_io.control.heartbeat' to be present",
        ),
        ({"type": "CONTROL", "control": {"type": "HEARTBEAT", "heartbeat": {}}}, ""),
    ],
)
def test_records_of_input_are_complete(process_io: dict[str, Any], problem: str) -> None:
    body = {"type": "PROCESS_IO", "process_io": process_io}
    record = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body}
    assert process_io_problem(call(record)) == problem


def test_input_names_a_container_once() -> None:
    body: dict[str, Any] = {"type": "CONTAINER_ID", "container_id": {"value": "c"}}
    record = call({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body})
    assert problem_of(record) == ""
    text = "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: 'CONTAINER_ID'"
    assert process_io_problem(record) == text
    body = {"type": "UNKNOWN"}
    record = call({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body})
    assert problem_of(record) == "'attach_container_input.type' is unknown"
    record = call({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {}})
    assert problem_of(record) == "Expecting 'attach_container_input.type' to be present"
