"""A ZooKeeper ensemble in memory, and clients with the interface of ZooKeeperClient.

``tests/wire/test_zookeeper_client.py`` holds it to the behaviour of a real server.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shim.wire.zookeeper_client import (
    CheckVersion,
    Create,
    Delete,
    Node,
    Operation,
    OperationRefused,
    Refusal,
    SetData,
    Unanswered,
)


@dataclass
class FakeEnsemble:
    """The nodes, and the sessions that are alive."""

    nodes: dict[str, Node] = field(default_factory=dict)
    alive: set[int] = field(default_factory=set)
    writes: list[tuple[Operation, ...]] = field(default_factory=list)
    """Every multi that was carried out."""
    clients: list[FakeZooKeeper] = field(default_factory=list)
    _watches: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    _sessions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def new_session(self) -> int:
        session = next(self._sessions)
        self.alive.add(session)
        return session

    def expire(self, session: int) -> None:
        """The session's ephemeral nodes go with it."""
        self.alive.discard(session)
        for path in [path for path, node in self.nodes.items() if node.owner == session]:
            self._remove(path)

    def apply(self, session: int, operations: Sequence[Operation]) -> None:
        """All or none. Raises OperationRefused."""
        before = dict(self.nodes)
        watches, self._watches = self._watches, []
        try:
            for number, operation in enumerate(operations):
                if refusal := self._carry_out(session, operation):
                    raise OperationRefused(refusal, "multi", number)
        except OperationRefused:
            self.nodes = before
            self._watches = watches
            raise
        self.writes.append(tuple(operations))
        changed = before.keys() ^ self.nodes.keys()
        for path, call in watches:
            if path in changed:
                asyncio.get_running_loop().call_soon(call)
            else:
                self._watches.append((path, call))

    def _carry_out(self, session: int, operation: Operation) -> Refusal | None:
        path = operation.path
        found = self.nodes.get(path)
        match operation:
            case Create(_, data, ephemeral):
                parent = path.rpartition("/")[0]
                if found is not None:
                    return Refusal.NODE_EXISTS
                if parent and parent not in self.nodes:
                    return Refusal.NO_NODE
                self.nodes[path] = Node(data, 0, session if ephemeral else 0)
            case _ if found is None:
                return Refusal.NO_NODE
            case CheckVersion(_, version):
                return None if version == found.version else Refusal.BAD_VERSION
            case SetData(_, data, version):
                if version not in (-1, found.version):
                    return Refusal.BAD_VERSION
                self.nodes[path] = Node(data, found.version + 1, found.owner)
            case Delete():
                del self.nodes[path]
        return None

    def _remove(self, path: str) -> None:
        del self.nodes[path]
        for watch in [watch for watch in self._watches if watch[0] == path]:
            self._watches.remove(watch)
            asyncio.get_running_loop().call_soon(watch[1])

    def watch(self, path: str, call: Callable[[], None]) -> None:
        self._watches.append((path, call))


class FakeZooKeeper:
    """A client. ``lose`` decides about each multi: ``request``, ``answer`` or nothing is lost."""

    def __init__(
        self,
        ensemble: FakeEnsemble,
        on_state: Callable[[str], None] = lambda state: None,
        latency: float = 0.001,
    ) -> None:
        self._ensemble = ensemble
        self._on_state = on_state
        self.latency = latency
        self.connected = False
        self.session = 0
        self.lose: Callable[[tuple[Operation, ...]], str] = lambda operations: ""
        ensemble.clients.append(self)

    def start(self) -> None:
        self.reconnect()

    def reconnect(self) -> None:
        """As kazoo: in the old session while it is alive, else in a new one."""
        if self.session not in self._ensemble.alive:
            self.session = self._ensemble.new_session()
        self.connected = True
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._on_state, "CONNECTED")

    def disconnect(self) -> None:
        self.connected = False
        asyncio.get_running_loop().call_soon(self._on_state, "SUSPENDED")

    async def _answer(self) -> None:
        self._check_connected()
        await asyncio.sleep(self.latency)
        self._check_connected()

    def _check_connected(self) -> None:
        if not self.connected:
            raise Unanswered("ZooKeeper at fake does not answer")
        if self.session not in self._ensemble.alive:
            raise Unanswered("ZooKeeper at fake did not answer (SessionExpiredError)")

    async def multi(self, *operations: Operation) -> None:
        await self._answer()
        lost = self.lose(operations)
        if lost == "request":
            raise Unanswered("ZooKeeper at fake did not answer (ConnectionLoss)")
        self._ensemble.apply(self.session, operations)
        await asyncio.sleep(0)
        if lost == "answer":
            raise Unanswered("ZooKeeper at fake did not answer (ConnectionLoss)")

    async def get(self, path: str) -> Node:
        await self._answer()
        if path not in self._ensemble.nodes:
            raise OperationRefused(Refusal.NO_NODE, path)
        return self._ensemble.nodes[path]

    async def children(self, path: str) -> Sequence[str]:
        await self._answer()
        start = f"{path}/"
        below = [name.removeprefix(start) for name in self._ensemble.nodes if start in name]
        return [name for name in below if "/" not in name]

    async def exists(self, path: str, on_change: Callable[[], None] | None = None) -> bool:
        await self._answer()
        if on_change is not None:
            self._ensemble.watch(path, on_change)
        return path in self._ensemble.nodes

    async def ensure_path(self, path: str) -> None:
        await self._answer()
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            self._ensemble.nodes.setdefault("/" + "/".join(parts[:end]), Node(b"", 0, 0))

    def end(self) -> None:
        """In any thread, as kazoo's."""
        self.connected = False
        self._loop.call_soon_threadsafe(self._ensemble.expire, self.session)
