"""List entries and inspects of a Docker Engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shim.engine.client.parse import addresses, from_inspect, from_list
from shim.model.container import ContainerPort, Phase


def inspect(state: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"Id": "abc", "Name": "/mesos-1", "State": state, **more}).encode() + b"\n"


@pytest.mark.parametrize(
    ("state", "phase", "code"),
    [
        ({"Status": "created", "Running": False, "ExitCode": 0}, Phase.CREATED, None),
        ({"Status": "created", "Running": False, "ExitCode": 128}, Phase.CREATED, None),
        ({"Status": "running", "Running": True, "ExitCode": 0}, Phase.RUNNING, None),
        ({"Status": "paused", "Running": True, "ExitCode": 0}, Phase.RUNNING, None),
        ({"Status": "restarting", "Running": True, "ExitCode": 1}, Phase.RUNNING, None),
        ({"Status": "exited", "Running": False, "ExitCode": 3}, Phase.EXITED, 3),
        ({"Status": "dead", "Running": False, "ExitCode": 0}, Phase.EXITED, 0),
        ({"Status": "removing", "Running": False, "ExitCode": 9}, Phase.EXITED, 9),
        ({"Running": True}, Phase.RUNNING, None),
        ({"Running": False, "StartedAt": "0001-01-01T00:00:00Z"}, Phase.CREATED, None),
        (
            {"Running": False, "StartedAt": "2026-11-20T08:13:17Z", "ExitCode": 5},
            Phase.EXITED,
            5,
        ),
    ],
)
def test_a_state_has_a_phase_and_perhaps_an_exit_code(
    state: dict[str, Any], phase: Phase, code: int | None
) -> None:
    found = from_inspect(inspect(state))
    assert (found.name, found.phase, found.exit_code) == ("mesos-1", phase, code)


def test_an_inspect_is_kept_whole() -> None:
    raw = inspect(
        {"Status": "exited", "OOMKilled": True, "Error": "no space", "ExitCode": 137},
        Config={"Labels": {"a": "b"}},
    )
    found = from_inspect(raw)
    assert (found.oom_killed, found.error, found.labels) == (True, "no space", {"a": "b"})
    assert json.loads(found.inspect) == [json.loads(raw)]


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"nonsense", b'{"Id": "x", "Name": "/x"}'])
def test_an_answer_that_is_no_inspect_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        from_inspect(raw)


def settings(mode: str, networks: dict[str, dict[str, str]], **top: str) -> dict[str, Any]:
    return {
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks, **top},
    }


def net(ipv4: str = "", ipv6: str = "") -> dict[str, str]:
    return {"IPAddress": ipv4, "GlobalIPv6Address": ipv6}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (settings("bridge", {"bridge": net("172.17.0.2")}), ("172.17.0.2",)),
        (settings("bridge", {"bridge": net("172.17.0.2", "fd00::2")}), ("172.17.0.2", "fd00::2")),
        (settings("host", {"host": net()}, IPAddress="10.0.0.1"), ()),
        (settings("none", {"none": net()}), ()),
        (settings("mine", {"other": net("10.9.0.1"), "mine": net("10.8.0.1")}), ("10.8.0.1",)),
        (settings("bridge", {}, IPAddress="172.17.0.9"), ("172.17.0.9",)),
        (settings("default", {"bridge": net("172.17.0.2")}), ("172.17.0.2",)),
        (settings("d34db33f", {"a": net(), "b": net("10.8.0.1")}), ("10.8.0.1",)),
        (settings("x", {"a": net("8.8.8.8"), "b": net("10.8.0.1")}), ("10.8.0.1",)),
        (settings("x", {"a": net("", "fd00::1")}), ("fd00::1",)),
        (settings("x", {"a": net("what")}), ("what",)),
        ({}, ()),
        ({"NetworkSettings": None, "HostConfig": None}, ()),
    ],
)
def test_the_addresses_of_a_container(described: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert addresses(described) == expected


@pytest.mark.parametrize(
    ("state", "status", "phase", "code"),
    [
        ("created", "Created", Phase.CREATED, None),
        ("running", "Up 5 minutes", Phase.RUNNING, None),
        ("exited", "Exited (137) 5 minutes ago", Phase.EXITED, 137),
        ("exited", "Exited (-1) 5 minutes ago", Phase.EXITED, -1),
        ("exited", "Exited", Phase.EXITED, None),
        ("something new", "", Phase.PROVISIONING, None),
    ],
)
def test_a_list_entry(state: str, status: str, phase: Phase, code: int | None) -> None:
    entry = {
        "Id": "abc",
        "Names": ["/web/linked-as", "/mesos-1"],
        "State": state,
        "Status": status,
        "Labels": {"a": "b"},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
    }
    found = from_list(entry)
    assert (found.name, found.id, found.phase, found.exit_code) == ("mesos-1", "abc", phase, code)
    assert (found.labels, found.addresses, found.inspect) == ({"a": "b"}, ("172.17.0.2",), b"")


def test_a_bare_list_entry() -> None:
    found = from_list({"Id": "abc", "Names": None, "Labels": None})
    assert (found.name, dict(found.labels), found.addresses) == ("", {}, ())


PORTS = (ContainerPort(80, "tcp", 49153), ContainerPort(53, "udp", None))


def test_the_ports_of_an_inspect() -> None:
    bound = [{"HostIp": "0.0.0.0", "HostPort": "49153"}, {"HostIp": "::", "HostPort": "49153"}]
    ports = {"80/tcp": bound, "53/udp": None, "none": []}
    raw = inspect({"Running": True}, NetworkSettings={"Ports": ports})
    assert from_inspect(raw).ports == PORTS


def test_the_ports_of_a_list_entry() -> None:
    both = {"PrivatePort": 80, "PublicPort": 49153, "Type": "tcp"}
    ports = [{"IP": "0.0.0.0", **both}, {"IP": "::", **both}, {"PrivatePort": 53, "Type": "udp"}]
    assert from_list({"Id": "abc", "Ports": [*ports, {"Type": "tcp"}]}).ports == PORTS


@pytest.mark.parametrize("settings", [{}, {"Ports": None}, {"Ports": {}}])
def test_a_container_without_ports(settings: dict[str, Any]) -> None:
    assert from_inspect(inspect({"Running": True}, NetworkSettings=settings)).ports == ()
