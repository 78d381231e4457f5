"""The records of a process' streams: output to clients, input from them. Pure."""

from __future__ import annotations

from shim import limits
from shim.http.operator_api.answers import serialized
from shim.http.operator_api.processes import STDERR
from shim.http.recordio import encode
from shim.protos.agent_pb2 import ProcessIO

_STREAMS = ProcessIO.Data


def output_record(stream: int, data: bytes, media_type: str) -> bytes:
    """Output of a process; ``data`` is not empty."""
    record = ProcessIO(type=ProcessIO.DATA)
    record.data.type = _STREAMS.STDERR if stream == STDERR else _STREAMS.STDOUT
    record.data.data = data
    return encode(serialized(record, media_type))


def heartbeat_record(media_type: str) -> bytes:
    """Shows that the connection lives while the process prints nothing."""
    record = ProcessIO(type=ProcessIO.CONTROL)
    record.control.type = ProcessIO.Control.HEARTBEAT
    record.control.heartbeat.interval.nanoseconds = int(limits.SESSION_HEARTBEAT * 1e9)
    return encode(serialized(record, media_type))
