"""Downloads from servers that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shim import limits
from shim.engine.fetch.download import Downloader, run_in_pool
from shim.engine.fetch.uris import FetchItem
from shim.errors import Permanent
from tests.engine.fetch.server import Server


def item(url: str) -> FetchItem:
    return FetchItem(url, "x", False, None, False)


@pytest.fixture
async def downloader(tmp_path: Path) -> AsyncIterator[Downloader]:
    with ThreadPoolExecutor(1) as pool:
        made = Downloader(pool, tmp_path / "root")
        yield made
        await made.close()


class Got:
    def __init__(self, downloader: Downloader, path: Path) -> None:
        self._downloader, self._path = downloader, path
        self.reports: list[str] = []

    async def bytes(self, url: str) -> bytes:
        await self._downloader.fetch(item(url), self._path, self.reports.append)
        return self._path.read_bytes()

    async def refusal(self, url: str) -> str:
        with pytest.raises(Permanent) as caught:
            await self.bytes(url)
        return str(caught.value)


@pytest.fixture
def got(downloader: Downloader, tmp_path: Path) -> Got:
    return Got(downloader, tmp_path / "file")


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_the_whole_content_is_written(got: Got, server: Server, size: int) -> None:
    server.files["a"] = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    assert await got.bytes(server.url("a")) == server.files["a"]


async def test_a_compressed_file_stays_compressed(got: Got, server: Server) -> None:
    """Servers send .gz files with Content-Encoding gzip."""
    server.files["a.gz"] = gzip.compress(b"1")
    assert await got.bytes(server.url("a.gz")) == server.files["a.gz"]
    assert server.headers["Accept-Encoding"] == "identity"


async def test_the_url_is_requested_as_written(got: Got, server: Server) -> None:
    server.files["a%2Fb?sig=x%2By%3D&e={1}"] = b"1"
    assert await got.bytes(server.url("a%2Fb?sig=x%2By%3D&e={1}")) == b"1"


async def test_redirects_are_followed(got: Got, server: Server) -> None:
    server.files["a"] = b"1"
    assert await got.bytes(server.url("onward?to=/onward%3Fto%3D/a")) == b"1"


async def test_endless_redirects_are_refused(got: Got, server: Server) -> None:
    circle = server.url("onward?to=") + "/onward%3Fto%3D" * 12
    assert "redirects" in await got.refusal(circle) or "404" in await got.refusal(circle)


async def test_a_redirect_to_a_file_uri_is_refused(got: Got, server: Server) -> None:
    assert "file:///etc/passwd" in await got.refusal(server.url("onward?to=file:///etc/passwd"))


async def test_a_404_is_named(got: Got, server: Server) -> None:
    url = server.url("nothing")
    assert await got.refusal(url) == f"{url}: the server answered 404 Not Found"


async def test_a_password_is_sent_and_not_shown(got: Got, server: Server) -> None:
    url = server.url("nothing").replace("//", "//me:secret@")
    assert await got.refusal(url) == f"{server.url('nothing')}: the server answered 404 Not Found"
    assert server.headers["Authorization"].startswith("Basic ")


async def test_a_stalled_download_ends_after_the_idle_timeout(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FETCH_STALL", 0.3)
    with ThreadPoolExecutor(1) as pool:
        downloader = Downloader(pool)
        url = server.url("stall/a")
        error = await Got(downloader, tmp_path / "file").refusal(url)
        await downloader.close()
    assert error == f"{url}: no byte came for 0.3 s"


async def test_a_broken_connection_is_named(got: Got, server: Server) -> None:
    assert "the connection broke after" in await got.refusal(server.url("cut/a"))


async def test_a_content_length_beyond_the_bound_is_refused(
    got: Got, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FETCH_BYTES", 100)
    server.files["a"] = bytes(101)
    assert "it has more than 100 bytes" in await got.refusal(server.url("a"))


async def test_an_endless_download_is_refused_at_the_bound(
    got: Got, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FETCH_BYTES", 3_000_000)
    assert "it has more than 3000000 bytes" in await got.refusal(server.url("endless/a"))


async def test_a_refused_connection_is_named(got: Got) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert f"cannot connect to 127.0.0.1:{port}" in await got.refusal(f"http://127.0.0.1:{port}/a")


async def test_an_unknown_host_is_named(got: Got) -> None:
    assert "cannot connect to nowhere.invalid:80" in await got.refusal("http://nowhere.invalid/a")


async def test_progress_is_reported(
    got: Got, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PULL_REPORT_INTERVAL", 0.0)
    server.files["a"] = bytes(3_000_000)
    await got.bytes(server.url("a"))
    assert got.reports[-1].endswith("of 3000000 bytes")


async def test_a_cancelled_download_leaves_no_running_thread(got: Got, server: Server) -> None:
    fetch = asyncio.create_task(got.bytes(server.url("endless/a")))
    await asyncio.sleep(0.3)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert threading.active_count() < 8


async def test_file_uris_read_below_the_root_only(got: Got, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "good one").write_bytes(b"1")
    (tmp_path / "secret").write_bytes(b"2")
    (root / "link").symlink_to(tmp_path / "secret")
    assert await got.bytes(f"file://{root}/good%20one") == b"1"
    assert await got.bytes(f"file://localhost{root}/good%20one") == b"1"
    for bad in (f"{root}/link", f"{root}/../secret", f"{tmp_path}/secret", f"{root}/none", root):
        assert f"no file below {root}" in await got.refusal(f"file://{bad}")
    assert "--fetcher_file_root" in await got.refusal(f"file://mounted{root}/good%20one")


# --- work in threads ------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


async def test_run_in_pool_returns_the_result_or_raises_the_error(pool: ThreadPoolExecutor) -> None:
    assert await run_in_pool(pool, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_in_pool(pool, lambda: 1 // 0)


async def test_a_cancelled_run_in_pool_waits_for_its_thread(pool: ThreadPoolExecutor) -> None:
    begun, asked_to_end, log = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        assert asked_to_end.wait(10)
        log.append("the thread is done")

    working = asyncio.create_task(run_in_pool(pool, work, on_cancel=asked_to_end.set))
    await asyncio.to_thread(begun.wait, 10)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert log == ["the thread is done"]
