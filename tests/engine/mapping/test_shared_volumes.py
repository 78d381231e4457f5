"""Directories of the executor's sandbox: one named volume each, or lent by a task on Triton."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from shim.engine.mapping import MappingSettings, container_spec
from shim.engine.mapping.shared_volumes import SharedVolume, shared_volumes
from shim.errors import InvalidTask
from shim.model.container import LABEL_CONTAINER, LABEL_EXECUTOR, LABEL_SHIM
from shim.model.orders import Launch
from shim.model.volume import VolumeMount
from tests.engine.mapping.pods import EXECUTOR, executor, member, ref, refusal, spec, task

FIELD = "container.volumes[0].source.sandbox_path.path"


def parent(path: str, at: str, mode: str = "RW") -> str:
    source = f'source {{ type: SANDBOX_PATH sandbox_path {{ type: PARENT path: "{path}" }} }}'
    return f'container {{ volumes {{ mode: {mode} container_path: "{at}" {source} }} }}'


def mounts(text: str, **settings: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec(task(text), **settings).body["HostConfig"]["Mounts"]
    return found


def test_a_directory_is_a_volume_of_the_executor() -> None:
    web, db = mounts(parent("volumes/data", "/data")), mounts(parent("volumes/data/", "in", "RO"))
    assert web[0]["Source"] == db[0]["Source"]
    assert re.fullmatch(r"mesos-[0-9a-f-]{1,57}", web[0]["Source"])
    assert (web[0]["Target"], web[0]["ReadOnly"]) == ("/data", False)
    assert (db[0]["Target"], db[0]["ReadOnly"]) == ("/mnt/mesos/sandbox/in", True)
    assert web[0]["Type"] == "volume"
    options = web[0]["VolumeOptions"]
    assert options["NoCopy"] is True
    assert options["Labels"][LABEL_SHIM] == "shim-1"
    assert options["Labels"][LABEL_CONTAINER] == EXECUTOR.container_id
    assert options["Labels"][LABEL_EXECUTOR] == "pod.1"
    other = (
        mounts(parent("volumes/other", "/data")),
        mounts(parent("volumes/data", "/data"), shim_id="other"),
    )
    assert len({web[0]["Source"], *(made[0]["Source"] for made in other)}) == 3


def test_a_volume_of_the_executors_own_container_is_mounted_itself() -> None:
    own = """container { type: MESOS
        volumes { mode: RO container_path: "conf" host_path: "/etc/app" }
        volumes { mode: RW container_path: "data"
            source { type: DOCKER_VOLUME docker_volume { name: "data" } } } }"""
    for path, at, bind in (
        ("conf", "/conf", "/etc/app:/conf:ro"),
        ("data", "d", "data:/mnt/mesos/sandbox/d:rw"),
    ):
        info = task(parent(path, at))
        host = spec(info, member(info, info=executor(own))).body["HostConfig"]
        assert host["Binds"] == [bind]
        assert "Mounts" not in host


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../b", ".", "", "\0"])
def test_a_path_outside_of_the_sandbox_is_refused(path: str) -> None:
    info = task(parent("x", "/data"))
    info.container.volumes[0].source.sandbox_path.path = path
    assert refusal(info).startswith(f"The path leaves the sandbox: {FIELD}")


@pytest.mark.parametrize(("path", "other"), [("a", "a/b"), ("a/b", "a")])
def test_a_directory_inside_of_another_is_refused(path: str, other: str) -> None:
    web, db = task(parent(path, "/data")), task(parent(other, "/data"), "db")
    said = refusal(web, member(web, db))
    assert said == (
        f"Only one of a path and a path below it ({other!r}) can be shared: {FIELD} {path!r}"
    )
    web = task(parent("ab", "/data"))
    assert spec(web, member(web, task(parent("a", "/data"), "db")))


def test_an_engine_without_mounts_has_no_shared_directories() -> None:
    said = refusal(task(parent("a", "/data")), api_version="1.24")
    assert said.startswith("The engine's API is older than 1.25: container.volumes[0].source")


def test_only_a_task_in_a_task_group_has_a_parent() -> None:
    with pytest.raises(InvalidTask, match="sandbox of a parent container is not supported"):
        container_spec(
            ref(),
            task(parent("a", "/data")),
            agent_id="A",
            executor_id="web",
            settings=MappingSettings("me"),
        )


def test_the_volumes_that_a_task_shares_can_be_listed() -> None:
    info = task(parent("a/", "/data") + parent("b", "in", "RO"))
    order, settings = Launch(ref(), info, "A", member(info)), MappingSettings("me")
    assert shared_volumes(order, settings) == (
        SharedVolume("a", "/data", False),
        SharedVolume("b", "/mnt/mesos/sandbox/in", True),
    )
    assert shared_volumes(Launch(ref(), info, "A"), settings) == ()


# --- Triton ---------------------------------------------------------------------------------


def test_on_triton_the_first_task_lends_its_directories() -> None:
    text = parent("a", "/data") + parent("b", "/more")
    cat, web, db = task("", "cat"), task(text), task(text, "db")
    of = member(cat, web, db, infra=False)
    lends, borrows = (spec(each, of, kind="triton") for each in (web, db))
    assert lends.body["Volumes"] == {"/data": {}, "/more": {}}
    assert lends.starts_after == ""
    assert borrows.body["HostConfig"]["VolumesFrom"] == [ref("web").name]
    assert borrows.starts_after == ref("web").name
    assert "Volumes" not in borrows.body
    assert "VolumesFrom" not in spec(cat, of, kind="triton").body["HostConfig"]


@pytest.mark.parametrize("other", [parent("a", "/other"), parent("b", "/data")])
def test_on_triton_volumes_must_be_the_same_for_all(other: str) -> None:
    web, db = task(parent("a", "/data")), task(other, "db")
    for each in (web, db):
        said = refusal(each, member(web, db, infra=False), kind="triton")
        assert "only if all that mount any mount the same ones at the same paths" in said
        assert FIELD in said


def test_on_triton_a_container_has_eight_volumes_at_most() -> None:
    text = "".join(parent(f"p{number}", f"/p{number}") for number in range(9))
    info = task(text)
    assert "8 at most" in refusal(info, member(info, infra=False), kind="triton")
    info = task(parent("a", "/data", "RO"))
    said = refusal(info, member(info, infra=False), kind="triton")
    assert "container.volumes[0].mode 'RO'" in said


def test_a_persistent_volume_of_the_executor_is_mounted_by_its_tasks() -> None:
    """So do Marathon's pods."""
    kept = VolumeMount("mesos-kept", "web", "v", 100.0, "pst")
    info = task(parent("pst", "/mnt/data") + parent("other", "/o", "RO"))
    of = member(info, volumes=(kept,))
    first, second = spec(info, of).body["HostConfig"]["Mounts"]
    assert (first["Source"], first["Target"], first["ReadOnly"]) == (
        "mesos-kept",
        "/mnt/data",
        False,
    )
    assert second["Source"] != "mesos-kept"
    order = Launch(ref(), info, "S", of)
    assert [each.path for each in shared_volumes(order, MappingSettings("shim-1"))] == ["other"]
    read_only = dataclasses.replace(kept, read_only=True)
    (mount, _) = spec(info, member(info, volumes=(read_only,))).body["HostConfig"]["Mounts"]
    assert mount["ReadOnly"]
    inside = task(parent("pst/sub", "/mnt/data"))
    assert "'pst/sub'" in refusal(inside, member(inside, volumes=(kept,)))


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["/"], "A volume cannot be the root of a container"),
        (["a/../.."], "The path has a component '..'"),
        (["data", "./data"], "The path is used twice"),
    ],
)
def test_a_path_of_the_executor_that_no_volume_can_have_is_named(
    paths: list[str], reason: str
) -> None:
    mounts = tuple(VolumeMount(f"mesos-{n}", "web", str(n), 1.0, p) for n, p in enumerate(paths))
    info = task()
    text = refusal(info, member(info, volumes=mounts))
    field = "executor.resources.disk.volume.container_path"
    assert text.startswith(f"{reason}: {field} {paths[-1]!r}")


def test_an_endpoint_without_volumes_refuses_those_of_the_executor_by_name() -> None:
    info, kept = task(), VolumeMount("mesos-v", "web", "v1", 1.0, "data")
    of = member(info, volumes=(kept,))
    assert "'v1'" in refusal(info, of, volumes_missing="This endpoint has no volumes")
