from __future__ import annotations

from pathlib import Path

import pytest

from shim.agent.container_host import bridge_gateway

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
BRIDGE = "eth0\t00000000\t010014AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
OWN_NETWORK = "eth0\t000014AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"


def container(
    root: Path,
    *,
    mark: str = ".dockerenv",
    routes: str = HEADER + BRIDGE + OWN_NETWORK,
    peer: int = 8,
    kind: str = "",
) -> Path:
    """A root directory as a process in a container sees it; its interface has index 7."""
    if mark:
        (root / mark).parent.mkdir(parents=True, exist_ok=True)
        (root / mark).touch()
    (root / "proc/net").mkdir(parents=True)
    (root / "proc/net/route").write_text(routes)
    interface = root / "sys/class/net/eth0"
    interface.mkdir(parents=True)
    (interface / "ifindex").write_text("7\n")
    (interface / "iflink").write_text(f"{peer}\n")
    (interface / "uevent").write_text(f"{kind}INTERFACE=eth0\nIFINDEX=7\n")
    return root


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_in_a_container_on_a_bridge_the_gateway_is_the_host(tmp_path: Path, mark: str) -> None:
    assert bridge_gateway(container(tmp_path, mark=mark)) == "172.20.0.1"


def test_outside_of_containers_there_is_none(tmp_path: Path) -> None:
    assert bridge_gateway(container(tmp_path, mark="")) is None


@pytest.mark.parametrize("routes", ["", HEADER, HEADER + OWN_NETWORK])
def test_without_a_default_route_there_is_none(tmp_path: Path, routes: str) -> None:
    assert bridge_gateway(container(tmp_path, routes=routes)) is None


def test_on_the_hosts_network_there_is_none(tmp_path: Path) -> None:
    """There the interface is the machine's own: it is no end of a pair."""
    assert bridge_gateway(container(tmp_path, peer=7)) is None


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "vlan"])
def test_on_a_network_of_the_machines_neighbours_there_is_none(tmp_path: Path, kind: str) -> None:
    """The gateway of such a network is a router."""
    assert bridge_gateway(container(tmp_path, kind=f"DEVTYPE={kind}\n")) is None


def test_a_system_without_these_files_has_none(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    assert bridge_gateway(tmp_path) is None
