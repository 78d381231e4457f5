"""Reads one output of a task through ``/files``, while it grows."""

from __future__ import annotations

import codecs
import sys
from io import BytesIO

from shim.client.agent_client import AgentClient
from shim.client.terminal import Output
from shim.client.text import json_line

CHUNK = 65_536
"""Bytes in one answer, as the agent bounds it."""


class JsonOutput:
    """Prints pieces of one output as lines: ``{"output": "stdout", "text": "..."}``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, data: bytes) -> None:
        if text := self._decoder.decode(data):
            print(json_line({"output": self._name, "text": text}))

    def flush(self) -> None:
        sys.stdout.flush()

    close = flush


class LogReader:
    """The position in one file. :meth:`copy` continues there."""

    def __init__(self, client: AgentClient, path: str) -> None:
        self._client = client
        self._path = path
        self._offset = 0

    def copy(self, output: Output, tail: int | None = None) -> None:
        """Copy what there is now; ``tail``: only that many last lines of it."""
        if tail is not None:
            output.write(self._last_lines(tail))
        while data := self._read(self._offset):
            output.write(data)
            self._offset += len(data)
        output.flush()

    def _last_lines(self, count: int) -> bytes:
        size, _ = self._client.read_file(self._path, -1)
        begin, data, length = size, b"", CHUNK
        while begin > 0 and data.count(b"\n") <= count:
            # As one range: an answer that begins within a character has no more of it.
            begin, length = max(0, size - length), 2 * length
            data = self._range(begin, size)
        self._offset = size
        # Only line feeds end a line: a progress bar with carriage returns is one.
        lines = BytesIO(data).readlines()
        return b"".join(lines[-count:]) if count else b""

    def _range(self, begin: int, end: int) -> bytes:
        data = b""
        while begin + len(data) < end and (piece := self._read(begin + len(data))):
            data += piece
        return data[: end - begin]

    def _read(self, offset: int) -> bytes:
        return self._client.read_file(self._path, offset)[1]
