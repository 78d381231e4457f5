"""``--follow``: a task's stdout and stderr while it runs, read through its agent's ``/files``.

Offsets count bytes. A stock agent puts the bytes of a file into its JSON as they are, whether they
are UTF-8 or not, and may cut a character. The bytes of an answer are kept until they are printed.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from shim.client.files import parse_read
from shim.client.terminal import TerminalOutput
from shim.errors import error_text

Fetch = Callable[[str], bytes]

TIMEOUT = 5.0
"""Seconds for one read of at most 64 kB."""

MAX_READS = 1000
"""The most reads of one file in a row, so that the other tasks are read as well."""


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""An agent is reached as its master is: without a proxy."""


def fetch(url: str, timeout: float = TIMEOUT) -> bytes:
    """The body of a 200 answer. Raises OSError for any other answer."""
    with _direct.open(url, timeout=timeout) as response:
        body: bytes = response.read()
        return body


@dataclass(slots=True)
class _File:
    url: str
    out: TerminalOutput
    offset: int = 0
    error: str | None = "nothing was read"


@dataclass(slots=True)
class TaskLogs:
    """Follows stdout and stderr of the tasks of one framework. ``poll`` prints new output."""

    fetch: Fetch = fetch
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _files: dict[str, list[_File]] = field(default_factory=dict)

    def add(self, agent: str, framework_id: str, task_id: str) -> None:
        """Follow a task on the agent at ``http://ip:port``. A repeated call has no effect."""
        if task_id in self._files:
            return
        parts = ("frameworks", framework_id, "executors", task_id, "runs", "latest")
        directory = "/" + "/".join(parts)
        self._files[task_id] = [
            _File(_read_url(agent, f"{directory}/{name}"), TerminalOutput(stream))
            for name, stream in (("stdout", self.out), ("stderr", self.err))
        ]

    def poll(self) -> None:
        """Print the output since the last call."""
        for files in self._files.values():
            for file in files:
                self._print_new(file)

    def end(self, task_id: str) -> str | None:
        """Print the rest of an ended task. Returns the error if a file could not be read."""
        files = self._files.pop(task_id, [])
        for file in files:
            self._print_new(file)
            file.out.close()
        return next((file.error for file in files if file.error), None)

    def close(self) -> None:
        """Of tasks that have not ended, no more is printed."""
        for files in self._files.values():
            for file in files:
                file.out.close()
        self._files.clear()

    def _print_new(self, file: _File) -> None:
        for _ in range(MAX_READS):
            try:
                _, data = parse_read(self.fetch(f"{file.url}&offset={file.offset}"))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # The file may not exist yet, so only the last error is reported.
                file.error = error_text(error)
                return
            file.error = None
            if not data:
                return
            file.offset += len(data)
            file.out.write(data)
            file.out.flush()


def _read_url(agent: str, path: str) -> str:
    return f"{agent}/files/read?path={urllib.parse.quote(path)}"
