"""The messages of the operator API say what Mesos' own say, in the words of v0."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from shim.protos import agent_pb2
from tests.protos.test_generated import ROOT, descriptor_line, label_of, type_of

TABLE = ROOT / "tests/data/agent-api.csv"
IN_PART = "mesos.agent.ResourceStatistics"
"""A message without the statistics that no endpoint has."""


def messages() -> Iterator[Descriptor]:
    todo = list(agent_pb2.DESCRIPTOR.message_types_by_name.values())
    for message in todo:
        todo += [nested for nested in message.nested_types if not nested.GetOptions().map_entry]
        yield message


def test_field_numbers_labels_and_types_are_those_of_mesos() -> None:
    ours = {
        (message.full_name, field.name, str(field.number), label_of(field), type_of(field))
        for message in messages()
        for field in message.fields
    } | {
        (enum.full_name, value.name, str(value.number), "", "enum value")
        for message in messages()
        for enum in message.enum_types
        for value in enum.values
    }
    with TABLE.open(newline="") as lines:
        theirs = {tuple(row.values()) for row in csv.DictReader(lines)}
    assert ours <= theirs
    assert {row[0] for row in theirs - ours} == {IN_PART}


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="a development extra")
    name = agent_pb2.DESCRIPTOR.name
    assert protoc.main(["protoc", f"-I{ROOT}", f"--python_out={tmp_path}", str(ROOT / name)]) == 0
    generated = name.replace(".proto", "_pb2.py")
    assert descriptor_line(tmp_path / generated) == descriptor_line(ROOT / generated)
