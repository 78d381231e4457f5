"""The leading master in ZooKeeper: the child of the group with the smallest sequence number.

A lost connection does not change the leader. There is no leader when the session is
lost, or when the connection is lost for as long as a session lasts.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from google.protobuf.message import DecodeError
from kazoo.client import KazooState
from kazoo.exceptions import ConnectionLoss, KazooException, NoNodeError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError

from shim import limits
from shim.errors import PeerError
from shim.model.ids import Pid
from shim.model.json_text import load_json
from shim.model.settings import ZooKeeperMaster
from shim.protos import mesos_pb2 as mesos
from shim.wire.detect import OnChange
from shim.wire.zookeeper_client import ZooKeeperClient

log = logging.getLogger(__name__)

_CANDIDATE = re.compile(r"(?:(?P<label>.*)_)?(?P<sequence>-?\d+)", re.ASCII | re.DOTALL)
_READ_AGAIN = "read again"
_CONNECTION_LOST = (ConnectionLoss, SessionExpiredError, KazooTimeoutError)
"""Errors that the client's state reports as well. The state decides what to do."""


class Leader(NamedTuple):
    """A term of a leading master. A master that restarts has the same pid and another node."""

    node: str
    pid: Pid


OnLeader = Callable[[Leader | None], None]


def leader_of(children: Iterable[str]) -> str | None:
    """The leading master's node among the children of the group. Other children are skipped."""
    candidates = [found for child in children if (found := _CANDIDATE.fullmatch(child))]
    leader = min(candidates, key=lambda found: int(found["sequence"]), default=None)
    return leader and leader[0]


def pid_in(node: str, data: bytes) -> Pid:
    """The pid that a master wrote to its node. Raises PeerError for any other content."""
    found = _CANDIDATE.fullmatch(node)
    label = found and found["label"]
    try:
        match label:
            case "json.info":
                return Pid.parse(load_json(data)["pid"])
            case "info":
                return Pid.parse(mesos.MasterInfo.FromString(data).pid)
            case None:
                return Pid.parse(data.decode())
    except (ValueError, KeyError, TypeError, AttributeError, DecodeError) as error:
        raise PeerError(f"node {node}: {error!r}") from None
    raise PeerError(f"node {node}: unknown label {label!r}")


class ZooKeeperDetector:
    """Follows the group of masters. Starts a new session when the old one is lost."""

    def __init__(
        self, master: ZooKeeperMaster, session_timeout: float = limits.ZK_SESSION_TIMEOUT
    ) -> None:
        self._master = master
        self._session_timeout = session_timeout
        self._ending: set[asyncio.Future[None]] = set()

    async def run(self, on_change: OnChange) -> None:
        """Run until cancelled. Then end the session in ZooKeeper, if ZooKeeper is reachable."""
        try:
            await self._follow(on_change)
        finally:
            await asyncio.gather(*self._ending)

    async def _follow(self, on_change: OnChange) -> None:
        leader: Leader | None = None

        def report(found: Leader | None) -> None:
            nonlocal leader
            if found != leader:
                leader = found
                log.info("leading master: %s", found.pid if found else "none")
                on_change(found.pid if found else None)

        while True:
            session = _ZooKeeperSession(self._master, self._session_timeout)
            try:
                await session.follow(report)
            finally:
                self._end(session)
            report(None)
            await asyncio.sleep(limits.ZK_NEW_SESSION)

    def _end(self, session: _ZooKeeperSession) -> None:
        """End the session in a thread: with an unreachable ZooKeeper this takes seconds."""
        ending = asyncio.get_running_loop().run_in_executor(None, session.end)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class _ZooKeeperSession:
    """One ZooKeeper session: its client and the events of the client's threads."""

    def __init__(self, master: ZooKeeperMaster, timeout: float) -> None:
        self._path = master.path
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._client = ZooKeeperClient(
            master.hosts, timeout, master.credentials, self._events.put_nowait
        )

    async def follow(self, report: OnLeader) -> None:
        """Report the leader until the session is lost."""
        self._client.start()
        deadline: float | None = None
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._events.get()
            except TimeoutError:
                log.warning(
                    "ZooKeeper has not answered for %g s: no leader is known", self._timeout
                )
                return
            if event == KazooState.LOST:
                return
            if event == KazooState.SUSPENDED:
                deadline = self._loop.time() + self._timeout
            elif event == KazooState.CONNECTED:
                deadline = None
            if deadline is None:
                await self._report_leader(report)

    async def _report_leader(self, report: OnLeader) -> None:
        try:
            report(await self._leader())
        except _CONNECTION_LOST:
            return
        except (KazooException, PeerError) as error:
            log.warning("the leader cannot be read from ZooKeeper: %r", error)
            report(None)
            self._loop.call_later(limits.ZK_RETRY, self._events.put_nowait, _READ_AGAIN)

    async def _leader(self) -> Leader | None:
        kazoo, path, watch = self._client.kazoo, self._path, self._on_change
        future = self._client.future
        while True:
            try:
                node = leader_of(await future(kazoo.get_children_async(path, watch=watch)))
                if node is None:
                    return None
                data, _ = await future(kazoo.get_async(f"{path}/{node}"))
                return Leader(node, pid_in(node, data))
            except NoNodeError:
                # The leader left between two reads: read again. Or the group does not exist yet:
                # watch for its creation.
                if not await future(kazoo.exists_async(path, watch=watch)):
                    return None

    def _on_change(self, _: object) -> None:
        """Runs in a thread of kazoo's."""
        self._client.call_on_loop(self._events.put_nowait, _READ_AGAIN)

    def end(self) -> None:
        """Close the client. Blocks for ten seconds or so at most."""
        self._client.end()
