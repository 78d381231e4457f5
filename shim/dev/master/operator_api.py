"""The part of the v1 operator API that tests and laptops need: ``/api/v1``."""

from __future__ import annotations

from collections.abc import Callable

from shim.dev.master import agents, draining, frameworks, operations
from shim.dev.master.scheduler_api import Refused, field, identifier
from shim.dev.master.state import Agent, AgentCapability, World
from shim.dev.master.v1json import BadJson, Json, from_json
from shim.model.ids import AgentId, FrameworkId
from shim.protos import mesos_pb2 as mesos

Operation = mesos.Offer.Operation


def carry_out(world: World, call: Json) -> int:
    """The status of the answer. Raises Refused."""
    kind = call.get("type")
    handler = _CALLS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        raise Refused(400, f"Failed to validate master::Call: unknown type {kind!r}")
    try:
        return handler(world, field(call, str(kind).lower()))
    except BadJson as error:
        raise Refused(400, f"Failed to convert JSON into Call protobuf: {error}") from None


def _agent(world: World, body: Json) -> Agent:
    agent = world.agents.get(AgentId(identifier(body, "agent_id")))
    if agent is None:
        raise Refused(404, "Unknown agent")
    return agent


def _mark_gone(world: World, body: Json) -> int:
    agent_id = AgentId(identifier(body, "agent_id"))
    if not agents.mark_gone(world, agent_id):
        raise Refused(404, f"Agent {agent_id} not found")
    return 200


def _drain(world: World, body: Json) -> int:
    agent = _agent(world, body)
    if not agent.can(AgentCapability.AGENT_DRAINING):
        raise Refused(400, "Agent does not support draining")
    config = mesos.DrainConfig(mark_gone=bool(body.get("mark_gone", False)))
    if "max_grace_period" in body:
        from_json(body["max_grace_period"], config.max_grace_period)
    draining.drain(world, agent, config)
    return 200


def _deactivate(world: World, body: Json) -> int:
    draining.deactivate(world, _agent(world, body))
    return 200


def _reactivate(world: World, body: Json) -> int:
    draining.reactivate(world, _agent(world, body))
    return 200


def _teardown(world: World, body: Json) -> int:
    framework = world.frameworks.get(FrameworkId(identifier(body, "framework_id")))
    if framework is None:
        raise Refused(400, "No framework found with specified ID")
    frameworks.remove(world, framework)
    return 200


def _operate(kind: Operation.Type.ValueType, resources: str) -> Callable[[World, Json], int]:
    name = Operation.Type.Name(kind).lower()

    def handler(world: World, body: Json) -> int:
        operation = from_json(
            {"type": name.upper(), name: {resources: body.get(resources, [])}}, Operation()
        )
        agent_id = AgentId(identifier(body, "agent_id"))
        if reason := operations.operate(world, agent_id, operation):
            raise Refused(409, reason)
        return 202

    return handler


_CALLS: dict[str, Callable[[World, Json], int]] = {
    "MARK_AGENT_GONE": _mark_gone,
    "DRAIN_AGENT": _drain,
    "DEACTIVATE_AGENT": _deactivate,
    "REACTIVATE_AGENT": _reactivate,
    "TEARDOWN": _teardown,
    "RESERVE_RESOURCES": _operate(Operation.RESERVE, "resources"),
    "UNRESERVE_RESOURCES": _operate(Operation.UNRESERVE, "resources"),
    "CREATE_VOLUMES": _operate(Operation.CREATE, "volumes"),
    "DESTROY_VOLUMES": _operate(Operation.DESTROY, "volumes"),
}
