"""Text that is no UTF-8: readable inside, the same bytes again outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.protos import messages_pb2 as internal
from shim.wire import codec
from shim.wire.text import escape, original, readable, unescape

LATIN = "café".encode("latin-1")
NAME = "mesos.internal.RunTaskMessage"


def launch(text: bytes = LATIN) -> bytes:
    """A RunTaskMessage with ``text`` wherever a framework may write what it likes."""
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
def test_any_bytes_are_text_and_come_back(raw: bytes) -> None:
    text = escape(raw)
    text.encode()
    assert unescape(text) == raw


@pytest.mark.parametrize("raw", [b"plain", "ü日🚀".encode(), b"\xef\xbf\xbd"])
def test_what_is_utf8_stays_as_it_is(raw: bytes) -> None:
    assert escape(raw) == raw.decode()


def test_what_could_be_taken_for_an_escape_is_escaped() -> None:
    genuine = "\uf7e9"
    assert escape(genuine.encode()) != genuine
    assert unescape(escape(genuine.encode())) == genuine.encode()


@pytest.mark.parametrize(
    "text", [LATIN, b"\xff" * 300, "\uf7e9\uf780".encode(), b"ok", b"\xed\xa0\x80"]
)
def test_a_launch_is_text_inside_and_the_same_bytes_outside(text: bytes) -> None:
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


def test_an_answer_names_the_task_as_the_master_does() -> None:
    launched = codec.decode(NAME, launch())
    assert isinstance(launched, internal.RunTaskMessage)
    exited = internal.ExitedExecutorMessage(status=1)
    exited.slave_id.value, exited.framework_id.value = "S0", "f"
    exited.executor_id.value = launched.task.task_id.value
    assert LATIN in codec.encode(exited)


def test_a_message_without_such_text_is_left_alone() -> None:
    body = launch(b"plain")
    message = internal.RunTaskMessage.FromString(body)
    readable(message)
    assert original(body, internal.RunTaskMessage) is body
