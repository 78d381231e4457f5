from __future__ import annotations

import json

from shim.http.operator_api.process_io import heartbeat_record, output_record
from shim.http.operator_api.processes import STDERR, STDOUT
from shim.http.recordio import RecordDecoder
from shim.protos.agent_pb2 import ProcessIO
from tests.http.operator_api.conftest import JSON, PROTOBUF


def decoded(record: bytes) -> bytes:
    (found,) = RecordDecoder(1000).feed(record)
    return found


def test_output_is_a_record_in_either_format() -> None:
    for stream, name in ((STDOUT, "STDOUT"), (STDERR, "STDERR")):
        text = json.loads(decoded(output_record(stream, b"\xff\x00", JSON)))
        assert text == {"type": "DATA", "data": {"type": name, "data": "/wA="}}
        message = ProcessIO.FromString(decoded(output_record(stream, b"\xff\x00", PROTOBUF)))
        assert message.data.type == ProcessIO.Data.Type.Value(name)
        assert message.data.data == b"\xff\x00"


def test_a_heartbeat_says_when_the_next_one_comes() -> None:
    message = ProcessIO.FromString(decoded(heartbeat_record(PROTOBUF)))
    assert message.control.type == ProcessIO.Control.HEARTBEAT
    assert message.control.heartbeat.interval.nanoseconds == 15_000_000_000
