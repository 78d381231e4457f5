from __future__ import annotations

import socket

import pytest

from shim.config import addresses, load
from shim.config.addresses import Addresses, find_addresses
from shim.errors import ConfigError

ROUTES = {"127.0.0.1": "127.0.0.1", "127.0.1.1": "127.0.0.1", "10.0.0.1": "10.0.0.9"}
NAMES = {"master.example": "10.0.0.1", "localhost": "127.0.0.1"}


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the address 10.0.0.9 in its subnet and 192.168.1.9 on the default route."""

    def resolve(host: str, port: int, family: int) -> object:
        assert family == socket.AF_INET
        ip = NAMES.get(host, host)
        if not ip[0].isdigit():
            raise socket.gaierror(-2, "Name or service not known")
        return [(None, None, None, None, (ip, port))]

    def reverse(ip: str) -> tuple[str, list[str], list[str]]:
        if ip != "10.0.0.9":
            raise socket.herror(1, "Unknown host")
        return "agent.example", [], []

    monkeypatch.setattr(
        addresses, "source_address", lambda peer: ROUTES.get(peer[0], "192.168.1.9")
    )
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "gethostbyaddr", reverse)


def found(*argv: str, master: str = "master.example:5050") -> Addresses:
    return find_addresses(load([f"--master={master}", *argv], {}))


def test_the_source_address_towards_the_master_is_advertised() -> None:
    assert found() == Addresses("0.0.0.0", 5051, "10.0.0.9", None, "agent.example")


@pytest.mark.parametrize("master", ["localhost:5050", "127.0.1.1:5050"])
def test_a_master_on_loopback_gets_a_loopback_address(master: str) -> None:
    assert found(master=master).advertise_ip == "127.0.0.1"


@pytest.mark.parametrize("master", ["zk://localhost/mesos", "unknown.example:5050"])
def test_without_a_known_master_the_default_route_decides(master: str) -> None:
    assert found(master=master).advertise_ip == "192.168.1.9"


def test_ip_is_bound_and_advertised() -> None:
    assert found("--ip=10.0.0.8", "--port=0", "--hostname=h") == Addresses(
        "10.0.0.8", 0, "10.0.0.8", None, "h"
    )


def test_ip_0_0_0_0_is_bound_but_not_advertised() -> None:
    assert found("--ip=0.0.0.0").advertise_ip == "10.0.0.9"


def test_the_advertised_address_may_differ() -> None:
    assert found("--ip=10.0.0.8", "--advertise_ip=172.16.0.1", "--advertise_port=80") == Addresses(
        "10.0.0.8", 5051, "172.16.0.1", 80, "172.16.0.1"
    )


@pytest.mark.parametrize(
    "flag", ["--ip=127.0.0.1", "--advertise_ip=127.0.0.1", "--advertise_ip=0.0.0.0"]
)
def test_an_unreachable_advertised_address_is_an_error(flag: str) -> None:
    with pytest.raises(ConfigError, match=f"{flag}: "):
        found(flag)


def test_without_lookup_the_hostname_is_the_address() -> None:
    assert found("--no-hostname_lookup").hostname == "10.0.0.9"


def test_without_a_route_the_loopback_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "source_address", lambda peer: None)
    assert found(master="zk://z/m").advertise_ip == "127.0.0.1"
    with pytest.raises(ConfigError, match="cannot reach a loopback address"):
        found()
