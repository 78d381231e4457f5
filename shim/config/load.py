"""Flags and environment -> :class:`Config`, with all checks that need no network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shim.config.config import Config
from shim.config.consul import consul_config
from shim.config.flags import FLAGS
from shim.config.libprocess import peer_ip_match, tls_settings
from shim.config.parser import Given, parse
from shim.config.resources import Ports, parse_resources
from shim.errors import ConfigError
from shim.model.settings import PortsMode
from shim.protos.mesos_pb2 import Resource


def load(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of flags and environment. Reads the files that they name.

    Raises ConfigError with the flag (or variable) and the value.
    """
    given = parse(argv, environ)
    values: dict[str, Any] = dict.fromkeys(FLAGS)
    values |= {name: _value(one) for name, one in given.items()}
    if values["master"] is None:
        raise ConfigError(
            "--master is missing: give host:port, zk://host:port,.../path or consul://..."
        )
    resources = _resources(given.get("resources"), values["default_role"])
    ports, kept, notes = _ports(given["ports"], values["ports"], resources)
    consul, register, checks = (
        values.pop(name) for name in ("consul", "consul_register", "consul_checks")
    )
    texts = {name: one.text for name, one in given.items() if not one.flag.secret}
    return Config(
        **_without_none(values)
        | {
            "resources": kept,
            "ports": ports,
            "require_peer_address_ip_match": peer_ip_match(environ),
            "tls": tls_settings(environ),
            "discovery": consul_config(consul, register, checks, environ),
            "notes": notes,
            "texts": texts
            | {"master": str(values["master"]), "journal": str(values["journal"] or "sqlite")},
        }
    )


def _value(given: Given) -> Any:
    if not given.text:
        raise given.wrong("empty")
    if given.text != given.text.encode(errors="ignore").decode():
        # Values go into messages and pages, whose texts are UTF-8.
        raise given.wrong("not UTF-8")
    try:
        return given.flag.kind.parse(given.text)
    except ValueError as error:
        raise given.wrong(error) from None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace None by the value that Config has for an unset flag."""
    work_dir: Path = values["work_dir"]
    absent = {
        "ip": "",
        "advertise_ip": "",
        "hostname": "",
        "shim_id": "",
        "failover_command": "",
        "attributes": (),
        "docker_host": "",
        "docker_cert_path": "",
        "default_container_dns": (),
        "pod_image": "",
        "fetcher_cache_dir": work_dir / "fetch",
        "triton_prices": {},
        "volume_driver_options": {},
        "executor_environment_variables": {},
        "http_credentials": {},
    }
    return {name: absent.get(name) if one is None else one for name, one in values.items()}


def _resources(given: Given | None, default_role: str) -> tuple[Resource, ...]:
    if given is None:
        return ()
    try:
        return tuple(parse_resources(given.text, default_role))
    except ValueError as error:
        raise given.wrong(error) from None


def _ports(
    given: Given, ports: Ports, resources: Sequence[Resource]
) -> tuple[Ports, tuple[Resource, ...], tuple[str, ...]]:
    """Ports in --resources are offered as if --ports named them, unless --ports says otherwise."""
    named = [resource for resource in resources if resource.name == "ports"]
    others = tuple(resource for resource in resources if resource.name != "ports")
    if not named:
        return ports, others, ()
    if given.source != "default" and ports.mode == "none":
        return ports, others, ("--ports=none: the ports in --resources are not offered",)
    if given.source != "default" and ports.mode == "real":
        raise given.wrong("--resources names ports too: give them in one place")
    mode: PortsMode = "virtual" if ports.mode == "virtual" else "real"
    return Ports(mode, ()), tuple(resources), (f"--resources names ports: --ports={mode}",)
