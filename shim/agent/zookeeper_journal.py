"""The journal in ZooKeeper: agents on several machines share it, and one of them leads.

``acquire()`` waits for the lock and loads. From then on each commit is one ``multi``: a check of
the epoch, one new node of the log, and nodes of the log that go. A commit of more than a node's
size takes several; the last one makes all of them count. ``journal_lock.py`` says who leads,
``journal_log.py`` what the nodes hold.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from shim import limits
from shim.agent.journal_codec import changes_of, read_snapshot
from shim.agent.journal_lock import Holder, JournalLock
from shim.agent.journal_log import JournalLog, Part
from shim.agent.lease import DECISIONS, Outcome, Step
from shim.errors import FatalError
from shim.model.records import Record, Snapshot
from shim.model.settings import ZooKeeperUrl
from shim.wire.zookeeper_client import Create, Delete, OperationRefused, Refusal, Unanswered

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Unfinished:
    """A batch that is being written. Its first parts may be durable."""

    records: Sequence[Record]
    parts: deque[Part]
    deleted: Sequence[int]


class ZooKeeperJournal:
    """``acquire()`` once, then any number of ``commit()``, then ``close()``."""

    def __init__(self, url: ZooKeeperUrl, holder: Holder, lock: JournalLock) -> None:
        self._url = url
        self._holder = holder
        self.lock = lock
        self._client = lock.client
        self._log = JournalLog()
        self._unfinished: _Unfinished | None = None

    async def acquire(self) -> Snapshot:
        """Wait until this agent leads, then load everything durable.

        Raises FatalError when the journal cannot be used: damaged, of a newer version, or of
        another user.
        """
        self._client.start()
        while True:
            try:
                await self.lock.take()
                return await self._load()
            except Unanswered as error:
                log.warning("journal %s cannot be loaded: %s", self._url, error)
                self.lock.step_back()
                await asyncio.sleep(limits.ZK_NEW_SESSION)
            except (OperationRefused, DecodeError, UnicodeDecodeError) as error:
                raise FatalError(f"--journal={self._url}: {_reason(error)}") from error

    async def _load(self) -> Snapshot:
        began = self.lock.clock()
        numbers = sorted(map(int, await self._client.children(self.lock.path("log"))))
        parts: list[Part] = []
        for start in range(0, len(numbers), limits.JOURNAL_READS):
            some = numbers[start : start + limits.JOURNAL_READS]
            nodes = await asyncio.gather(*(self._client.get(self._node(n)) for n in some))
            parts += [Part(n, node.data) for n, node in zip(some, nodes, strict=True)]
        abandoned, snapshot = await asyncio.to_thread(self._replay, parts)
        for start in range(0, len(abandoned), limits.JOURNAL_DELETES):
            deletes = map(self._delete, abandoned[start : start + limits.JOURNAL_DELETES])
            if await self.lock.write(*deletes) is not Outcome.DONE:
                raise Unanswered(self.lock.reason)
        log.info(
            "journal %s: %d nodes with %d tasks loaded in %.1f s",
            *(self._url, len(parts), len(snapshot.tasks), self.lock.clock() - began),
        )
        return snapshot

    def _replay(self, parts: Sequence[Part]) -> tuple[Sequence[int], Snapshot]:
        """In a thread: the event loop has a lease to renew."""
        self._log = JournalLog()
        self._log.epoch = self.lock.epoch
        abandoned = self._log.replay(parts)
        return abandoned, read_snapshot(self._log.rows)

    # --- leading --------------------------------------------------------------------------

    def may_act(self) -> bool:
        """Whether orders may be carried out now."""
        return self.lock.may_act()

    async def confirm(self) -> None:
        """Return once :meth:`may_act` is true. Transient: not now. FatalError: never again."""
        await self.lock.confirm()

    async def commit(self, batch: Sequence[Record]) -> None:
        """Make the records durable, all or none. After Transient only the same batch may follow."""
        if self._unfinished is None:
            written = self._log.append(changes_of(batch))
            self._unfinished = _Unfinished(batch, deque(written.parts), written.deleted)
        work = self._unfinished
        assert work.records is batch, "the outcome of an earlier batch is not known yet"
        while work.parts:
            part = work.parts[0]
            deleted = work.deleted if len(work.parts) == 1 else ()
            self.lock.finish(await self._write(part, deleted))
            work.parts.popleft()
        self._unfinished = None

    async def _write(self, part: Part, deleted: Sequence[int]) -> Step:
        create = Create(self._node(part.number), part.data)
        step = Step.WRITE
        while step in DECISIONS:
            if step is Step.WRITE:
                outcome = await self.lock.write(create, *map(self._delete, deleted))
            else:
                outcome = await self._compare(create)
            step = DECISIONS[step][outcome]
        return step

    async def _compare(self, written: Create) -> Outcome:
        try:
            found = await self._client.get(written.path)
        except Unanswered:
            return Outcome.UNANSWERED
        except OperationRefused as error:
            missing = error.refusal is Refusal.NO_NODE
            return Outcome.ABSENT if missing else Outcome.REFUSED
        return Outcome.SAME if found.data == written.data else Outcome.DIFFERENT

    async def close(self) -> None:
        """Give the lock back, so that a standby takes over at once. After the last commit."""
        await self.lock.close()

    # --- for pages ------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why nothing is sent, or why this standby could not take over; else empty."""
        return self.lock.problem

    @property
    def description(self) -> Mapping[str, Any]:
        """For the page ``/leader``."""
        lock = self.lock
        return {
            "leading": lock.leads,
            "epoch": lock.epoch,
            "leader": str(lock.leader) if lock.leader else None,
            "self": str(self._holder),
            "journal": str(self._url),
        }

    def _node(self, number: int) -> str:
        return self.lock.path(f"log/{number:010d}")

    def _delete(self, number: int) -> Delete:
        return Delete(self._node(number))


def _reason(error: Exception) -> str:
    if isinstance(error, OperationRefused) and error.refusal is Refusal.NO_AUTH:
        return f"another user or password than the journal was made with ({error})"
    return str(error)


def zookeeper_journal(
    url: ZooKeeperUrl, holder: Holder, session_timeout: float
) -> ZooKeeperJournal:
    """Needs a running loop."""
    return ZooKeeperJournal(url, holder, JournalLock(url, holder, session_timeout))
