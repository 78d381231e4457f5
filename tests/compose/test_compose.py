"""The compose file, brought up by start.sh on a local engine, with stand-ins for what a registry
would have (see images.py)."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.compose.demo import agents, ask, container_of, left_over, sample
from tests.support import busybox
from tests.support.wait import PATIENCE, first
from tests.test_start import SECONDS, Demo

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_compose,
    pytest.mark.needs_consul,
    pytest.mark.needs_zookeeper,
    pytest.mark.needs_busybox,
    pytest.mark.timeout(SECONDS),
]


def test_everything_from_start_to_stop(demo: Demo, client: docker.DockerClient) -> None:
    project = ("-p", demo.project)
    second = "--datacenters=second=unix:///var/run/docker.sock"
    image = busybox.build(client)
    started = demo("--compose", second, "--agents=3", *project, SAMPLE_IMAGE=image)
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

    found = ask(f"http://{addresses['MASTER']}/slaves")["slaves"]
    assert len({agent["id"] for agent in found}) == 4
    check_shares([a for a in found if a["attributes"].get("datacenter") != "second"], client)

    ask(f"http://{addresses['MARATHON']}/v2/apps", "POST", sample(demo, "nginx", client))
    passing = f"http://{addresses['CONSUL']}/v1/health/service/nginx?passing"
    found = first(lambda: ask(passing), "nginx healthy in Consul")
    service = found[0]["Service"]
    assert "it works" in ask(f"http://{service['Address']}:{service['Port']}/")

    ask(f"http://{addresses['MARATHON']}/v2/apps/nginx", "PUT", {"instances": 3})
    first(lambda: len(ask(passing)) == 3, "three of nginx healthy in Consul")

    status = demo("status", *project).stdout
    assert "4 agent(s) registered" in status
    assert status.count("TASK_RUNNING") == 3
    assert "leading master" in demo("logs", *project).stdout

    stopped = demo("stop", *project)
    assert "nothing is left" in stopped.stderr
    assert "containers of tasks of" not in stopped.stderr
    assert left_over(client, demo.project) == []
    assert demo.evaluated(demo.project).returncode != 0


def check_shares(agents: list[dict[str, Any]], client: docker.DockerClient) -> None:
    """Each has its own name, address, part of the ports and share of the resources."""
    assert len(agents) == 3
    assert len({agent["hostname"] for agent in agents}) == 3
    assert len({agent["pid"] for agent in agents}) == 3
    ports = sorted(str(agent["resources"]["ports"]) for agent in agents)
    assert ports == ["[31000-31332]", "[31333-31665]", "[31666-31998]"]
    assert sum(agent["resources"]["cpus"] for agent in agents) <= client.info()["NCPU"]
    total = sum(agent["resources"]["mem"] for agent in agents) * 2**20
    assert total <= client.info()["MemTotal"]


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


def refused(url: str) -> int:
    try:
        ask(url)
    except urllib.error.HTTPError as error:
        return error.code
    return 200
