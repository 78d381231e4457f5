"""HTTP to one agent, for the commands of an operator. Blocking."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar, cast

from shim.client.files import parse_read
from shim.client.selection import Row
from shim.client.tls_tunnel import TlsTunnel
from shim.errors import ConfigError, FatalError, NotFound, error_text

Json = Mapping[str, Any]
T = TypeVar("T")

DEFAULT_PORT = 5051
OPERATOR_API = "/api/v1"
JSON = "application/json"
NOT_A_SHIM = "not the answer of a mesos-shim"
TIMEOUT = 30.0
"""Seconds without a byte. The live page sends an event each second, a session of exec a heartbeat
every 15 s."""


def agent_url(text: str, *, tls: bool) -> str:
    """``host``, ``host:port`` or a URL -> a URL without path. Raises ConfigError."""
    url = text if "://" in text else f"{'https' if tls else 'http'}://{text}"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ConfigError(f"--agent={text}: not host, host:port or http://host:port") from None
    if "@" in parts.netloc:
        raise ConfigError("--agent: takes no user and no password: give --credentials")
    more = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or more:
        raise ConfigError(f"--agent={text}: not host, host:port or http://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def credentials(file: str | None, variable: str) -> str:
    """``user:password`` from the file, else from the variable, which may name a file as well.

    A password is never taken from the command line, which everybody on the machine can see.
    Raises ConfigError, never with the password.
    """
    if file is not None:
        return _credentials_of(file, "--credentials")
    if variable and ":" not in variable.removeprefix("file://"):
        return _credentials_of(variable, "MESOS_AGENT_CREDENTIALS")
    return variable


def _credentials_of(file: str, source: str) -> str:
    if ":" in file.removeprefix("file://"):
        raise ConfigError(f"{source}: takes the path of a file that holds user:password")
    try:
        text = Path(file.removeprefix("file://")).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{source}: not a readable file: {error_text(error)}") from None
    if ":" not in text:
        raise ConfigError(f"{source}: the file does not hold user:password")
    return text


@dataclass(frozen=True, slots=True)
class AgentClient:
    url: str
    credentials: str = field(default="", repr=False)
    """``user:password``; empty: none."""
    tunnel: TlsTunnel | None = field(default=None, repr=False)
    """Leads to the agent over TLS, with the checks of libprocess."""
    timeout: float = TIMEOUT

    def get(self, path: str, **query: str) -> Any:
        """The JSON answer. Raises NotFound, FatalError."""
        return self._read(path, self._open(path, query), json.loads)

    def page(self, path: str) -> Any:
        """The JSON answer of a page that every agent has. Raises FatalError."""
        return self._read(path, self._open_page(path), json.loads)

    def read_file(self, path: str, offset: int) -> tuple[int, bytes]:
        """Offset and bytes of at most 64 kB of a sandbox file; -1 asks for the file's size."""
        page = "/files/read"
        answer = self._open(page, {"path": path, "offset": str(offset)})
        return self._read(page, answer, parse_read)

    def events(self) -> Iterator[tuple[str, Any]]:
        """Name and data of the live page's events, without an end. Raises FatalError."""
        name = ""
        with self._open_page("/live/events") as answer:
            try:
                for line in answer:
                    text = line.decode().rstrip("\n")
                    if text.startswith("event: "):
                        name = text.removeprefix("event: ")
                    elif text.startswith("data: "):
                        yield name, json.loads(text.removeprefix("data: "))
            except (OSError, HTTPException) as error:
                raise FatalError(f"{self.url}: {error_text(error)}") from None
            except ValueError:
                raise FatalError(f"{self.url}/live/events: {NOT_A_SHIM}") from None
        raise FatalError(f"{self.url}: the agent ended the connection")

    def _open_page(self, path: str) -> HTTPResponse:
        try:
            return self._open(path, {})
        except NotFound:
            raise FatalError(f"{self.url}: {NOT_A_SHIM}; is --agent right?") from None

    def snapshot(self) -> tuple[Json, list[Row]]:
        """The agent's summary and all its tasks, at one moment."""
        rows: list[Row] = []
        for name, data in self.events():
            if name == "tasks":
                rows += data
            elif name == "agent":
                return data, rows
        raise AssertionError("events end with an error")

    def call(self, kind: str, body: Json) -> Any:
        """The answer to a call of the operator API; None if it is empty."""

        def parse(content: bytes) -> Any:
            return json.loads(content)[kind.lower()] if content else None

        answer = self.post(json.dumps({"type": kind, kind.lower(): body}).encode())
        return self._read(OPERATOR_API, answer, parse)

    def post(
        self, data: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        """The answer to a call whose body may be a stream. Raises NotFound, FatalError."""
        return self._open(OPERATOR_API, {}, data, {"Content-Type": JSON, **(headers or {})})

    def _read(self, path: str, answer: HTTPResponse, parse: Callable[[bytes], T]) -> T:
        """The whole answer. Raises FatalError for one that breaks off, and for another's."""
        try:
            with answer:
                content = answer.read()
        except (OSError, HTTPException) as error:
            raise FatalError(f"{self.url}{path}: {error_text(error)}") from None
        try:
            return parse(content)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FatalError(f"{self.url}{path}: {NOT_A_SHIM}") from None

    def _open(
        self,
        path: str,
        query: Mapping[str, str],
        data: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        question = f"?{urllib.parse.urlencode(query)}" if query else ""
        url = self._reachable_url()
        request = urllib.request.Request(f"{url}{path}{question}", data, dict(headers or {}))
        if self.credentials:
            encoded = base64.b64encode(self.credentials.encode()).decode()
            # It is for the agent, not for another server that it may name.
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return cast(HTTPResponse, opener.open(request, timeout=self.timeout))
        except urllib.error.HTTPError as error:
            raise self._refused(path, error) from None
        except (OSError, HTTPException) as error:
            raise FatalError(f"{self.url}: {self._problem(error)}") from None

    @property
    def _address(self) -> str:
        return self.url.partition("://")[2]

    def _reachable_url(self) -> str:
        if self.tunnel is None:
            return self.url
        return f"http://{self.tunnel.local_address(self._address)}"

    def _problem(self, error: OSError | HTTPException) -> str:
        if self.tunnel is not None and (text := self.tunnel.problems.get(self._address)):
            return f"no TLS connection: {text}"
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        hint = "is --agent right?"
        if self.tunnel is None and isinstance(reason, (ConnectionResetError, HTTPException)):
            hint = "is --agent right, or does it want TLS (LIBPROCESS_SSL_ENABLED)?"
        return f"{text}; {hint}"

    def _refused(self, path: str, error: urllib.error.HTTPError) -> NotFound | FatalError:
        try:
            text = error.read(1000).decode(errors="replace").strip() or error.reason
        except (OSError, HTTPException):
            text = error.reason
        if error.code == 404:
            return NotFound(f"{self.url}{path}: {text}")
        text = text.removeprefix(f"{error.code} ").rstrip(".")
        if error.code == 401:
            text += ": wrong password" if self.credentials else ": give --credentials"
        return FatalError(f"{self.url}{path}: {error.code} {text}")
