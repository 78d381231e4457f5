"""Tasks as frameworks write them: what their containers then are on the real engine."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.e2e.client import Json
from tests.e2e.conftest import System
from tests.e2e.tasks import docker_task, ends, running
from tests.support import busybox

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

ENTRY = 'ENTRYPOINT ["sh", "-c", "test \\"$*\\" = \\"$WANT\\"", "entry"]'


@pytest.fixture(scope="module")
def entry_image(docker_client: docker.DockerClient) -> Iterator[str]:
    """Its entrypoint compares its arguments with the environment's WANT."""
    name = f"mesos-shim-test/entry-{uuid.uuid4().hex[:8]}"
    docker_client.api.import_image_from_data(
        busybox.root_file_system(), repository=name, tag="1", changes=[ENTRY, 'CMD ["by", "image"]']
    )
    yield f"{name}:1"
    docker_client.images.remove(f"{name}:1")


@pytest.fixture
def network(docker_client: docker.DockerClient) -> Iterator[str]:
    made = docker_client.networks.create(f"mesos-shim-test-{uuid.uuid4().hex[:8]}")
    yield str(made.name)
    made.remove()


@pytest.fixture
def volume(docker_client: docker.DockerClient) -> Iterator[str]:
    """A name for a volume, which the engine then makes."""
    name = f"mesos-shim-test-{uuid.uuid4().hex[:8]}"
    yield name
    with contextlib.suppress(docker.errors.NotFound):
        docker_client.volumes.get(name).remove()


def variables(**values: str) -> Json:
    return {"variables": [{"name": name, "value": value} for name, value in values.items()]}


async def test_every_form_of_command(shared: System, entry_image: str) -> None:
    forms: dict[str, tuple[str, Json]] = {
        "by-image": ("by image", {"shell": False}),
        "value": ("one word", {"shell": False, "value": "one word"}),
        "value-and-arguments": (
            "one two three",
            {"shell": False, "value": "one", "arguments": ["two", "three"]},
        ),
        "arguments-only": ("two three", {"shell": False, "arguments": ["two", "three"]}),
        "shell": ("-", {"value": 'test "$WANT" = - && test $(echo a | tr a b) = b'}),
    }
    tasks = []
    for name, (want, command) in forms.items():
        command = {**command, "environment": variables(WANT=want)}
        tasks.append(docker_task(shared, name, command, image=entry_image))
    replaced = docker_task(
        shared,
        "entrypoint-parameter",
        {"shell": False, "arguments": ["-c", "exit 7"]},
        image=entry_image,
        parameters={"entrypoint": "/bin/sh"},
    )
    containerizer = docker_task(
        shared, "mesos", {"shell": False, "value": "/bin/sh", "arguments": ["sh", "-c", "exit 8"]}
    )
    image = {"type": "DOCKER", "docker": {"name": entry_image}}
    containerizer["container"] = {"type": "MESOS", "mesos": {"image": image}}
    await shared.agent()
    async with shared.framework() as framework:
        found = await ends(framework, *tasks, replaced, containerizer)
    assert found == {
        **dict.fromkeys(forms, "TASK_FINISHED"),
        "entrypoint-parameter": "TASK_FAILED Container exited with status 7",
        "mesos": "TASK_FAILED Container exited with status 8",
    }


async def test_environment_secrets_and_labels(shared: System) -> None:
    secret = {"type": "VALUE", "value": {"data": base64.b64encode(b"s3cret=").decode()}}
    command: Json = {
        "value": 'test "$PASSWORD" = s3cret= && test "$TWICE" = last && test "$IN_PARAMETER" = x=y',
        "environment": variables(TWICE="first"),
    }
    command["environment"]["variables"] += [
        {"name": "PASSWORD", "type": "SECRET", "secret": secret},
        {"name": "TWICE", "value": "last"},
    ]
    info = docker_task(shared, "env", command, parameters={"env": "IN_PARAMETER=x=y"})
    marathon = docker_task(shared, "labels", parameters={"label": "MESOS_TASK_ID=labels"})
    agent = await shared.agent()
    async with shared.framework() as framework:
        assert await ends(framework, info) == {"env": "TASK_FINISHED"}
        attrs = (await running(shared, framework, marathon))["labels"]
        await framework.stop()
    assert attrs["Config"]["Labels"]["MESOS_TASK_ID"] == "labels"
    assert "s3cret" not in agent.log


async def test_a_network_of_ones_own(network: str, system: System) -> None:
    own = {"network_infos": [{"name": network}], "hostname": "web-1"}
    parameters = {"network-alias": "shop", "dns": "192.0.2.1", "dns-search": "example.org"}
    server = docker_task(
        system,
        "server",
        "httpd -f -p 80 -h /www",
        network="USER",
        container=own,
        parameters=parameters,
    )
    client = docker_task(
        system,
        "client",
        "wget -q -O - http://shop/ | grep -q 'it works'",
        network="USER",
        container={"network_infos": [{"name": network}]},
    )
    by_parameter = docker_task(system, "by-parameter", parameters={"net": network})
    defaults = json.dumps({"docker": [{"network_mode": "USER", "dns": {"options": ["ndots:3"]}}]})
    await system.agent(f"--default_container_dns={defaults}")
    async with system.framework() as framework:
        found = await running(system, framework, server, by_parameter)
        status = await framework.state("server", "TASK_RUNNING")
        assert await ends(framework, client) == {"client": "TASK_FINISHED"}
        await framework.stop()
    host, attached = (found["server"][key] for key in ("HostConfig", "NetworkSettings"))
    assert host["NetworkMode"] == found["by-parameter"]["HostConfig"]["NetworkMode"] == network
    assert found["server"]["Config"]["Hostname"] == "web-1"
    assert (host["Dns"], host["DnsSearch"]) == (["192.0.2.1"], ["example.org"])
    assert not host["DnsOptions"]
    assert found["by-parameter"]["HostConfig"]["DnsOptions"] is None
    (told,) = status["container_status"]["network_infos"]
    assert told["name"] == network
    assert told["ip_addresses"][0]["ip_address"] == attached["Networks"][network]["IPAddress"]


async def test_volumes(volume: str, shared: System, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir(mode=0o777)
    (host / "in").write_text("from the host")

    def bind(path: str, mode: str) -> Json:
        return {"host_path": str(host), "container_path": path, "mode": mode}

    named = {"type": "DOCKER_VOLUME", "docker_volume": {"driver": "local", "name": volume}}
    sandboxed = {"host_path": "data", "container_path": "/data", "mode": "RW"}
    tasks = [
        docker_task(
            shared,
            "bind",
            'grep host /rw/in && echo out >/rw/out && grep host "$MESOS_SANDBOX/ro/in"'
            ' && ! touch "$MESOS_SANDBOX/ro/x"',
            container={"volumes": [bind("/rw", "RW"), bind("ro", "RO")]},
        ),
        docker_task(
            shared,
            "named",
            "echo kept >/kept/file",
            container={"volumes": [{"source": named, "container_path": "/kept", "mode": "RW"}]},
        ),
        docker_task(shared, "relative", "touch /data/x", container={"volumes": [sandboxed]}),
        docker_task(
            shared,
            "read-only",
            '! touch /x && touch "$MESOS_SANDBOX/x" && touch /run/x',
            parameters={"read-only": "true", "tmpfs": "/run:size=1m"},
        ),
    ]
    again = docker_task(
        shared,
        "named-again",
        "grep kept /kept/file && ! touch /kept/x",
        parameters={"volume-driver": "local"},
        container={"volumes": [{"source": named, "container_path": "/kept", "mode": "RO"}]},
    )
    agent = await shared.agent()
    async with shared.framework() as framework:
        found = await ends(framework, *tasks)
        found |= await ends(framework, again)
    assert found == dict.fromkeys([t["name"] for t in (*tasks, again)], "TASK_FINISHED")
    assert (host / "out").read_text() == "out\n"
    assert "/data is an anonymous volume, removed with the container" in agent.log


async def test_terminal_limits_and_rights(shared: System) -> None:
    rlimits = {"rlimits": [{"type": "RLMT_NOFILE", "soft": 100, "hard": 200}]}
    terminal = {"tty_info": {}, "rlimit_info": rlimits}
    inside = docker_task(
        shared,
        "inside",
        'test -t 1 && test "$(ulimit -n)" = 100 && test "$(ulimit -H -n)" = 200',
        container=terminal,
    )
    linux = {"shm_size": 16, "effective_capabilities": {"capabilities": ["CHOWN", "NET_ADMIN"]}}
    fields = docker_task(shared, "fields", container={"linux_info": linux})
    fields["limits"] = {"cpus": {"value": 0.5}, "mem": {"value": 64}}
    parameters = docker_task(
        shared,
        "parameters",
        parameters={
            "cap-add": "NET_ADMIN",
            "shm-size": "1.5m",
            "ulimit": "nofile=10:20",
            "tty": "true",
            "memory": "48MiB",
            "cpus": "0.25",
            "oom-score-adj": "100",
            "sysctl": "net.ipv4.ip_forward=1",
            "workdir": "/tmp",
            "user": "nobody",
            "add-host": "db:192.0.2.7",
            "init": "true",
            "stop-signal": "SIGINT",
            "log-opt": "max-size=1m",
            "pids-limit": "50",
        },
    )
    await shared.agent()
    async with shared.framework() as framework:
        found = await running(shared, framework, fields, parameters)
        assert await ends(framework, inside) == {"inside": "TASK_FINISHED"}
        await framework.stop()
    host = found["fields"]["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["CHOWN", "NET_ADMIN"])
    assert (host["ShmSize"], host["Memory"]) == (16 * 2**20, 64 * 2**20)
    assert (host["CpuQuota"], host["MemoryReservation"]) == (50_000, 32 * 2**20)
    host, config = found["parameters"]["HostConfig"], found["parameters"]["Config"]
    assert config["Tty"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == (
        "nobody",
        "/tmp",
        "SIGINT",
    )
    assert (host["Memory"], host["NanoCpus"], host["ShmSize"]) == (
        48 * 2**20,
        250_000_000,
        3 * 2**19,
    )
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert (host["CapAdd"], host["PidsLimit"], host["Init"]) == (["NET_ADMIN"], 50, True)
    assert host["ExtraHosts"] == ["db:192.0.2.7"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}


async def test_ports_that_are_bound(system: System) -> None:
    mappings = [
        {"host_port": 31520, "container_port": 53, "protocol": "udp"},
        {"host_port": 31520, "container_port": 53, "protocol": "TCP"},
        {"host_port": 31521, "container_port": 80},
    ]
    info = docker_task(system, "dns", ports=(31520, 31521), port_mappings=mappings)
    await system.agent("--ports=[31520-31530]")
    async with system.framework() as framework:
        attrs = (await running(system, framework, info))["dns"]
        await framework.stop()
    bound = attrs["NetworkSettings"]["Ports"]
    ports = {port: {binding["HostPort"] for binding in found} for port, found in bound.items()}
    assert ports == {"53/udp": {"31520"}, "53/tcp": {"31520"}, "80/tcp": {"31521"}}


async def test_an_app_of_2015(system: System) -> None:
    """Bridge, host port = container port, parameters link and restart=always; ports virtual."""
    agent = await system.agent("--ports=virtual")
    backend = docker_task(system, "backend", "httpd -f -p 80 -h /www")
    async with system.framework() as framework:
        found = await running(system, framework, backend)
        app = docker_task(
            system,
            "app",
            "wget -q -O - http://db/ | grep -q 'it works' && sleep 1000",
            ports=(8080, 8080),
            port_mappings=[{"host_port": 8080, "container_port": 8080, "protocol": "tcp"}],
            parameters={"link": found["backend"]["Name"].strip("/") + ":db", "restart": "always"},
        )
        attrs = (await running(system, framework, app))["app"]
        await framework.stop()
    assert attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert not attrs["HostConfig"]["PortBindings"]
    assert "8080/tcp" in attrs["Config"]["ExposedPorts"]
    assert "parameter restart 'always' is dropped" in agent.log
