from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shim.engine.fetch.cache import FetcherCache, Key
from shim.errors import Permanent

ME: Key = ("me", "http://h/a")


class Source:
    """Counts how often it is fetched; waits for ``ready``."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content = content
        self.fetched = 0
        self.cancelled = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self.error: Exception | None = None

    async def __call__(self, path: Path) -> None:
        self.fetched += 1
        path.write_bytes(b"half")  # noqa: ASYNC240
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        path.write_bytes(self.content)  # noqa: ASYNC240


@pytest.fixture
def cache(tmp_path: Path) -> FetcherCache:
    return FetcherCache(tmp_path / "cache", 100)


async def read(cache: FetcherCache, key: Key, fetch: Callable[[Path], Awaitable[None]]) -> bytes:
    with await cache.open(key, fetch) as file:
        return file.read()


def left(tmp_path: Path) -> int:
    return len(list((tmp_path / "cache").iterdir()))


async def test_the_same_uri_is_fetched_once(cache: FetcherCache) -> None:
    source = Source()
    assert [await read(cache, ME, source) for _ in range(3)] == [b"content"] * 3
    assert source.fetched == 1
    assert cache.used == 7


async def test_concurrent_callers_share_one_download(cache: FetcherCache) -> None:
    source = Source()
    source.ready.clear()
    callers = [asyncio.create_task(read(cache, ME, source)) for _ in range(10)]
    await asyncio.sleep(0.01)
    callers[0].cancel()
    await asyncio.sleep(0)
    source.ready.set()
    assert await asyncio.gather(*callers[1:]) == [b"content"] * 9
    assert source.fetched == 1


async def test_another_user_has_another_copy(cache: FetcherCache) -> None:
    source = Source()
    await read(cache, ME, source)
    await read(cache, ("you", ME[1]), source)
    assert source.fetched == 2


async def test_the_last_cancelled_caller_cancels_the_download(
    cache: FetcherCache, tmp_path: Path
) -> None:
    source = Source()
    source.ready.clear()
    callers = [asyncio.create_task(read(cache, ME, source)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for wish in callers:
        wish.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert source.cancelled == 1
    assert (cache.used, left(tmp_path)) == (0, 0)
    source.ready.set()
    assert await read(cache, ME, source) == b"content"


async def test_a_failure_is_raised_to_all_callers_and_not_cached(
    cache: FetcherCache, tmp_path: Path
) -> None:
    source = Source()
    source.error = Permanent("404")
    callers = [read(cache, ME, source) for _ in range(2)]
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(error) for error in errors] == ["404", "404"]
    assert left(tmp_path) == 0
    source.error = None
    assert await read(cache, ME, source) == b"content"


async def test_the_least_recently_used_file_is_evicted_first(
    cache: FetcherCache, tmp_path: Path
) -> None:
    source = Source(bytes(40))
    for name in ("a", "b", "a", "c"):
        await read(cache, ("me", name), source)
    assert (source.fetched, cache.used, left(tmp_path)) == (3, 80, 2)
    await read(cache, ("me", "a"), source)
    assert source.fetched == 3
    await read(cache, ("me", "b"), source)
    assert source.fetched == 4


async def test_a_file_larger_than_the_cache_evicts_no_other(
    cache: FetcherCache, tmp_path: Path
) -> None:
    await read(cache, ME, Source(bytes(40)))
    assert await read(cache, ("me", "big"), Source(bytes(101))) == bytes(101)
    assert (cache.used, left(tmp_path)) == (40, 1)


async def test_an_open_file_is_read_to_its_end_after_eviction(cache: FetcherCache) -> None:
    with await cache.open(ME, Source(b"x" * 60)) as file:
        await read(cache, ("me", "b"), Source(bytes(60)))
        assert cache.used == 60
        assert file.read() == b"x" * 60


async def test_a_start_empties_the_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "old").write_bytes(b"")
    (tmp_path / "mine").write_bytes(b"")
    FetcherCache(tmp_path / "cache", 1)
    assert left(tmp_path) == 0
    assert (tmp_path / "mine").exists()
