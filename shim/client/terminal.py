"""What a task's output may do to this terminal: colours, and nothing else. Pure but for streams.

Text is taken apart into plain runs and control sequences (ECMA-48, xterm), wherever it is cut.
Where output is shown, :class:`TerminalOutput` keeps colours and leaves the rest out. A session on
a terminal passes everything on, and :class:`TerminalModes` knows what it leaves switched on.
"""

from __future__ import annotations

import codecs
import os
import re
import select
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TextIO

from shim.client.text import DIRECTIONS

LONGEST = 256
"""Characters of a sequence. Longer ones are cut: the rest of them is text."""

_PLAIN = re.compile(rf"[^\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f{DIRECTIONS}]+")
"""Tabs, line breaks, carriage returns and backspaces count: progress bars on one line need them."""
_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-OQ-WYZ`-~]|\x1b\\")
_BEGINNING = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*|\x1b[ -/]*")
_STRING = re.compile(r"\x1b[PX\]^_]|[\x90\x98\x9d-\x9f]")
_STRING_TEXT = re.compile(r"[^\x07\x18\x1a\x1b\x9c\n]*")
_STRING_END = re.compile(r"\x1b\\|[\x07\x18\x1a\x9c]")
_COLOUR = re.compile(r"(?:\x1b\[|\x9b)([0-9;:]*)m")
_NO_COLOUR = re.compile(r"0*")


class Piece(NamedTuple):
    text: str
    is_plain: bool
    """False: one control sequence or character. Strings, such as titles, make no piece."""


class ControlSequences:
    """Takes text apart. What is no end of a sequence yet waits for more."""

    def __init__(self) -> None:
        self._rest = ""
        self._in_string = False

    def feed(self, text: str) -> Iterator[Piece]:
        text, at = self._rest + text, 0
        self._rest = ""
        while at < len(text):
            if self._in_string:
                at = self._end_string(text, at)
            elif found := _PLAIN.match(text, at) or _SEQUENCE.match(text, at):
                yield Piece(found[0], found.re is _PLAIN)
                at = found.end()
            elif found := _STRING.match(text, at):
                self._in_string, at = True, found.end()
            elif len(text) - at <= LONGEST and _BEGINNING.fullmatch(text, at):
                self._rest, at = text[at:], len(text)
            else:
                yield Piece(text[at], False)
                at += 1

    def _end_string(self, text: str, at: int) -> int:
        """A line break ends a string as well: what comes after it would never be seen."""
        found = _STRING_TEXT.match(text, at)
        at = found.end() if found else at
        if text[at:] in ("", "\x1b"):
            self._rest = text[at:]
            return len(text)
        self._in_string = False
        end = _STRING_END.match(text, at)
        return end.end() if end else at


def require_reader(stream: TextIO) -> None:
    """Raises BrokenPipeError when nobody reads a pipe any more. The next write may be far away."""
    try:
        fd = stream.fileno()
    except (OSError, ValueError):
        return
    poll = select.poll()
    poll.register(fd, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError


class Output(Protocol):
    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class RawOutput:
    """The bytes as they are: for files, pipes, and sessions on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream.buffer

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    close = flush


def output_to(stream: TextIO) -> Output:
    """What shows a task's output on stdout or stderr."""
    return TerminalOutput(stream) if stream.isatty() else RawOutput(stream)


class TerminalOutput:
    """Shows output of a task on ``stream``; :meth:`close` ends its colours.

    A stream that is no terminal gets the text as it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._filters = stream.isatty()
        self._colours = not os.environ.get("NO_COLOR")
        self._coloured = False
        self._sequences = ControlSequences()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, data: bytes) -> None:
        self._write(self._decoder.decode(data))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._write(self._decoder.decode(b"", final=True))
        if self._coloured:
            self._stream.write("\x1b[0m")
            self._coloured = False
        self.flush()

    def _write(self, text: str) -> None:
        if self._filters:
            text = "".join(map(self._shown, self._sequences.feed(text)))
        self._stream.write(text)

    def _shown(self, piece: Piece) -> str:
        if piece.is_plain:
            return piece.text
        if colour := _COLOUR.fullmatch(piece.text):
            self._coloured = self._colours and not _NO_COLOUR.fullmatch(colour[1])
            return piece.text if self._colours else ""
        return "" if len(piece.text) > 1 else "?"


# --- sessions -----------------------------------------------------------------------------------

_SWITCHED_ON = frozenset(
    map(str, (1, 5, 9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004))
)
"""Private modes that a terminal has off: keys, mouse, focus, other screen, brackets of pastes."""
_SWITCHED_OFF = frozenset({"7", "25"})
"""Private modes that it has on: wrapping, the cursor."""
_INSERT = "4"
_MODES = re.compile(r"(?:\x1b\[|\x9b)(\??)([0-9;]*)([hl])")
_OTHERS = (
    ("style", _COLOUR, r"0*", "\x1b[0m"),
    ("region", re.compile(r"(?:\x1b\[|\x9b)([0-9;]*)r"), r"[0;]*", "\x1b7\x1b[r\x1b8"),
    ("cursor", re.compile(r"(?:\x1b\[|\x9b)([0-9]*) q"), r"0*", "\x1b[0 q"),
    ("keys", re.compile(r"(?:\x1b\[|\x9b)>(?:4(;?[0-9]*))?m"), r";?0*", "\x1b[>4m"),
    ("keypad", re.compile(r"\x1b([=>])"), r">", "\x1b>"),
    ("characters", re.compile(r"\x1b\((.)"), r"B", "\x1b(B"),
    ("keyboard", re.compile(r"(?:\x1b\[|\x9b)([<>=])[0-9;]*u"), r"<", "\x1b[<u"),
    ("shift", re.compile(r"([\x0e\x0f])"), r"\x0f", "\x0f"),
)
"""Name, sequence, which of its parameters are the usual state, and what brings that back."""
_RESETS = {"\x1bc", "\x1b[!p"}


class TerminalModes:
    """What a session has switched on this terminal and not back."""

    def __init__(self) -> None:
        self._sequences = ControlSequences()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._undo: dict[str, str] = {}

    def feed(self, data: bytes) -> None:
        """Output that is passed on to the terminal as it is."""
        for piece in self._sequences.feed(self._decoder.decode(data)):
            if not piece.is_plain:
                self._note(piece.text)

    def undo(self) -> str:
        """What sets the terminal back; empty after a session that left it as it was."""
        return "".join(self._undo.values())

    def _note(self, sequence: str) -> None:
        if sequence in _RESETS:
            self._undo.clear()
        elif found := _MODES.fullmatch(sequence):
            for number in filter(None, found[2].split(";")):
                self._note_mode(found[1], number, found[3])
        else:
            for name, kind, usual, undo in _OTHERS:
                if found := kind.fullmatch(sequence):
                    self._set(name, undo, is_usual=bool(re.fullmatch(usual, found[1] or "")))

    def _note_mode(self, mark: str, number: str, switch: str) -> None:
        if number in (_SWITCHED_ON if mark else {_INSERT}):
            usual = "l"
        elif mark and number in _SWITCHED_OFF:
            usual = "h"
        else:
            return
        self._set(f"{mark}{number}", f"\x1b[{mark}{number}{usual}", is_usual=switch == usual)

    def _set(self, name: str, undo: str, *, is_usual: bool) -> None:
        if is_usual:
            self._undo.pop(name, None)
        else:
            self._undo[name] = undo
