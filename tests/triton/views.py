"""What list and inspect show of a machine; they lack many fields of Docker's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.triton.api_errors import docker_error
from tests.triton.machines import Machine, State
from tests.triton.packages import LABEL as PACKAGE

ZERO = "0001-01-01T00:00:00Z"
STATUSES = {
    "created": State.PROVISIONING,
    "exited": State.STOPPED,
    "running": State.RUNNING,
    "restarting": None,
    "paused": None,
}


def list_entry(machine: Machine) -> dict[str, Any]:
    links = [f"/{machine.name}/{link}" for link in machine.host_config.get("Links") or []]
    return {
        "Id": machine.shown_id,
        "Created": int(machine.created),
        "Command": " ".join(machine.command),
        "Names": [*links, f"/{machine.name}"],
        "Status": status(machine),
        "Image": machine.body["Image"],
        "Labels": {**machine.labels, PACKAGE: machine.package.name},
        "Ports": [_listed_port(key, key in machine.published) for key in machine.exposed],
    }


def status(machine: Machine) -> str:
    if machine.state is State.PROVISIONING:
        return f"Provisioning {_ago(machine.created)}"
    if machine.state is State.RUNNING:
        return f"Up {_ago(machine.started or time.time())}"
    if machine.state is not State.STOPPED:
        return ""
    if machine.started is None:
        return "Created"
    if machine.exit_code is None:
        return "Exited"
    return f"Exited ({machine.exit_code}) {_ago(machine.finished or time.time())} ago"


def inspect_answer(machine: Machine) -> dict[str, Any]:
    body, command = machine.body, machine.command
    return {
        "Id": machine.shown_id,
        "Name": f"/{machine.name}",
        "Created": _iso(machine.created),
        "Path": command[0] if command else "",
        "Args": command[1:],
        "Image": body["Image"],
        "Driver": "sdc",
        "ExecDriver": "sdc-0.1.0",
        "RestartCount": machine.restarts,
        "Volumes": {},
        "VolumesRW": {},
        "State": {
            "Error": "",
            "ExitCode": machine.exit_code or 0,
            "FinishedAt": _iso(machine.finished),
            "OOMKilled": False,
            "Paused": False,
            "Pid": 4242 if machine.state is State.RUNNING else 0,
            "Restarting": False,
            "Running": machine.state is State.RUNNING,
            "StartedAt": _iso(machine.started),
        },
        "Config": {
            "AttachStderr": bool(body.get("AttachStderr")),
            "AttachStdin": bool(body.get("AttachStdin")),
            "AttachStdout": bool(body.get("AttachStdout")),
            "Cmd": body.get("Cmd"),
            "Domainname": body.get("Domainname", ""),
            "Entrypoint": body.get("Entrypoint"),
            "Env": body.get("Env") or [],
            "ExposedPorts": {key: {} for key in machine.exposed},
            "Hostname": body.get("Hostname") or machine.uuid[:12],
            "Image": body["Image"],
            "Labels": {**machine.labels, PACKAGE: machine.package.name},
            "OpenStdin": bool(body.get("OpenStdin")),
            "Tty": machine.tty,
            "User": body.get("User", ""),
            "WorkingDir": body.get("WorkingDir", ""),
        },
        "HostConfig": _host_config(machine),
        "NetworkSettings": {
            "Bridge": "net0" if machine.address else "",
            "Gateway": "",
            "IPAddress": machine.address,
            "IPPrefixLen": 24 if machine.address else 0,
            "MacAddress": machine.mac,
            "Ports": {
                key: _bindings(machine.published[key]) if key in machine.published else None
                for key in machine.exposed
            },
        },
    }


def _host_config(machine: Machine) -> dict[str, Any]:
    host = machine.host_config
    return {
        "Binds": host.get("Binds") or [],
        "Dns": host.get("Dns") or [],
        "DnsSearch": host.get("DnsSearch") or [],
        "ExtraHosts": host.get("ExtraHosts") or [],
        "Links": host.get("Links"),
        "LogConfig": host.get("LogConfig") or {"Type": "json-file", "Config": {}},
        "Memory": machine.package.memory_mib * 2**20,
        "NetworkMode": "bridge",
        "PortBindings": {key: _bindings(port) for key, port in machine.published.items()},
        "RestartPolicy": {"Name": machine.restart_policy, "MaximumRetryCount": 0},
    }


def selected(machine: Machine, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether list shows the machine. Several statuses are ANDed, so no machine meets them."""
    return (
        all(machine.state is STATUSES[wanted] for wanted in filters.get("status", ()))
        and all(_has_label(machine, wanted) for wanted in filters.get("label", ()))
        and all(re.search(wanted, machine.name) for wanted in filters.get("name", ()))
        and all(re.search(wanted, machine.shown_id) for wanted in filters.get("id", ()))
    )


def parse_filters(text: str) -> dict[str, list[str]]:
    """Both ``{"label": ["a=b"]}`` and ``{"label": {"a=b": true}}``. Invalid JSON is a 500."""
    if not text:
        return {}
    try:
        filters = {key: list(value) for key, value in json.loads(text).items()}
    except ValueError as error:
        raise docker_error(f"SyntaxError: {error}") from error
    for wanted in filters.get("status", ()):
        if wanted not in STATUSES:
            raise docker_error(f"invalid filter 'status={wanted}'")
    return filters


def _has_label(machine: Machine, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    if key.startswith("triton."):
        return False
    labels = {**machine.labels, PACKAGE: machine.package.name}
    return key in labels and (not equals or labels[key] == value.partition("=")[0])


def _listed_port(key: str, published: bool) -> dict[str, Any]:
    number, _, kind = key.partition("/")
    entry: dict[str, Any] = {"PrivatePort": int(number), "Type": kind}
    return {**entry, "IP": "0.0.0.0", "PublicPort": int(number)} if published else entry


def _bindings(port: int) -> list[dict[str, str]]:
    return [{"HostIp": "0.0.0.0", "HostPort": str(port)}]


def _ago(since: float) -> str:
    return f"{max(0, int(time.time() - since))} seconds"


def _iso(moment: float | None) -> str:
    if moment is None:
        return ZERO
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
