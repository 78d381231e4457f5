"""What create refuses, one small check each, in the endpoint's words and with its statuses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.triton.api_errors import ApiError, docker_error, not_implemented, validation_error

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
MAX_NAME = 189
MAX_PORTS = 128
MAX_VOLUMES = 8
MAX_VOLUMES_FROM = 2
MAX_LOG_OPTIONS = 1024
"""Bytes."""
BIND = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.\-]+):(?P<path>/[^:]*)(:(ro|rw))?")
TRITON_LABELS = frozenset(
    {
        "triton.cns.services",
        "triton.cns.disable",
        "triton.cns.reverse_ptr",
        "triton.network.public",
    }
)
LOG_ADDRESSES = {"syslog": "syslog-address", "gelf": "gelf-address", "fluentd": "fluentd-address"}


def check_create(body: Any, *, volumes: bool, drivers: frozenset[str]) -> None:
    """Everything about a create body that needs no look at anything else. ApiError."""
    if not isinstance(body, dict):
        raise validation_error("body must be an object")
    _check_types(body)
    _check_labels(body)
    host = body["HostConfig"]
    _check_network_mode(host)
    _check_ports(host)
    _check_volumes(body, volumes)
    _check_log(host.get("LogConfig") or {}, drivers)


def check_name(name: str, doing: str) -> None:
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise problem(doing, '"alias" (Invalid) must be a valid name')


def problem(doing: str, detail: str, status: int = 409) -> ApiError:
    """A VMAPI validation error; its status varies between versions."""
    return ApiError(status, f"problem {doing} container: {detail}", "ValidationFailed")


def _check_types(body: dict[str, Any]) -> None:
    if not isinstance(body.get("Image"), str):
        raise validation_error('"Image" must be a string')
    if not isinstance(body.get("HostConfig"), dict):
        raise validation_error('"HostConfig" must be an object')
    for name in ("Cmd", "Entrypoint", "Env"):
        value = body.get(name)
        if value is not None and not _strings(value):
            raise validation_error(f'"{name}" must be an array of strings')
    for name in ("Hostname", "Domainname"):
        if name in body and not isinstance(body[name], str):
            raise docker_error("Cannot read property 'length' of null")


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _check_labels(body: dict[str, Any]) -> None:
    labels = body.get("Labels")
    if labels is None:
        if any(entry.startswith("affinity:") for entry in body.get("Env") or []):
            raise docker_error("Cannot set property of null")
        labels = body["Labels"] = {}
    for key, value in labels.items():
        if not isinstance(value, str):
            raise validation_error(
                f'invalid labels: label "{key}" value is not a string: {json.dumps(value)}'
            )
        if key.startswith("triton.") and key not in TRITON_LABELS:
            raise validation_error(f'invalid labels: unknown triton label "{key}"')
    if "triton.network.public" in labels and not _publishes(body["HostConfig"]):
        raise validation_error("triton.network.public needs published ports")


def _publishes(host: Mapping[str, Any]) -> bool:
    return bool(host.get("PortBindings") or host.get("PublishAllPorts"))


def _check_network_mode(host: Mapping[str, Any]) -> None:
    mode = host.get("NetworkMode") or ""
    if mode in ("host", "none") or mode.startswith("container:"):
        raise not_implemented(f"NetworkMode {mode}")
    if host.get("Links") and mode not in ("", "bridge", "default"):
        raise not_implemented("links on a named network")


def _check_ports(host: Mapping[str, Any]) -> None:
    count: dict[str, int] = {}
    for key, bindings in (host.get("PortBindings") or {}).items():
        match = re.fullmatch(r"(\d+)/(tcp|udp)", key)
        if match is None or not 1 <= int(match[1]) <= 65535:
            raise validation_error(f"invalid port: {key}")
        count[match[2]] = count.get(match[2], 0) + 1
        for binding in bindings or []:
            if (binding.get("HostPort") or match[1]) != match[1]:
                raise docker_error("publish port: remapping of port numbers not allowed")
    if any(number > MAX_PORTS for number in count.values()):
        raise docker_error(f"publish port: only {MAX_PORTS} ports can be published")


def _check_volumes(body: Mapping[str, Any], enabled: bool) -> None:
    host = body["HostConfig"]
    for bind in host.get("Binds") or []:
        if not enabled:
            raise docker_error("host volumes are not supported")
        if not BIND.fullmatch(bind):
            raise validation_error(f"Invalid binds: {bind}")
    paths = body.get("Volumes") or {}
    if len(paths) > MAX_VOLUMES or not all(path.startswith("/") for path in paths):
        raise docker_error("AssertionError: volumes")
    if len(host.get("VolumesFrom") or []) > MAX_VOLUMES_FROM:
        raise docker_error("too many volumesFrom")


def _check_log(config: Mapping[str, Any], drivers: frozenset[str]) -> None:
    kind = config.get("Type") or "json-file"
    if kind not in drivers:
        raise validation_error(f"log driver {kind} is not enabled")
    options = config.get("Config") or {}
    if len(json.dumps(options)) > MAX_LOG_OPTIONS:
        raise validation_error(f"log options: more than {MAX_LOG_OPTIONS} bytes")
    needed = LOG_ADDRESSES.get(kind)
    if needed and needed not in options:
        raise validation_error(f"log driver {kind} needs {needed}")
