"""An asynchronous HTTP transport for python-consul.

It adds the token and TLS, bounds the time of a call, retries, and maps failures to Transient,
NotFound and Permanent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import consul.base
import tenacity
from yarl import URL

from shim import limits
from shim.errors import ConfigError, NotFound, Permanent, Transient, error_text
from shim.model.settings import ConsulConfig, header_value

T = TypeVar("T")
Params = Sequence[tuple[str, str]]

_MISSING = ("Unknown service", "does not have associated TTL")
"""Texts of Consul's 500 answers about a missing service or check."""


class ConsulTransport(consul.base.HTTPClient):  # type: ignore[misc]  # python-consul has no types
    """The four verbs as coroutines. They raise only Transient, NotFound or Permanent."""

    def __init__(self, config: ConsulConfig) -> None:
        super().__init__(config.host, config.port, config.scheme)
        self.base_uri = "http://localhost" if config.socket else config.url
        self._config = config
        self._headers = _headers(config)
        self._tls = _tls(config) if config.scheme == "https" else None
        self._session: aiohttp.ClientSession | None = None

    async def get(self, callback: Callable[[Any], T], path: str, params: Params | None = None) -> T:
        return await self._call("GET", callback, path, params)

    async def put(
        self,
        callback: Callable[[Any], T],
        path: str,
        params: Params | None = None,
        data: str = "",
    ) -> T:
        return await self._call("PUT", callback, path, params, data)

    async def delete(
        self, callback: Callable[[Any], T], path: str, params: Params | None = None
    ) -> T:
        return await self._call("DELETE", callback, path, params)

    async def post(
        self,
        callback: Callable[[Any], T],
        path: str,
        params: Params | None = None,
        data: str = "",
    ) -> T:
        return await self._call("POST", callback, path, params, data)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(
        self,
        method: str,
        callback: Callable[[Any], T],
        path: str,
        params: Params | None,
        data: str = "",
    ) -> T:
        """One call, with retries. Every call sets or reads a state, so it may be repeated."""
        url = URL(self.uri(path, params), encoded=True)
        blocking = any(name == "index" for name, _ in params or ())
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=tenacity.stop_after_attempt(limits.CONSUL_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        ):
            with attempt:
                response = await self._exchange(method, url, data, blocking)
                break
        try:
            return callback(response)
        except (ValueError, KeyError) as error:
            raise Transient(
                f"{method} {path}: not an answer of a Consul agent: {error!r}"
            ) from error

    async def _exchange(self, method: str, url: URL, data: str, blocking: bool) -> Any:
        total = limits.CONSUL_TIMEOUT + (limits.CONSUL_BLOCK * 17 / 16 if blocking else 0.0)
        timeout = aiohttp.ClientTimeout(total, connect=limits.CONSUL_CONNECT_TIMEOUT)
        what = f"{method} {url.path}"
        try:
            async with self._get_session().request(
                method,
                url,
                data=data.encode(),
                timeout=timeout,
                allow_redirects=False,
                server_hostname=self._config.server_name or None,
            ) as answer:
                body = (await _read(answer)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{what} at {self._config.url}: {_error_text(error)}") from error
        _raise_for_status(what, answer.status, body)
        return consul.base.Response(answer.status, answer.headers, body)

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # One more for a blocking query, so that all writers keep a connection.
            limit = limits.CONSUL_CONNECTIONS + 1
            connector: aiohttp.BaseConnector
            if self._config.socket:
                connector = aiohttp.UnixConnector(self._config.socket, limit=limit)
            else:
                connector = aiohttp.TCPConnector(limit=limit, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limits.CONSUL_BODY:
            raise aiohttp.ClientPayloadError(f"answer of more than {limits.CONSUL_BODY} bytes")
    return bytes(body)


def _raise_for_status(what: str, status: int, body: str) -> None:
    """Map Consul's error answers. 404 and texts about missing entries are NotFound."""
    if status == 200:
        return
    message = f"{what}: {status} {body.strip()[:500]}"
    if status == 404 or any(text in body for text in _MISSING):
        raise NotFound(message)
    if status >= 500 or status == 429:
        raise Transient(message)
    raise Permanent(message)


def _error_text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error_text(error)


def _headers(config: ConsulConfig) -> dict[str, str]:
    headers = {}
    if token := config.token or _read_token(config.token_file):
        headers["X-Consul-Token"] = token
    if config.namespace:
        headers["X-Consul-Namespace"] = config.namespace
    if config.auth:
        headers["Authorization"] = aiohttp.encode_basic_auth(*config.auth.split(":", 1))
    return headers


def _read_token(path: str) -> str:
    if not path:
        return ""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"CONSUL_HTTP_TOKEN_FILE={path!r}: {error}") from None
    return header_value("CONSUL_HTTP_TOKEN_FILE", text)


def _tls(config: ConsulConfig) -> ssl.SSLContext:
    source = f"CONSUL_CACERT={config.ca_file!r}, CONSUL_CAPATH={config.ca_path!r}"
    try:
        context = ssl.create_default_context(
            cafile=config.ca_file or None, capath=config.ca_path or None
        )
        if config.client_cert:
            source = (
                f"CONSUL_CLIENT_CERT={config.client_cert!r}, "
                f"CONSUL_CLIENT_KEY={config.client_key!r}"
            )
            # Without a password function OpenSSL asks for a password on the terminal.
            context.load_cert_chain(config.client_cert, config.client_key, lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{source}: {error}") from None
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
