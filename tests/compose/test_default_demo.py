"""A demo with default settings. One serves all tests of this module, in their order.

The images are stand-ins for what a registry would have (see images.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import docker
import pytest

from tests.compose import images
from tests.compose.conftest import new_demo
from tests.compose.demo import (
    agents,
    answer_or_none,
    ask,
    container_of,
    left_over,
    output_of,
    running,
    sample,
    services,
    task_container,
)
from tests.support import busybox
from tests.support.wait import first
from tests.test_start import SECONDS, Demo

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_compose,
    pytest.mark.needs_consul,
    pytest.mark.needs_zookeeper,
    pytest.mark.needs_busybox,
    pytest.mark.timeout(SECONDS),
]


@pytest.fixture(scope="module")
def demo(demo_tree: Demo, stand_ins: Mapping[str, str]) -> Iterator[Demo]:
    """It runs."""
    with new_demo(demo_tree, stand_ins) as made:
        made("--compose", "-p", made.project)
        yield made


WAITING = "app /waits waits: InsufficientPorts: it asks for a host port: the agent offers"


def app_of(image: str, name: str, port: str = "80", **docker: Any) -> dict[str, Any]:
    """An app that serves a page on ``port``, as people write one: without networks."""
    serve = f"trap 'exit 0' TERM; httpd -f -p {port} -h /www & wait"
    container = {"type": "DOCKER", "docker": {"image": image, **docker}}
    return {"id": f"/{name}", "cmd": serve, "cpus": 0.1, "mem": 32, "container": container}


def test_ordinary_apps_run_with_default_settings(demo: Demo, client: docker.DockerClient) -> None:
    """Apps without networks, with BRIDGE, and the sample of 2015, twice, each with a host port."""
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

    status = demo("status", "-p", demo.project).stdout
    assert f"{WAITING} [31000-32000]" in status
    assert status.count(" waits") == 1, status
    (framework,) = ask(f"{master}/frameworks")["frameworks"]
    assert framework["webui_url"] == f"{marathon}/"


@pytest.mark.needs_curl
def test_couchbase_becomes_one_cluster(demo: Demo, client: docker.DockerClient) -> None:
    marathon, consul = (f"127.0.0.1:{demo.environ[f'{n}_PORT']}" for n in ("MARATHON", "CONSUL"))
    image = images.couchbase(client)
    done = demo.script("compose/apps/couchbase.sh", marathon, consul, COUCHBASE_IMAGE=image)
    assert done.returncode == 0, done.stderr
    nodes = first(
        lambda: (
            len(found := ask(f"http://{consul}/v1/health/service/couchbase?passing")) == 3 and found
        ),
        "three nodes healthy in Consul",
    )
    addresses = {node["Service"]["Address"] for node in nodes}
    members = f"http://{consul}/v1/kv/stub/members?keys"
    # A node is healthy before it is a member: at first Consul has no key.
    joined = first(lambda: len(got := answer_or_none(members) or ()) == 3 and got, "three members")
    assert {key.rpartition("/")[2] for key in joined} == addresses
    load = first(lambda: answer_or_none(f"http://{consul}/v1/kv/stub/load?raw"), "load")
    assert load.split()[1].removesuffix(":8091") in addresses


def test_what_happens_to_demos(demo: Demo, client: docker.DockerClient) -> None:
    """A master that restarts, a reboot, containers that are removed and killed, in this order."""
    project = ("-p", demo.project)
    master = [demo.environ["MASTER_PORT"]]
    marathon = f"http://127.0.0.1:{demo.environ['MARATHON_PORT']}"
    ask(f"{marathon}/v2/apps", "POST", sample(demo, "nginx", client))
    first(lambda: running(f"{marathon}/v2/apps/nginx"), "the app runs")
    container = task_container(client, demo.project, "nginx")
    (agent,) = agents(master)

    client.containers.get(container_of(client, demo.project, "master")).restart()
    first(lambda: agents(master) == [agent], "the same agent again")

    together = services(client, demo.project)
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
