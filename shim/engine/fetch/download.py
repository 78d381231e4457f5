"""Downloads one URI into a file. Every failure is a Permanent error with a readable reason."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from shim import limits
from shim.engine.client.transport import escape_url
from shim.engine.fetch.uris import FetchItem
from shim.errors import Permanent, error_text

T = TypeVar("T")


def _do_nothing() -> None:
    return None


async def run_in_pool(
    pool: Executor, work: Callable[[], T], *, on_cancel: Callable[[], None] = _do_nothing
) -> T:
    """Return the result of ``work``, run in a thread.

    A cancelled caller waits for the end of the thread. ``on_cancel`` may ask ``work`` to end early.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([running])
        raise


class Downloader:
    """``pool`` writes files. ``file_root``: see ``fetch_items``. Needs a running loop."""

    def __init__(self, pool: Executor, file_root: Path | None = None) -> None:
        self._pool = pool
        self._file_root = file_root
        self._slots = asyncio.Semaphore(limits.FETCHES_AT_ONCE)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            requote_redirect_url=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "mesos-shim"},
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=limits.FETCH_CONNECT_TIMEOUT,
                sock_read=limits.FETCH_STALL,
            ),
        )

    async def close(self) -> None:
        await self._session.close()

    async def fetch(self, item: FetchItem, path: Path, progress: Callable[[str], None]) -> None:
        """Write the whole content to ``path``. Raises Permanent that names the URI.

        ``progress`` is called with a text every PULL_REPORT_INTERVAL seconds.
        """
        async with self._slots:
            try:
                with path.open("wb") as file:
                    await self._fetch(item, file, progress)
            except Permanent as error:
                raise Permanent(f"{item.printable_url}: {error}") from None
            except OSError as error:
                raise Permanent(f"{item.printable_url}: {error.strerror or error}") from None

    async def _fetch(
        self, item: FetchItem, file: BinaryIO, progress: Callable[[str], None]
    ) -> None:
        if item.url.startswith("file://"):
            await run_in_pool(self._pool, partial(_copy, _local(item.url, self._file_root), file))
            return
        url = URL(escape_url(item.url), encoded=True)
        proxy = _proxy(url)
        try:
            async with self._session.get(
                url, proxy=proxy, max_redirects=limits.FETCH_REDIRECTS
            ) as response:
                if response.status != 200:
                    raise Permanent(f"the server answered {response.status} {response.reason}")
                _check_size(response.content_length or 0)
                await self._store(response, file, progress)
        except aiohttp.ServerTimeoutError:
            raise Permanent(f"no byte came for {limits.FETCH_STALL:g} s") from None
        except aiohttp.ClientPayloadError:
            raise Permanent(f"the connection broke after {file.tell()} bytes") from None
        except aiohttp.TooManyRedirects:
            raise Permanent(f"more than {limits.FETCH_REDIRECTS} redirects") from None
        except aiohttp.ClientConnectorError as error:
            raise Permanent(f"cannot connect to {error.host}:{error.port}: {error}") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise Permanent(error_text(error)) from None

    async def _store(
        self, response: aiohttp.ClientResponse, file: BinaryIO, progress: Callable[[str], None]
    ) -> None:
        reported_s, piece = time.monotonic(), bytearray()
        async for data in response.content.iter_any():
            piece += data
            if len(piece) >= limits.FETCH_PIECE:
                _check_size(file.tell() + len(piece))
                await run_in_pool(self._pool, partial(file.write, bytes(piece)))
                piece.clear()
            if time.monotonic() - reported_s > limits.PULL_REPORT_INTERVAL:
                reported_s = time.monotonic()
                progress(f"{file.tell() // 2**20} MB of {response.content_length or '?'} bytes")
        _check_size(file.tell() + len(piece))
        await run_in_pool(self._pool, partial(file.write, bytes(piece)))


def _check_size(size: int) -> None:
    if size > limits.FETCH_BYTES:
        raise Permanent(f"it has more than {limits.FETCH_BYTES} bytes")


def _proxy(url: URL) -> str | None:
    """Return the proxy by ``http_proxy``, ``https_proxy`` and ``no_proxy`` of the environment."""
    if url.host is None or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)


def _local(url: str, root: Path | None) -> Path:
    """Return the file of a ``file://`` URI: below the root when links are resolved."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path)).resolve()
    if root is None or parts.netloc not in ("", "localhost"):
        raise Permanent("local files need file:/// and --fetcher_file_root")
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise Permanent(f"no file below {root}")
    return path


def _copy(source: Path, file: BinaryIO) -> None:
    _check_size(source.stat().st_size)
    with source.open("rb") as opened:
        shutil.copyfileobj(opened, file)
