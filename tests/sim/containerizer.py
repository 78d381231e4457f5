"""Carries out orders about containers on the simulated endpoint, as :mod:`shim.model.orders` says.

One worker per container. Its steps are generators that yield what they wait for: ``("sleep",
seconds)``, ``("call", verb, argument)`` or ``("order",)``, which is AllowCreate. A worker ends with
its process.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from shim import limits
from shim.errors import NameTaken, NotFound, Permanent, Transient
from shim.model import facts, orders
from shim.model.container import Container, Phase, Ref
from shim.model.facts import Failure, Stage

if TYPE_CHECKING:
    from tests.sim.process import Process

Steps = Generator[tuple[Any, ...], Any, Any]


class Interrupted(Exception):
    """A newer order replaces the step under way."""


class Containerizer:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.world = process.world
        self.workers: dict[Ref, ContainerWorker] = {}
        self.watched: dict[str, Ref] = {}
        self.checked: dict[Ref, orders.StartChecks] = {}
        self.published: dict[Ref, orders.Publish] = {}
        self.orphans: set[str] = set()
        self.volumes: dict[str, bool] = {}
        """Volumes to be removed, each with whether a call about it may still come."""
        self.unanswered: set[str] = set()
        """Volumes whose create was not answered."""

    def take(self, order: Any) -> None:
        match order:
            case orders.Watch():
                self.watch(order.ref)
            case orders.RemoveOrphan():
                self.orphans.add(order.name)
                self._remove_orphan(order.name)
            case orders.RemoveVolume():
                if order.name not in self.volumes:
                    self.volumes[order.name] = order.again
                    self._remove_volume(order.name)
            case orders.StartChecks():
                self.checked[order.ref] = order
            case orders.StopChecks():
                self.checked.pop(order.ref, None)
            case orders.Publish():
                self.published[order.ref] = order
            case orders.Withdraw():
                self.published.pop(order.ref, None)
            case orders.UpdateContainer():
                self._update(order.ref)
            case orders.AllowCreate() if order.ref not in self.workers:
                pass
            case _:
                worker = self.workers.get(order.ref)
                if worker is None:
                    worker = self.workers[order.ref] = ContainerWorker(self, order.ref)
                worker.take(order)

    @property
    def idle(self) -> bool:
        return not (self.workers or self.watched or self.orphans or self.volumes)

    def post(self, fact: facts.Fact) -> None:
        self.process.post(fact)

    def call(self, verb: str, argument: Any, answer: Any) -> None:
        def answered(result: Any, error: Any) -> None:
            if not self.process.dead:
                answer(result, error)

        self.world.engine.request(verb, argument, answered)

    def _remove_volume(self, name: str) -> None:
        def answered(result: Any, error: Any) -> None:
            if error is not None:
                self.volumes[name] = True
                self.world.clock.after(1.0, again)
            elif self.volumes[name] or name in self.unanswered:
                self.volumes[name] = False
                self.unanswered.discard(name)
                self.world.clock.after(limits.CREATE_SETTLES, again)
            else:
                del self.volumes[name]
                self.post(facts.VolumeRemoved(name))

        def again() -> None:
            if not self.process.dead:
                self._remove_volume(name)

        self.call("remove_volume", name, answered)

    def _remove_orphan(self, name: str) -> None:
        def answered(result: Any, error: Any) -> None:
            if error is None:
                self.orphans.discard(name)
            else:
                self.world.clock.after(1.0, again)

        def again() -> None:
            if not self.process.dead:
                self._remove_orphan(name)

        self.call("remove", name, answered)

    def _update(self, ref: Ref) -> None:
        def answered(result: Any, error: Any) -> None:
            if isinstance(error, Transient):
                self.world.clock.after(1.0, again)
            else:
                self.post(facts.ContainerUpdated(ref, str(error or "")))

        def again() -> None:
            if not self.process.dead:
                self._update(ref)

        self.call("update", ref.name, answered)

    # --- observing ------------------------------------------------------------------------

    def watch(self, ref: Ref) -> None:
        self.watched[ref.name] = ref
        container = self.world.engine.containers.get(ref.name)
        if container is None or container.phase is not Phase.RUNNING:
            self.changed(ref.name)

    def changed(self, name: str) -> None:
        """A container changed: an event says so, or the next list if the event is lost."""
        if name in self.watched:
            rng, plan = self.world.rng, self.world.plan
            lost = rng.random() < plan.faults["event_lost"]
            self.world.clock.after(rng.uniform(0, 10.0) if lost else 0.01, self._inspect, name)

    def _inspect(self, name: str) -> None:
        if name in self.watched and not self.process.dead:
            self.call("inspect", name, lambda found, error: self._inspected(name, found, error))

    def _inspected(self, name: str, found: Container | None, error: Exception | None) -> None:
        ref = self.watched.get(name)
        if ref is None:
            return
        if isinstance(error, NotFound):
            del self.watched[name]
            self.post(facts.ContainerVanished(ref))
        elif found is None:
            self.world.clock.after(10.0, self._inspect, name)
        else:
            self.observe(ref, found)

    def observe(self, ref: Ref, found: Container) -> bool:
        if found.phase is not Phase.EXITED:
            return False
        if self.watched.pop(ref.name, None) is not None:
            self.post(facts.ContainerExited(ref, found.exit_code, found.oom_killed, found.error))
        return True


class ContainerWorker:
    """The orders about one container that are not carried out yet."""

    def __init__(self, containerizer: Containerizer, ref: Ref) -> None:
        self._containerizer = containerizer
        self.ref = ref
        self.launch: orders.Launch | orders.LaunchExecutor | None = None
        self.stop: orders.Stop | None = None
        self.remove: orders.Remove | None = None
        self.cancelled = False
        self.answered = False
        self.launching = False
        self.start_sent = False
        self.create_sent = False
        self.create_allowed = False
        self.yields = False
        self.asks = False
        self._waiting = 0
        self._steps: Steps | None = None

    def take(self, order: Any) -> None:
        match order:
            case orders.Launch() | orders.LaunchExecutor():
                self.launch = self.launch or order
                self._join(order)
            case orders.AllowCreate():
                self._allow()
            case orders.CancelLaunch():
                self._cancel()
            case orders.Stop():
                self.stop = order
                self._interrupt(not self.launching)
            case orders.Remove():
                self.remove, self.stop = order, None
                if self.launch is not None:
                    self._cancel()
                self._interrupt(not self.launching)
        if self._steps is None:
            self._next()

    def _join(self, order: orders.Launch | orders.LaunchExecutor) -> None:
        if isinstance(order, orders.Launch) and order.executor is not None and order.executor.infra:
            joined = self._containerizer.world.engine.joined
            joined[self.ref.name] = order.executor.ref.name

    def _allow(self) -> None:
        if self.launching and not self.create_allowed:
            self.create_allowed = True
            if self.asks:
                self.asks = False
                self._resume(self._waiting, None, None)

    def _cancel(self) -> None:
        if self.cancelled or (self.launching and self.start_sent):
            return
        self.cancelled = True
        if self.launch is not None:
            self.answered = True
            self._containerizer.post(facts.LaunchCancelled(self.ref))
            self._interrupt(True)

    def _interrupt(self, wanted: bool) -> None:
        if wanted and self.yields and self._steps is not None:
            self.yields = self.asks = False
            self._waiting += 1
            self._advance(None, Interrupted())

    # --- driving the generators ------------------------------------------------------------

    def _next(self) -> None:
        if self.launch is not None:
            self._steps = self._do_launch()
        elif self.cancelled:
            self._steps = self._do_cancel()
        elif self.remove is not None:
            self._steps = self._do_remove()
        elif self.stop is not None:
            self._steps = self._do_stop()
        else:
            self._steps = None
            self._containerizer.workers.pop(self.ref, None)
            return
        self._advance(None, None)

    def _advance(self, result: Any, error: BaseException | None) -> None:
        steps = self._steps
        assert steps is not None
        try:
            wanted = steps.throw(error) if error is not None else steps.send(result)
        except (StopIteration, Interrupted):
            self._next()
            return
        self._waiting += 1
        if wanted[0] == "order":
            self.asks = True
        elif wanted[0] == "sleep":
            self._containerizer.world.clock.after(
                wanted[1], self._resume, self._waiting, None, None
            )
        else:
            ticket = self._waiting
            self._containerizer.call(
                wanted[1], wanted[2], lambda found, error: self._resume(ticket, found, error)
            )

    def _resume(self, ticket: int, result: Any, error: Any) -> None:
        if ticket == self._waiting and not self._containerizer.process.dead:
            self.yields = False
            self._advance(result, error)

    def _sleep(self, seconds: float) -> Steps:
        """A sleep that a newer order interrupts."""
        if self.launching and self.cancelled:
            raise Interrupted
        self.yields = True
        yield ("sleep", seconds)

    # --- steps ------------------------------------------------------------------------------

    def _do_launch(self) -> Steps:
        self.launching, self.start_sent, self.create_sent = True, False, False
        self.create_allowed = False
        try:
            outcome = yield from self._launch()
        finally:
            self.launching, self.launch = False, None
        if self.cancelled:
            return
        if isinstance(outcome, Container):
            self._started(outcome)
        else:
            self._containerizer.post(outcome)

    def _started(self, found: Container) -> None:
        self._containerizer.post(facts.ContainerStarted(self.ref, found))
        self._containerizer.watch(self.ref)
        self._containerizer.observe(self.ref, found)

    def _launch(self) -> Steps:
        behaviour = self._containerizer.world.engine.behaviour_of(self.ref)
        if behaviour.trouble == "invalid":
            return facts.LaunchFailed(self.ref, Failure.INVALID, "bad port")
        self._containerizer.post(facts.LaunchAdvanced(self.ref, Stage.PULLING))
        yield from self._sleep(behaviour.pull)
        if behaviour.trouble == "pull":
            return facts.LaunchFailed(self.ref, Failure.PULL, "manifest unknown")
        assert self.launch is not None
        names = tuple(mount.name for mount in self.launch.volumes)
        self._containerizer.world.engine.mounts[self.ref.name] = names
        for volume in names:
            yield from self._make_volume(volume)
        while True:
            try:
                return (yield from self._attempt())
            except Transient:
                if self.start_sent:
                    yield ("sleep", 1.0)
                else:
                    yield from self._sleep(1.0)
            except Permanent as error:
                return facts.LaunchFailed(self.ref, Failure.LAUNCH, str(error))

    def _make_volume(self, name: str) -> Steps:
        while True:
            yield from self._sleep(0.0)
            self._containerizer.unanswered.add(name)
            try:
                yield ("call", "create_volume", name)
            except Transient:
                yield from self._sleep(1.0)
                continue
            self._containerizer.unanswered.discard(name)
            return

    def _attempt(self) -> Steps:
        name = self.ref.name
        found = None
        if self.start_sent:
            found = yield ("call", "inspect", name)
        else:
            yield from self._sleep(0.0)
            self._containerizer.post(facts.LaunchAdvanced(self.ref, Stage.CREATING))
            if not self.create_allowed:
                self.yields = True
                yield ("order",)
            self._containerizer.world.invariants.check_create(self.ref)
            self.create_sent = True
            try:
                yield ("call", "create", self.ref)
            except NameTaken:
                try:
                    found = yield ("call", "inspect", name)
                except NotFound:
                    raise Transient("the container was removed meanwhile") from None
        if found is None or found.phase in (Phase.CREATED, Phase.PROVISIONING):
            if self.cancelled:
                raise Interrupted
            self.start_sent = True
            yield ("call", "start", name)
            found = yield ("call", "inspect", name)
        return found

    def _do_cancel(self) -> Steps:
        if not self.answered:
            yield from self._find_remains()
        elif self.create_sent:
            yield from self._remove_until_gone()
        self.cancelled = self.answered = self.create_sent = False

    def _find_remains(self) -> Steps:
        while True:
            try:
                found = yield ("call", "inspect", self.ref.name)
            except NotFound:
                break
            except Transient:
                yield ("sleep", 1.0)
                continue
            if found.phase in (Phase.RUNNING, Phase.EXITED):
                self._started(found)
                return
            break
        self._containerizer.post(facts.LaunchCancelled(self.ref))
        yield from self._remove_until_gone()

    def _do_remove(self) -> Steps:
        yield from self._remove_until_gone()
        self.remove = self.stop = None
        self._containerizer.post(facts.ContainerRemoved(self.ref))

    def _remove_until_gone(self) -> Steps:
        self._containerizer.watched.pop(self.ref.name, None)
        while True:
            try:
                yield ("call", "remove", self.ref.name)
                return
            except Transient:
                yield ("sleep", 1.0)

    def _do_stop(self) -> Steps:
        assert self.stop is not None
        order = self.stop
        while True:
            try:
                self.yields = True
                yield ("call", "stop", (self.ref.name, order.grace))
                found = yield ("call", "inspect", self.ref.name)
            except NotFound:
                if self._containerizer.watched.pop(self.ref.name, None) is not None:
                    self._containerizer.post(facts.ContainerVanished(self.ref))
                break
            except Transient:
                yield from self._sleep(1.0)
                continue
            if self._containerizer.observe(self.ref, found):
                break
            yield from self._sleep(1.0)
        if self.stop is order:
            self.stop = None
