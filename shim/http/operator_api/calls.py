"""Which call does what: one table for calls that read, one for the rights that others need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from google.protobuf.message import Message

from shim.http.operator_api.answers import Listing
from shim.http.operator_api.reads import Reads
from shim.protos.agent_pb2 import Call, Response

Read: TypeAlias = Callable[[Reads, Call], Awaitable["Message | Listing"]]

READS: Mapping[Call.Type.ValueType, tuple[Response.Type.ValueType, Read]] = {
    Call.GET_HEALTH: (Response.GET_HEALTH, Reads.health),
    Call.GET_FLAGS: (Response.GET_FLAGS, Reads.flags),
    Call.GET_VERSION: (Response.GET_VERSION, Reads.version),
    Call.GET_METRICS: (Response.GET_METRICS, Reads.metrics),
    Call.GET_LOGGING_LEVEL: (Response.GET_LOGGING_LEVEL, Reads.logging_level),
    Call.LIST_FILES: (Response.LIST_FILES, Reads.list_files),
    Call.READ_FILE: (Response.READ_FILE, Reads.read_file),
    Call.GET_STATE: (Response.GET_STATE, Reads.state),
    Call.GET_CONTAINERS: (Response.GET_CONTAINERS, Reads.containers),
    Call.GET_FRAMEWORKS: (Response.GET_FRAMEWORKS, Reads.frameworks),
    Call.GET_EXECUTORS: (Response.GET_EXECUTORS, Reads.executors),
    Call.GET_OPERATIONS: (Response.GET_OPERATIONS, Reads.operations),
    Call.GET_TASKS: (Response.GET_TASKS, Reads.tasks),
    Call.GET_AGENT: (Response.GET_AGENT, Reads.agent),
    Call.GET_RESOURCE_PROVIDERS: (Response.GET_RESOURCE_PROVIDERS, Reads.resource_providers),
}
"""Calls that read, with the type of their answer."""

TOUCHING = frozenset(
    {
        Call.SET_LOGGING_LEVEL,
        Call.LAUNCH_NESTED_CONTAINER_SESSION,
        Call.ATTACH_CONTAINER_INPUT,
        Call.KILL_CONTAINER,
        Call.KILL_NESTED_CONTAINER,
        Call.REMOVE_CONTAINER,
        Call.REMOVE_NESTED_CONTAINER,
    }
)
"""Calls that need the right to touch."""

OTHERS = frozenset(
    {
        Call.WAIT_CONTAINER,
        Call.WAIT_NESTED_CONTAINER,
        Call.ATTACH_CONTAINER_OUTPUT,
        Call.PRUNE_IMAGES,
    }
)
"""Calls that neither touch nor have a handler in :data:`READS`."""


def is_supported(kind: Call.Type.ValueType) -> bool:
    """Whether the call has a meaning here. Every other call is answered by name with 501."""
    return kind in READS or kind in TOUCHING or kind in OTHERS
