"""HTTP to a Consul agent, as a transport for python-consul that is asynchronous.

Here are the token, TLS, time limits, retries, and the one place where errors get their family.
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
from shim.discovery.config import DiscoveryConfig, printable
from shim.errors import ConfigError, NotFound, Permanent, Transient, error_text

T = TypeVar("T")
Params = Sequence[tuple[str, str]]

_GONE = ("Unknown service", "does not have associated TTL")
"""What Consul says, with a 500, about a service or check that it does not have."""


class Http(consul.base.HTTPClient):  # type: ignore[misc]  # python-consul has no types
    """The four verbs as coroutines. Raises Transient, NotFound or Permanent, nothing else."""

    def __init__(self, config: DiscoveryConfig) -> None:
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
        """Every call we make may be repeated: it sets a state, or reads one."""
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
            raise Transient(f"{method} {path}: no answer of Consul's: {error!r}") from error

    async def _exchange(self, method: str, url: URL, data: str, blocking: bool) -> Any:
        total = limits.CONSUL_TIMEOUT + (limits.CONSUL_BLOCK * 17 / 16 if blocking else 0.0)
        timeout = aiohttp.ClientTimeout(total, connect=limits.CONSUL_CONNECT_TIMEOUT)
        what = f"{method} {url.path}"
        try:
            async with self._open().request(
                method,
                url,
                data=data.encode(),
                timeout=timeout,
                allow_redirects=False,
                server_hostname=self._config.server_name or None,
            ) as answer:
                body = (await _read(answer)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{what} at {self._config.url}: {_words(error)}") from error
        _check(what, answer.status, body)
        return consul.base.Response(answer.status, answer.headers, body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # One more for a blocking query, which must not take a writer's place.
            most = limits.CONSUL_CONNECTIONS + 1
            connector: aiohttp.BaseConnector
            if self._config.socket:
                connector = aiohttp.UnixConnector(self._config.socket, limit=most)
            else:
                connector = aiohttp.TCPConnector(limit=most, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limits.CONSUL_BODY:
            raise aiohttp.ClientPayloadError(f"answer of more than {limits.CONSUL_BODY} bytes")
    return bytes(body)


def _check(what: str, status: int, body: str) -> None:
    """The one place where Consul's refusals become ours."""
    if status == 200:
        return
    words = f"{what}: {status} {body.strip()[:500]}"
    if status == 404 or any(sign in body for sign in _GONE):
        raise NotFound(words)
    if status >= 500 or status == 429:
        raise Transient(words)
    raise Permanent(words)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error_text(error)


def _headers(config: DiscoveryConfig) -> dict[str, str]:
    headers = {}
    if token := config.token or _token_of(config.token_file):
        headers["X-Consul-Token"] = token
    if config.namespace:
        headers["X-Consul-Namespace"] = config.namespace
    if config.auth:
        headers["Authorization"] = aiohttp.encode_basic_auth(*config.auth.split(":", 1))
    return headers


def _token_of(path: str) -> str:
    if not path:
        return ""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"CONSUL_HTTP_TOKEN_FILE={path!r}: {error}") from None
    return printable("CONSUL_HTTP_TOKEN_FILE", text)


def _tls(config: DiscoveryConfig) -> ssl.SSLContext:
    named = f"CONSUL_CACERT={config.ca_file!r}, CONSUL_CAPATH={config.ca_path!r}"
    try:
        context = ssl.create_default_context(
            cafile=config.ca_file or None, capath=config.ca_path or None
        )
        if config.client_cert:
            named = (
                f"CONSUL_CLIENT_CERT={config.client_cert!r}, "
                f"CONSUL_CLIENT_KEY={config.client_key!r}"
            )
            # Without a password function OpenSSL would ask for one at the terminal.
            context.load_cert_chain(config.client_cert, config.client_key, lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{named}: {error}") from None
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
