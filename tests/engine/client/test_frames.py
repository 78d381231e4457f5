"""Docker's framing of output."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import limits
from shim.engine.client.frames import HEADER, Frames, LogLines, seconds
from shim.errors import PeerError


def frame(stream: int, payload: bytes) -> bytes:
    return HEADER.pack(stream, len(payload)) + payload


def cut(data: bytes, where: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(mark % (len(data) + 1) for mark in where)})
    return [data[a:b] for a, b in pairwise(marks)]


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=50))),
    st.lists(st.integers(0, 10_000)),
)
def test_frames_are_complete_however_the_bytes_are_cut(
    frames: list[tuple[int, bytes]], where: list[int]
) -> None:
    decoder = Frames()
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    assert [got for piece in cut(data, where) for got in decoder.feed(piece)] == frames


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400", frame(3, b"x"), HEADER.pack(1, limits.LOG_LINE_BYTES + 1), b"\1\0\1\0aaaa"],
)
def test_an_invalid_frame_is_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError, match="not an output frame"):
        list(Frames().feed(data))


STAMP = b"2026-11-20T08:13:17.500000000Z"


@given(st.lists(st.integers(0, 1000)))
def test_lines_of_a_terminal_are_all_stdout(where: list[int]) -> None:
    lines = LogLines()
    data = STAMP + b" one\r\n" + STAMP + b" two\r\n"
    got = [line for piece in cut(data, where) for line in lines.feed(piece)]
    assert got == [(1, seconds(STAMP), b"one\r\n"), (1, seconds(STAMP), b"two\r\n")]


def test_lines_of_frames_keep_stream_time_and_newline() -> None:
    lines = LogLines()
    data = frame(1, STAMP + b" out\n") + frame(2, STAMP + b" ") + frame(2, STAMP + b" err")
    got = [*lines.feed(b""), *lines.feed(data)]
    stamp = seconds(STAMP)
    assert got == [(1, stamp, b"out\n"), (2, stamp, b""), (2, stamp, b"err")]


def test_a_terminal_line_without_end_is_bounded() -> None:
    lines = LogLines()
    got = list(lines.feed(STAMP + b" " + b"x" * limits.LOG_LINE_BYTES))
    assert len(got) == 1


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (b"1970-01-01T00:00:01Z", 1.0),
        (b"1970-01-01T00:00:01.25Z", 1.25),
        (b"2026-11-20T08:13:17.000000000Z", 1795162397.0),
        (b"nonsense", 0.0),
        (b"\xff", 0.0),
    ],
)
def test_a_time_is_seconds_since_the_epoch(stamp: bytes, expected: float) -> None:
    assert seconds(stamp) == expected
