"""Tasks that cannot run: each ends with the one message that says what is wrong with it."""

from __future__ import annotations

import pytest

from tests.e2e.client import Json
from tests.e2e.conftest import System
from tests.e2e.tasks import docker_task, ends

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

OPTIONS = "TASK_FAILED Failed to create docker run options: "
LAUNCH = "TASK_FAILED Failed to launch container: "


def mapping(host: int, container: int = 80, protocol: str = "tcp") -> Json:
    return {"host_port": host, "container_port": container, "protocol": protocol}


def driver_volume(driver: str) -> Json:
    source = {"type": "DOCKER_VOLUME", "docker_volume": {"driver": driver, "name": "data"}}
    return {"source": source, "container_path": f"/{driver}", "mode": "RW"}


async def test_what_is_refused_and_in_which_words(system: System) -> None:
    reference = {"type": "REFERENCE", "reference": {"name": "vault/pw"}}
    secret = {"variables": [{"name": "PW", "type": "SECRET", "secret": reference}]}
    cases: dict[str, tuple[Json, str]] = {}

    def case(task_id: str, words: str, **task: object) -> None:
        info = docker_task(system, task_id, **task)  # type: ignore[arg-type]
        cases[task_id] = (info, words)

    case(
        "network",
        f"{LAUNCH}network no-such-net not found",
        network="USER",
        container={"network_infos": [{"name": "no-such-net"}]},
    )
    case(
        "no-network",
        f"{OPTIONS}No network info found in container info: container.network_infos",
        network="USER",
    )
    case(
        "foreign-port",
        f"{OPTIONS}Port [31549] not included in resources:"
        " container.docker.port_mappings[0].host_port '31549'",
        ports=(31540, 31541),
        port_mappings=[mapping(31549)],
    )
    case(
        "no-ports",
        f"{OPTIONS}Port mappings require port resources:"
        " container.docker.port_mappings[0].host_port '31540'",
        port_mappings=[mapping(31540)],
    )
    case(
        "host-ports",
        f"{OPTIONS}Port mappings are only supported for bridge and user-defined networks:"
        " container.docker.port_mappings '31542:80'",
        network="HOST",
        ports=(31542, 31542),
        port_mappings=[mapping(31542)],
    )
    case(
        "protocol",
        f"{OPTIONS}Not a protocol (tcp, udp or sctp):"
        " container.docker.port_mappings[0].protocol 'ip'",
        ports=(31543, 31543),
        port_mappings=[mapping(31543, protocol="ip")],
    )
    case(
        "host-name",
        f"{OPTIONS}Unable to set hostname with host network mode: container.hostname 'web'",
        network="HOST",
        container={"hostname": "web"},
    )
    case(
        "nowhere",
        f"{OPTIONS}Both host_path 'data' and container_path 'here' of a volume are relative:"
        " container.volumes[0]",
        container={"volumes": [{"host_path": "data", "container_path": "here", "mode": "RW"}]},
    )
    case(
        "outside",
        f"{OPTIONS}The path leaves the sandbox: container.volumes[0].host_path '../data'",
        container={"volumes": [{"host_path": "../data", "container_path": "/d", "mode": "RW"}]},
    )
    case(
        "drivers",
        f"{OPTIONS}Only one volume driver is supported:"
        " container.volumes[1].source.docker_volume.driver 'nfs'",
        container={"volumes": [driver_volume("local"), driver_volume("nfs")]},
    )
    case(
        "secret",
        f"{OPTIONS}Secrets by reference are not supported:"
        " command.environment.variables[PW].secret.reference 'vault/pw'",
        command={"value": "true", "environment": secret},
    )
    case(
        "image",
        f"{OPTIONS}The repository name of an image must be lower case:"
        " container.docker.image 'Busybox'",
        image="Busybox",
    )
    for key, value, reason in (
        ("memory", "lots", "Not a size (like 512k, 64m or 1.5g)"),
        ("health-interval", "soon", "Not a duration (like 1m30s or 250ms)"),
        ("init", "", "Not a boolean (true or false)"),
        ("ulimit", "nofiles=1", "Unknown ulimit 'nofiles'"),
        ("volume", "./here:/there", "Relative paths are not supported; give an absolute path"),
        ("detach", "true", "Option detach is for the docker client: the agent always watches"),
        ("memroy", "1g", "Unknown option of docker run (did you mean 'memory'?)"),
        ("publish", "99999:80", "Ports must be in 1..65535"),
    ):
        case(f"p-{key}", f"{OPTIONS}{reason}", parameters={key: value})
    await system.agent("--ports=[31540-31550]")
    async with system.framework() as framework:
        found = await ends(framework, *(info for info, _ in cases.values()))
        good = await ends(framework, docker_task(system, "good", "true"))
    wrong = {k: found[k] for k, (_, words) in cases.items() if not found[k].startswith(words)}
    assert wrong == {}
    assert good == {"good": "TASK_FINISHED"}


async def test_what_the_master_refuses(shared: System) -> None:
    named = docker_task(shared, "name", parameters={"name": "mine"})
    unhealthy = docker_task(shared, "health")
    unhealthy["health_check"] = {"tcp": {"port": 80}}
    old = docker_task(shared, "old-health", "true")
    old["health_check"] = {"command": {"value": "true"}}
    command = docker_task(shared, "check")
    command["check"] = {"type": "COMMAND"}
    await shared.agent()
    async with shared.framework() as framework:
        found = await ends(framework, named, unhealthy, old, command)
    assert found == {
        "name": "TASK_ERROR Task's `ContainerInfo` is invalid: Parameter in DockerInfo must not be"
        " 'name'",
        "health": "TASK_ERROR Task uses invalid health check: HealthCheck must specify 'type'",
        "old-health": "TASK_FINISHED",
        "check": "TASK_ERROR Task uses invalid check: Expecting 'command' to be set for COMMAND"
        " check",
    }


async def test_gpus_that_the_engine_does_not_have(system: System) -> None:
    info = docker_task(system, "gpu", resources={"gpus": 1})
    await system.agent("--resources=gpus:2")
    capabilities = [{"type": name} for name in ("MULTI_ROLE", "GPU_RESOURCES")]
    async with system.framework(capabilities=capabilities) as framework:
        found = await ends(framework, info)
    assert found["gpu"].startswith(f'{LAUNCH}could not select device driver "nvidia"')
