"""Output of tasks on this terminal, and what sessions leave behind on it."""

from __future__ import annotations

import io
import os
from random import Random

import pytest

from shim.client.terminal import (
    ControlSequences,
    TerminalModes,
    TerminalOutput,
    output_to,
    require_reader,
)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*pieces: bytes, close: bool = False) -> str:
    """What a terminal gets."""
    screen = Screen()
    output = TerminalOutput(screen)
    for piece in pieces:
        output.write(piece)
    if close:
        output.close()
    return screen.getvalue()


OUTPUTS: list[tuple[str, str]] = [
    ("plain\ttext\r\n 50 %\r 60 %\b", "plain\ttext\r\n 50 %\r 60 %\b"),
    ("\x1b[1;38;5;9mred\x1b[0m", "\x1b[1;38;5;9mred\x1b[0m"),
    ("a\x1b[99999999bb\x1b[2J\x1b[Hc\x1b[9999Ld", "abcd"),
    ("a\x1b]52;c;c2VjcmV0\x07b\x1b]0;title\x1b\\c\x9d0;t\x9cd", "abcd"),
    ("a\x1bP$qm\x1b\\b\x1b[5n\x1b[6n\x1b[cc\x05", "abc?"),
    ("a\x1b[?1049h\x1b[?1000h\x1b[?25lb\x1b(0\x1bc\x1b7", "ab"),
    ("a\x9b31mb\x9b2Jc\x85", "a\x9b31mbc?"),
    ("a\x07\x00\x0e\x7f\u202eb", "a?????b"),
    ("a\x1b]0;never\nended", "a\nended"),
    ("a\x1b[31\n\x1b\x1b[1mb", "a?[31\n?\x1b[1mb"),
    ("a\x1b[>4;2m\x1b[?1mb", "ab"),
    ("a\x1bP" + "x" * 10_000 + "\x1b\\b", "ab"),
    ("a\x1b[" + "1" * 1000 + "m", "a\x1b[" + "1" * 1000 + "m"),
    ("日本\u0301", "日本\u0301"),
]


@pytest.mark.parametrize(("output", "expected"), OUTPUTS)
def test_colours_are_kept_and_nothing_else(output: str, expected: str) -> None:
    data = output.encode()
    assert shown(data) == expected
    if len(data) < 1000:
        assert shown(*(bytes([byte]) for byte in data)) == expected
    stream = io.StringIO()
    TerminalOutput(stream).write(data)
    assert stream.getvalue() == output, "a file gets all of it"


def test_the_bytes_of_a_file_are_not_touched() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output = output_to(file)
    output.write(b"\xff\x1b[2J\r\n")
    output.close()
    assert isinstance(file.buffer, io.BytesIO)
    assert file.buffer.getvalue() == b"\xff\x1b[2J\r\n"


def test_colours_end_with_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(b"\x1b[31mred", close=True) == "\x1b[31mred\x1b[0m"
    assert shown(b"\x1b[31mred\x1b[m", close=True) == "\x1b[31mred\x1b[m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(b"\x1b[31mred\xff", close=True) == "red\ufffd"


def test_no_output_holds_back_what_follows_or_grows() -> None:
    random, sequences = Random(14), ControlSequences()
    alphabet = "\x1b\x1b\x1b[]P_X\\;?>!$ 019mhlrHJb\x07\x9b\x9d\x9c\x90\r\n\x18aé\u202e"
    for _ in range(300):
        text = "".join(random.choices(alphabet, k=50))
        cuts = sorted(random.choices(range(50), k=3))
        for begin, end in zip([0, *cuts], [*cuts, 50], strict=True):
            for piece in sequences.feed(text[begin:end]):
                assert not piece.is_plain or "\x1b" not in piece.text
        *_, last = sequences.feed("\n\nend")
        assert last.is_plain
        assert last.text.endswith("\nend")
        assert len(sequences._rest) <= 256


@pytest.mark.parametrize(
    ("output", "undo"),
    [
        ("plain \x1b[31mred\x1b[0m", ""),
        ("\x1b[?1049h\x1b[?25l\x1b[?1000;1006h", "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1006l"),
        ("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", ""),
        ("\x1b[?2004h# ", "\x1b[?2004l"),
        ("\x1b[?7l\x1b[4h\x1b[20h\x1b[?3h", "\x1b[?7h\x1b[4l"),
        ("\x1b[1;31m\x1b[2;10r\x1b[5 q", "\x1b[0m\x1b7\x1b[r\x1b8\x1b[0 q"),
        ("\x1b[1m\x1b[m\x1b[2;3r\x1b[r\x1b[5 q\x1b[ q", ""),
        ("\x1b(0\x0e\x1b=", "\x1b(B\x0f\x1b>"),
        ("\x1b(0\x1b(B\x0e\x0f\x1b=\x1b>", ""),
        ("\x1b[>4;2m\x1b[>1u", "\x1b[>4m\x1b[<u"),
        ("\x1b[>4;2m\x1b[>4;0m\x1b[>1u\x1b[<u", ""),
        ("\x1b[?1049h\x1b[1m\x1bc", ""),
        ("\x1b[?1049h\x1b[1m\x1b[!p", ""),
        ("\x1b]0;title\x07\x1b[?" + "9" * 200 + "h", ""),
    ],
)
def test_what_a_session_left_is_set_back(output: str, undo: str) -> None:
    modes = TerminalModes()
    for byte in output.encode():
        modes.feed(bytes([byte]))
    assert modes.undo() == undo


def test_a_pipe_that_nobody_reads_any_more_is_noticed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        require_reader(pipe)
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            require_reader(pipe)
    require_reader(io.StringIO())
