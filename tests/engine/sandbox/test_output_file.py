from __future__ import annotations

import os
from pathlib import Path

import pytest

from shim import limits
from shim.engine.sandbox.output_file import GAP, OutputFile


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SANDBOX_SEGMENT_BYTES", 100)
    monkeypatch.setattr(limits, "SANDBOX_STREAM_BYTES", 400)


def output(size: int) -> bytes:
    return os.urandom(size)


def test_appended_output_is_read_at_its_offsets(tmp_path: Path) -> None:
    stream, data = OutputFile(tmp_path, "stdout"), output(350)
    for start in range(0, 350, 33):
        stream.append(data[start : start + 33])
    assert stream.size == 350
    for offset in (0, 1, 99, 100, 101, 199, 340, 349):
        for length in (0, 1, 7, 150, 1000):
            assert stream.read(offset, length) == data[offset : offset + length]
    assert stream.read(350, 10) == b""
    assert stream.read(1000, 10) == b""


def test_a_large_output_keeps_its_first_and_newest_segments_and_all_offsets(tmp_path: Path) -> None:
    stream, data = OutputFile(tmp_path, "stdout"), output(1234)
    for start in range(0, 1234, 50):
        stream.append(data[start : start + 50])
    assert stream.size == 1234
    assert stream.held <= 400
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == stream.held
    assert stream.read(0, 100) == data[:100]
    assert stream.read(1000, 1000) == data[1000:]
    everything = stream.read(0, 5000)
    assert len(everything) == 1234
    assert GAP in everything
    pieces = b"".join(stream.read(offset, 17) for offset in range(0, 1234, 17))
    assert pieces == everything


def test_any_part_of_a_dropped_range_can_be_read(tmp_path: Path) -> None:
    stream = OutputFile(tmp_path, "stdout")
    for _ in range(20):
        stream.append(output(50))
    for offset in range(90, 300, 7):
        for length in (1, 3, 80, 200):
            assert len(stream.read(offset, length)) == length


def test_an_output_is_opened_again(tmp_path: Path) -> None:
    data = output(730)
    first = OutputFile(tmp_path, "stdout")
    for start in range(0, 700, 70):
        first.append(data[start : start + 70])
    again = OutputFile(tmp_path, "stdout")
    assert (again.size, again.held) == (700, first.held)
    again.append(data[700:])
    assert again.read(650, 100) == data[650:]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 300])
def test_truncate(tmp_path: Path, size: int) -> None:
    data = output(300)
    stream = OutputFile(tmp_path, "stdout")
    stream.append(data)
    stream.truncate(size)
    for one in (stream, OutputFile(tmp_path, "stdout")):
        assert one.size == size
        assert one.read(0, 1000) == data[:size]
    stream.append(b"after")
    assert stream.read(size, 100) == b"after"


def test_a_partial_write_shifts_no_output(tmp_path: Path) -> None:
    stream = OutputFile(tmp_path, "stdout")
    stream.append(b"0123456789")
    with (tmp_path / "stdout.0").open("ab") as file:
        file.write(b"torn")
    stream.append(b"abcdef")
    assert stream.read(0, 100) == b"0123456789abcdef"
