"""Recorded messages are decoded and encoded to the same bytes; invalid ones are errors."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from shim import limits
from shim.errors import PeerError, UnsafeMessage
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.wire import codec
from tests.wire import transcripts

STOCK_CAPABILITIES = frozenset(range(1, 9))


def table_for(message: transcripts.Recorded) -> codec.MessageTable:
    return codec.TO_AGENT if message.to_agent else codec.TO_MASTER


@pytest.mark.parametrize("transcript", transcripts.NAMES)
def test_recorded_messages_survive_decoding_and_encoding(transcript: str) -> None:
    for recorded in transcripts.messages(transcript):
        message = codec.decode(recorded.name, recorded.body, table_for(recorded))
        assert codec.name_of(message) == recorded.name
        assert codec.encode(message, STOCK_CAPABILITIES) == recorded.body


def test_a_launch_is_decoded() -> None:
    launches = [m for m in transcripts.everything() if m.name.endswith("RunTaskMessage")]
    message = codec.decode(launches[0].name, launches[0].body)
    assert isinstance(message, internal.RunTaskMessage)
    assert message.task.command.shell
    assert message.framework.id.value
    assert all(resource.allocation_info.role for resource in message.task.resources)


def test_unknown_names_and_broken_messages_differ() -> None:
    with pytest.raises(codec.UnknownMessage, match="Nonsense"):
        codec.decode("mesos.internal.Nonsense", b"")
    with pytest.raises(codec.UnknownMessage):
        codec.decode("mesos.internal.RegisterSlaveMessage", b"", codec.TO_AGENT)


def test_a_missing_required_field_is_an_error() -> None:
    with pytest.raises(PeerError, match="missing framework_id, task_id"):
        codec.decode("mesos.internal.KillTaskMessage", b"")


def test_an_unknown_value_of_a_required_enum_is_an_error() -> None:
    whole = internal.SlaveReregisteredMessage(slave_id=mesos.SlaveID(value="s"))
    reconcile = whole.reconciliations.add(framework_id=mesos.FrameworkID(value="f"))
    reconcile.statuses.add(task_id=mesos.TaskID(value="t"), state=mesos.TASK_FAILED)
    body = whole.SerializeToString()
    assert codec.decode(codec.name_of(whole), body) == whole
    broken = body.replace(b"\x10\x03", b"\x10\x63")
    with pytest.raises(PeerError, match=r"statuses\[0\].state"):
        codec.decode(codec.name_of(whole), broken)


def test_random_bytes_are_an_error() -> None:
    with pytest.raises(PeerError):
        codec.decode("mesos.internal.RunTaskMessage", b"\xff\xff\xff")


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES", 10)
    body = internal.ShutdownMessage(message="x" * 20).SerializeToString()
    with pytest.raises(PeerError, match="22 bytes, more than 10"):
        codec.decode("mesos.internal.ShutdownMessage", body)


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        container = b"\x0a\x01x"
        for _ in range(depth):  # a ContainerID whose parent has a parent whose ...
            container = b"\x0a\x01x" + delimited(2, container)
        status = b"\x0a\x03\x0a\x01t\x10\x01" + delimited(13, delimited(4, container))
        reconcile = b"\x0a\x03\x0a\x01f" + delimited(2, status)
        return b"\x0a\x03\x0a\x01s" + delimited(2, reconcile)

    name = "mesos.internal.SlaveReregisteredMessage"
    codec.decode(name, nested(10))
    with pytest.raises(PeerError):
        codec.decode(name, nested(1000))


def delimited(number: int, body: bytes) -> bytes:
    """A length-delimited field, encoded by hand."""
    size, length = len(body), b""
    while size > 127:
        size, length = size >> 7, length + bytes([size & 127 | 128])
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


def test_unknown_fields_survive() -> None:
    framework = mesos.FrameworkInfo(user="u", name="n").SerializeToString() + b"\xc2\x3e\x01x"
    update = internal.UpdateFrameworkMessage(framework_id=mesos.FrameworkID(value="f"))
    update.framework_info.ParseFromString(framework)
    body = codec.encode(update)
    again = codec.decode(codec.name_of(update), body)
    assert isinstance(again, internal.UpdateFrameworkMessage)
    assert again.framework_info.SerializeToString() == framework
    assert codec.encode(again) == body


def test_old_masters_ping_under_another_name() -> None:
    assert codec.decode("PING", b"\x08\x01") == internal.PingSlaveMessage(connected=True)
    assert isinstance(codec.decode("PONG", b"", codec.TO_MASTER), internal.PongSlaveMessage)


def test_incomplete_messages_are_not_encoded() -> None:
    with pytest.raises(UnsafeMessage, match=r"UnregisterSlaveMessage.slave_id: missing"):
        codec.encode(internal.UnregisterSlaveMessage())


def test_equal_messages_give_equal_bytes() -> None:
    def launch(names: list[str]) -> Message:
        message = internal.RunTaskMessage()
        message.framework.user = message.framework.name = "f"
        message.task.name = message.task.task_id.value = message.task.slave_id.value = "t"
        for name in names:
            message.task.limits[name].value = 1
        return message

    names = [f"r{i}" for i in range(20)]
    assert codec.encode(launch(names)) == codec.encode(launch(names[::-1]))
