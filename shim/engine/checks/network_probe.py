"""HTTP and TCP probes over the network, to an address of the container or of its host."""

from __future__ import annotations

import asyncio
import errno
import ssl

import aiohttp
from yarl import URL

from shim import limits
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import Http, Tcp
from shim.engine.client.transport import escape_url
from shim.errors import error_text

_REDIRECTS = (301, 302, 303, 307, 308)
_HERE = ("localhost", "127.0.0.1", "::1")


class NetworkProbe:
    """Needs a running loop. At most one connection per probe, never kept."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0, ssl=_trusting()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def probe(self, target: Http | Tcp, host: str, port: int, timeout: float) -> ProbeResult:
        """``port`` is the one to connect to, whatever the target's own."""
        connecting = min(timeout, limits.CHECK_CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(timeout):
                if isinstance(target, Tcp):
                    return await _connect(host, port, connecting)
                return await self._get(_url(target, host, port), connecting)
        except (aiohttp.ConnectionTimeoutError, _ConnectTimeout):
            return ProbeResult(ProbeStatus.UNREACHABLE, detail=f"{host}:{port} does not answer")
        except TimeoutError:
            return ProbeResult(ProbeStatus.SILENT, detail=f"no answer within {timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return _failed(error.os_error, host, port)
        except OSError as error:
            return _failed(error, host, port)
        except (aiohttp.ClientError, ValueError) as error:
            return ProbeResult(ProbeStatus.SILENT, detail=error_text(error))

    async def _get(self, url: URL, connecting: float) -> ProbeResult:
        """Redirects are followed within the container; one that leads elsewhere is the answer."""
        limit = aiohttp.ClientTimeout(sock_connect=connecting)
        for _ in range(limits.CHECK_REDIRECTS):
            async with self._session.get(url, allow_redirects=False, timeout=limit) as response:
                await _read(response)
                onward = _redirect(response, url)
                if onward is None:
                    return ProbeResult(ProbeStatus.ANSWERED, response.status)
                url = onward
        return ProbeResult(
            ProbeStatus.SILENT, detail=f"more than {limits.CHECK_REDIRECTS} redirects"
        )


class _ConnectTimeout(Exception):
    """As aiohttp's, for a bare connection."""


async def _connect(host: str, port: int, timeout: float) -> ProbeResult:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise _ConnectTimeout from None
    writer.close()
    return ProbeResult(ProbeStatus.ANSWERED)


async def _read(response: aiohttp.ClientResponse) -> None:
    """The body, thrown away: one that is cut off is no answer, of an endless one some is enough."""
    left = limits.CHECK_BODY
    async for part in response.content.iter_any():
        left -= len(part)
        if left < 0:
            return


def _url(target: Http, host: str, port: int) -> URL:
    """The path goes out as it was written, but for what would break the request line."""
    name = f"[{host}]" if ":" in host else host
    path = escape_url(target.path)
    return URL(f"{target.scheme}://{name}:{port}{path}", encoded=True)


def _redirect(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or location is None:
        return None
    onward = url.join(URL(location))
    if onward.host in _HERE and url.host is not None:
        onward = onward.with_host(url.host)
    return onward if onward.host == url.host and onward.scheme in ("http", "https") else None


def _failed(error: OSError, host: str, port: int) -> ProbeResult:
    detail = f"{host}:{port}: {error.strerror or error}"
    if isinstance(error, ConnectionRefusedError):
        return ProbeResult(ProbeStatus.REFUSED, detail=detail)
    if isinstance(error, ConnectionError | ssl.SSLError):
        return ProbeResult(ProbeStatus.SILENT, detail=detail)
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ETIMEDOUT):
        return ProbeResult(ProbeStatus.UNREACHABLE, detail=detail)
    return ProbeResult(ProbeStatus.SILENT, detail=detail)


def _trusting() -> ssl.SSLContext:
    """A check asks whether the task answers, not who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
