"""Two machines with agents that share a journal in a simulated ZooKeeper.

The real log, lease and decisions of ``shim/agent`` run on the fake ensemble of ``tests/fakes``.
Added to the faults of :class:`~tests.sim.world.World` are kills, stops (SIGSTOP and SIGCONT) and
partitions from ZooKeeper at any step of the leading process, lost and late requests and answers,
and an ensemble that is away. A stop runs the rest of the world inside the step at which it comes.

Beside the invariants of every run: no two processes may act at once, and a load gives exactly what
was durable.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from shim import limits
from shim.agent.journal_codec import changes_of, read_snapshot
from shim.agent.journal_log import JournalLog, Part
from shim.agent.lease import DECISIONS, Lease, Outcome, Step
from shim.core.context import Decision
from shim.errors import Transient
from shim.model import facts, orders
from shim.model.records import Record, Snapshot
from shim.wire.zookeeper_client import (
    CheckVersion,
    Create,
    Delete,
    Node,
    Operation,
    OperationRefused,
    Refusal,
    SetData,
)
from tests.fakes.zookeeper import FakeEnsemble
from tests.sim.clock import Clock, Crash, Violation
from tests.sim.disk import Disk
from tests.sim.plan import Event, Plan, make
from tests.sim.process import Process
from tests.sim.world import World

SESSION = 10.0
TICK = 2.0
RENEWAL = SESSION * limits.JOURNAL_RENEW_SHARE
SLOWEST = 2.0
"""Seconds of the slowest request to the endpoint: it arrives before a new leader's list."""

_REFUSALS = {
    Refusal.NODE_EXISTS: Outcome.NODE_EXISTS,
    Refusal.NO_NODE: Outcome.NODE_MISSING,
}
_LOST = {"request": "request lost", "late": "request late", "answer": "answer lost"}
_EVENTS = {"fell": 4, "pause": 5, "cut": 4, "term": 2, "zookeeper_away": 2}


def make_pair(seed: int) -> Plan:
    """A plan of :mod:`tests.sim.plan` with one to six take-overs in it."""
    plan = make(seed)
    rng = Random(f"pair {seed}")
    plan.slow = min(plan.slow, SLOWEST)
    plan.length = max(plan.length, 30.0)
    replaced = {"crash": "fell", "wipe": "fell", "stop": "term", "disk_refuses": "zookeeper_away"}
    events = [event for event in plan.events if event.name not in replaced]
    names = rng.choices(sorted(_EVENTS), [_EVENTS[n] for n in sorted(_EVENTS)], k=rng.randint(1, 6))
    for name in names:
        seconds = rng.choice((0.5, 3.0, 6.0, 12.0, 60.0))
        arguments: dict[str, Any] = {"seconds": seconds}
        if name in ("fell", "pause", "cut"):
            arguments["fuse"] = rng.choice((0, 0, 1, 2, 3, 4, 5, 6, 8, 12))
        events.append(Event(rng.uniform(0.2, plan.length), name, arguments))
    plan.events = sorted(events, key=lambda event: event.at)
    plan.faults["zk_lost"] = rng.choice((0.0, 0.0, 0.1, 0.4))
    return plan


class Killed(Crash):
    """The process of this machine ends at this step."""

    def __init__(self, machine: Machine, where: str) -> None:
        super().__init__(where)
        self.machine = machine


class MachineClock:
    """The world's clock as a process sees it: while it is stopped, its calls wait."""

    def __init__(self, clock: Clock, machine: Machine) -> None:
        self._clock = clock
        self._machine = machine

    @property
    def now(self) -> float:
        return self._clock.now

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._clock.after(delay, self.run, call, *args)

    def run(self, call: Callable[..., None], *args: Any) -> None:
        if self._machine.paused:
            self._machine.deferred.append(partial(call, *args))
        else:
            call(*args)


class GuardedEngine:
    """The endpoint as a process reaches it: orders need the lease at the moment they are sent."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._engine = machine.world.engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def request(self, verb: str, argument: Any, answer: Any) -> None:
        machine = self._machine
        reading = verb in ("list", "inspect", "pull")
        if not reading and not machine.may_act():
            machine.clock.after(0.5, answer, None, Transient("this agent does not lead"))
            return
        if not reading:
            machine.world.check_one_acts(machine)
        self._engine.request(verb, argument, partial(machine.clock.run, answer))


class PairDisk:
    """What a process loads, and its first record."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine.world.disk, name)

    def snapshot(self) -> Snapshot:
        return self._machine.load()

    def commit(self, batch: Sequence[Record]) -> None:
        machine = self._machine
        written = machine.log.append(changes_of(batch))
        (part,) = written.parts
        deletes = [Delete(f"/log/{number}") for number in written.deleted]
        try:
            machine.write(Create(f"/log/{part.number}", part.data), *deletes)
        except OperationRefused:
            raise Killed(machine, "fenced at its first record") from None
        machine.world.disk.commit(batch)


class MachineWorld:
    """The world as one process sees it."""

    def __init__(self, machine: Machine) -> None:
        self._world = machine.world
        self.clock = machine.clock
        self.engine = GuardedEngine(machine)
        self.disk = PairDisk(machine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)


class Machine:
    """One of two machines: its session, its lease, and its process while it leads."""

    def __init__(self, world: PairWorld, number: int) -> None:
        self.world = world
        self.number = number
        self.rng = Random(f"machine {number} {world.plan.seed}")
        self.clock = MachineClock(world.clock, self)
        self.process: PairProcess | None = None
        self.up = True
        self.paused = False
        self.deferred: deque[Callable[[], None]] = deque()
        self.cut_until = 0.0
        self.session = world.ensemble.new_session()
        self.lease = Lease(SESSION)
        self.epoch = 0
        self.log = JournalLog()
        self._contact: float | None = world.clock.now
        """Since when renewals are answered; None: they are not."""
        self._losses = 0

    # --- contact with ZooKeeper -----------------------------------------------------------

    @property
    def reaches(self) -> bool:
        now = self.world.clock.now
        return not self.paused and now >= max(self.cut_until, self.world.zookeeper_back)

    def may_act(self) -> bool:
        self.renew()
        return self.lease.holds(self.world.clock.now)

    def renew(self) -> None:
        """The renewals since the last look, at their times."""
        now = self.world.clock.now
        if self._contact is None or self.session not in self.world.ensemble.alive:
            return
        last = now - (now - self._contact) % RENEWAL
        if self.process is not None and self.world.epoch == self.epoch:
            self.lease.confirm(last)

    def contact_changed(self) -> None:
        """Call it before and after anything that makes or breaks the contact."""
        world, now = self.world, self.world.clock.now
        if self.reaches and self.up:
            if self._contact is None:
                self._contact = now
                self._losses += 1
                world.clock.after(self.rng.uniform(0.0, RENEWAL), self._hear)
            return
        if self._contact is not None:
            self.renew()
            last = now - (now - self._contact) % RENEWAL
            self._contact = None
            self._losses += 1
            ends = last + self.rng.uniform(SESSION - TICK, SESSION + TICK)
            world.clock.after(max(0.0, ends - now), self._expire, self._losses)

    def _expire(self, loss: int) -> None:
        if loss != self._losses:
            return
        back = self.world.zookeeper_back
        if (
            self.world.clock.now < back
        ):  # A new leader of ZooKeeper gives sessions their whole time.
            self.world.clock.after(back - self.world.clock.now + SESSION, self._expire, loss)
            return
        self.world.happened(f"machine {self.number}", "its session ends")
        self.world.ensemble.expire(self.session)

    def _hear(self) -> None:
        """The first renewal after the contact came back."""
        if not self.reaches or not self.up:
            return
        ensemble = self.world.ensemble
        fresh = self.session not in ensemble.alive
        if fresh:
            self.session = ensemble.new_session()
        if self.process is None:
            return
        operations: list[Operation] = [SetData("/lease", b"")]
        if fresh:
            operations.append(Create("/leader", b"", ephemeral=True))
        sent = self.world.clock.now
        try:
            self.write(*operations)
        except OperationRefused:
            self.fenced()
        else:
            self.lease.confirm(sent)

    def write(self, *operations: Operation) -> None:
        """With the check of the epoch. Raises OperationRefused."""
        ensemble = self.world.ensemble
        ensemble.apply(self.session, (CheckVersion("/epoch", self.epoch), *operations))

    # --- leading --------------------------------------------------------------------------

    def try_to_lead(self) -> None:
        world, ensemble = self.world, self.world.ensemble
        if self.process is not None or not self.up or not self.reaches:
            return
        if self.session not in ensemble.alive:
            self.session = ensemble.new_session()
        lock = ensemble.nodes.get("/leader")
        if lock is not None and lock.owner != self.session:
            if lock.data != b"%d" % self.number:
                return
            ensemble.expire(lock.owner)  # An earlier process of this machine.
        if "/leader" not in ensemble.nodes:
            create = Create("/leader", b"%d" % self.number, ephemeral=True)
            ensemble.apply(self.session, (create,))
        sent = world.clock.now
        before = ensemble.nodes["/epoch"]
        ensemble.apply(self.session, (SetData("/epoch", b"%d" % self.number, before.version),))
        if self.rng.random() < world.faults["zk_lost"]:
            world.happened(f"machine {self.number}", "the answer to its epoch is lost")
            world.doubtful = True
            return  # Without an answer: the epoch is raised once more.
        self.epoch = before.version + 1
        own = before.data == b"%d" % self.number and not world.doubtful
        free = ensemble.nodes["/lease"].data == b"released %d" % before.version
        wait = 0.0 if own or free or not before.version else SESSION * limits.JOURNAL_HOLD_OFF_SHARE
        self.lease = Lease(SESSION)
        self.lease.begin(world.clock.now, wait)
        self.lease.confirm(sent)
        self._contact = sent
        world.doubtful = False
        world.lead(self)

    def load(self) -> Snapshot:
        nodes = self.world.ensemble.nodes
        paths = sorted((path for path in nodes if path.startswith("/log/")), key=_number)
        self.log = JournalLog()
        self.log.epoch = self.epoch
        abandoned = self.log.replay([Part(_number(path), nodes[path].data) for path in paths])
        if abandoned:
            self.write(*(Delete(f"/log/{number}") for number in abandoned))
        found = read_snapshot(self.log.rows)
        expected = self.world.disk.snapshot()
        if found != expected:
            raise Violation(f"the journal holds {found!r:.300} instead of {expected!r:.300}")
        return found

    def fenced(self) -> None:
        self.world.happened(f"machine {self.number}", "another one leads, its process ends")
        self.lease.end()
        self.end(0.5)

    def end(self, down: float) -> None:
        """The process is gone. A supervisor starts it again, as a standby."""
        if self.process is not None:
            self.process.dead = True
            self.world.process_ended(self.process)
        self.process = None
        self.up = False
        self.deferred.clear()
        self.contact_changed()
        self.world.clock.after(down, self._start)

    def _start(self) -> None:
        self.up = True
        self.contact_changed()

    # --- faults ---------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """SIGSTOP at this step: the world goes on, then this process."""
        world = self.world
        world.happened(f"machine {self.number}", "stopped", f"for {seconds:g} s")
        process = self.process
        self.renew()
        self.paused = True
        self.contact_changed()
        world.run_until(world.clock.now + seconds)
        world.say(f"machine {self.number}: goes on")
        self.paused = False
        self.contact_changed()
        while self.deferred and not self.paused:
            world.clock.after(0.0, self.clock.run, self.deferred.popleft())
        if process is not None and process.dead:
            raise Killed(self, "while it was stopped")


class PairProcess(Process):
    """The process of a machine that leads: batches go to ZooKeeper, orders need the lease."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._orders: deque[orders.Order] = deque()
        self._parts: deque[Part] = deque()
        self._deleted: Sequence[int] = ()
        self._fault: Callable[[], None] | None = None
        super().__init__(MachineWorld(machine))  # type: ignore[arg-type]

    def light(self, fuse: int, fault: Callable[[], None]) -> None:
        self.fuse, self._fault = fuse, fault

    def tick(self, where: str) -> None:
        if self.dead:
            raise Killed(self.machine, where)
        if self.fuse is None:
            return
        if self.fuse > 0:
            self.fuse -= 1
            return
        self.fuse = None
        assert self._fault is not None
        self.machine.world.happened("AT", where)
        self._fault()
        if self.dead:
            raise Killed(self.machine, where)

    def _list(self) -> None:
        if self.dead:
            return
        if self.machine.may_act():
            super()._list()
        else:
            self.machine.clock.after(0.1, self._list)

    # --- the barrier ------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._committing is not None or not self.barrier:
            return
        self._committing = batch = self.barrier.take()
        if batch.records:
            written = self.machine.log.append(changes_of(batch.records))
            self._parts, self._deleted = deque(written.parts), written.deleted
            self.machine.clock.after(self.machine.world.disk_delay(), self._send_part, Step.WRITE)
        else:
            self._durable(batch)

    def _send_part(self, step: Step) -> None:
        """One request of the decisions: it arrives, or is late, or is lost; so is its answer."""
        if self.dead:
            return
        self.tick(f"before {step.name}")
        machine, world = self.machine, self.machine.world
        part = self._parts[0]
        deleted = self._deleted if len(self._parts) == 1 else ()
        batch = self._committing if len(self._parts) == 1 else None
        if not machine.reaches:
            world.happened(f"machine {machine.number}", "cut off at a request")
            machine.clock.after(1.0, self._answered, step, Outcome.UNANSWERED)
            return
        lost = machine.rng.random() < world.faults["zk_lost"]
        kind = machine.rng.choice(tuple(_LOST)) if lost else ""
        if kind:
            world.happened(f"machine {machine.number}", f"{step.name} {_LOST[kind]}")
        arrive = partial(self._arrive, machine.session, step, part, deleted, batch)
        sent = world.clock.now
        if kind == "late":
            world.clock.after(machine.rng.uniform(0.5, 3.0), self._arrive_late, arrive)
        outcome = Outcome.UNANSWERED if kind in ("request", "late") else arrive()
        if kind == "answer":
            outcome = Outcome.UNANSWERED
        if outcome is Outcome.DONE:
            machine.lease.confirm(sent)
        machine.clock.after(0.3 if kind else 0.002, self._answered, step, outcome)

    @staticmethod
    def _arrive_late(arrive: Callable[[], Outcome]) -> None:
        arrive()

    def _arrive(
        self,
        session: int,
        step: Step,
        part: Part,
        deleted: Sequence[int],
        batch: Decision | None,
    ) -> Outcome:
        world, path = self.machine.world, f"/log/{part.number}"
        if session not in world.ensemble.alive:
            return Outcome.UNANSWERED
        if step is Step.READ:
            found = world.ensemble.nodes.get(path)
            if found is None:
                return Outcome.ABSENT
            return Outcome.SAME if found.data == part.data else Outcome.DIFFERENT
        deletes = [Delete(f"/log/{number}") for number in deleted]
        check = CheckVersion("/epoch", self.machine.log.epoch)
        try:
            world.ensemble.apply(session, (check, Create(path, part.data), *deletes))
        except OperationRefused as error:
            if error.operation == 0:
                return Outcome.EPOCH_MOVED
            return _REFUSALS.get(error.refusal, Outcome.REFUSED)
        if batch is not None:
            world.commit(batch.records)
        return Outcome.DONE

    def _answered(self, step: Step, outcome: Outcome) -> None:
        if self.dead:
            return
        self.tick(f"after {step.name}")
        following = DECISIONS[step][outcome]
        if following in DECISIONS:
            self._send_part(following)
        elif following is Step.LATER:
            self.machine.clock.after(limits.DISK_RETRY, self._send_part, Step.WRITE)
        elif following is Step.DURABLE:
            self._parts.popleft()
            if self._parts:
                self._send_part(Step.WRITE)
            else:
                assert self._committing is not None
                self._durable(self._committing)
        else:
            self.machine.fenced()

    def _durable(self, batch: Decision) -> None:
        self._orders.extend(batch.orders)
        self._carry_out_held()

    def _carry_out_held(self) -> None:
        if self.dead:
            return
        while self._orders:
            self.tick("before the lease is checked")
            if not self.machine.may_act():
                self.machine.world.counts["an order waits for the lease"] += 1
                self.machine.clock.after(0.2, self._carry_out_held)
                return
            self.machine.world.check_one_acts(self.machine)
            # No step lies between the check and the order.
            fuse, self.fuse = self.fuse, None
            self._carry_out(self._orders.popleft())
            self.fuse = fuse
            if self.dead:
                return
        self._committing = None
        self._flush()

    def die(self) -> None:
        self.dead = True


class PairWorld(World):
    """A world with two machines. ``process`` is the one to which the address leads."""

    def __init__(self, plan: Plan, trace: list[str] | None = None, disk: Disk | None = None):
        self.ensemble = FakeEnsemble()
        self.zookeeper_back = 0.0
        self.doubtful = False
        """The last raise of the epoch was not answered."""
        for path in ("/epoch", "/lease", "/log"):
            self.ensemble.nodes[path] = Node(b"", 0, 0)
        self.machines: list[Machine] = []
        self.counts: Counter[str] = Counter()
        """What has happened, and how often."""
        super().__init__(plan, trace, disk)
        self.machines = [Machine(self, number) for number in range(2)]
        self.clock.after(0.05, self._poll)

    @property
    def epoch(self) -> int:
        return self.ensemble.nodes["/epoch"].version

    def happened(self, who: str, what: str, detail: str = "") -> None:
        self.counts[what] += 1
        self.say(f"{who}: {what}", detail)

    def check_one_acts(self, acting: Machine) -> None:
        """Whoever acts is the only one that may."""
        others = [each.number for each in self.machines if each is not acting and each.may_act()]
        if others:
            raise Violation(f"machine {acting.number} acts, and machine {others} may act as well")

    # --- take-overs -----------------------------------------------------------------------

    def _boot(self) -> None:
        """A machine takes the lead when it can."""

    def _poll(self) -> None:
        for machine in self.rng.sample(self.machines, 2):
            machine.try_to_lead()
        led = any(machine.process for machine in self.machines)
        self.clock.after(1.0 if led else 0.2, self._poll)

    def lead(self, machine: Machine) -> None:
        """The address moves to this machine, and the master's link to the old one breaks."""
        self.counts["take-over"] += 1
        self._processes += 1
        for key in [*self.disk.tasks, *self.disk.updates]:
            if not self.schedulers[key.framework_id].traits["checkpoint"]:
                self.invariants.excuse(key, "another process leads, without checkpointing")
        self.say("LEADS: machine", str(machine.number), "epoch", str(machine.epoch))
        machine.process = PairProcess(machine)
        self.process = machine.process
        self.network.agent_died()
        if self.clock.now >= self.network.incoming.cut_until:
            self.clock.after(0.01, self._break_link_after_death, self._processes)
        self.clock.after(self.rng.uniform(0.0, 0.05), self._detect, self._processes)

    def process_ended(self, process: PairProcess) -> None:
        if self.process is process:
            self.process = None
            self.network.agent_died()

    def exited(self, order: orders.Exit) -> None:
        super().exited(order)
        for machine in self.machines:
            if machine.process is not None and machine.process.dead:
                machine.end(1.0)

    def _container_changed(self, name: str) -> None:
        for machine in self.machines:
            if machine.process is not None:
                machine.clock.run(machine.process.containerizer.changed, name)

    def _now_detected(self, pid: Any) -> None:
        self.detected = pid
        for machine in self.machines:
            if machine.process is not None:
                machine.clock.run(machine.process.post, facts.MasterDetected(pid))

    def _post(self, fact: facts.Fact) -> None:
        if self.process is not None:
            machine = self.process.machine  # type: ignore[attr-defined]
            machine.clock.run(self.process.post, fact)

    # --- running --------------------------------------------------------------------------

    def _step(self) -> None:
        try:
            if not self.clock.run_next():
                raise Violation("no event is scheduled any more")
        except Killed as killed:
            self.say("KILLED: machine", str(killed.machine.number), killed)
            if killed.machine.process is not None:
                killed.machine.end(self._down)

    def run_until(self, at: float) -> None:
        """What happens elsewhere while a process is stopped."""
        marks = [False]
        self.clock.after(at - self.clock.now, marks.append, True)
        while not marks[-1]:
            self._step()

    # --- faults ---------------------------------------------------------------------------

    def _leader(self) -> Machine | None:
        found = [machine for machine in self.machines if machine.process and not machine.paused]
        return self.rng.choice(found) if found else None

    def _light(self, fuse: int, fault: Callable[[Machine], None]) -> None:
        machine = self._leader()
        if machine is not None and machine.process is not None:
            machine.process.light(fuse, partial(fault, machine))

    def fell(self, fuse: int, seconds: float) -> None:
        def fall(machine: Machine) -> None:
            self._down = max(seconds, self.plan.slow + 0.1)
            self.counts["killed"] += 1
            raise Killed(machine, "killed")

        self._light(fuse, fall)

    def pause(self, fuse: int, seconds: float) -> None:
        self._light(fuse, lambda machine: machine.pause(seconds))

    def cut(self, fuse: int, seconds: float) -> None:
        def cut_off(machine: Machine) -> None:
            self.happened(f"machine {machine.number}", "cut off from ZooKeeper")
            machine.renew()
            machine.cut_until = self.clock.now + seconds
            machine.contact_changed()
            self.clock.after(seconds, machine.contact_changed)

        self._light(fuse, cut_off)

    def term(self, seconds: float) -> None:
        """The lock is given back. Requests on their way arrive before another one leads."""
        machine = self._leader()
        if machine is None or not machine.reaches or self.epoch != machine.epoch:
            return
        self.happened(f"machine {machine.number}", "ends and gives the lock back")
        machine.lease.end()
        epoch = machine.epoch
        machine.end(max(seconds, self.plan.slow + 0.1))
        self.clock.after(self.plan.slow + 0.1, self._release, machine, epoch)

    def _release(self, machine: Machine, epoch: int) -> None:
        lock = self.ensemble.nodes.get("/leader")
        if lock is not None and lock.owner == machine.session and self.epoch == epoch:
            released = SetData("/lease", b"released %d" % epoch)
            self.ensemble.apply(machine.session, (released, Delete("/leader")))

    def zookeeper_away(self, seconds: float) -> None:
        self.counts["the ensemble is away"] += 1
        for machine in self.machines:
            machine.renew()
        self.zookeeper_back = self.clock.now + seconds
        for machine in self.machines:
            machine.contact_changed()
            self.clock.after(seconds, machine.contact_changed)

    def _end_faults(self) -> None:
        for machine in self.machines:
            if machine.process is not None:
                machine.process.fuse = None
        self.zookeeper_back = 0.0
        for machine in self.machines:
            machine.cut_until = 0.0
            machine.contact_changed()
        super()._end_faults()


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])


def pair_violation(
    plan: Plan, trace: list[str] | None = None, counts: Counter[str] | None = None
) -> str | None:
    """The invariant that a run breaks; None: all hold. What happened is added to ``counts``."""
    world = PairWorld(plan, trace)
    try:
        world.run()
    except Violation as found:
        world.say("VIOLATION", found)
        return str(found)
    finally:
        if counts is not None:
            counts.update(world.counts)
    return None
