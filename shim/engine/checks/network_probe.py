"""HTTP and TCP probes over the network, to an address of the container or of its host."""

from __future__ import annotations

import asyncio
import errno
import ssl

import aiohttp
from yarl import URL

from shim import limits
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import HttpCheck, TcpCheck
from shim.engine.client.transport import escape_url
from shim.errors import error_text

_REDIRECTS = (301, 302, 303, 307, 308)
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


class NetworkProbe:
    """Makes probes over the network, with a new connection for each. Needs a running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0, ssl=_unverified_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def probe(
        self, target: HttpCheck | TcpCheck, host: str, port: int, timeout: float
    ) -> ProbeResult:
        """Connect to ``host`` and ``port``, which may differ from the target's own port.

        ``timeout`` is in seconds, for the whole probe. Raises nothing.
        """
        # Shorter than the whole probe: an address out of reach must not look like a slow server.
        connecting = min(timeout / 2, limits.CHECK_CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(timeout):
                if isinstance(target, TcpCheck):
                    return await _connect(host, port, connecting)
                return await self._get(_url(target, host, port), connecting)
        except (aiohttp.ConnectionTimeoutError, _ConnectTimeout):
            return ProbeResult(ProbeStatus.UNREACHABLE, detail=f"{host}:{port} does not answer")
        except TimeoutError:
            return ProbeResult(ProbeStatus.NO_ANSWER, detail=f"no answer within {timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return _failed(error.os_error, host, port)
        except OSError as error:
            return _failed(error, host, port)
        except (aiohttp.ClientError, ValueError) as error:
            return ProbeResult(ProbeStatus.NO_ANSWER, detail=error_text(error))

    async def _get(self, url: URL, connecting: float) -> ProbeResult:
        """Follow redirects within the container. A redirect to another host is the answer."""
        limit = aiohttp.ClientTimeout(sock_connect=connecting)
        for _ in range(limits.CHECK_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False, timeout=limit) as response:
                await _read(response)
                target_url = _redirect(response, url)
                if target_url is None:
                    return ProbeResult(ProbeStatus.ANSWERED, response.status)
                url = target_url
        return ProbeResult(
            ProbeStatus.NO_ANSWER, detail=f"more than {limits.CHECK_REDIRECTS} redirects"
        )


class _ConnectTimeout(Exception):
    """The counterpart of aiohttp's ConnectionTimeoutError for a bare connection."""


async def _connect(host: str, port: int, timeout: float) -> ProbeResult:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise _ConnectTimeout from None
    writer.close()
    return ProbeResult(ProbeStatus.ANSWERED)


async def _read(response: aiohttp.ClientResponse) -> None:
    """Read and drop the body, at most CHECK_BODY bytes. Raises ClientError when it is cut off."""
    left = limits.CHECK_BODY
    async for part in response.content.iter_any():
        left -= len(part)
        if left < 0:
            return


def _url(target: HttpCheck, host: str, port: int) -> URL:
    """Return the URL with the path as written. Only characters that break the line are quoted."""
    name = f"[{host}]" if ":" in host else host
    path = escape_url(target.path)
    return URL(f"{target.scheme}://{name}:{port}{path}", encoded=True)


def _redirect(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or location is None:
        return None
    target_url = url.join(URL(location))
    if target_url.host in _LOOPBACK_HOSTS and url.host is not None:
        target_url = target_url.with_host(url.host)
    return (
        target_url
        if target_url.host == url.host and target_url.scheme in ("http", "https")
        else None
    )


def _failed(error: OSError, host: str, port: int) -> ProbeResult:
    detail = f"{host}:{port}: {error.strerror or error}"
    if isinstance(error, ConnectionRefusedError):
        return ProbeResult(ProbeStatus.REFUSED, detail=detail)
    if isinstance(error, ConnectionError | ssl.SSLError):
        return ProbeResult(ProbeStatus.NO_ANSWER, detail=detail)
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ETIMEDOUT):
        return ProbeResult(ProbeStatus.UNREACHABLE, detail=detail)
    return ProbeResult(ProbeStatus.NO_ANSWER, detail=detail)


def _unverified_context() -> ssl.SSLContext:
    """Return a context without verification: a check asks only whether the task answers."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
