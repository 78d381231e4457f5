"""A command in a task's container: its output here, and this terminal's input there.

The answer of the call that launches the command is its output. Its input is the body of a second
call, sent by a thread of its own.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import queue
import signal
import struct
import sys
import termios
import threading
import tty as terminal_modes
import uuid
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any

from shim.client.agent_client import JSON, NOT_A_SHIM, AgentClient, Json
from shim.client.terminal import Output, RawOutput, TerminalModes, output_to
from shim.errors import ConfigError, FatalError, NotFound, error_text
from shim.http.recordio import RecordDecoder, encode

NOT_RUN = 125
"""Exit code when the command was not run, as of ``docker exec``."""

RECORDIO = "application/recordio"
_RECORD_MAX = 16 * 1024 * 1024
_INPUT_PIECE = 16 * 1024
_INPUT_WAITING = 64
"""Pieces of input that wait for the agent; more are read when it has taken them."""


class ExecSession:
    def __init__(
        self, client: AgentClient, container: str, *, tty: bool, interactive: bool
    ) -> None:
        """``container`` is the id of the task's container. Raises ConfigError."""
        if tty and not sys.stdin.isatty():
            raise ConfigError("-t: stdin is not a terminal")
        self._client = client
        self._id = {"value": uuid.uuid4().hex, "parent": {"value": container}}
        self._tty = tty
        self._interactive = interactive
        self._input: queue.Queue[bytes | None] = queue.Queue(_INPUT_WAITING)
        self._modes = TerminalModes()

    def run(self, argv: Sequence[str], *, user: str, env: Mapping[str, str]) -> int:
        """The exit code of the command. Raises FatalError, NotFound."""
        with self._launch(argv, user, env) as answer, self._terminal():
            if self._interactive:
                threading.Thread(target=self._read_input, daemon=True).start()
                threading.Thread(target=self._send_input, daemon=True).start()
            self._copy_output(answer)
        ended = self._client.call("WAIT_CONTAINER", {"container_id": self._id})
        code = os.waitstatus_to_exitcode(ended["exit_status"])
        return 128 - code if code < 0 else code

    def _launch(self, argv: Sequence[str], user: str, env: Mapping[str, str]) -> HTTPResponse:
        command: dict[str, Any] = {"value": argv[0], "arguments": list(argv), "shell": False}
        if user:
            command["user"] = user
        if env:
            variables = [{"name": name, "value": value} for name, value in env.items()]
            command["environment"] = {"variables": variables}
        body: dict[str, Any] = {"container_id": self._id, "command": command}
        if self._tty:
            body["container"] = {"type": "MESOS", "tty_info": {"window_size": window_size()}}
        kind = "LAUNCH_NESTED_CONTAINER_SESSION"
        call = json.dumps({"type": kind, kind.lower(): body}).encode()
        return self._client.post(call, {"Accept": RECORDIO, "Message-Accept": JSON})

    def _copy_output(self, answer: HTTPResponse) -> None:
        """On a terminal of its own, the command has this one as it is."""
        make = RawOutput if self._tty else output_to
        outputs: dict[str, Output] = {"STDOUT": make(sys.stdout), "STDERR": make(sys.stderr)}
        try:
            for name, data in self._pieces(answer):
                if self._tty:
                    self._modes.feed(data)
                outputs[name].write(data)
                outputs[name].flush()
        finally:
            for output in outputs.values():
                output.close()

    def _pieces(self, answer: HTTPResponse) -> Iterator[tuple[str, bytes]]:
        """``STDOUT`` or ``STDERR``, and output. Raises FatalError."""
        decoder = RecordDecoder(_RECORD_MAX)
        try:
            while data := answer.read1(65_536):
                for record in map(json.loads, decoder.feed(data)):
                    if record["type"] == "DATA":
                        found = record["data"]
                        yield found["type"], base64.b64decode(found["data"])
        except (OSError, HTTPException) as error:
            raise FatalError(f"{self._client.url}: {error_text(error)}") from None
        except (ValueError, KeyError, TypeError):
            raise FatalError(f"{self._client.url}: {NOT_A_SHIM}") from None

    # --- input ------------------------------------------------------------------------------

    def _read_input(self) -> None:
        """Put stdin into the queue until its end; a terminal that is gone is one."""
        fd = sys.stdin.fileno()
        with contextlib.suppress(OSError):
            while data := os.read(fd, _INPUT_PIECE):
                self._input.put(_data_record(data))
        self._input.put(_data_record(b""))
        self._input.put(None)

    def _send_input(self) -> None:
        """An input that is refused is lost: the command has ended, and says so by its output."""
        headers = {"Content-Type": RECORDIO, "Message-Content-Type": JSON}
        with contextlib.suppress(FatalError, NotFound):
            self._client.post(self._records(), headers).close()

    def _records(self) -> Iterator[bytes]:
        yield _record({"type": "CONTAINER_ID", "container_id": self._id})
        while (record := self._input.get()) is not None:
            yield record

    # --- the terminal -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        """This terminal is the command's while it runs, and is set back after it."""
        with self._raw() if self._tty and self._interactive else contextlib.nullcontext():
            try:
                yield
            finally:
                if (undo := self._modes.undo()) and sys.stdout.isatty():
                    with contextlib.suppress(OSError):
                        sys.stdout.write(undo)
                        sys.stdout.flush()

    @contextlib.contextmanager
    def _raw(self) -> Iterator[None]:
        """Pass every key on, and each change of the window."""
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers().items():
                handlers[number] = signal.signal(number, handler)
        terminal_modes.setraw(fd)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            with contextlib.suppress(termios.error):
                termios.tcsetattr(fd, termios.TCSADRAIN, before)

    def _handlers(self) -> dict[int, Any]:
        """A signal that ends this process must not leave the terminal raw."""

        def end(number: int, frame: object) -> None:
            raise SystemExit(128 + number)

        ends = (signal.SIGTERM, signal.SIGHUP)
        return {signal.SIGWINCH: lambda *_: self._window_changed(), **dict.fromkeys(ends, end)}

    def _window_changed(self) -> None:
        size = {"type": "TTY_INFO", "tty_info": {"window_size": window_size()}}
        with contextlib.suppress(queue.Full):
            self._input.put_nowait(_process_io({"type": "CONTROL", "control": size}))


def window_size() -> dict[str, int]:
    """Of the terminal at stdin."""
    answer = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", answer)
    return {"rows": rows, "columns": columns}


def signal_number(text: str) -> int:
    """From ``9``, ``KILL`` or ``SIGKILL``. Raises ConfigError."""
    if text.isdigit() and 1 <= int(text) <= signal.NSIG - 1:
        return int(text)
    try:
        return int(signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"])
    except KeyError:
        raise ConfigError(f"--signal={text}: no such signal") from None


def _record(body: Json) -> bytes:
    call = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body}
    return encode(json.dumps(call).encode())


def _process_io(body: Json) -> bytes:
    return _record({"type": "PROCESS_IO", "process_io": body})


def _data_record(data: bytes) -> bytes:
    """Of stdin; an empty one is its end."""
    text = base64.b64encode(data).decode()
    return _process_io({"type": "DATA", "data": {"type": "STDIN", "data": text}})
