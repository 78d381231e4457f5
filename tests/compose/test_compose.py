"""The compose file, brought up by start.sh on a local engine, with stand-ins for what a registry
would have (see images.py)."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.compose import images
from tests.support import busybox
from tests.support.wait import PATIENCE, first
from tests.test_start import Demo

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_compose,
    pytest.mark.needs_consul,
    pytest.mark.needs_zookeeper,
    pytest.mark.needs_busybox,
    pytest.mark.timeout(600),
]

WEB = "trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def output_of(container: Container, command: str | list[str]) -> tuple[int, bytes]:
    """The exit code and the output of a command in the container."""
    code, output = container.exec_run(command)
    assert isinstance(output, bytes)
    return code or 0, output


def left_over(client: docker.DockerClient, project: str) -> list[str]:
    """Everything that bears the project's name, tasks included."""
    label = f"com.docker.compose.project={project}"
    containers = client.containers.list(all=True, ignore_removed=True)
    found = [
        container.name
        for container in containers
        if container.labels.get("com.docker.compose.project") == project
        or container.labels.get("mesos-shim.id", "").startswith(f"demo-{project}")
    ]
    found += [network.name for network in client.networks.list(filters={"label": label})]
    found += [volume.name for volume in client.volumes.list(filters={"label": label})]
    return [str(name) for name in found]


def sample(demo: Demo, name: str, client: docker.DockerClient) -> dict[str, Any]:
    """A sample app, with an image that needs no registry in the place of its own."""
    app: dict[str, Any] = json.loads((demo.root / f"compose/apps/{name}.json").read_text())
    app["container"]["docker"]["image"] = busybox.build(client)
    app["cmd"] = WEB
    return app


def test_everything_from_start_to_stop(demo: Demo, client: docker.DockerClient) -> None:
    project = ("-p", demo.project)
    second = "--datacenters=second=unix:///var/run/docker.sock"
    image = busybox.build(client)
    started = demo("--compose", second, *project, SAMPLE_IMAGE=image)
    rendered = demo.root / ".run" / demo.project / "apps/nginx.json"
    assert str(rendered.relative_to(demo.root)) in started.stdout
    assert json.loads(rendered.read_text())["container"]["docker"]["image"] == image
    addresses = {
        name: f"127.0.0.1:{demo.environ[f'{name}_PORT']}"
        for name in ("CONSUL", "MASTER", "MARATHON")
    }
    for address in addresses.values():
        assert address in started.stderr
        assert address in started.stdout

    again = demo(*project)
    assert "running already" in again.stderr
    assert addresses["MARATHON"] in again.stdout

    exports = dict(
        line.split("=", 1)
        for line in demo.evaluated(demo.project, show="env").stdout.splitlines()
        if "=" in line
    )
    assert exports["COMPOSE_PROJECT_NAME"] == demo.project
    assert exports["CONSUL"] == addresses["CONSUL"]
    assert exports["MESOS_MASTER"] == addresses["MASTER"]
    assert exports["MARATHON"] == addresses["MARATHON"]

    agents = ask(f"http://{addresses['MASTER']}/slaves")["slaves"]
    assert len({agent["id"] for agent in agents}) == 2

    ask(f"http://{addresses['MARATHON']}/v2/apps", "POST", sample(demo, "nginx", client))
    passing = f"http://{addresses['CONSUL']}/v1/health/service/nginx?passing"
    found = first(lambda: ask(passing), "nginx healthy in Consul")
    service = found[0]["Service"]
    assert "it works" in ask(f"http://{service['Address']}:{service['Port']}/")

    ask(f"http://{addresses['MARATHON']}/v2/apps/nginx", "PUT", {"instances": 3})
    first(lambda: len(ask(passing)) == 3, "three of nginx healthy in Consul")

    status = demo("status", *project).stdout
    assert "2 agent(s) registered" in status
    assert status.count("TASK_RUNNING") == 3
    assert "leading master" in demo("logs", *project).stdout

    stopped = demo("stop", *project)
    assert "nothing is left" in stopped.stderr
    assert "containers of tasks of" not in stopped.stderr
    assert left_over(client, demo.project) == []
    assert demo.evaluated(demo.project).returncode != 0


@pytest.mark.needs_curl
def test_couchbase_becomes_one_cluster(demo: Demo, client: docker.DockerClient) -> None:
    project = ("-p", demo.project)
    demo("--compose", *project)
    marathon, consul = (f"127.0.0.1:{demo.environ[f'{n}_PORT']}" for n in ("MARATHON", "CONSUL"))
    image = images.couchbase(client)
    demo.script("compose/apps/couchbase.sh", marathon, consul, COUCHBASE_IMAGE=image)
    nodes = first(
        lambda: (
            len(found := ask(f"http://{consul}/v1/health/service/couchbase?passing")) == 3 and found
        ),
        "three nodes healthy in Consul",
    )
    addresses = {node["Service"]["Address"] for node in nodes}
    members = f"http://{consul}/v1/kv/stub/members?keys"
    joined = first(lambda: len(keys := ask(members)) == 3 and keys, "three members")
    assert {key.rpartition("/")[2] for key in joined} == addresses
    load = first(lambda: answer_or_none(f"http://{consul}/v1/kv/stub/load?raw"), "load")
    assert load.split()[1].removesuffix(":8091") in addresses
    demo("stop", *project)
    assert left_over(client, demo.project) == []


def answer_or_none(url: str) -> Any:
    try:
        return ask(url)
    except OSError:
        return None


WAITING = "app /waits waits: InsufficientPorts: it asks for a host port: the agent offers"


def app_of(image: str, name: str, port: str = "80", **docker: Any) -> dict[str, Any]:
    """An app that serves a page on ``port``, as people write one: without networks."""
    serve = f"trap 'exit 0' TERM; httpd -f -p {port} -h /www & wait"
    container = {"type": "DOCKER", "docker": {"image": image, **docker}}
    return {"id": f"/{name}", "cmd": serve, "cpus": 0.1, "mem": 32, "container": container}


def test_ordinary_apps_run_with_default_settings(demo: Demo, client: docker.DockerClient) -> None:
    """Apps without networks, with BRIDGE, and the sample of 2015, twice, each with a host port."""
    project = ("-p", demo.project)
    demo("--compose", *project)
    ports = {name: demo.environ[f"{name}_PORT"] for name in ("MARATHON", "CONSUL", "MASTER")}
    marathon, consul, master = (f"http://127.0.0.1:{ports[n]}" for n in ports)
    image = busybox.build(client)
    mapping = {"containerPort": 80, "hostPort": 0}
    old = sample(demo, "nginx-2015", client)
    old["container"]["docker"]["parameters"][0]["value"] = f"{demo.project}_consul_1:consul"
    for app in (
        app_of(image, "plain", "$PORT0"),
        app_of(image, "bridge", network="BRIDGE", portMappings=[mapping]),
        old,
        app_of(image, "waits", network="BRIDGE", portMappings=[{**mapping, "hostPort": 80}]),
    ):
        ask(f"{marathon}/v2/apps", "POST", app)

    (agent,) = ask(f"{master}/slaves")["slaves"]
    host = agent["hostname"]
    assert "version" in ask(f"http://{host}:{demo.environ['AGENT_PORT']}/version")
    seen_from_marathon = client.containers.get(container_of(client, demo.project, "marathon"))
    for name in ("plain", "bridge", "nginx-2015"):
        task = first(partial(running, f"{marathon}/v2/apps/{name}"), f"{name} runs")
        (port,) = task["ports"]
        assert 31000 <= port <= 32000
        url = f"http://{host}:{port}/"
        assert "it works" in first(partial(answer_or_none, url), f"{name} at {url}")
        code, said = output_of(seen_from_marathon, ["busybox", "wget", "-q", "-O-", url])
        assert (code, "it works" in said.decode()) == (0, True)

    # A task on the host's network is registered where it answers.
    found = first(lambda: ask(f"{consul}/v1/health/service/plain"), "the app in Consul")
    assert found[0]["Service"]["Address"] == host
    found = first(lambda: ask(f"{consul}/v1/health/service/nginx-2015"), "the app in Consul")
    linked = "wget -q -O- http://consul:8500/v1/status/leader"
    container = client.containers.get(found[0]["Service"]["Meta"]["mesos_container"])
    assert output_of(container, linked)[1].startswith(b'"')

    status = demo("status", *project).stdout
    assert f"{WAITING} [31000-32000]" in status
    assert status.count(" waits") == 1, status
    (framework,) = ask(f"{master}/frameworks")["frameworks"]
    assert framework["webui_url"] == f"{marathon}/"
    demo("stop", *project)
    assert left_over(client, demo.project) == []


def running(url: str) -> dict[str, Any] | None:
    """The app's one task, once it runs."""
    tasks: list[dict[str, Any]] = ask(url)["app"]["tasks"]
    states = [task["state"] for task in tasks]
    return tasks[0] if states == ["TASK_RUNNING"] else None


def test_several_agents_share_one_engine(demo: Demo, client: docker.DockerClient) -> None:
    """Each has its own name, address, part of the ports and share of the resources."""
    project = ("-p", demo.project)
    demo("--compose", "--agents", "3", *project)
    agents = ask(f"http://127.0.0.1:{demo.environ['MASTER_PORT']}/slaves")["slaves"]
    assert len({agent["hostname"] for agent in agents}) == 3
    assert len({agent["pid"] for agent in agents}) == 3
    ports = sorted(str(agent["resources"]["ports"]) for agent in agents)
    assert ports == ["[31000-31332]", "[31333-31665]", "[31666-31998]"]
    assert sum(agent["resources"]["cpus"] for agent in agents) <= client.info()["NCPU"]
    total = sum(agent["resources"]["mem"] for agent in agents) * 2**20
    assert total <= client.info()["MemTotal"]
    assert "3 agent(s) registered" in demo("status", *project).stdout
    demo("stop", *project)
    assert left_over(client, demo.project) == []


def test_what_happens_to_demos(demo: Demo, client: docker.DockerClient) -> None:
    """A master that restarts, a reboot, containers that are removed and killed, in this order."""
    project = ("-p", demo.project)
    demo("--compose", *project)
    master = [demo.environ["MASTER_PORT"]]
    marathon = f"http://127.0.0.1:{demo.environ['MARATHON_PORT']}"
    ask(f"{marathon}/v2/apps", "POST", sample(demo, "nginx", client))
    first(lambda: running(f"{marathon}/v2/apps/nginx"), "the app runs")
    (container,) = task_containers(client, demo.project)
    (agent,) = agents(master)

    client.containers.get(container_of(client, demo.project, "master")).restart()
    first(lambda: agents(master) == [agent], "the same agent again")

    listed = client.containers.list(ignore_removed=True)
    together = [c for c in listed if is_of_project(c, demo.project)]
    for each in together:
        each.kill()
    for each in reversed(together):
        each.start()
    first(lambda: agents(master) == [agent], "the same agent again")
    container.reload()
    assert container.status == "running"

    client.containers.get(container_of(client, demo.project, "consul")).remove(force=True)
    again = demo(*project)
    assert "running already" not in again.stderr
    assert container_of(client, demo.project, "consul")

    assert "\x1b" not in demo("logs", *project).stdout
    elsewhere = demo("stop", "-p", f"{demo.project}-other").stderr
    assert f"nothing runs in project {demo.project}-other" in elsewhere
    assert f" {demo.project} " in elsewhere

    shim = client.containers.get(container_of(client, demo.project, "shim"))
    never = {"Name": "no"}
    client.api.update_container(str(shim.id), restart_policy=never)  # type: ignore[arg-type]
    shim.kill()
    first(lambda: agents(master) == [], "the master sees it")
    assert "NOT all agents are registered" in demo("status", *project).stdout
    demo("stop", *project)
    assert left_over(client, demo.project) == []


def is_of_project(container: Any, project: str) -> bool:
    return bool(container.labels.get("com.docker.compose.project") == project)


def task_containers(client: docker.DockerClient, project: str) -> list[Any]:
    found = client.containers.list(ignore_removed=True)
    owner = f"demo-{project}"
    return [c for c in found if c.labels.get("mesos-shim.id", "").startswith(owner)]


def test_three_of_each_and_one_of_each_killed(demo: Demo, client: docker.DockerClient) -> None:
    """TLS, credentials and tokens; the leading master, a ZooKeeper and a Consul server are killed
    under a running task, which does not notice, and are there again after another start."""
    project = ("-p", demo.project)
    started = demo("--ha", *project)
    secrets = demo.root / ".run" / demo.project / "secrets"
    assert str(secrets / "operator.sh").replace(" ", "\\ ") in started.stdout
    assert secrets.stat().st_mode & 0o077 == 0
    consul = Secure(f"https://127.0.0.1:{demo.environ['CONSUL_PORT']}", secrets)
    marathon = f"http://127.0.0.1:{demo.environ['MARATHON_PORT']}"
    masters = [demo.environ[name] for name in ("MASTER_PORT", "MASTER2_PORT", "MASTER3_PORT")]
    ask(f"{marathon}/v2/apps", "POST", sample(demo, "nginx", client))
    found = first(lambda: consul.ask("/v1/health/service/nginx?passing"), "nginx in Consul")
    container = client.containers.get(found[0]["Service"]["Meta"]["mesos_container"])
    nobody = ssl.create_default_context(cafile=str(secrets / "operator/ca.pem"))
    url = f"https://127.0.0.1:{demo.environ['CONSUL_PORT']}/v1/catalog/services"
    with pytest.raises(OSError, match=r"certificate|alert|reset|closed"):
        urllib.request.urlopen(url, timeout=PATIENCE, context=nobody).read()
    (agent,) = agents(masters)
    slaves = re.search(r"http://127\.0\.0\.1:(\d+)/slaves", started.stdout)
    assert slaves
    assert agents([slaves[1]]) == [agent], "the printed address is the leader's own"
    assert "open to others" not in demo("logs", *project).stdout
    assert refused(f"http://127.0.0.1:{demo.environ['AGENT_PORT']}/state") in (401, 404)

    leader = next(port for port in masters if agents([port]))
    names = ("master", "master2", "master3")
    for service in (names[masters.index(leader)], "zookeeper2", "consul3"):
        client.containers.get(container_of(client, demo.project, service)).kill()
    others = [port for port in masters if port != leader]
    first(lambda: agents(others) == [agent], "the same agent at another master")
    assert len(first(lambda: consul.ask("/v1/health/service/nginx?passing"), "nginx")) == 1

    again = demo("--ha", *project)
    assert "running already" not in again.stderr
    peers = first(lambda: len(p := consul.ask("/v1/status/peers")) == 3 and p, "three peers")
    assert len(peers) == 3
    container.reload()
    assert container.status == "running"
    assert container.attrs["RestartCount"] == 0
    demo("stop", *project)
    assert left_over(client, demo.project) == []


class Secure:
    """Consul with the operator's certificate and token."""

    def __init__(self, url: str, secrets: Path) -> None:
        self._url = url
        lines = (secrets / "operator.sh").read_text().splitlines()
        self._token = next(s.split("'")[1] for s in lines if "CONSUL_HTTP_TOKEN" in s)
        self._context = ssl.create_default_context(cafile=str(secrets / "operator/ca.pem"))
        pair = (secrets / "operator/cert.pem", secrets / "operator/key.pem")
        self._context.load_cert_chain(*pair)

    def ask(self, path: str) -> Any:
        request = urllib.request.Request(self._url + path, headers={"X-Consul-Token": self._token})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=self._context) as answer:
                return json.loads(answer.read())
        except OSError:
            return None


def agents(masters: list[str]) -> list[str]:
    """Ids of the connected agents that these masters know."""
    found = []
    for port in masters:
        with contextlib.suppress(OSError):
            known = ask(f"http://127.0.0.1:{port}/slaves")["slaves"]
            found += [agent["id"] for agent in known if agent["connected"]]
    return found


def refused(url: str) -> int:
    try:
        ask(url)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def container_of(client: docker.DockerClient, project: str, service: str) -> str:
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    (container,) = client.containers.list(filters={"label": labels}, ignore_removed=True)
    return str(container.id)


def test_the_shims_image(client: docker.DockerClient, stand_ins: Mapping[str, str]) -> None:
    image = client.images.get(stand_ins["SHIM_IMAGE"])
    config = image.attrs["Config"]
    assert config["User"] not in ("", "0", "root")
    assert config["Healthcheck"]["Test"]
    base = client.images.get(stand_ins["BASE_IMAGE"]).attrs["Size"]
    assert image.attrs["Size"] - base < 80_000_000
    tools = "command -v pip cc gcc; ls /src /opt/mesos-shim/lib/python3*/site-packages/pip 2>&1"
    said = client.containers.run(
        stand_ins["SHIM_IMAGE"],
        ["-c", f"{tools}; id -u; mesos-shim --version"],
        entrypoint="/bin/sh",
        remove=True,
    ).decode()
    assert "/bin/pip" not in said
    assert "cc\n" not in said
    assert said.count("No such file") == 2
    assert said.splitlines()[-2] == "10001"
    assert said.splitlines()[-1].startswith("mesos-shim ")


def test_certificates_come_as_content(
    client: docker.DockerClient, stand_ins: Mapping[str, str]
) -> None:
    """TLSCA, TLSCERT and TLSKEY become files; what runs has them no longer."""
    show = 'ls -l "$DOCKER_CERT_PATH"; cat "$DOCKER_CERT_PATH"/*.pem; env'
    script = f"sed 's/^exec .*/{show.replace('/', chr(92) + '/')}/' /opt/mesos-shim/entrypoint.sh"
    said = client.containers.run(
        stand_ins["SHIM_IMAGE"],
        ["-c", f"{script} >/tmp/e.sh; sh /tmp/e.sh"],
        entrypoint="/bin/sh",
        environment={"TLSCA": "an authority", "TLSCERT": "a\ncertificate", "TLSKEY": "a key"},
        remove=True,
    ).decode()
    assert "an authority\na\ncertificate\na key\n" in said
    assert said.count("-rw-------") == 3
    assert "TLSKEY" not in said
    assert "DOCKER_CERT_PATH=" in said


def test_an_image_that_nobody_has(demo: Demo) -> None:
    missing = "localhost:1/none:1"
    error = demo("--compose", "-p", demo.project, code=1, MARATHON_IMAGE=missing).stderr
    assert f"image {missing} is neither here nor can it be pulled" in error.splitlines()[-1]


def test_an_old_compose_is_refused(demo: Demo) -> None:
    tools = demo.root / "old tools"
    tools.mkdir()
    for name, body in (
        ("docker-compose", "echo 1.21.0"),
        ("docker", '[ "$1" != compose ] && exec "$REAL" "$@"'),
    ):
        path = tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    real = images.which("docker")
    search = f"{tools}:{demo.environ['PATH']}"
    error = demo("--compose", "-p", demo.project, code=1, PATH=search, REAL=real).stderr
    assert "docker-compose 1.21.0 is too old" in error.splitlines()[-1]
