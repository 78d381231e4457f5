"""Who leads: the lock, the epoch and the lease of a journal in ZooKeeper.

The lock is an ephemeral node. The machine that creates it raises the epoch and leads. From then on
every write carries a check of the epoch. ``lease.py`` holds the decisions and names the nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shim import limits
from shim.agent.lease import DECISIONS, Lease, Outcome, Step
from shim.errors import FatalError, Transient
from shim.model.settings import ZooKeeperUrl
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
    ZooKeeperClient,
)

log = logging.getLogger(__name__)

_OUTCOMES = {
    Refusal.NODE_EXISTS: Outcome.NODE_EXISTS,
    Refusal.NO_NODE: Outcome.NODE_MISSING,
}


class Client(Protocol):
    """What the journal needs of :class:`ZooKeeperClient`."""

    connected: bool

    @property
    def session(self) -> int: ...
    def start(self) -> None: ...
    async def multi(self, *operations: Operation) -> None: ...
    async def get(self, path: str) -> Node: ...
    async def children(self, path: str) -> Sequence[str]: ...
    async def exists(self, path: str, on_change: Callable[[], None] | None = None) -> bool: ...
    async def ensure_path(self, path: str) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Holder:
    """An agent that leads or waits, as it describes itself in ZooKeeper."""

    ip: str
    port: int
    """Where the master reaches the agent."""
    hostname: str
    """As ``--hostname`` gives it; else empty."""
    machine: str
    """A digest of the machine."""
    work_dir: str
    """The id of its ``--work_dir``: machines may look alike, as containers of one image do."""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Of this process."""

    def __str__(self) -> str:
        return f"{self.ip}:{self.port} (host {self.host}, pid {self.pid})"

    def is_on(self, other: Holder) -> bool:
        """Of the same machine and work_dir: an earlier or a later process of the same agent."""
        return (self.machine, self.work_dir) == (other.machine, other.work_dir)

    def difference(self, other: Holder) -> str:
        """How the agent's address would change if the other took over; empty if it would not."""
        if self.ip != other.ip:
            return f"--advertise_ip={other.ip}"
        if self.hostname and other.hostname and self.hostname != other.hostname:
            return f"--hostname={other.hostname}"
        return ""

    @property
    def data(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def parse(cls, data: bytes) -> Holder | None:
        """None for anything else."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None


class JournalLock:
    """``take()`` until it succeeds, then any number of ``write()``, then ``close()``.

    Needs a running loop.
    """

    def __init__(
        self,
        url: ZooKeeperUrl,
        holder: Holder,
        session_timeout: float,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[..., Client] = ZooKeeperClient,
    ) -> None:
        self._url = url
        self._holder = holder
        self._session_timeout = session_timeout
        self.clock = clock
        self._changed = asyncio.Event()
        """Something happened that a waiting agent must look at."""
        self.client = connect(url.hosts, session_timeout, url.credentials, self._state_changed)
        self._lock_session = 0
        """The session that the lock was taken in."""
        self.epoch = 0
        self._renewing: asyncio.Task[None] | None = None
        self._confirmed = True
        """The lease was confirmed, as far as the log says."""
        self.lease = Lease(session_timeout)
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why this agent does not lead any more, in one line."""
        self.leader: Holder | None = None
        """Who leads, as far as is known."""
        self.former: Holder | None = None
        """Who led before this agent took over."""
        self.reason = "ZooKeeper has not answered yet"
        """Why the last request had no effect; empty when it had one."""

    # --- taking over ----------------------------------------------------------------------

    async def take(self) -> None:
        """Wait until this agent leads. Raises OperationRefused when ZooKeeper does not allow it."""
        while True:
            self._changed.clear()
            try:
                if await self._try_to_lead():
                    return
                self.reason = ""
                await self._wait_for_change()
            except Unanswered as error:
                self.reason = str(error)
                await asyncio.sleep(limits.ZK_NEW_SESSION)

    async def _try_to_lead(self) -> bool:
        await self.client.ensure_path(self.path("log"))
        for name in ("epoch", "lease"):
            with unless(Refusal.NODE_EXISTS):
                await self.client.multi(Create(self.path(name)))
        if not await self._take_lock():
            return False
        return await self._raise_epoch()

    async def _take_lock(self) -> bool:
        session = self.client.session
        try:
            await self.client.multi(Create(self.path("leader"), self._holder.data, True))
        except OperationRefused as error:
            if error.refusal is not Refusal.NODE_EXISTS:
                raise
            found = await self._get("leader")
            if found is None:
                self._changed.set()  # It went meanwhile: try again.
                return False
            if found.owner != session:
                await self._look_at(found)
                return False
        self._lock_session = session
        return True

    async def _look_at(self, lock: Node) -> None:
        """Another session holds the lock: remember whose it is."""
        leader = Holder.parse(lock.data)
        if leader != self.leader:
            log.info("standby: %s leads; waiting for its session in ZooKeeper to end", leader)
        self.leader = leader
        if leader is None:
            return
        if difference := leader.difference(self._holder):
            raise FatalError(
                f"{difference}: the agent of --journal={self._url} is registered as {leader}, and "
                "a master dismisses an agent that comes back under another address, with all its "
                "tasks: give both agents one --advertise_ip and --hostname (see --failover_command)"
            )
        if self._is_own_earlier(leader):
            log.info("the lock of the earlier process %d of this work_dir is removed", leader.pid)
            with unless(Refusal.NO_NODE):
                await self.client.multi(Delete(self.path("leader")))
            self._changed.set()

    def _is_own_earlier(self, other: Holder | None) -> bool:
        """An earlier process with this work_dir: the lock of the work_dir shows that it ended."""
        mine = self._holder
        return other is not None and other.token != mine.token and other.is_on(mine)

    async def _raise_epoch(self) -> bool:
        """From its answer on, no other agent's write has an effect."""
        before = await self._get("epoch")
        lease = await self._get("lease")
        if before is None or lease is None:
            return False
        sent = self.clock()
        try:
            await self.client.multi(SetData(self.path("epoch"), self._holder.data, before.version))
        except OperationRefused as error:
            if error.refusal is not Refusal.BAD_VERSION:
                raise
            now = await self.client.get(self.path("epoch"))
            if (now.data, now.version) != (self._holder.data, before.version + 1):
                self._changed.set()
                return False
        lock = await self._get("leader")
        if lock is None or lock.owner != self._lock_session:
            self._changed.set()
            return False
        self.epoch = before.version + 1
        former = Holder.parse(before.data)
        if former != self._holder:
            self.former = former
        ended = before.version == 0 or lease.data == _released(before.version)
        wait = self._session_timeout * limits.JOURNAL_HOLD_OFF_SHARE
        if ended or self._is_own_earlier(former):
            wait = 0.0
        self.lease.begin(self.clock(), wait)
        self.lease.confirm(sent)
        self.leader, self.reason, self._confirmed = self._holder, "", True
        self._renewing = asyncio.create_task(self._keep_renewing(), name="lease")
        log.info("leading with epoch %d; the last leader was %s", self.epoch, self.former)
        return True

    async def _wait_for_change(self) -> None:
        """The lock is free, or the connection changed, or half a session has passed."""
        if not await self.client.exists(self.path("leader"), self._changed.set):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._session_timeout / 2):
                await self._changed.wait()

    # --- leading --------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """As far as this agent knows."""
        return self._renewing is not None and not self.lost.done()

    @property
    def problem(self) -> str:
        """Why nothing is sent, or why this standby could not take over; else empty."""
        if self.lost.done():
            return self.lost.result()
        if not self.leads:
            return self.reason
        late = self.lease.overdue(self.clock())
        return f"nothing is sent for {late:.0f} s: {self.reason}" if late else ""

    def may_act(self) -> bool:
        """Whether orders may be carried out now."""
        return self.lease.holds(self.clock())

    async def confirm(self) -> None:
        """Return once :meth:`may_act` is true. Transient: not now. FatalError: never again."""
        if self.may_act():
            return
        await asyncio.sleep(self.lease.wait(self.clock()))
        if not self.may_act():
            self.finish(await self._renew())
        if not self.may_act():
            raise Transient(self.reason or "the lease is not confirmed yet")

    async def write(self, *operations: Operation) -> Outcome:
        """Carry the operations out, if the epoch is still this agent's."""
        sent = self.clock()
        try:
            await self.client.multi(self._check, *operations)
        except Unanswered as error:
            self.reason = str(error)
            return Outcome.UNANSWERED
        except OperationRefused as error:
            if error.operation == 0 and error.refusal is Refusal.BAD_VERSION:
                return Outcome.EPOCH_MOVED
            self.reason = str(error)
            return _OUTCOMES.get(error.refusal, Outcome.REFUSED)
        self.lease.confirm(sent)
        self.reason = ""
        return Outcome.DONE

    def finish(self, end: Step) -> None:
        """Raise what the end of a write or of a renewal means."""
        match end:
            case Step.DURABLE:
                return
            case Step.FENCED:
                reason = "another agent leads: its epoch is newer"
            case Step.BROKEN:
                reason = f"the journal was removed from ZooKeeper ({self.reason})"
            case _:
                raise Transient(f"journal {self._url}: {self.reason or end.value}")
        self.lease.end()
        text = f"--journal={self._url}: {reason}; this agent has stopped acting"
        if not self.lost.done():
            self.lost.set_result(text)
        raise FatalError(text)

    # --- the lease ------------------------------------------------------------------------

    async def _keep_renewing(self) -> None:
        """Until fenced. Without an answer the lease ends by itself, and tasks run on."""
        while not self.lost.done():
            with contextlib.suppress(Transient, FatalError):
                self.finish(await self._renew())
            self._report_contact()
            await asyncio.sleep(self._session_timeout * limits.JOURNAL_RENEW_SHARE)

    async def _renew(self) -> Step:
        session = self.client.session
        operations: list[Operation] = [SetData(self.path("lease"), _held(self.epoch))]
        if session != self._lock_session:
            operations.append(Create(self.path("leader"), self._holder.data, True))
        step = DECISIONS[Step.RENEW][await self.write(*operations)]
        if step is Step.FENCED and await self._has_lock(session):
            step = Step.DURABLE
        if step is Step.DURABLE:
            self._lock_session = session
        return step

    async def _has_lock(self, session: int) -> bool:
        """An attempt without an answer took the lock in this session, and nothing else happened."""
        with contextlib.suppress(Unanswered, OperationRefused):
            lock = await self.client.get(self.path("leader"))
            epoch = await self.client.get(self.path("epoch"))
            return (lock.owner, epoch.version) == (session, self.epoch)
        return False

    def _report_contact(self) -> None:
        confirmed = not self.lease.overdue(self.clock())
        if confirmed and not self._confirmed:
            log.warning("journal %s: ZooKeeper answers again", self._url)
        elif self._confirmed and not confirmed:
            log.error(
                "journal %s: %s; until it does nothing is sent, and no container is created, "
                "started, stopped or removed; tasks run on",
                *(self._url, self.reason or "ZooKeeper did not confirm the lease in time"),
            )
        self._confirmed = confirmed

    def _state_changed(self, state: str) -> None:
        log.debug("ZooKeeper session of the journal: %s", state)
        self._changed.set()

    def step_back(self) -> None:
        """Do not act until ``take()`` has succeeded once more."""
        self.lease.end()
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    # --- the end --------------------------------------------------------------------------

    async def close(self) -> None:
        """Give the lock back, so that a standby takes over at once. After the last commit."""
        led = self.leads
        self.step_back()
        if led:
            with contextlib.suppress(Unanswered, OperationRefused, TimeoutError):
                async with asyncio.timeout(limits.JOURNAL_RELEASE_TIMEOUT):
                    await self.client.multi(
                        self._check,
                        SetData(self.path("lease"), _released(self.epoch)),
                        Delete(self.path("leader")),
                    )
        await asyncio.to_thread(self.client.end)

    # --- nodes ----------------------------------------------------------------------------

    @property
    def _check(self) -> CheckVersion:
        return CheckVersion(self.path("epoch"), self.epoch)

    def path(self, name: str) -> str:
        return f"{self._url.path}/{name}"

    async def _get(self, name: str) -> Node | None:
        with unless(Refusal.NO_NODE):
            return await self.client.get(self.path(name))
        return None


@contextlib.contextmanager
def unless(refusal: Refusal) -> Iterator[None]:
    """Pass over one kind of refusal."""
    try:
        yield
    except OperationRefused as error:
        if error.refusal is not refusal:
            raise


def _held(epoch: int) -> bytes:
    return b"held by epoch %d" % epoch


def _released(epoch: int) -> bytes:
    return b"released by epoch %d" % epoch
