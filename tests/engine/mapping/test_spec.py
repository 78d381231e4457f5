from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shim.engine.api import ContainerSpec
from shim.engine.mapping import Dns, DnsDefault, MappingSettings, container_spec
from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import ContainerInfo, Image, TaskInfo
from tests.engine.mapping.messages import KEYS, TEXT, messages
from tests.engine.mapping.tasks import MESOS, REF, body, refusal, resources, spec, spec_of, task


def test_a_plain_task() -> None:
    made = spec(resources(cpus=0.5, mem=64) + 'command { shell: true value: "sleep 9" }')
    assert made.name == "mesos-0c2f-11"
    assert made.image.text == "nginx:1"
    assert not made.force_pull
    assert made.platform == ""
    assert made.warnings == ()
    assert made.body == {
        "Image": "nginx:1",
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", "sleep 9"],
        "Env": [
            "MESOS_ALLOCATION_ROLE=*",
            "MESOS_CONTAINER_NAME=mesos-0c2f-11",
            "MESOS_SANDBOX=/mnt/mesos/sandbox",
        ],
        "Labels": {
            "mesos-shim.id": "shim-1",
            "org.apache.mesos.agent_id": "A-S1",
            "org.apache.mesos.framework_id": "F-0000",
            "org.apache.mesos.executor_id": "web.1",
            "org.apache.mesos.task_id": "web.1",
            "org.apache.mesos.container_id": "0c2f-11",
        },
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "NetworkMode": "bridge",
            "RestartPolicy": {"Name": "no"},
            "CpuShares": 512,
            "Memory": 64 * 2**20,
        },
    }


def test_image_references() -> None:
    assert spec('container { docker { image: "r.io/a" } }').image.text == "r.io/a:latest"
    assert spec("container { docker { force_pull_image: true } }").force_pull
    assert spec(MESOS).image.text == "nginx:1"
    assert not spec(MESOS).force_pull
    assert spec(MESOS + "container { mesos { image { type: DOCKER cached: false } } }").force_pull


def without_container() -> TaskInfo:
    info = task()
    info.ClearField("container")
    return info


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('container { docker { image: "" } }', "No image: container.docker.image ''"),
        (
            'container { docker { image: "Nginx" } }',
            "The repository name of an image must be lower case: container.docker.image 'Nginx'",
        ),
        (
            "container { type: MESOS }",
            "No image: container.mesos.image.docker.name ''",
        ),
        (
            "container { type: MESOS mesos { image { type: APPC } } }",
            "Only Docker images can be run: container.mesos.image.type 'APPC'",
        ),
    ],
)
def test_a_container_without_a_docker_image_is_refused(text: str, message: str) -> None:
    assert refusal(text) == message


def test_a_task_without_a_container_is_refused() -> None:
    with pytest.raises(InvalidTask) as caught:
        spec_of(without_container())
    assert str(caught.value) == (
        "The agent runs Docker containers only; TaskInfo.container is required: container 'unset'"
    )


def test_a_deprecated_credential_is_a_warning() -> None:
    text = 'container { mesos { image { type: DOCKER docker { credential { principal: "p" } } } } }'
    assert spec(
        MESOS.replace('name: "nginx:1"', 'name: "a"')
        + text.replace("credential", 'name: "a" credential')
    ).warnings == ("container.mesos.image.docker.credential: not used; docker.config is",)


def test_a_read_only_root_leaves_the_sandbox_writable() -> None:
    text = 'container { docker { parameters { key: "read-only" value: "true" } } }'
    made = body(text, sandbox_directory="/sand")
    assert made["HostConfig"]["ReadonlyRootfs"] is True
    assert made["Volumes"] == {"/sand": {}}


def test_a_nul_byte_anywhere_in_the_body_is_refused() -> None:
    text = 'container { hostname: "a" docker { volume_driver: "d\\000" } }'
    assert refusal(text) == "NUL byte: container.docker.volume_driver"
    labels = 'labels { labels { key: "triton.x\\000" value: "v" } }'
    assert refusal(labels, kind="triton") == "NUL byte: Labels (a key)"


# ---- whatever a framework writes ------------------------------------------------------------

SETTINGS = st.builds(
    MappingSettings,
    shim_id=st.just("me"),
    kind=st.sampled_from(["docker", "triton"]),
    api_version=st.sampled_from(["", "1.21", "1.41"]),
    ports=st.sampled_from(["none", "virtual", "real"]),
    host_memory_mb=st.sampled_from([0, 1, 4096]),
    enable_cfs=st.booleans(),
    triton_unsupported=st.sampled_from(["refuse", "warn"]),
    default_network=st.sampled_from(["bridge", "fabric"]),
    default_container_dns=st.sampled_from([(), (DnsDefault("BRIDGE", "", Dns(("10.0.0.1",))),)]),
)
TASKS = messages(TaskInfo.DESCRIPTOR)
CONTAINERS = messages(ContainerInfo.DESCRIPTOR)
PARAMETERS = st.lists(st.tuples(KEYS, TEXT), max_size=4)
TRITON_READS = {
    "Hostname", "Domainname", "Cmd", "Entrypoint", "Env", "User", "WorkingDir", "Tty",
    "OpenStdin", "AttachStdin", "AttachStdout", "AttachStderr", "Labels", "Image", "Volumes",
    "ExposedPorts", "HostConfig",
}  # fmt: skip
TRITON_READS_OF_HOST = {
    "Memory", "Dns", "DnsSearch", "ExtraHosts", "Links", "PortBindings", "PublishAllPorts",
    "NetworkMode", "Binds", "VolumesFrom", "LogConfig", "RestartPolicy", "VolumeDriver",
}  # fmt: skip


ANYTHING = settings(
    max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


def attempt(info: Any, chosen: MappingSettings) -> ContainerSpec | None:
    try:
        made = container_spec(REF, info, agent_id="A", executor_id="e", settings=chosen)
        assert "".join(made.warnings).isprintable()
        return made
    except InvalidTask as error:
        assert "\0" not in str(error)  # noqa: PT017 (both outcomes are looked at)
        assert str(error).isprintable()  # noqa: PT017
        return None


def check(info: Any, chosen: MappingSettings) -> None:
    """Assert what holds for every task under all settings."""
    before = info.SerializeToString(deterministic=True)
    made = attempt(info, chosen)
    assert info.SerializeToString(deterministic=True) == before
    assert attempt(info, chosen) == made
    if made is None:
        return
    text = json.dumps(made.body, allow_nan=False)
    assert "\\u0000" not in text
    assert made.body["Labels"]["mesos-shim.id"] == "me"
    assert made.body["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert f"MESOS_CONTAINER_NAME={made.name}" in made.body["Env"] or "MESOS_CONTAINER_NAME" in str(
        info
    )
    if chosen.triton:
        assert set(made.body) <= TRITON_READS
        assert set(made.body["HostConfig"]) <= TRITON_READS_OF_HOST
        bindings = made.body["HostConfig"].get("PortBindings", {})
        assert all(b["HostPort"] == "" for port in bindings.values() for b in port)


@ANYTHING
@given(st.lists(TASKS, min_size=1, max_size=4), SETTINGS)
def test_any_task_maps_or_is_invalid(extras: list[Any], chosen: MappingSettings) -> None:
    info = task()
    for extra in extras:
        info.MergeFrom(extra)
    check(with_image(info), chosen)


@ANYTHING
@given(CONTAINERS, SETTINGS)
def test_any_container_maps_or_is_invalid(extra: Any, chosen: MappingSettings) -> None:
    info = task()
    info.container.MergeFrom(extra)
    check(with_image(info), chosen)


def with_image(info: TaskInfo) -> TaskInfo:
    """Give the container a valid image: a wrong one would be refused before all else."""
    info.container.docker.image = info.container.mesos.image.docker.name = "nginx:1"
    info.container.mesos.image.type = Image.DOCKER
    return info


@ANYTHING
@given(PARAMETERS, SETTINGS)
def test_any_parameters_map_or_are_invalid(
    pairs: list[tuple[str, str]], chosen: MappingSettings
) -> None:
    info = task()
    for key, value in pairs:
        info.container.docker.parameters.add(key=key, value=value)
    check(info, chosen)


SCALARS = st.sampled_from(
    ["memory=64m", "hostname=a", "init=true", "cpus=1.5", "user=1", "label=a=b", "env=A=b",
     "sysctl=a=b", "expose=80", "entrypoint=/x", "memory-swappiness=-1", "no-healthcheck=true",
     "platform=linux/arm64", "log-opt=a=b", "tmpfs=/a", "volume=/b", "restart=always"]
)  # fmt: skip


@settings(derandomize=True)
@given(st.lists(SCALARS, max_size=5))
def test_repeating_a_scalar_option_changes_nothing(options: list[str]) -> None:
    once, twice = task(), task()
    for option in options:
        key, _, value = option.partition("=")
        once.container.docker.parameters.add(key=key, value=value)
        twice.container.docker.parameters.add(key=key, value=value)
        twice.container.docker.parameters.add(key=key, value=value)
    assert spec_of(twice) == spec_of(once)
