from __future__ import annotations

import pytest

from shim.engine.mapping import MappingSettings, SandboxVolume, sandbox_volumes
from tests.engine.mapping.tasks import body, host, parameters, refusal, spec, task

URI = 'command { uris { value: "http://x/conf.tgz" } }'


def volume(target: str, rest: str, mode: str = "RW") -> str:
    return f'container {{ volumes {{ container_path: "{target}" mode: {mode} {rest} }} }}'


def docker_volume(name: str, driver: str = "", options: str = "") -> str:
    driver = f'driver: "{driver}"' if driver else ""
    return f'source {{ type: DOCKER_VOLUME docker_volume {{ name: "{name}" {driver} {options} }} }}'


def path(text: str) -> str:
    return f'host_path: "{text}"'


DRIVER = 'container { docker { volume_driver: "flocker" } }'
OPTIONS = 'driver_options { parameter { key: "size" value: "10G" } }'
SOURCE = "source { type: HOST_PATH host_path { path: "


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        (volume("/b", path("/a")), ["/a:/b:rw"]),
        (volume("/b", path("/a"), "RO"), ["/a:/b:ro"]),
        (volume("b", path("/a")), ["/a:/mnt/mesos/sandbox/b:rw"]),
        (volume("/b", SOURCE + '"/a" } }'), ["/a:/b:rw"]),
        (
            volume("/b", SOURCE + '"/a" mount_propagation { mode: BIDIRECTIONAL } } }', "RO"),
            ["/a:/b:ro,rshared"],
        ),
        (volume("/b", docker_volume("data")), ["data:/b:rw"]),
        (volume("/b", path("data"), "RO") + DRIVER, ["data:/b:ro"]),
        (volume("b", path("data")) + DRIVER, ["data:/mnt/mesos/sandbox/b:rw"]),
        (volume("/b", path("/a")) + volume("/d", path("/c")), ["/a:/b:rw", "/c:/d:rw"]),
    ],
)
def test_bind_mounts(text: str, binds: list[str]) -> None:
    assert host(text)["Binds"] == binds


def test_paths_with_colons_become_mounts() -> None:
    made = host(volume("/b:c", SOURCE + '"/a" mount_propagation { mode: HOST_TO_CONTAINER } } }'))
    assert made["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/a",
            "Target": "/b:c",
            "ReadOnly": False,
            "BindOptions": {"Propagation": "rslave"},
        }
    ]
    assert "Binds" not in made


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (volume("/b", docker_volume("data", "flocker")), "flocker"),
        (volume("/b", path("data")) + DRIVER, "flocker"),
        (DRIVER, "flocker"),
        (volume("/b", docker_volume("data", "flocker")) + DRIVER, "flocker"),
        (volume("/b", docker_volume("data", "x")) + parameters("volume-driver=y"), "y"),
    ],
)
def test_volume_drivers(text: str, driver: str) -> None:
    assert host(text)["VolumeDriver"] == driver


def test_driver_options_of_a_named_volume_are_applied() -> None:
    made = host(volume("/b", docker_volume("data", "flocker", OPTIONS), "RO"))
    assert made["Mounts"] == [
        {
            "Type": "volume",
            "Source": "data",
            "Target": "/b",
            "ReadOnly": True,
            "VolumeOptions": {"DriverConfig": {"Name": "flocker", "Options": {"size": "10G"}}},
        }
    ]


def test_a_sandbox_directory_is_an_anonymous_volume() -> None:
    made = spec(volume("/b", path("conf/x/")))
    assert made.body["Volumes"] == {"/b": {}}
    assert made.warnings == (
        "container.volumes[0].host_path 'conf/x/': no host keeps the sandbox, so /b is"
        " an anonymous volume, removed with the container",
    )


def test_a_read_only_sandbox_directory_needs_uris() -> None:
    made = spec(volume("/b", path("conf"), "RO") + URI)
    assert made.body["Volumes"] == {"/b": {}}
    assert made.warnings[0].endswith("removed with the container, and writable")


def test_sandbox_volumes_lists_directories_mounted_elsewhere() -> None:
    sandbox_path = 'source { type: SANDBOX_PATH sandbox_path { type: SELF path: "two" } }'
    text = volume("/b", path("conf/x/")) + volume("/c", sandbox_path) + volume("/d", path("/host"))
    assert sandbox_volumes(task(text), MappingSettings("me")) == (
        SandboxVolume("conf/x", "/b"),
        SandboxVolume("two", "/c"),
    )
    assert sandbox_volumes(task(volume("/b", path("data")) + DRIVER), MappingSettings("me")) == ()


FIELD = "container.volumes[0]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            volume("b", path("a")),
            f"Both host_path 'a' and container_path 'b' of a volume are relative: {FIELD}",
        ),
        (volume("/b", ""), f"Host path or volume source is required: {FIELD} '/b'"),
        (volume("", path("/a")), f"Empty path: {FIELD}.container_path"),
        (volume("/b", path("../a")), f"The path leaves the sandbox: {FIELD}.host_path '../a'"),
        (
            volume("/b", path("a/../../c")),
            f"The path leaves the sandbox: {FIELD}.host_path 'a/../../c'",
        ),
        (
            volume("/b", path("a"), "RO"),
            f"Read-only sandbox volume would be empty: the task has no URIs: {FIELD}.host_path 'a'",
        ),
        (
            volume("/b", docker_volume("x", "one")) + volume("/c", docker_volume("y", "two")),
            "Only one volume driver is supported:"
            " container.volumes[1].source.docker_volume.driver 'two'",
        ),
        (
            volume("/b", docker_volume("x", "one")) + DRIVER,
            "Only one volume driver per task is supported:"
            f" {FIELD}.source.docker_volume.driver 'one'",
        ),
        (
            volume("/b", docker_volume("x/y")),
            f"Not a volume's name: {FIELD}.source.docker_volume.name 'x/y'",
        ),
        (
            volume("/b", SOURCE + '"a" } }'),
            f"Not an absolute path of the engine's host: {FIELD}.source.host_path.path 'a'",
        ),
        (
            volume("/b", "image { type: DOCKER }"),
            f"Images cannot be mounted as volumes: {FIELD}.image",
        ),
        (
            volume("/b", "source { type: SECRET }"),
            f"Volumes of this kind are not supported: {FIELD}.source.type 'SECRET'",
        ),
        (
            volume("/b", 'source { type: CSI_VOLUME csi_volume { plugin_name: "p" } }'),
            f"Volumes of this kind are not supported: {FIELD}.source.type 'CSI_VOLUME'",
        ),
        (
            volume("/b", 'source { type: SANDBOX_PATH sandbox_path { type: PARENT path: "x" } }'),
            f"The sandbox of a parent container is not supported: {FIELD}.source.sandbox_path",
        ),
        (volume("/b", path("/a\\000")), f"NUL byte: {FIELD}.host_path"),
        (volume("/b\\000", path("/a")), f"NUL byte: {FIELD}.container_path"),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message


def test_the_sandbox_is_no_mount() -> None:
    made = body()
    assert "Volumes" not in made
    assert not {"Binds", "Mounts"} & set(made["HostConfig"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (volume("/b", path("/a")), f"Not possible on Triton: {FIELD}.host_path '/a'"),
        (
            volume("/b", SOURCE + '"/a" } }'),
            f"Not possible on Triton: {FIELD}.source.host_path.path '/a'",
        ),
        (
            volume("/b", docker_volume("x", "flocker")),
            "Triton has no volume driver but tritonnfs:"
            f" {FIELD}.source.docker_volume.driver 'flocker'",
        ),
        (
            volume("/b", docker_volume("x", "tritonnfs", OPTIONS)),
            "Triton would ignore it (--triton_unsupported=refuse):"
            f" {FIELD}.source.docker_volume.driver_options 'size'",
        ),
    ],
)
def test_refused_on_triton(text: str, message: str) -> None:
    assert refusal(text, kind="triton") == message


def test_named_volumes_on_triton() -> None:
    text = volume("/b", docker_volume("x", "tritonnfs", OPTIONS), "RO") + volume("/c", path("d"))
    made = spec(text, kind="triton", triton_unsupported="warn")
    assert made.body["HostConfig"]["Binds"] == ["x:/b:ro"]
    assert made.body["HostConfig"]["VolumeDriver"] == "tritonnfs"
    assert made.body["Volumes"] == {"/c": {}}
    assert made.warnings[0] == (
        f"Triton ignores it: {FIELD}.source.docker_volume.driver_options 'size'"
    )
