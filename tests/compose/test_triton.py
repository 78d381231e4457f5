"""What start.sh decides on Triton, with commands in the place of docker's and triton's that
answer as theirs do: nothing is started."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_start import TREE, shell

INFO = "echo 'Containers: 0'; echo 'SDCAccount: bob'; echo 'Name: us-east-1'"
HOST = "tcp://us-east-1.docker.example.com:2376"
PARTS = "ask settings triton datacenters ha monitoring compose_checks compose"


@dataclass
class Endpoint:
    """A directory of stub commands, and what the scripts' functions make of them."""

    tools: Path
    certificates: Path
    datacenters: str = ""

    def command(self, name: str, body: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, script: str) -> tuple[int, str]:
        """The exit code and the output of some of start.sh's functions."""
        sources = "".join(f'. "{TREE}/scripts/{part}.sh"; ' for part in PARTS.split())
        begin = f'set -eu; . "{TREE}/scripts/lib.sh"; {sources} RUN="{self.tools}/run"; PROJECT=p;'
        begin += ' load_defaults; wrong() { echo "$*"; exit 2; };'
        environ = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.tools),
            "DOCKER_HOST": HOST,
            "DOCKER_CERT_PATH": str(self.certificates),
            "DATACENTERS": self.datacenters,
        }
        done = shell("bash", "-c", f"{begin} {script}", env=environ, timeout=60)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    tools, certificates = tmp_path / "tools", tmp_path / "certificates"
    tools.mkdir()
    certificates.mkdir()
    for name in ("ca", "cert", "key"):
        (certificates / f"{name}.pem").write_text(f"the {name}\n")
    endpoint = Endpoint(tools, certificates)
    endpoint.command("docker", f'[ "$1" != info ] || {{ {INFO}; }}')
    profile(endpoint, "bob", "https://us-east-1.api.example.com")
    return endpoint


def profile(endpoint: Endpoint, account: str, url: str, cns: bool = False) -> None:
    answer = f"account: {account}\nurl: {url}"
    flag = "true" if cns else "false"
    details = f"id: 1234\nlogin: {account}\ntriton_cns_enabled: {flag}"
    body = f"case $1 in\nprofile) echo '{answer}' ;;\naccount) echo '{details}' ;;\nesac"
    endpoint.command("triton", body)


CHECK = 'triton_is_consistent && echo fine || { echo "$WHY"; exit 1; }'


def test_the_endpoint_is_known_by_its_account(endpoint: Endpoint) -> None:
    assert endpoint.run("on_triton && echo yes")[1] == "yes\n"
    endpoint.command("docker", "echo 'Containers: 0'")
    assert endpoint.run("on_triton || echo no")[1] == "no\n"


def test_profile_and_docker_client_agree(endpoint: Endpoint) -> None:
    assert endpoint.run(CHECK) == (0, "fine\n")


def test_two_people_s_demos_at_one_endpoint_are_two(endpoint: Endpoint) -> None:
    """Of two shims with one id each removes the other's containers."""
    owners = []
    for machine in ("mine", "yours"):
        endpoint.command("uname", f"echo {machine}")
        code, said = endpoint.run('compose_environment; echo "$SHIM_ID"')
        assert code == 0, said
        owners.append(said)
    assert owners[0] != owners[1]
    assert all(re.fullmatch(r"demo-p-\d+\n", owner) for owner in owners)


def test_another_account(endpoint: Endpoint) -> None:
    profile(endpoint, "alice", "https://us-east-1.api.example.com")
    code, said = endpoint.run(CHECK)
    assert code == 1
    assert "account bob, the triton profile alice" in said
    assert "triton env" in said


def test_another_data_center(endpoint: Endpoint) -> None:
    profile(endpoint, "bob", "https://eu-ams-1.api.example.com")
    code, said = endpoint.run(CHECK)
    assert code == 1
    assert "us-east-1, the triton profile in eu-ams-1" in said


def test_addresses_are_cns_names_where_cns_is_on(endpoint: Endpoint) -> None:
    profile(endpoint, "bob", "https://us-east-1.api.example.com", cns=True)
    said = endpoint.run("address master 5050 9999")[1]
    assert said == "p-master.svc.1234.us-east-1.triton.zone:5050\n"


def test_addresses_are_the_containers_own_where_cns_is_off(endpoint: Endpoint) -> None:
    body = f"case $1 in info) {INFO} ;; ps) echo abc ;; inspect) echo 10.1.2.3 ;; esac"
    endpoint.command("docker", body)
    assert endpoint.run("address master 5050 9999")[1] == "10.1.2.3:5050\n"


def test_the_shims_image_cannot_be_built_there(endpoint: Endpoint) -> None:
    code, said = endpoint.run('build_shim || { echo "$WHY"; exit 1; }')
    assert code == 1
    assert "name it in SHIM_IMAGE" in said


@pytest.mark.needs_compose
def test_what_compose_is_given(endpoint: Endpoint) -> None:
    """Certificates as content, no networks, volumes or local ports; one shim more for each
    data center named."""
    endpoint.datacenters = "eu-ams-1,other=tcp://docker.elsewhere.net:2376"
    script = (
        'COMPOSE=(docker-compose); compose_environment; mkdir -p "$(demo_dir)"; '
        'write_datacenters; echo "agents: $AGENTS"; compose 60 config'
    )
    code, said = endpoint.run(script)
    assert code == 0, said
    assert said.startswith("agents: 3\n")
    # Compose prints YAML: four and more blanks belong to the service named with two.
    services = dict(re.findall(r"^  (\S+):\n((?:    .*\n)+)", said, re.MULTILINE))
    for monitoring in ("prometheus", "grafana"):
        services.pop(monitoring, None)  # Compose 1 lists a profile that is off
    assert set(services) == {
        *("consul", "marathon", "master", "shim", "zookeeper"),
        *("shim-eu-ams-1", "shim-other"),
    }
    for name, service in services.items():
        assert "network_mode: bridge" in service, name
        assert "volumes:" not in service, name
    # Marathon does not start with an empty value.
    assert not re.search(r"MARATHON_\w+: *(''|\"\"|null)?$", services["marathon"], re.MULTILINE)
    hosts = {
        "shim": HOST,
        "shim-eu-ams-1": "tcp://eu-ams-1.docker.example.com:2376",
        "shim-other": "tcp://docker.elsewhere.net:2376",
    }
    for name, host in hosts.items():
        for line in (
            f"DOCKER_HOST: {host}",
            "TLSCA: the ca",
            "TLSCERT: the cert",
            "TLSKEY: the key",
        ):
            assert line in services[name]
    owners = [re.search(r"MESOS_SHIM_ID: (\S+)", services[name]) for name in hosts]
    assert len({owner and owner[1] for owner in owners}) == 3


@pytest.mark.parametrize("wanted", ["=x", "Bad/Name=tcp://x:1", "a b=tcp://x:1"])
def test_data_centers_that_are_none(endpoint: Endpoint, wanted: str) -> None:
    endpoint.datacenters = wanted
    code, said = endpoint.run('SHIM_ID=p; mkdir -p "$(demo_dir)"; write_datacenters')
    assert code == 2
    assert "--datacenters" in said
