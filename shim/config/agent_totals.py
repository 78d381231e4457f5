"""The agent's total resources, attributes and domain: flags, completed by the endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from shim.config.config import Config
from shim.config.resources import (
    TRITON_BUDGET,
    complete,
    default_resources,
    domain_at,
    endpoint_attributes,
)
from shim.engine.api import EngineInfo
from shim.errors import ConfigError
from shim.protos.mesos_pb2 import Attribute, DomainInfo, Resource


@dataclass(frozen=True, slots=True)
class AgentTotals:
    """What the agent registers with."""

    resources: tuple[Resource, ...]
    attributes: tuple[Attribute, ...]
    domain: DomainInfo | None
    notes: tuple[str, ...]
    """For the log: the origin of amounts that no flag gives."""


def agent_totals(config: Config, info: EngineInfo) -> AgentTotals:
    """Pure. ``info`` is the endpoint's own answer. Raises ConfigError for an endpoint without a
    name when ``--domain`` needs one."""
    if info.kind == "triton":
        defaults, origin = TRITON_BUDGET, "a default, since Triton reports no size; set --resources"
    else:
        defaults = default_resources(info.cpus, info.memory_mb, info.disk_mb)
        origin = _measured(info)
    named = {resource.name for resource in config.resources}
    added = {name: amount for name, amount in defaults.items() if name not in named}
    resources = complete(config.resources, defaults, config.ports.ranges, config.default_role)
    shown = ";".join(f"{name}:{amount:g}" for name, amount in added.items())
    return AgentTotals(
        tuple(resources),
        tuple(endpoint_attributes(config.attributes, info.name, info.kind)),
        _domain(config, info),
        (f"offering {shown}, which is {origin}",) if added else (),
    )


def _domain(config: Config, info: EngineInfo) -> DomainInfo | None:
    try:
        return domain_at(config.domain, info.name)
    except ValueError as error:
        raise ConfigError(f"--domain={error}") from None


def _measured(info: EngineInfo) -> str:
    figures = {"cpus": info.cpus, "mem": info.memory_mb, "disk": info.disk_mb}
    unknown = [name for name, amount in figures.items() if not amount]
    guess = (
        f"; {', '.join(unknown)} guessed, because the engine does not report it" if unknown else ""
    )
    return f"what the engine {info.name or info.kind} can spare{guess}"
