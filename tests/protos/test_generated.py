"""The checked-in classes are those of the .proto files, and those say what Mesos says."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from shim.protos import authentication_pb2, mesos_pb2, messages_pb2

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests/data/mesos-messages.csv"
MODULES = [mesos_pb2, messages_pb2, authentication_pb2]

LEFT_OUT = {
    "mesos.internal.StatusUpdateRecord",
    "mesos.internal.UpdateOperationStatusRecord",
}
"""Records on a stock agent's disk."""

SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}


def messages() -> Iterator[Descriptor]:
    todo = [m for module in MODULES for m in module.DESCRIPTOR.message_types_by_name.values()]
    for message in todo:
        todo += [n for n in message.nested_types if not n.GetOptions().map_entry]
        yield message


def enums() -> Iterator[EnumDescriptor]:
    for module in MODULES:
        yield from module.DESCRIPTOR.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def type_of(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return f"map<string, {type_of(field.message_type.fields_by_name['value'])}>"
    if field.message_type is not None:
        return field.message_type.full_name
    if field.enum_type is not None:
        return field.enum_type.full_name
    return SCALARS[field.type]


def label_of(field: FieldDescriptor) -> str:
    if type_of(field).startswith("map<"):
        return "map"
    if field.is_repeated:
        return "repeated"
    return "required" if field.is_required else "optional"


def test_field_numbers_labels_and_types_are_those_of_mesos() -> None:
    ours = {
        (message.full_name, field.name, str(field.number), label_of(field), type_of(field))
        for message in messages()
        for field in message.fields
    } | {
        (enum.full_name, value.name, str(value.number), "", "enum value")
        for enum in enums()
        for value in enum.values
    }
    with TABLE.open(newline="") as lines:
        theirs = {
            (row["message"], row["field"], row["number"], row["label"], row["type"])
            for row in csv.DictReader(lines)
            if row["field"] and row["message"].removesuffix(".Type") not in LEFT_OUT
        }
    # No difference in either direction: nothing left out, nothing invented.
    assert ours == theirs


def test_messages_without_fields_are_there_too() -> None:
    with TABLE.open(newline="") as lines:
        theirs = {row["message"] for row in csv.DictReader(lines) if row["type"] == "message"}
    scopes = {"mesos.Value", "mesos.Offer", "mesos.internal.Archive"}
    assert {m.full_name for m in messages()} == theirs - LEFT_OUT | scopes


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_classes_match_the_proto_text(module: object) -> None:
    """A cheap check without a compiler: the same names and numbers, equally often."""
    file = module.DESCRIPTOR  # type: ignore[attr-defined]
    text = re.sub(r"//.*", "", (ROOT / file.name).read_text())
    written = Counter(re.findall(r"(\w+) = (-?\d+)(?: \[[^\]]*\])?;", text))
    generated: Counter[tuple[str, str]] = Counter()
    for message in (m for m in messages() if m.file.name == file.name):
        generated.update((f.name, str(f.number)) for f in message.fields)
    for enum in (e for e in enums() if e.file.name == file.name):
        generated.update((v.name, str(v.number)) for v in enum.values)
    assert generated == written


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="a development extra")
    sources = [str(ROOT / module.DESCRIPTOR.name) for module in MODULES]
    assert protoc.main(["protoc", f"-I{ROOT}", f"--python_out={tmp_path}", *sources]) == 0
    for module in MODULES:
        name = module.DESCRIPTOR.name.replace(".proto", "_pb2.py")
        assert descriptor_line(tmp_path / name) == descriptor_line(ROOT / name)


def descriptor_line(module: Path) -> str:
    """What a compiler of another version writes alike: the rest is its own version's matter."""
    (line,) = [x for x in module.read_text().splitlines() if "AddSerializedFile(" in x]
    return line


def test_stubs_know_every_message() -> None:
    for module in MODULES:
        stub = (ROOT / module.DESCRIPTOR.name.replace(".proto", "_pb2.pyi")).read_text()
        declared = Counter(re.findall(r"^ *class (\w+)\(_message\.Message\):", stub, re.MULTILINE))
        known = Counter(m.name for m in messages() if m.file.name == module.DESCRIPTOR.name)
        assert known <= declared


def test_defaults() -> None:
    assert mesos_pb2.CommandInfo().shell is True
    assert mesos_pb2.CommandInfo.URI().extract is True
    assert mesos_pb2.FrameworkInfo().role == "*"
    assert mesos_pb2.FrameworkInfo().checkpoint is False
    assert mesos_pb2.Resource().role == "*"
    assert mesos_pb2.SlaveInfo().port == 5051
    assert mesos_pb2.MasterInfo().port == 5050
    assert mesos_pb2.LinuxInfo().share_cgroups is True
    assert mesos_pb2.Image().cached is True
    assert mesos_pb2.CSIPluginInfo().name == "default"
    docker = mesos_pb2.ContainerInfo.DockerInfo()
    assert docker.network == mesos_pb2.ContainerInfo.DockerInfo.HOST
    assert mesos_pb2.NetworkInfo.IPAddress().protocol == mesos_pb2.NetworkInfo.IPv4
    assert mesos_pb2.Environment.Variable().type == mesos_pb2.Environment.Variable.VALUE
    check = mesos_pb2.HealthCheck()
    seconds = (check.delay_seconds, check.interval_seconds, check.timeout_seconds)
    assert seconds == (15, 10, 20)
    assert (check.grace_period_seconds, check.consecutive_failures) == (10, 3)


def test_enums_are_closed() -> None:
    """A value newer than ours reads as absent, and is still there when the message is echoed."""
    newer = bytes([0x08, 0x63])
    operation = mesos_pb2.Offer.Operation.FromString(newer)
    assert not operation.HasField("type")
    assert operation.SerializeToString() == newer
    status = mesos_pb2.TaskStatus.FromString(bytes([0x0A, 0x03, 0x0A, 0x01, 0x74, 0x10, 0x63]))
    assert status.task_id.value == "t"
    assert status.state == mesos_pb2.TASK_STAGING
    assert not status.IsInitialized()
