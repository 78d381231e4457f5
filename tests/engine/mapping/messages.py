"""A hypothesis strategy for protobuf messages with values that the mapping treats specially."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from shim.engine.mapping.options import BY_KEY, SHORT

WORDS = (
    "", "a", "/a", "../a", "a/b", "nginx", "Nginx:1", "r.io/a@sha256:1", "cpus", "mem", "gpus",
    "ports", "disk", "tcp", "UDP", "icmp", "host", "bridge", "none", "back", "a=b", "=", "true",
    "false", "64m", "1m30s", "80", "8080:80", "80-82", "1.5", "-1", "10.0.0.1", "fd00::1",
    "name=back,ip=10.0.0.1", "type=volume,target=/a", "nofile=1:2", "/dev/sda:1", "/a:/b:ro",
    "affinity:container", "!=web", "triton.x", "mesos-shim.id", "\0", "ü", "\U0001f40b", "a:b:c:d",
)  # fmt: skip
TEXT = st.sampled_from(WORDS) | st.text(max_size=6)
KEYS = st.sampled_from([*BY_KEY, *SHORT]) | TEXT
NUMBERS = st.sampled_from([0, 1, 80, 65535, 65536])
DOUBLES = st.floats() | st.sampled_from([0.0, 0.5, 1.0, 128.0, 1e300, float("inf")])
_Field = FieldDescriptor
_DEPTH = 7
"""Depth of the deepest field that the mapping reads: the secret of a variable."""


def messages(descriptor: Descriptor, depth: int = _DEPTH) -> st.SearchStrategy[Message]:
    """Return messages with few fields set: a task is refused for the first wrong field."""
    fields = {
        field.name: _values(field, depth)
        for field in descriptor.fields
        if field.message_type is None or field.is_required or depth > 0
    }
    required = {f.name: fields[f.name] for f in descriptor.fields if f.is_required}
    optional = {name: value for name, value in fields.items() if name not in required}
    names = st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True)
    return (
        (names if optional else st.just([]))
        .flatmap(lambda chosen: st.fixed_dictionaries(required | {n: optional[n] for n in chosen}))
        .map(lambda values: GetMessageClass(descriptor)(**values))
    )


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        value = message.fields_by_name["value"]
        return st.dictionaries(TEXT, _one(value, depth), max_size=3)
    if field.is_repeated:
        return st.lists(_one(field, depth), max_size=3)
    return _one(field, depth)


def _one(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        kind = field.message_type
        assert kind is not None
        return st.deferred(lambda: messages(kind, depth - 1))
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == _Field.TYPE_STRING:
        return KEYS if field.name == "key" else TEXT
    if field.type == _Field.TYPE_BYTES:
        return st.binary(max_size=4)
    if field.type == _Field.TYPE_BOOL:
        return st.booleans()
    if field.type in (_Field.TYPE_DOUBLE, _Field.TYPE_FLOAT):
        return DOUBLES
    if field.type == _Field.TYPE_UINT64:
        return NUMBERS | st.integers(0, 2**64 - 1)
    if field.type == _Field.TYPE_INT64:
        return NUMBERS | st.integers(-(2**63), 2**63 - 1)
    return NUMBERS
