"""Which lines of a log are taken, pass by pass, and what a restart knows of them."""

from __future__ import annotations

from pathlib import Path

from shim import limits
from shim.engine.sandbox.buffer import OutputBuffer
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey

REF = Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))
Lines = list[tuple[float, bytes]]

FIRST_PASS: Lines = [(100.0, b"a"), (100.5, b"b"), (100.5, b"c")]
SECOND_PASS: Lines = [*FIRST_PASS, (100.5, b"d"), (100.2, b"e")]


def read_log(buffer: OutputBuffer, lines: Lines, stream: int = 1) -> float:
    """Take the lines of one pass. Return the time from which the log was to be read."""
    since_s = buffer.begin_pass()
    for timestamp_s, line in lines:
        buffer.take(stream, timestamp_s, line)
    return since_s


def taken(buffer: OutputBuffer, name: str = "stdout") -> bytes:
    return bytes(buffer.take_batch().output.get(name, b""))


def test_the_example_of_the_module() -> None:
    buffer = OutputBuffer(REF)
    assert read_log(buffer, FIRST_PASS) == 0.0
    assert taken(buffer) == b"abc"
    assert read_log(buffer, SECOND_PASS) == 100.5 - limits.LOG_OVERLAP
    batch = buffer.take_batch()
    assert batch.output == {"stdout": b"de"}
    assert batch.cursors["stdout"] == (100.2, 1)


def test_the_cursor_of_one_stream_hides_no_line_of_the_other() -> None:
    buffer = OutputBuffer(REF)
    read_log(buffer, FIRST_PASS)
    taken(buffer)
    read_log(buffer, [(100.1, b"late")], stream=2)
    assert taken(buffer, "stderr") == b"late"


def test_a_restart_continues_at_the_stored_cursor(tmp_path: Path) -> None:
    buffer = OutputBuffer(REF)
    buffer.open(tmp_path)
    read_log(buffer, FIRST_PASS)
    buffer.write(tmp_path, buffer.take_batch(), 1000.0)
    again = OutputBuffer(REF)
    again.open(tmp_path)
    read_log(again, SECOND_PASS)
    assert taken(again) == b"de"


def test_output_that_was_not_stored_with_a_cursor_is_taken_again(tmp_path: Path) -> None:
    buffer = OutputBuffer(REF)
    buffer.open(tmp_path)
    read_log(buffer, FIRST_PASS[:1])
    buffer.write(tmp_path, buffer.take_batch(), 1000.0)
    (tmp_path / "stdout.0").write_bytes(b"abc, torn")
    again = OutputBuffer(REF)
    again.open(tmp_path)
    assert again.size("stdout") == 1
    read_log(again, FIRST_PASS)
    assert taken(again) == b"bc"
