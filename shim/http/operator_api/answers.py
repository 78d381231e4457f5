"""Answers of calls, as JSON or protobuf, in pieces: an agent with 10,000 tasks has megabytes.

The body of an answer is a message, or a tree of lists (:data:`Listing`) whose leaves are built one
by one while the answer is sent. Secrets are hidden in both formats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TypeAlias, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.internal.encoder import _VarintBytes as varint  # type: ignore[attr-defined]
from google.protobuf.message import Message

from shim.http.protojson import REDACTIONS, Json, dump, hide_secrets
from shim.http.responses import JSON, Response
from shim.http.time_slicer import TimeSlice, coalesce, json_array
from shim.model.resource_sets import upgraded
from shim.model.v1_json import v1_writer
from shim.protos import agent_pb2
from shim.protos.mesos_pb2 import ExecutorInfo, SlaveInfo
from shim.protos.mesos_pb2 import Task as WireTask

M = TypeVar("M", ExecutorInfo, SlaveInfo, WireTask)

Listing: TypeAlias = "Mapping[str, Iterable[Message] | Listing]"
"""Repeated fields by name, or messages of such by name."""

_DELIMITED = 2
"""The wire type of messages."""


def _without_checkpoint(agent: Json) -> None:
    """v1 has no such field."""
    agent.pop("checkpoint", None)


def with_reservations(message: M) -> M:
    """A copy whose ``resources`` have ``reservations`` in place of a role, as everywhere in v1."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("resources")
    copy.resources.extend(map(upgraded, message.resources))
    return copy


v1_json = v1_writer({**REDACTIONS, "mesos.SlaveInfo": _without_checkpoint}).to_json


def serialized(message: Message, media_type: str) -> bytes:
    """A whole message in the format, as it is."""
    if media_type == JSON:
        return dump(v1_json(message))
    return message.SerializePartialToString()


def answer(
    kind: agent_pb2.Response.Type.ValueType,
    body: Message | Listing,
    media_type: str,
    time_slice: TimeSlice,
) -> Response:
    """The Response message of a call."""
    name = agent_pb2.Response.Type.Name(kind)
    if media_type == JSON:
        pieces = _json_response(name, body, time_slice)
    else:
        pieces = _protobuf_response(kind, name.lower(), body, time_slice)
    return Response(pieces, {"Content-Type": media_type})


async def _json_response(
    name: str, body: Message | Listing, time_slice: TimeSlice
) -> AsyncIterator[bytes]:
    yield b'{"type":%s,%s:' % (dump(name), dump(name.lower()))
    async for piece in _json(body, time_slice):
        yield piece
    yield b"}"


async def _json(body: Message | Listing, time_slice: TimeSlice) -> AsyncIterator[bytes]:
    """Lists are written even when empty, as by a stock agent."""
    if isinstance(body, Message):
        yield dump(v1_json(body))
        return
    separator = b"{"
    for name, items in body.items():
        yield separator + dump(name) + b":"
        separator = b","
        if isinstance(items, Mapping):
            pieces = _json(items, time_slice)
        else:
            pieces = json_array((dump(v1_json(item)) for item in items), time_slice)
        async for piece in pieces:
            yield piece
    yield b"}"


async def _protobuf_response(
    kind: agent_pb2.Response.Type.ValueType,
    name: str,
    body: Message | Listing,
    time_slice: TimeSlice,
) -> AsyncIterator[bytes]:
    field = agent_pb2.Response.DESCRIPTOR.fields_by_name[name]
    content = [piece async for piece in coalesce(_protobuf(body, field, time_slice))]
    yield agent_pb2.Response(type=kind).SerializeToString()
    yield _field_head(field, sum(map(len, content)))
    for piece in content:
        await time_slice.checkpoint()
        yield piece


async def _protobuf(
    body: Message | Listing, of: FieldDescriptor, time_slice: TimeSlice
) -> AsyncIterator[bytes]:
    """The content of the field ``of``."""
    if isinstance(body, Message):
        yield _hidden(body)
        return
    assert of.message_type is not None
    for name, items in body.items():
        field = of.message_type.fields_by_name[name]
        if isinstance(items, Mapping):
            inner = [piece async for piece in coalesce(_protobuf(items, field, time_slice))]
            yield _field_head(field, sum(map(len, inner)))
            for piece in inner:
                await time_slice.checkpoint()
                yield piece
            continue
        for item in items:
            await time_slice.checkpoint()
            data = _hidden(item)
            yield _field_head(field, len(data)) + data


def _hidden(message: Message) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    hide_secrets(copy)
    return copy.SerializePartialToString()


def _field_head(field: FieldDescriptor, length: int) -> bytes:
    return bytes(varint(field.number << 3 | _DELIMITED) + varint(length))
