"""Agents that share a journal in ZooKeeper: one leads, nothing is lost, an old leader is fenced."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shim import limits
from shim.agent.journal_lock import Holder, JournalLock
from shim.agent.zookeeper_journal import ZooKeeperJournal
from shim.errors import FatalError, Transient
from shim.model.ids import FrameworkId, TaskId, TaskKey
from shim.model.records import AddTask, Record, SaveShimId, SaveTask, Snapshot
from shim.model.settings import ZooKeeperUrl
from shim.wire.zookeeper_client import Create, Operation, OperationRefused, Refusal, SetData
from tests.fakes.clock import timeless
from tests.fakes.zookeeper import FakeEnsemble, FakeZooKeeper

URL = ZooKeeperUrl(("z:2181",), "/mesos/shim")
TIMEOUT = 10.0
LEASE = TIMEOUT * limits.JOURNAL_LEASE_SHARE
HOLD_OFF = TIMEOUT * limits.JOURNAL_HOLD_OFF_SHARE


def key(name: object) -> TaskKey:
    return TaskKey(FrameworkId("F"), TaskId(str(name)))


def task(name: object) -> Record:
    return AddTask(key(name), b"info", b"state")


class Agent:
    """A journal, its client and its clock."""

    def __init__(self, ensemble: FakeEnsemble, number: int, ip: str = "10.0.0.9") -> None:
        self.zk = FakeZooKeeper(ensemble)
        self.slept = 0.0
        holder = Holder(ip, 5051, "", f"machine{number}", "/work", "host", number)

        def connect(hosts: object, timeout: object, auth: object, on_state: Any) -> FakeZooKeeper:
            self.zk._on_state = on_state
            return self.zk

        loop = asyncio.get_running_loop()
        lock = JournalLock(URL, holder, TIMEOUT, lambda: loop.time() + self.slept, connect)
        self.journal = ZooKeeperJournal(URL, holder, lock)

    async def lead(self) -> Snapshot:
        return await self.journal.acquire()

    def sleep(self, seconds: float) -> None:
        """As SIGSTOP and SIGCONT: time passed, and nothing ran."""
        self.slept += seconds


@pytest.fixture
def ensemble(monkeypatch: pytest.MonkeyPatch) -> FakeEnsemble:
    async def inline(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", inline)
    return FakeEnsemble()


# --- one agent ------------------------------------------------------------------------------


@timeless
async def test_what_was_committed_is_loaded_again(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    assert await one.lead() == Snapshot()
    await one.journal.commit([SaveShimId("x"), task("a")])
    await one.journal.commit([SaveTask(key("a"), b"two")])
    await one.journal.close()
    assert await Agent(ensemble, 1).lead() == Snapshot("x", tasks={key("a"): (b"info", b"two")})


@timeless
async def test_a_commit_is_one_multi_with_the_check_of_the_epoch(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    before = len(ensemble.writes)
    await one.journal.commit([task(number) for number in range(50)])
    (write,) = [each for each in ensemble.writes[before:] if isinstance(each[-1], Create)]
    assert [type(operation).__name__ for operation in write] == ["CheckVersion", "Create"]
    assert write[0].path == "/mesos/shim/epoch"
    assert write[1].path == "/mesos/shim/log/0000000000"


@timeless
async def test_a_large_commit_counts_with_its_last_part(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    await one.journal.commit([SaveShimId("before")])
    seen = 0

    def lose(operations: tuple[Operation, ...]) -> str:
        nonlocal seen
        seen += any(isinstance(operation, Create) for operation in operations)
        return "request" if seen == 3 else ""

    one.zk.lose = lose
    batch: list[Record] = [
        SaveShimId("after"),
        AddTask(key("big"), b"x" * 3 * limits.JOURNAL_NODE_BYTES, b""),
    ]
    with pytest.raises(Transient):
        await one.journal.commit(batch)
    ensemble.expire(one.zk.session)
    two = Agent(ensemble, 2)
    assert await two.lead() == Snapshot("before")
    assert sum("/log/" in path for path in ensemble.nodes) == 1, "the beginning is deleted"
    await two.journal.commit([SaveShimId("later")])


@timeless
async def test_cleaned_nodes_go_with_the_last_part_of_a_large_commit(
    ensemble: FakeEnsemble,
) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    await one.journal.commit([SaveShimId("one")])
    before = len(ensemble.writes)
    big = b"x" * 2 * limits.JOURNAL_NODE_BYTES
    await one.journal.commit([SaveShimId("two"), AddTask(key("big"), big, b"")])
    kinds = [
        [type(operation).__name__ for operation in write]
        for write in ensemble.writes[before:]
        if any(isinstance(operation, Create) for operation in write)
    ]
    assert kinds == [
        ["CheckVersion", "Create"],
        ["CheckVersion", "Create"],
        ["CheckVersion", "Create", "Delete"],
    ]


@timeless
async def test_a_lease_counts_from_when_a_slow_request_was_sent(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    one.zk.latency = LEASE + 1
    one.journal.lock.step_back()
    one.journal.lock.lease.begin(0.0, 0.0)
    await one.journal.commit([task("a")])
    assert not one.journal.may_act(), "its answer came after the lease that it confirms"


@pytest.mark.parametrize("lost", ["request", "answer"])
@timeless
async def test_an_unknown_outcome_is_read_back_and_decided(
    ensemble: FakeEnsemble, lost: str
) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    attempts = [lost, lost, ""]

    def lose(operations: tuple[Operation, ...]) -> str:
        is_record = any(isinstance(operation, Create) for operation in operations)
        return attempts.pop(0) if is_record and attempts else ""

    one.zk.lose = lose
    batch = [task("a")]
    tries = 0
    while True:
        tries += 1
        try:
            await one.journal.commit(batch)
            break
        except Transient:
            continue
    assert tries == (1 if lost == "answer" else 3)
    await one.journal.commit([task("b")])
    await one.journal.close()
    loaded = await Agent(ensemble, 2).lead()
    assert list(loaded.tasks) == [key("a"), key("b")]


@timeless
async def test_a_late_write_that_was_repeated_is_written_once(ensemble: FakeEnsemble) -> None:
    """The first attempt arrives after it was read back as absent."""
    one = Agent(ensemble, 1)
    await one.lead()
    held: list[tuple[Operation, ...]] = []

    def lose(operations: tuple[Operation, ...]) -> str:
        if held or not any(isinstance(operation, Create) for operation in operations):
            return ""
        held.append(operations)
        return "request"

    one.zk.lose = lose
    batch = [task("a")]
    with pytest.raises(Transient):
        await one.journal.commit(batch)
    ensemble.apply(one.zk.session, held[0])
    await one.journal.commit(batch)
    await one.journal.close()
    assert list((await Agent(ensemble, 2).lead()).tasks) == [key("a")]


@timeless
async def test_a_restart_on_the_same_work_dir_does_not_wait(ensemble: FakeEnsemble) -> None:
    """kill -9: the session of the old process lives on, but the lock of its work_dir is free."""
    one = Agent(ensemble, 1)
    await one.lead()
    one.journal.lock.step_back()
    again = Agent(ensemble, 1)
    began = asyncio.get_running_loop().time()
    await again.lead()
    assert again.journal.may_act()
    assert asyncio.get_running_loop().time() - began < 1.0


@timeless
async def test_a_journal_that_was_removed_ends_the_agent(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    ensemble.nodes.clear()
    with pytest.raises(FatalError, match="removed from ZooKeeper"):
        await one.journal.commit([task("a")])


@timeless
async def test_a_wrong_password_is_named(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)

    async def refuse(*operations: Operation) -> None:
        raise OperationRefused(Refusal.NO_AUTH, "multi (NoAuthError)")

    one.zk.multi = refuse  # type: ignore[method-assign]
    with pytest.raises(FatalError, match=r"--journal=zk.*: another user or password than .*made"):
        await one.lead()


# --- a standby ------------------------------------------------------------------------------


@timeless
async def test_a_standby_waits_and_takes_over_when_the_session_ends(
    ensemble: FakeEnsemble,
) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    await one.journal.commit([SaveShimId("x"), task("a")])
    standby = asyncio.create_task(two.lead())
    await asyncio.sleep(60)
    assert not standby.done()
    assert not two.journal.may_act()
    assert two.journal.description["leading"] is False
    assert two.journal.description["leader"] == "10.0.0.9:5051 (host host, pid 1)"
    one.zk.disconnect()
    ensemble.expire(one.zk.session)
    snapshot = await standby
    assert snapshot == Snapshot("x", tasks={key("a"): (b"info", b"state")})
    assert two.journal.lock.former is not None
    assert two.journal.lock.former.pid == 1


@timeless
async def test_a_lock_that_is_given_back_is_taken_at_once(ensemble: FakeEnsemble) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    standby = asyncio.create_task(two.lead())
    await asyncio.sleep(30)
    began = asyncio.get_running_loop().time()
    await one.journal.close()
    await standby
    assert two.journal.may_act(), "nobody else may act: there is nothing to wait for"
    assert asyncio.get_running_loop().time() - began < 0.5


@timeless
async def test_no_record_of_the_old_leader_counts_after_its_epoch(ensemble: FakeEnsemble) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    await one.journal.commit([task("a")])
    one.journal.lock.step_back()  # It is stopped, and knows nothing.
    ensemble.expire(one.zk.session)
    await two.lead()
    one.zk.reconnect()
    with pytest.raises(FatalError, match="another agent leads"):
        await one.journal.commit([task("b")])
    assert "stopped acting" in one.journal.lock.lost.result()
    await two.journal.close()
    assert list((await Agent(ensemble, 3).lead()).tasks) == [key("a")]


@timeless
async def test_two_agents_never_act_at_once(ensemble: FakeEnsemble) -> None:
    """The old leader is cut off at any time of its renewals."""
    for step in range(8):
        fresh = FakeEnsemble()
        one, two = Agent(fresh, 1), Agent(fresh, 2)
        await one.lead()
        standby = asyncio.create_task(two.lead())
        await asyncio.sleep(20 + step * 0.15)
        one.zk.disconnect()
        # A renewal and a tick less than a session's whole time.
        await asyncio.sleep(TIMEOUT * (1 - limits.JOURNAL_RENEW_SHARE - 0.2))
        fresh.expire(one.zk.session)
        acted = False
        while not acted:
            assert not (one.journal.may_act() and two.journal.may_act())
            acted = two.journal.may_act()
            await asyncio.sleep(0.05)
        await standby


@timeless
async def test_a_leader_that_was_stopped_does_not_act_when_it_goes_on(
    ensemble: FakeEnsemble,
) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    assert one.journal.may_act()
    one.sleep(60)
    assert not one.journal.may_act(), "before it has heard anything"
    ensemble.expire(one.zk.session)
    await two.lead()
    one.zk.reconnect()
    with pytest.raises(FatalError, match="another agent leads"):
        await one.journal.confirm()
    assert not one.journal.may_act()
    await asyncio.sleep(5)
    assert one.journal.lock.lost.done()


@timeless
async def test_a_new_leader_waits_before_it_acts(ensemble: FakeEnsemble) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    one.journal.lock.step_back()
    ensemble.expire(one.zk.session)
    await two.lead()
    began = asyncio.get_running_loop().time()
    assert not two.journal.may_act()
    await two.journal.confirm()
    assert two.journal.may_act()
    assert asyncio.get_running_loop().time() - began == pytest.approx(HOLD_OFF, abs=0.1)


@timeless
async def test_a_standby_with_another_address_is_refused(ensemble: FakeEnsemble) -> None:
    """A master dismisses an agent that comes back under another address."""
    one, two = Agent(ensemble, 1), Agent(ensemble, 2, "10.0.0.2")
    await one.lead()
    with pytest.raises(FatalError, match=r"--advertise_ip=10.0.0.2: .* 10.0.0.9:5051 .*host"):
        await two.lead()


def test_addresses_are_the_same_where_both_say_the_same() -> None:
    one = Holder("10.0.0.9", 5051, "name", "m1", "/work")
    assert one.difference(Holder("10.0.0.9", 6000, "", "m2", "/work")) == ""
    assert one.difference(Holder("10.0.0.9", 5051, "x", "m2", "/work")) == "--hostname=x"
    assert one.difference(Holder("10.0.0.8", 5051, "x", "m2", "/")) == "--advertise_ip=10.0.0.8"
    assert one.is_on(Holder("1.1.1.1", 1, "", "m1", "/work"))
    assert not one.is_on(Holder("10.0.0.9", 5051, "name", "m1", "/other"))


# --- an ensemble that is away ---------------------------------------------------------------


@timeless
async def test_an_ensemble_that_is_away_ends_nothing(
    ensemble: FakeEnsemble, caplog: pytest.LogCaptureFixture
) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    one.zk.disconnect()
    await asyncio.sleep(LEASE + 2)
    assert not one.journal.may_act()
    assert "nothing is sent for" in one.journal.problem
    with pytest.raises(Transient, match="does not answer"):
        await one.journal.confirm()
    batch: Sequence[Record] = [task("a")]
    with pytest.raises(Transient, match="does not answer"):
        await one.journal.commit(batch)
    one.zk.reconnect()
    await one.journal.commit(batch)
    await one.journal.confirm()
    assert one.journal.problem == ""
    await asyncio.sleep(2)
    assert "until it does nothing is sent" in caplog.text
    assert "ZooKeeper answers again" in caplog.text


@timeless
async def test_a_session_that_ended_while_nobody_took_over_is_no_loss(
    ensemble: FakeEnsemble,
) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    one.zk.disconnect()
    ensemble.expire(one.zk.session)
    await asyncio.sleep(60)
    one.zk.reconnect()
    await one.journal.confirm()
    assert ensemble.nodes["/mesos/shim/leader"].owner == one.zk.session
    assert one.journal.may_act()
    assert not one.journal.lock.lost.done()


@timeless
async def test_a_lock_taken_again_without_an_answer_is_recognized(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    one.zk.disconnect()
    ensemble.expire(one.zk.session)
    losses = ["answer"]

    def lose(operations: tuple[Operation, ...]) -> str:
        takes = any(isinstance(each, Create) for each in operations)
        return losses.pop() if takes and losses else ""

    one.zk.lose = lose
    one.zk.reconnect()
    await asyncio.sleep(10)
    assert not one.journal.lock.lost.done()
    assert one.journal.may_act()


@timeless
async def test_a_standby_that_took_the_lock_first_fences_at_the_renewal(
    ensemble: FakeEnsemble,
) -> None:
    one, two = Agent(ensemble, 1), Agent(ensemble, 2)
    await one.lead()
    one.zk.disconnect()
    ensemble.expire(one.zk.session)
    two.zk.lose = lambda each: "request" if isinstance(each[0], SetData) else ""  # its epoch
    standby = asyncio.create_task(two.lead())
    await asyncio.sleep(1)
    one.zk.reconnect()
    await asyncio.sleep(2)
    assert one.journal.lock.lost.done(), "the other one is about to raise the epoch"
    standby.cancel()


@timeless
async def test_a_take_over_goes_on_after_lost_answers(ensemble: FakeEnsemble) -> None:
    one = Agent(ensemble, 1)
    await one.lead()
    await one.journal.commit([task("a")])
    await one.journal.close()
    two = Agent(ensemble, 2)
    chance = random.Random(1)
    two.zk.lose = lambda operations: chance.choice(("answer", "request", ""))
    assert list((await two.lead()).tasks) == [key("a")]
    two.zk.lose = lambda operations: ""
    await two.journal.commit([task("b")])


def test_a_holder_is_read_again() -> None:
    holder = Holder("10.0.0.1", 5051, "name", "m", "/work")
    assert Holder.parse(holder.data) == holder
    assert Holder.parse(b"") is None
    assert Holder.parse(b'{"other": 1}') is None
