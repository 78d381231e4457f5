"""Getting one URL into a file, with every way in which that can go wrong told in words."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from shim import limits
from shim.engine.client.transport import escape_url
from shim.engine.fetch.pool import in_pool
from shim.engine.fetch.uris import Item
from shim.errors import Permanent, error_text


class Downloads:
    """Needs a running loop. Writing is done by ``pool``; ``file_root`` as in the plan."""

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

    async def fetch(self, item: Item, path: Path, progress: Callable[[str], None]) -> None:
        """The whole content is in ``path`` afterwards. Permanent, naming the URI, otherwise.

        ``progress`` hears now and then how far it is.
        """
        async with self._slots:
            try:
                with path.open("wb") as file:
                    await self._fetch(item, file, progress)
            except Permanent as error:
                raise Permanent(f"{item.shown}: {error}") from None
            except OSError as error:
                raise Permanent(f"{item.shown}: {error.strerror or error}") from None

    async def _fetch(self, item: Item, file: BinaryIO, progress: Callable[[str], None]) -> None:
        if item.url.startswith("file://"):
            await in_pool(self._pool, partial(_copy, _local(item.url, self._file_root), file))
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
        told, piece = time.monotonic(), bytearray()
        async for data in response.content.iter_any():
            piece += data
            if len(piece) >= limits.FETCH_PIECE:
                _check_size(file.tell() + len(piece))
                await in_pool(self._pool, partial(file.write, bytes(piece)))
                piece.clear()
            if time.monotonic() - told > limits.PULL_REPORT_INTERVAL:
                told = time.monotonic()
                progress(f"{file.tell() // 2**20} MB of {response.content_length or '?'} bytes")
        _check_size(file.tell() + len(piece))
        await in_pool(self._pool, partial(file.write, bytes(piece)))


def _check_size(size: int) -> None:
    if size > limits.FETCH_BYTES:
        raise Permanent(f"it has more than {limits.FETCH_BYTES} bytes")


def _proxy(url: URL) -> str | None:
    """The environment's ``http_proxy``, ``https_proxy``, ``no_proxy``; its .netrc is not asked."""
    if url.host is None or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)


def _local(url: str, root: Path | None) -> Path:
    """The file a ``file://`` URI means, which is really below the root, links followed."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path)).resolve()
    if root is None or parts.netloc not in ("", "localhost"):
        raise Permanent("there is no agent host whose files could be fetched")
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise Permanent(f"no file below {root}")
    return path


def _copy(source: Path, file: BinaryIO) -> None:
    _check_size(source.stat().st_size)
    with source.open("rb") as opened:
        shutil.copyfileobj(opened, file)
