"""What the calls that read show, in JSON as a stock agent writes it and in protobuf."""

from __future__ import annotations

import base64

import pytest

from shim.http.operator_api.reads import command_executor, mode_bits
from shim.model.container import Entry, Usage
from shim.protos.agent_pb2 import Call
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskState
from tests.http.operator_api.conftest import Api
from tests.http.page_data import (
    AGENT,
    FRAMEWORK,
    FakeFile,
    accept_task,
    end_task,
    launch_group,
    run_group,
    task_info,
)


async def test_the_agent_is_described(api: Api) -> None:
    assert await api.call("GET_HEALTH") == {"healthy": True}
    assert await api.call("GET_FLAGS") == {"flags": [{"name": "port", "value": "5051"}]}
    version = (await api.call("GET_VERSION"))["version_info"]
    assert version["version"] == "1.11.0"
    assert version["build_user"].startswith("mesos-shim")
    info = (await api.call("GET_AGENT"))["agent_info"]
    assert (info["hostname"], info["port"], info["id"]) == ("agent.example", 5051, {"value": AGENT})
    assert "checkpoint" not in info
    assert info["resources"][0] == {
        "name": "cpus",
        "type": "SCALAR",
        "scalar": {"value": 64.0},
    }
    assert await api.call("GET_OPERATIONS") == {}
    assert await api.call("GET_RESOURCE_PROVIDERS") == {}
    assert await api.call("GET_CONTAINERS") == {}
    assert await api.call("LIST_FILES", path="/slave/log") == {}
    assert await api.call("PRUNE_IMAGES") is None


async def test_metrics_are_those_of_the_snapshot(api: Api) -> None:
    answer = await api.post({"type": "GET_METRICS", "get_metrics": {"timeout": {"nanoseconds": 1}}})
    found = {
        each["name"]: each["value"] for each in (await answer.json())["get_metrics"]["metrics"]
    }
    assert found["slave/cpus_total"] == 64.0
    assert found["slave/registered"] == 1.0


async def test_tasks_are_listed_by_what_became_of_them(api: Api) -> None:
    running = api.run("web.running")
    queued = accept_task(api.data.core, "web.queued")
    ended, done = api.run("web.ended"), api.run("web.done")
    end_task(api.data.core, ended)
    end_task(api.data.core, done, acknowledged=True)
    tasks = await api.call("GET_TASKS")
    found = {kind: [task["task_id"]["value"] for task in listed] for kind, listed in tasks.items()}
    assert found == {
        "pending_tasks": [],
        "queued_tasks": ["web.queued"],
        "launched_tasks": ["web.running"],
        "terminated_tasks": ["web.ended"],
        "completed_tasks": ["web.done"],
    }
    (task,) = tasks["launched_tasks"]
    assert task["agent_id"] == {"value": AGENT}
    assert "slave" not in str(task)
    assert task["container"]["docker"]["parameters"][1] == {"key": "env", "value": "TOKEN=***"}
    status = task["statuses"][-1]
    assert (status["state"], status["source"]) == ("TASK_RUNNING", "SOURCE_EXECUTOR")
    assert status["container_status"]["container_id"] == {"value": running.container_id}
    state = await api.call("GET_STATE")
    assert state["get_tasks"] == tasks
    assert state["get_executors"] == await api.call("GET_EXECUTORS")
    assert state["get_frameworks"] == await api.call("GET_FRAMEWORKS")
    executors = state["get_executors"]
    assert [each["executor_info"]["source"] for each in executors["executors"]] == [
        "web.running",
        queued.task_key.task_id,
    ]
    assert len(executors["completed_executors"]) == 2
    (framework,) = state["get_frameworks"]["frameworks"]
    assert framework["framework_info"]["id"] == {"value": FRAMEWORK}


def test_a_command_task_has_the_executor_that_a_stock_agent_makes() -> None:
    info = task_info("web.1")
    wire = WireTask(name="web", state=TaskState.TASK_RUNNING)
    wire.framework_id.value = "F"
    command = command_executor(info, wire)
    assert (command.executor_id.value, command.source) == ("web.1", "web.1")
    assert command.command.value == info.command.value
    assert command.framework_id.value == "F"


async def test_executors_of_frameworks_are_listed_once_also_when_they_have_ended(api: Api) -> None:
    core = api.data.core
    launch_group(core, "pod", "a", "b")
    run_group(core, "a", "b")
    (executor,) = core.view.executors.values()
    (listed,) = (await api.call("GET_EXECUTORS"))["executors"]
    info = listed["executor_info"]
    assert (info["type"], info["name"]) == ("DEFAULT", "pod pod")
    assert info["resources"][0]["scalar"] == {"value": 0.1}
    containers = (await api.call("GET_CONTAINERS"))["containers"]
    parents = [each["container_id"]["parent"]["value"] for each in containers]
    assert parents == [executor.container_id] * 2
    assert [each["executor_name"] for each in containers] == ["pod pod"] * 2
    for task in list(core.view.tasks.values()):
        end_task(core, task.ref)
    core.groups.advance()
    for key in list(core.view.tasks):
        core.status_updates.drop(key)
        core.tasks.forget(key)
    api.run("web.1")
    found = await api.call("GET_EXECUTORS")
    ids = {
        kind: [each["executor_info"]["executor_id"]["value"] for each in listed]
        for kind, listed in found.items()
    }
    assert ids == {"executors": ["web.1"], "completed_executors": ["pod"]}


async def test_an_empty_agent_has_empty_lists(api: Api) -> None:
    assert await api.call("GET_FRAMEWORKS") == {"frameworks": [], "completed_frameworks": []}
    assert await api.call("GET_EXECUTORS") == {"executors": [], "completed_executors": []}


async def test_secrets_are_hidden_in_both_formats(api: Api) -> None:
    api.run()
    for kind in (Call.GET_STATE, Call.GET_EXECUTORS):
        response = await api.protobuf(Call(type=kind))
        assert b"do-not-tell" not in response.SerializeToString()
        assert b"value of PASSWORD" not in response.SerializeToString()
    variables = response.get_executors.executors[0].executor_info.command.environment.variables
    assert [variable.value for variable in variables] == ["***"] * 3
    text = str(await api.call("GET_STATE"))
    assert "do-not-tell" not in text
    assert "value of PASSWORD" not in text
    # the agent's own messages are as before
    (task,) = api.data.core.view.tasks.values()
    assert task.info.command.environment.variables[2].value == "value of PASSWORD"


async def test_containers_have_status_and_statistics(api: Api) -> None:
    ref = api.run()
    network = {"rx_bytes": 7}
    api.data.usages[ref] = Usage(5.5, 1.0, 2.0, 3, 4, 6, network)
    (container,) = (await api.call("GET_CONTAINERS"))["containers"]
    assert container["container_id"] == {"value": ref.container_id}
    assert container["executor_id"] == {"value": "web.1"}
    statistics = container["resource_statistics"]
    assert (statistics["mem_rss_bytes"], statistics["net_rx_bytes"]) == (3, 7)
    response = await api.protobuf(Call(type=Call.GET_CONTAINERS))
    (same,) = response.get_containers.containers
    assert same.resource_statistics.timestamp == 5.5


async def test_files_are_listed_and_read(api: Api) -> None:
    ref = api.run()
    api.data.outputs.texts["stdout"] = b"hello \xff world"
    link = Entry("link", 5, 2.25, "lrwxrwxrwx", 1, "root", "daemon")
    api.data.files.files[""] = FakeFile(True, entries=(link,))
    api.data.files.files["sub"] = FakeFile(True)
    path = f"/frameworks/{FRAMEWORK}/executors/web.1/runs/{ref.container_id}"
    files = (await api.call("LIST_FILES", path=path))["file_infos"]
    assert [file["path"] for file in files] == [f"{path}/{n}" for n in ("link", "stderr", "stdout")]
    assert files[0] == {
        "path": f"{path}/link",
        "nlink": 1,
        "size": 5,
        "mtime": {"nanoseconds": 2_250_000_000},
        "mode": 0o120777,
        "uid": "root",
        "gid": "daemon",
    }
    read = await api.call("READ_FILE", path=f"{path}/stdout", offset=6)
    assert read == {"size": 13, "data": base64.b64encode(b"\xff world").decode()}
    read = await api.call("READ_FILE", path=f"{path}/stdout", offset=0, length=5)
    assert base64.b64decode(read["data"]) == b"hello"
    assert (await api.call("READ_FILE", path=f"{path}/stdout", offset=99))["data"] == ""


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nothing", 404, "404 Not Found."),
        ("/frameworks/../x", 400, "'/frameworks/../x' is inaccessible.\n"),
    ],
)
async def test_files_that_are_not_there(api: Api, path: str, status: int, text: str) -> None:
    for body in (
        {"type": "LIST_FILES", "list_files": {"path": path}},
        {"type": "READ_FILE", "read_file": {"path": path, "offset": 0}},
    ):
        assert await api.refused(body) == (status, text)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("-rw-r--r--", 0o100644),
        ("drwxr-xr-x", 0o40755),
        ("drwxrwxrwt", 0o41777),
        ("-rwsr-Sr-T", 0o107744),
        ("srw-------", 0o140600),
    ],
)
def test_a_mode_has_the_bits_of_stat(text: str, bits: int) -> None:
    assert mode_bits(text) == bits
