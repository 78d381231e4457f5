"""An agent that shares its journal with others: it waits, takes over, leads, and hands over.

::

    wait for the lock -> raise the epoch, load -> take the address -> prove it -> lead
             ^                                                                      |
             +------ the next process <- give the lock back <- release the address -+

Until it leads it answers nothing but pages: a master must not take it for the agent.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

from shim.agent.failover import Failover
from shim.agent.identity import machine_digest
from shim.agent.journal_lock import Holder
from shim.agent.work_dir_lock import lock_work_dir, work_dir_id
from shim.agent.zookeeper_journal import ZooKeeperJournal, zookeeper_journal
from shim.config import Config
from shim.model.ids import Pid
from shim.model.records import Snapshot
from shim.model.settings import ZooKeeperUrl
from shim.wire.tls import Tls

log = logging.getLogger(__name__)


class Standby:
    """``take_over()`` once, then ``close()``. Needs a running loop."""

    def __init__(self, url: ZooKeeperUrl, config: Config, pid: Pid, tls: Tls | None) -> None:
        """Raises FatalError when another process has the ``--work_dir``."""
        self._work_dir_lock = lock_work_dir(config.work_dir)
        self._holder = Holder(
            ip=pid.ip,
            port=pid.port,
            hostname=config.hostname,
            machine=machine_digest(),
            work_dir=work_dir_id(config.work_dir),
        )
        self.journal: ZooKeeperJournal = zookeeper_journal(
            url, self._holder, config.zk_session_timeout
        )
        self._failover = Failover(config.failover_command, pid, tls)

    async def take_over(self) -> Snapshot:
        """Wait until this agent leads and has the address. Returns everything durable.

        Raises FatalError when it cannot lead, or must not.
        """
        snapshot = await self.journal.acquire()
        former = self.journal.lock.former
        await self._failover.acquire()
        if former is not None and not former.is_on(self._holder):
            await self._failover.prove(self._holder.token)
            log.warning(
                "took over from %s. What it alone has stays there: kept logs of ended tasks, its "
                "fetcher cache, its counters. The output of running tasks is read again",
                former,
            )
        return snapshot

    @property
    def lost(self) -> asyncio.Future[str]:
        """Why this agent does not lead any more."""
        return self.journal.lock.lost

    def problems(self) -> list[str]:
        """Why a standby could not take over, or a leader sends nothing, for ``/health``."""
        return [self.journal.problem] if self.journal.problem else []

    def description(self) -> Mapping[str, Any]:
        """For the page ``/leader``."""
        return {**self.journal.description, "token": self._holder.token}

    async def close(self) -> None:
        """Give back the address, then the lock: the next leader finds the address free."""
        try:
            await self._failover.release()
        finally:
            await self.journal.close()
            os.close(self._work_dir_lock)
