"""The detectors for a fixed master and for ZooKeeper, with a real ZooKeeper."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from shim import limits
from shim.errors import PeerError
from shim.model.ids import Pid
from shim.model.settings import StaticMaster, ZooKeeperMaster
from shim.protos import mesos_pb2 as mesos
from shim.wire.detect import Detector, StaticDetector
from shim.wire.zookeeper import ZooKeeperDetector, leader_of, pid_in
from tests.support.wait import patience
from tests.wire.conftest import TcpProxy

ONE, TWO = Pid("master", "10.0.0.1", 5050), Pid("master", "10.0.0.2", 5050)
RECORDED = Path(__file__).parents[1] / "data/transcripts/zookeeper.json"


def test_the_smallest_sequence_leads_whatever_its_label() -> None:
    children = ["json.info_0000000012", "info_0000000007", "log_replicas", "0000000009", "x"]
    assert leader_of(children) == "info_0000000007"
    assert leader_of([*children, "0000000003"]) == "0000000003"
    assert leader_of(["log_replicas"]) is None
    assert leader_of([]) is None


def test_the_node_formats_of_masters() -> None:
    info = mesos.MasterInfo(id="i", ip=1, port=5050, pid=str(ONE))
    assert pid_in("json.info_0000000001", json.dumps({"pid": str(ONE)}).encode()) == ONE
    assert pid_in("info_0000000001", info.SerializeToString()) == ONE
    assert pid_in("0000000001", str(ONE).encode()) == ONE
    (recorded,) = json.loads(RECORDED.read_text())["children"].items()
    data = json.dumps(recorded[1]["data"]).encode()
    assert pid_in(recorded[0], data) == Pid("master", "127.0.0.1", 5050)


@pytest.mark.parametrize(
    ("node", "data"),
    [
        ("json.info_1", b"{"),
        ("json.info_1", b"{}"),
        ("json.info_1", b"[]"),
        ("json.info_1", b'{"pid": 7}'),
        ("json.info_1", b'{"pid": "master"}'),
        ("info_1", b"\xff\xff"),
        ("info_1", b""),
        ("1", b"\xff"),
        ("yaml.info_1", b"pid: x"),
    ],
)
def test_invalid_nodes(node: str, data: bytes) -> None:
    with pytest.raises(PeerError, match=f"node {node}"):
        pid_in(node, data)


class Seen(list[Pid | None]):
    """The reports of a detector."""

    def __init__(self) -> None:
        self._more = asyncio.Event()

    def __call__(self, leader: Pid | None) -> None:
        self.append(leader)
        self._more.set()

    async def until(self, holds: Callable[[Seen], bool]) -> None:
        async with patience():
            while not holds(self):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def running(detector: Detector) -> AsyncIterator[Seen]:
    seen = Seen()
    task = asyncio.ensure_future(detector.run(seen))
    yield seen
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with patience():
            await task


async def test_a_static_master_is_found_once() -> None:
    async with running(StaticDetector(StaticMaster("localhost", 5050))) as seen:
        await seen.until(lambda s: len(s) == 1)
        await asyncio.sleep(0.05)
    assert seen == [Pid("master", "127.0.0.1", 5050)]


async def test_a_name_may_be_registered_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DNS_RETRY", 0.01)
    wrong = UnicodeError("label empty or too long")
    answers = iter([socket.gaierror("not yet"), wrong, [(0, 0, 0, "", ("10.0.0.1", 5050))]])

    async def getaddrinfo(*_: object, **__: object) -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with running(StaticDetector(StaticMaster("m1", 5050))) as seen:
        await seen.until(lambda s: s == [ONE])


async def test_the_static_detector_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> object:
        raise socket.gaierror("never")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with running(StaticDetector(StaticMaster("m1", 5050))) as seen:
        await asyncio.sleep(0.01)
    assert seen == []


# --- a real ZooKeeper -----------------------------------------------------------------------

SESSION = 5.0


def following(port: int, credentials: str | None = None) -> ZooKeeperDetector:
    return ZooKeeperDetector(
        ZooKeeperMaster((f"127.0.0.1:{port}",), "/mesos", credentials), SESSION
    )


async def stand(zk: KazooClient, pid: Pid, label: str = "json.info_") -> str:
    """Let a master join the group; returns its node."""
    data = json.dumps({"pid": str(pid)}).encode()
    return str(
        await asyncio.to_thread(
            zk.create, f"/mesos/{label}", data, ephemeral=True, sequence=True, makepath=True
        )
    )


async def fall(zk: KazooClient, node: str) -> None:
    await asyncio.to_thread(zk.delete, node)


@pytest.mark.needs_zookeeper
async def test_elections_are_followed(zookeeper: int, zk: KazooClient) -> None:
    async with running(following(zookeeper)) as seen:
        await asyncio.sleep(0.3)
        assert seen == [], "no group yet"
        zk.create("/mesos/log_replicas", b"", makepath=True)
        one = await stand(zk, ONE)
        await seen.until(lambda s: s == [ONE])
        two = await stand(zk, TWO)
        await asyncio.sleep(0.1)
        assert seen == [ONE], "a follower is no change"
        await fall(zk, one)
        await seen.until(lambda s: s == [ONE, TWO])
        await fall(zk, two)
        await seen.until(lambda s: s == [ONE, TWO, None])
        await stand(zk, ONE)
        await seen.until(lambda s: s == [ONE, TWO, None, ONE])


@pytest.mark.needs_zookeeper
async def test_a_master_that_restarts_at_its_address_is_a_new_leader(
    zookeeper: int, zk: KazooClient
) -> None:
    """The old node stays until its session ends. The new one has another sequence number."""
    before = await stand(zk, ONE)
    async with running(following(zookeeper)) as seen:
        await seen.until(lambda s: s == [ONE])
        await stand(zk, ONE)
        await fall(zk, before)
        await seen.until(lambda s: s == [ONE, ONE])


@pytest.mark.needs_zookeeper
async def test_an_unreadable_leader_is_no_leader(
    zookeeper: int, zk: KazooClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ZK_RETRY", 0.1)
    strange = await stand(zk, ONE, "yaml.info_")
    await stand(zk, TWO)
    async with running(following(zookeeper)) as seen:
        await asyncio.sleep(0.5)
        assert seen == []
        await fall(zk, strange)
        await seen.until(lambda s: s == [TWO])


@pytest.mark.needs_zookeeper
async def test_a_short_loss_of_zookeeper_changes_nothing(zk: KazooClient, proxy: TcpProxy) -> None:
    await stand(zk, ONE)
    async with running(following(proxy.port)) as seen:
        await seen.until(lambda s: s == [ONE])
        await proxy.shut()
        await asyncio.sleep(0.2)
        await proxy.open()
        await asyncio.sleep(SESSION + 0.3)
        assert seen == [ONE]
        await stand(zk, TWO)
        await fall(zk, f"/mesos/{leader_of(zk.get_children('/mesos'))}")
        await seen.until(lambda s: s == [ONE, TWO])


@pytest.mark.needs_zookeeper
async def test_an_election_during_a_short_loss_is_noticed(zk: KazooClient, proxy: TcpProxy) -> None:
    one = await stand(zk, ONE)
    await stand(zk, TWO)
    async with running(following(proxy.port)) as seen:
        await seen.until(lambda s: s == [ONE])
        await proxy.shut()
        await fall(zk, one)
        await proxy.open()
        await seen.until(lambda s: s == [ONE, TWO])


@pytest.mark.needs_zookeeper
async def test_without_zookeeper_for_a_session_timeout_there_is_no_leader(
    zk: KazooClient, proxy: TcpProxy
) -> None:
    await stand(zk, ONE)
    async with running(following(proxy.port)) as seen:
        await seen.until(lambda s: s == [ONE])
        await proxy.shut()
        began = asyncio.get_running_loop().time()
        await seen.until(lambda s: s == [ONE, None])
        assert asyncio.get_running_loop().time() - began >= SESSION * 0.9
        await proxy.open()
        await seen.until(lambda s: s == [ONE, None, ONE])


@pytest.mark.needs_zookeeper
async def test_the_event_loop_is_never_blocked(
    zk: KazooClient, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare the event loop with a thread beside it, which shares the machine as well, while the
    detector connects, loses its connection and ends."""
    stop = KazooClient.stop

    def slow(self: KazooClient) -> None:
        time.sleep(1)
        stop(self)

    monkeypatch.setattr(KazooClient, "stop", slow)
    worst = {"loop": 0.0, "thread": 0.0}
    over = threading.Event()

    async def tick() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            worst["loop"] = max(worst["loop"], time.monotonic() - began)

    def tick_beside() -> None:
        while not over.is_set():
            began = time.monotonic()
            time.sleep(0.01)
            worst["thread"] = max(worst["thread"], time.monotonic() - began)

    beside = threading.Thread(target=tick_beside, daemon=True)
    beside.start()
    ticking = asyncio.ensure_future(tick())
    await asyncio.to_thread(zk.ensure_path, "/mesos")
    await stand(zk, ONE)
    async with running(following(proxy.port)) as seen:
        await seen.until(lambda s: s == [ONE])
        await proxy.shut()
        await asyncio.sleep(0.3)
    await asyncio.sleep(0.05)
    ticking.cancel()
    over.set()
    beside.join()
    assert worst["loop"] < 0.5 + 5 * worst["thread"], worst


@pytest.mark.needs_zookeeper
async def test_credentials_are_used_and_not_logged(
    zookeeper: int,
    zk: KazooClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(limits, "ZK_RETRY", 0.2)
    zk.create("/mesos", b"", acl=[make_digest_acl("user", "s3cret", all=True)])
    zk.add_auth("digest", "user:s3cret")
    await stand(zk, ONE)
    caplog.clear()
    async with running(following(zookeeper)) as unauthenticated:
        async with running(following(zookeeper, "user:s3cret")) as friend:
            await friend.until(lambda s: s == [ONE])
        assert unauthenticated == []
    zk.delete("/mesos", recursive=True)
    assert "NoAuthError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_the_zookeeper_detector_can_be_cancelled() -> None:
    async with running(following(1)) as seen:
        await asyncio.sleep(0.1)
    assert seen == []
