"""The compose file, brought up by start.sh on a local engine, with stand-ins for what a registry
would have (see images.py)."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import ssl
import urllib.error
import urllib.request
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


@pytest.mark.needs_prometheus
def test_everything_from_start_to_stop(demo: Demo, client: docker.DockerClient) -> None:
    project = ("-p", demo.project)
    second = "--datacenters=second=unix:///var/run/docker.sock"
    image = busybox.build(client)
    started = demo("--compose", second, "--agents=3", "--monitoring", *project, SAMPLE_IMAGE=image)
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

    check_monitoring(demo, agents=4)
    status = demo("status", *project).stdout
    assert "4 agent(s) registered" in status
    assert status.count("Prometheus answers: ") == status.count("Grafana answers: ") == 1
    assert status.count("TASK_RUNNING") == 3
    assert "leading master" in demo("logs", *project).stdout

    stopped = demo("stop", *project)
    assert "nothing is left" in stopped.stderr
    assert "containers of tasks of" not in stopped.stderr
    assert left_over(client, demo.project) == []
    assert demo.evaluated(demo.project).returncode != 0


def check_monitoring(demo: Demo, agents: int) -> None:
    """Prometheus scrapes every agent and has the alerts; Grafana finds what it is to read."""
    prometheus = f"http://127.0.0.1:{demo.environ['PROMETHEUS_PORT']}/api/v1"

    def scraped() -> bool:
        found = ask(f"{prometheus}/targets")["data"]["activeTargets"]
        return [target["health"] for target in found] == ["up"] * agents

    first(scraped, f"{agents} agents scraped")
    groups = ask(f"{prometheus}/rules")["data"]["groups"]
    alerts = {rule["name"] for group in groups for rule in group["rules"]}
    assert {"MesosShimDown", "mesos_shim:tasks:sum"} <= alerts
    grafana = f"http://127.0.0.1:{demo.environ['GRAFANA_PORT']}"
    provisioning = f"{grafana}/etc/grafana/provisioning"
    assert "http://prometheus:9090" in ask(f"{provisioning}/datasources/prometheus.yml")
    assert "/var/lib/grafana/dashboards" in ask(f"{provisioning}/dashboards/mesos-shim.yml")
    assert ask(f"{grafana}/var/lib/grafana/dashboards/mesos-shim.json")["uid"] == "mesos-shim"


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


@pytest.mark.needs_prometheus
def test_three_of_each_and_one_of_each_killed(demo: Demo, client: docker.DockerClient) -> None:
    """TLS, credentials and tokens; the leading master, the leading shim, a ZooKeeper and a Consul
    server are killed under a running task, which does not notice, and are there again after another
    start."""
    project = ("-p", demo.project)
    started = demo("--ha", *project)
    people = Operator(demo)
    assert str(people.secrets / "operator.sh").replace(" ", "\\ ") in started.stdout
    assert people.secrets.stat().st_mode & 0o077 == 0
    masters = [demo.environ[name] for name in ("MASTER_PORT", "MASTER2_PORT", "MASTER3_PORT")]
    people.change("MARATHON", "/v2/apps", "POST", sample(demo, "nginx", client))
    (service,) = first(lambda: people.services(1), "nginx in Consul")
    container = client.containers.get(service["Service"]["Meta"]["mesos_container"])
    (agent,) = people.agents(masters)
    slaves = re.search(r"https://127\.0\.0\.1:(\d+)/slaves", started.stdout)
    assert slaves
    assert people.agents([slaves[1]]) == [agent], "the printed address is the leader's own"
    logs = demo("logs", *project).stdout
    assert "open to others" not in logs
    for name in ("CONSUL_PORT", "MASTER_PORT", "AGENT_PORT"):
        check_refusals(demo.environ[name], people)
    found = roles(demo)
    leader, standby = sorted(found, key=lambda name: found[name] != "leads")
    assert found == {leader: "leads", standby: "stands by"}

    first_master = next(port for port in masters if people.agents([port]))
    names = ("master", "master2", "master3")
    for name in (leader, names[masters.index(first_master)], "zookeeper2", "consul3"):
        client.containers.get(container_of(client, demo.project, name)).kill()
    others = [port for port in masters if port != first_master]
    first(lambda: people.is_leader(standby), f"{standby} leads")
    first(lambda: people.agents(others) == [agent], "the same agent at another master")
    assert roles(demo) == {leader: "does NOT answer", standby: "leads"}
    (kept,) = first(lambda: people.services(1), "nginx in Consul")
    assert kept["Service"]["CreateIndex"] == service["Service"]["CreateIndex"]
    people.change("MARATHON", "/v2/apps/nginx", "PUT", {"instances": 2})
    first(lambda: people.services(2), "one more of nginx, of the new leader")

    again = demo("--ha", "--monitoring", *project)
    assert "running already" not in again.stderr
    assert first(lambda: people.peers() == 3, "three Consul servers")
    first(lambda: people.answers(leader), f"{leader} answers")
    assert roles(demo) == {leader: "stands by", standby: "leads"}
    check_monitoring(demo, agents=2)
    container.reload()
    assert container.status == "running"
    assert container.attrs["RestartCount"] == 0
    stopped = demo("stop", *project)
    assert "containers of tasks of" not in stopped.stderr
    assert left_over(client, demo.project) == []


def check_refusals(port: str, people: Operator) -> None:
    """A plain peer, and one without a certificate, are not answered."""
    nobody = ssl.create_default_context(cafile=str(people.secrets / "operator/ca.pem"))
    for scheme, context in (("https", nobody), ("http", None)):
        url = f"{scheme}://127.0.0.1:{port}/health"
        with pytest.raises(OSError, match=r"certificate|alert|EOF|reset|closed|400"):
            urllib.request.urlopen(url, timeout=PATIENCE, context=context).read()


def roles(demo: Demo) -> dict[str, str]:
    """What ``status`` says of each machine of the agent."""
    status = demo("status", "-p", demo.project).stdout
    return dict(re.findall(r"^(shim2?) (\w.*): https:", status, re.MULTILINE))


class Operator:
    """With the certificate, the token and the password of ``operator.sh``."""

    def __init__(self, demo: Demo) -> None:
        self._environ = demo.environ
        self.secrets = demo.root / ".run" / demo.project / "secrets"
        text = (self.secrets / "operator.sh").read_text()
        values = dict(re.findall(r"^export (\w+)='(.*)'$", text, re.M))
        self._context = ssl.create_default_context(cafile=values["CONSUL_CACERT"])
        self._context.load_cert_chain(values["CONSUL_CLIENT_CERT"], values["CONSUL_CLIENT_KEY"])
        password = base64.b64encode(values["MESOS_HTTP_AUTH"].encode()).decode()
        self._headers = {
            "X-Consul-Token": values["CONSUL_HTTP_TOKEN"],
            "Authorization": f"Basic {password}",
            "Content-Type": "application/json",
        }

    def ask(self, url: str, method: str = "GET", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self._context) as answer:
            return json.loads(answer.read())

    def change(self, service: str, path: str, method: str, body: Any) -> None:
        self.ask(f"https://127.0.0.1:{self._environ[f'{service}_PORT']}{path}", method, body)

    def agents(self, masters: list[str]) -> list[str]:
        return agents(masters, self.ask, "https")

    def services(self, count: int) -> list[Any]:
        """Healthy ones of nginx, if there are so many; else none."""
        found = self._consul("/v1/health/service/nginx?passing")
        return found if len(found) == count else []

    def is_leader(self, machine: str) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask(self._leader_page(machine)))
        return False

    def answers(self, machine: str) -> bool:
        """Whether it leads or stands by."""
        try:
            self.ask(self._leader_page(machine))
        except OSError as error:
            return isinstance(error, urllib.error.HTTPError) and error.code == 503
        return True

    def _leader_page(self, machine: str) -> str:
        port = self._environ[{"shim": "AGENT_PORT", "shim2": "AGENT2_PORT"}[machine]]
        return f"https://127.0.0.1:{port}/leader"

    def peers(self) -> int:
        return len(self._consul("/v1/status/peers"))

    def _consul(self, path: str) -> list[Any]:
        found: list[Any] = []
        with contextlib.suppress(OSError):
            found = self.ask(f"https://127.0.0.1:{self._environ['CONSUL_PORT']}{path}")
        return found
