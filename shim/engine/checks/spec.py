"""Reads the health check and the check of a TaskInfo. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import CheckInfo, CommandInfo, Environment, HealthCheck, NetworkInfo


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds before the first probe, from a result to the next probe, and for one answer."""

    delay: float
    interval: float
    timeout: float
    """0: the task sets no limit."""


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A command that runs in the container. Exit code 0 is success."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A GET request. A status of 200 to 399 is success."""

    port: int
    """Any number, as in Mesos' validation. A probe of an impossible port fails."""
    path: str = ""
    scheme: str = "http"
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A TCP connection. Connecting is success."""

    port: int
    ipv6: bool = False


CheckTarget = CommandCheck | HttpCheck | TcpCheck


def check_timing(check: HealthCheck | CheckInfo) -> Timing:
    """Raises InvalidTask for a value that is no number of seconds."""
    name = _name(check)
    return Timing(
        *(
            _seconds(getattr(check, field), f"{name}.{field}")
            for field in ("delay_seconds", "interval_seconds", "timeout_seconds")
        )
    )


def grace_period(check: HealthCheck) -> float:
    """Return the grace period in seconds. Raises InvalidTask."""
    return _seconds(check.grace_period_seconds, "health_check.grace_period_seconds")


def check_target(check: HealthCheck | CheckInfo) -> CheckTarget:
    """Return what is probed. Raises InvalidTask that names the missing or wrong field."""
    name = _name(check)
    if check.type == HealthCheck.COMMAND:
        return _command(check, name)
    if check.type == HealthCheck.HTTP:
        return _http(check, name)
    if check.type == HealthCheck.TCP:
        return _tcp(check, name)
    raise InvalidTask(f"No type: {name}.type")


def _command(check: HealthCheck | CheckInfo, name: str) -> CommandCheck:
    _require(check, "command", name)
    command = check.command if isinstance(check, HealthCheck) else check.command.command
    name = f"{name}.command" if isinstance(check, HealthCheck) else f"{name}.command.command"
    if command.shell:
        if not command.HasField("value"):
            _invalid("Shell specified but no command value provided", f"{name}.value")
        argv: tuple[str, ...] = ("/bin/sh", "-c", command.value)
    else:
        value = (command.value,) if command.HasField("value") else ()
        argv = (*value, *command.arguments)
    if not argv:
        _invalid("No command", f"{name}.value")
    return CommandCheck(argv, _environment(command))


def _environment(command: CommandInfo) -> dict[str, str]:
    return {variable.name: _value(variable) for variable in command.environment.variables}


def _value(variable: Environment.Variable) -> str:
    if variable.type == Environment.Variable.SECRET:
        return variable.secret.value.data.decode("utf-8", "replace")
    return variable.value


def _http(check: HealthCheck | CheckInfo, name: str) -> HttpCheck:
    _require(check, "http", name)
    http = check.http
    if http.path and not http.path.startswith("/"):
        _invalid("Not an absolute path", f"{name}.http.path", http.path)
    if not isinstance(http, HealthCheck.HTTPCheckInfo):
        return HttpCheck(http.port, http.path)
    scheme = http.scheme or "http"
    if scheme not in ("http", "https"):
        _invalid("Neither http nor https", f"{name}.http.scheme", scheme)
    return HttpCheck(http.port, http.path, scheme, http.protocol == NetworkInfo.IPv6)


def _tcp(check: HealthCheck | CheckInfo, name: str) -> TcpCheck:
    _require(check, "tcp", name)
    tcp = check.tcp
    ipv6 = isinstance(tcp, HealthCheck.TCPCheckInfo) and tcp.protocol == NetworkInfo.IPv6
    return TcpCheck(tcp.port, ipv6)


def _name(check: HealthCheck | CheckInfo) -> str:
    return "health_check" if isinstance(check, HealthCheck) else "check"


def _require(check: HealthCheck | CheckInfo, part: str, name: str) -> None:
    if not check.HasField(part):  # type: ignore[arg-type]
        _invalid(f"No {part} to check with", f"{name}.{part}")


def _seconds(value: float, name: str) -> float:
    if math.isnan(value) or value < 0:
        _invalid("Not a number of seconds", name, value)
    return value


def _invalid(reason: str, name: str, value: object = None) -> NoReturn:
    raise InvalidTask(f"{reason}: {name}" + ("" if value is None else f" {value!r}"))
