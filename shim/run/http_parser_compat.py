"""A replacement for the C extension ``http_parser``, which does not build on Python 3.11.

pymesos needs it. This module has only the part that pymesos uses: parsing one HTTP response in
pieces. :func:`provide` registers it in ``sys.modules`` when the real one is absent. Call it before
pymesos is imported.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import types
from email.parser import BytesHeaderParser
from http import HTTPStatus

STARTING_PAUSE = 0.2
"""Seconds between two requests to a master that starts."""
MAX_HEAD = 65_536
"""The longest head of a response in bytes. A master sends some hundreds."""


class HttpParser:
    """An incremental parser. ``execute`` returns the parsed length; less than given is an error."""

    def __init__(self) -> None:
        self._buffer = b""
        self._status = 0
        self._headers: dict[str, str] | None = None
        self._body = b""
        self._left: int | None = 0
        """Bytes left of the body or of the current chunk; None: until the connection ends."""
        self._in_chunk = False
        self._complete = False
        self._errno = 0

    def execute(self, data: bytes, length: int) -> int:
        self._buffer += data[:length]
        try:
            if self._headers is None:
                self._parse_head()
            if self._headers is not None:
                self._parse_body()
        except ValueError:
            self._errno = 1
            return 0
        return length

    def _parse_head(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(self._buffer) > MAX_HEAD:
                raise ValueError("no end of the head")
            return
        line, _, fields = head.partition(b"\r\n")
        self._status = int(line.split(b" ", 2)[1]) if line.startswith(b"HTTP/") else _fail(line)
        self._headers = dict(BytesHeaderParser().parsebytes(fields + b"\r\n\r\n").items())
        self._buffer = rest
        length = self._header("content-length")
        self._left = int(length) if length is not None else None

    def _header(self, name: str) -> str | None:
        fields = self._headers or {}
        return next((v for k, v in fields.items() if k.lower() == name), None)

    def _parse_body(self) -> None:
        if self.is_chunked():
            self._parse_chunks()
            return
        taken = self._buffer if self._left is None else self._buffer[: self._left]
        self._body += taken
        self._buffer = self._buffer[len(taken) :]
        if self._left is not None:
            self._left -= len(taken)
            self._complete = self._left == 0

    def _parse_chunks(self) -> None:
        while not self._complete:
            if not self._in_chunk:
                line, end, rest = self._buffer.partition(b"\r\n")
                if not end:
                    return
                self._left, self._buffer, self._in_chunk = int(line.split(b";")[0], 16), rest, True
            size = self._left or 0
            if len(self._buffer) < size + 2:
                return
            if self._buffer[size : size + 2] != b"\r\n":
                raise ValueError("a chunk does not end at its length")
            self._body += self._buffer[:size]
            self._buffer = self._buffer[size + 2 :]
            self._in_chunk = False
            self._complete = size == 0

    def get_errno(self) -> int:
        return self._errno

    def is_headers_complete(self) -> bool:
        return self._headers is not None

    def get_status_code(self) -> int:
        """The status; 503 for a 404, after a pause.

        A master that starts answers 404 until it has set up its paths. pymesos ends at a 404, and
        connects again at a 503.
        """
        if self._status == HTTPStatus.NOT_FOUND:
            time.sleep(STARTING_PAUSE)
            return HTTPStatus.SERVICE_UNAVAILABLE
        return self._status

    def get_headers(self) -> dict[str, str]:
        return dict(self._headers or {})

    def is_chunked(self) -> bool:
        return (self._header("transfer-encoding") or "").lower() == "chunked"

    def is_partial_body(self) -> bool:
        """Whether ``recv_body`` would return bytes."""
        return bool(self._body)

    def recv_body(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def is_message_complete(self) -> bool:
        return self._complete


def _fail(line: bytes) -> int:
    raise ValueError(f"not a status line: {line!r}")


def provide() -> None:
    """Make ``http_parser.http`` importable. An installed real one takes precedence."""
    if "http_parser" in sys.modules or importlib.util.find_spec("http_parser") is not None:
        return
    package = types.ModuleType("http_parser")
    module = types.ModuleType("http_parser.http")
    module.HttpParser = HttpParser  # type: ignore[attr-defined]
    package.http = module  # type: ignore[attr-defined]
    sys.modules["http_parser"] = package
    sys.modules["http_parser.http"] = module
