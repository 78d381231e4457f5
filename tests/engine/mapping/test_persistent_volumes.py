"""Where the persistent volumes of a task are mounted, and which paths are refused."""

from __future__ import annotations

from typing import Any

import pytest

from shim.engine.api import ContainerSpec
from shim.engine.mapping import MappingSettings, container_spec, sandbox_volumes
from shim.errors import InvalidTask
from shim.model.volume import VolumeMount
from tests.engine.mapping.tasks import MESOS, REF, task

SANDBOX = "/mnt/mesos/sandbox"


def mount(path: str, name: str = "v", *, read_only: bool = False) -> VolumeMount:
    return VolumeMount(f"mesos-{name}", "web", name, 100.0, path, read_only)


def spec(*mounts: VolumeMount, text: str = "", **settings: Any) -> ContainerSpec:
    made = MappingSettings("me", **settings)
    return container_spec(
        REF, task(text), agent_id="S", executor_id="E", settings=made, persistent=mounts
    )


def refusal(*mounts: VolumeMount, text: str = "", **settings: Any) -> str:
    with pytest.raises(InvalidTask) as caught:
        spec(*mounts, text=text, **settings)
    return str(caught.value)


def mounted(made: ContainerSpec) -> list[tuple[str, str, bool]]:
    found = made.body["HostConfig"].get("Mounts", [])
    assert all(each["VolumeOptions"] == {"NoCopy": True} for each in found)
    return [(each["Source"], each["Target"], each["ReadOnly"]) for each in found]


@pytest.mark.parametrize("text", ["", MESOS], ids=["DOCKER", "MESOS"])
def test_a_relative_path_is_in_the_sandbox_and_an_absolute_one_is_itself(text: str) -> None:
    made = spec(mount("data"), mount("/var/lib/db/", "w", read_only=True), text=text)
    assert mounted(made) == [
        ("mesos-v", f"{SANDBOX}/data", False),
        ("mesos-w", "/var/lib/db", True),
    ]


def test_triton_binds_it() -> None:
    made = spec(mount("data"), mount("/db", "w", read_only=True), kind="triton")
    assert made.body["HostConfig"]["Binds"] == [
        f"mesos-v:{SANDBOX}/data:rw",
        "mesos-w:/db:ro",
    ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "A volume cannot be the root of a container"),
        ("//", "A volume cannot be the root of a container"),
        ("/.", "A volume cannot be the root of a container"),
        ("..", "The path has a component '..'"),
        ("/a/../b", "The path has a component '..'"),
        ("", "Empty path"),
        (".", "A volume cannot be the sandbox itself"),
        (SANDBOX, "A volume cannot be the sandbox itself"),
        ("a\0b", "NUL byte"),
    ],
)
def test_a_path_that_no_volume_can_have_is_named(path: str, reason: str) -> None:
    text = refusal(mount(path))
    assert text.startswith(f"{reason}: resources.disk.volume.container_path")
    assert path in ("", "a\0b") or repr(path) in text


def test_a_dot_in_a_name_is_no_way_up() -> None:
    assert mounted(spec(mount("a..b/..c")))[0][1] == f"{SANDBOX}/a..b/..c"


@pytest.mark.parametrize("second", ["data", "./data", f"{SANDBOX}/data/"])
def test_a_path_used_twice_is_refused(second: str) -> None:
    reason = "The path is used twice: resources.disk.volume.container_path"
    assert refusal(mount("data"), mount(second, "w")).startswith(reason)
    text = f'container {{ volumes {{ container_path: "{second}" mode: RW host_path: "/srv" }} }}'
    assert refusal(mount("data"), text=text).startswith(reason)


@pytest.mark.parametrize("key", ["volume", "mount", "tmpfs"])
def test_a_path_that_a_parameter_of_docker_mounts_as_well_is_refused(key: str) -> None:
    value = {"volume": "/srv:/db", "mount": "type=tmpfs,target=/db", "tmpfs": "/db:size=1m"}[key]
    text = f'container {{ docker {{ parameters {{ key: "{key}" value: "{value}" }} }} }}'
    assert refusal(mount("/db/"), text=text).startswith("The path is used twice")


def test_a_directory_of_the_sandbox_that_is_a_volume_is_mounted_a_second_time() -> None:
    """So do Marathon's resident apps in Docker containers."""
    text = """
        container { volumes { container_path: "/var/lib/db" mode: RW host_path: "./data" } }
        container { volumes { container_path: "/ro" mode: RO host_path: "data" } }
        container { volumes { container_path: "/other" mode: RW host_path: "cache" } }
        resources { name: "disk" type: SCALAR scalar { value: 9 } disk {
            persistence { id: "v" } volume { container_path: "data" mode: RW } } }
    """
    made = spec(mount("data"), text=text)
    assert mounted(made) == [
        ("mesos-v", "/var/lib/db", False),
        ("mesos-v", "/ro", True),
        ("mesos-v", f"{SANDBOX}/data", False),
    ]
    assert made.body["Volumes"] == {"/other": {}}
    (left,) = sandbox_volumes(task(text), MappingSettings("me"))
    assert left.destination == "/other"


def test_a_directory_inside_a_volume_is_refused_by_name() -> None:
    text = 'container { volumes { container_path: "/db" mode: RW host_path: "data/sub" } }'
    assert "host_path 'data/sub'" in refusal(mount("data"), text=text)


def test_an_endpoint_without_volumes_refuses_the_task_by_the_volumes_name() -> None:
    why = "This endpoint has no volumes (Volumes are not supported)"
    text = refusal(mount("data"), kind="triton", volumes_missing=why)
    assert text == f"{why}: resources.disk.persistence.id 'v'"
    assert not mounted(spec(volumes_missing=why))


def test_a_colon_in_a_path_is_refused_where_only_binds_work() -> None:
    assert mounted(spec(mount("/a:b")))[0][1] == "/a:b"
    assert "'/a:b'" in refusal(mount("/a:b"), kind="triton")
