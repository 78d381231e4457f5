"""Strings that are not UTF-8 become ``str`` and are encoded to the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.protos import messages_pb2 as internal
from shim.wire import codec
from shim.wire.non_utf8 import decode_strings, encode_strings, escape, unescape

LATIN = "café".encode("latin-1")
NAME = "mesos.internal.RunTaskMessage"


def launch(text: bytes = LATIN) -> bytes:
    """A RunTaskMessage with ``text`` in every field that a framework sets freely."""
    hole = b"x" * len(text)
    word = hole.decode()
    message = internal.RunTaskMessage(pid="@0.0.0.0:0")
    message.framework.user, message.framework.name = "root", word
    message.framework.id.value = "f"
    message.framework.roles.extend(["a", word, "b"])
    task = message.task
    task.name = task.task_id.value = word
    task.slave_id.value = "S0"
    task.command.arguments.extend([word, "-c", word])
    task.command.environment.variables.add(name="A", value=word)
    task.labels.labels.add(key=word, value=word)
    task.limits["cpus"].value = 1.0
    task.data = hole
    return message.SerializeToString(deterministic=True).replace(hole, text)


@given(st.binary())
def test_any_bytes_survive_escaping(raw: bytes) -> None:
    text = escape(raw)
    text.encode()
    assert unescape(text) == raw


@pytest.mark.parametrize("raw", [b"plain", "ü日🚀".encode(), b"\xef\xbf\xbd"])
def test_utf8_is_unchanged(raw: bytes) -> None:
    assert escape(raw) == raw.decode()


def test_characters_of_the_private_range_are_escaped() -> None:
    genuine = "\uf7e9"
    assert escape(genuine.encode()) != genuine
    assert unescape(escape(genuine.encode())) == genuine.encode()


@pytest.mark.parametrize(
    "text", [LATIN, b"\xff" * 300, "\uf7e9\uf780".encode(), b"ok", b"\xed\xa0\x80"]
)
def test_a_launch_is_decoded_to_str_and_encoded_to_the_same_bytes(text: bytes) -> None:
    body = launch(text)
    message = codec.decode(NAME, body)
    assert isinstance(message, internal.RunTaskMessage)
    task = message.task
    found = [
        message.framework.name,
        *message.framework.roles,
        task.name,
        task.task_id.value,
        *task.command.arguments,
        task.command.environment.variables[0].value,
        task.labels.labels[0].key,
    ]
    assert all(isinstance(each, str) for each in found)
    assert task.name == escape(text)
    assert task.data == text
    assert codec.encode(message) == body


def test_an_update_has_the_task_id_in_the_masters_bytes() -> None:
    launched = codec.decode(NAME, launch())
    assert isinstance(launched, internal.RunTaskMessage)
    exited = internal.ExitedExecutorMessage(status=1)
    exited.slave_id.value, exited.framework_id.value = "S0", "f"
    exited.executor_id.value = launched.task.task_id.value
    assert LATIN in codec.encode(exited)


def test_a_message_without_escapes_is_unchanged() -> None:
    body = launch(b"plain")
    message = internal.RunTaskMessage.FromString(body)
    decode_strings(message)
    assert encode_strings(body, internal.RunTaskMessage) is body
