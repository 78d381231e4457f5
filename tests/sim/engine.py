"""A simulated Docker endpoint: slow, unreliable, sometimes unreachable.

A request arrives after a delay, and its answer after another delay. An answer may be lost; the
effect of the request stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shim.errors import NameTaken, NotFound, Permanent, ShimError, Transient
from shim.model.container import (
    LABEL_CONTAINER,
    LABEL_EXECUTOR,
    LABEL_FRAMEWORK,
    LABEL_SHIM,
    LABEL_TASK,
    Container,
    Phase,
    Ref,
)
from shim.model.ids import ExecutorKey, TaskKey
from tests.sim.clock import Clock, Violation
from tests.sim.plan import Plan
from tests.sim.volumes import Data

Answer = Callable[[Any, ShimError | None], None]


@dataclass(slots=True)
class Behaviour:
    """How a task's container behaves."""

    ends: float | None = None
    code: int | None = 0
    oom: bool = False
    pull: float = 0.0
    trouble: str = ""
    stubborn: bool = False


@dataclass(slots=True)
class SimulatedContainer:
    """One container with its true state."""

    ref: Ref
    behaviour: Behaviour
    phase: Phase
    exit_code: int | None = None
    oom_killed: bool = False
    started: int = 0

    def described(self) -> Container:
        key = self.ref.key
        whose = (
            {LABEL_EXECUTOR: str(key.executor_id)}
            if isinstance(key, ExecutorKey)
            else {LABEL_TASK: str(key.task_id)}
        )
        return Container(
            self.ref.name,
            f"id-{self.ref.container_id}",
            self.phase,
            {
                LABEL_SHIM: "sim",
                LABEL_FRAMEWORK: key.framework_id,
                LABEL_CONTAINER: self.ref.container_id,
                **whose,
            },
            self.exit_code,
            self.oom_killed,
            "",
            ("172.17.0.2",),
            inspect=b"[{}]",
        )


@dataclass(slots=True)
class Engine:
    clock: Clock
    plan: Plan
    rng: Random
    say: Callable[..., None]
    containers: dict[str, SimulatedContainer] = field(default_factory=dict)
    behaviours: dict[TaskKey | ExecutorKey, Behaviour] = field(default_factory=dict)
    ran: dict[TaskKey, str] = field(default_factory=dict)
    """The container in which each task ran: at most one."""
    joined: dict[str, str] = field(default_factory=dict)
    """By the name of a task's container, that of the infra container whose network it joins."""
    infra_ran: set[str] = field(default_factory=set)
    """Names of the infra containers that were started."""
    away_until: float = 0.0
    calm: bool = False
    volumes: dict[str, set[Data]] = field(default_factory=dict)
    """What was written into each volume."""
    mounts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The volumes of each container, by its name."""
    mounted: Callable[[Ref, set[Data]], None] = lambda ref, found: None
    """A container started that mounts a volume with this data, and adds its own."""
    destroyed: Callable[[set[Data]], None] = lambda found: None
    """A volume is removed with this data."""
    changed: Callable[[str], None] = lambda name: None
    executor_started: Callable[[Ref], None] = lambda ref: None
    """The container of an executor started."""

    # --- requests -------------------------------------------------------------------------

    def request(self, verb: str, argument: Any, answer: Answer) -> None:
        self.clock.after(self._delay(0.005), self._arrive, verb, argument, answer)

    def _delay(self, at_least: float) -> float:
        return self.rng.uniform(at_least / 2, max(at_least, self.plan.slow))

    def _arrive(self, verb: str, argument: Any, answer: Answer) -> None:
        now, faults, rng = self.clock.now, self.plan.faults, self.rng
        if now < self.away_until:
            self.clock.after(self._delay(0.005), answer, None, Transient("connection refused"))
            return
        bad = not self.calm
        if bad and rng.random() < faults["engine_error"]:
            self.clock.after(self._delay(0.005), answer, None, Transient("500 server error"))
            return
        lost = bad and rng.random() < faults["answer_lost"]
        try:
            result, error = getattr(self, "_" + verb)(argument), None
        except ShimError as raised:
            result, error = None, raised
        self.say("engine", verb, argument, "->", error or result, "(answer lost)" if lost else "")
        if lost:
            error = Transient("timed out")
        took = self._delay(0.005)
        if verb == "create" and error is None and self.plan.triton:
            took = self._provision(argument)
        elif verb == "stop" and error is None and result:
            took = result
        self.clock.after(took, answer, None if verb == "stop" else result, error)

    def _provision(self, ref: Ref) -> float:
        self.containers[ref.name].phase = Phase.PROVISIONING
        took = self._delay(1.0) * 3
        self.clock.after(took, self._provisioned, ref)
        return took

    def _provisioned(self, ref: Ref) -> None:
        container = self.containers.get(ref.name)
        if container is not None and container.phase is Phase.PROVISIONING:
            container.phase = Phase.CREATED

    def _list(self, _: None) -> tuple[Container, ...]:
        return tuple(container.described() for container in self.containers.values())

    def _inspect(self, name: str) -> Container:
        return self._find(name).described()

    def _find(self, name: str) -> SimulatedContainer:
        if name not in self.containers:
            raise NotFound(f"No such container: {name}")
        return self.containers[name]

    def _create(self, ref: Ref) -> None:
        if ref.name in self.containers:
            raise NameTaken(f"Conflict: {ref.name}")
        if (infra := self.joined.get(ref.name)) is not None and infra not in self.infra_ran:
            raise Violation(f"{ref} is created before {infra}, which it joins, was started")
        behaviour = self.behaviour_of(ref)
        if behaviour.trouble == "create":
            raise Permanent("invalid mount")
        for name in self.mounts.get(ref.name, ()):
            # An engine makes a volume that is missing.
            self.volumes.setdefault(name, set())
        self.containers[ref.name] = SimulatedContainer(ref, behaviour, Phase.CREATED)

    def behaviour_of(self, ref: Ref) -> Behaviour:
        """An infra container always runs until it is removed."""
        if isinstance(ref.key, ExecutorKey):
            return self.behaviours.get(ref.key) or Behaviour()
        return self.behaviours[ref.task_key]

    def _start(self, name: str) -> None:
        container = self._find(name)
        if container.phase is Phase.PROVISIONING:
            raise Transient("still provisioning")
        if container.phase is Phase.RUNNING:
            return
        if container.started:
            raise Violation(f"{container.ref} is started a second time")
        if container.behaviour.trouble == "start":
            raise Permanent("exec: no such file")
        infra = self.joined.get(name)
        if infra is not None:
            owner = self.containers.get(infra)
            if owner is None or owner.phase is not Phase.RUNNING:
                raise Permanent("cannot join network of a non running container")
        if isinstance(container.ref.key, TaskKey):
            if container.ref.key in self.ran:
                before = self.ran[container.ref.key]
                raise Violation(f"{container.ref} is started, but the task ran before in {before}")
            self.ran[container.ref.key] = name
        else:
            self.infra_ran.add(name)
        container.started = 1
        container.phase = Phase.RUNNING
        if isinstance(container.ref.key, ExecutorKey):
            self.executor_started(container.ref)
        for volume in self.mounts.get(name, ()):
            self.mounted(container.ref, self.volumes[volume])
        if container.behaviour.ends is not None:
            self.clock.after(
                container.behaviour.ends,
                self.exit,
                name,
                container.behaviour.code,
                container.behaviour.oom,
            )

    def _stop(self, argument: tuple[str, float]) -> float:
        """How long it takes."""
        name, grace = argument
        container = self._find(name)
        if container.phase is not Phase.RUNNING:
            return 0.0
        took = grace if container.behaviour.stubborn else min(grace, self.rng.uniform(0.0, 1.0))
        code = 137 if container.behaviour.stubborn else 143
        self.clock.after(took, self.exit, name, code)
        return took + 0.01

    def _remove(self, name: str) -> None:
        container = self.containers.get(name)
        if container is None:
            return
        if container.phase is Phase.PROVISIONING:
            raise Transient("still provisioning")
        del self.containers[name]
        self.changed(name)

    def _update(self, name: str) -> None:
        if self._find(name).behaviour.trouble == "update":
            raise Permanent("invalid memory limit")

    def _create_volume(self, name: str) -> None:
        self.volumes.setdefault(name, set())

    def _remove_volume(self, name: str) -> None:
        if any(name in self.mounts.get(container, ()) for container in self.containers):
            raise Transient(f"volume is in use: {name}")
        if name in self.volumes:
            self.destroyed(self.volumes[name])
            del self.volumes[name]

    # --- events of the containers ----------------------------------------------------------

    def exit(self, name: str, code: int | None, oom: bool = False) -> None:
        container = self.containers.get(name)
        if container is not None and container.phase is Phase.RUNNING:
            self.say("engine", name, "exits", code)
            container.phase, container.exit_code, container.oom_killed = Phase.EXITED, code, oom
            self.changed(name)

    def remove_by_others(self, name: str) -> None:
        container = self.containers.get(name)
        if container is not None and container.phase is not Phase.PROVISIONING:
            self.say("engine", name, "is removed by others")
            del self.containers[name]
            self.changed(name)

    def running(self, key: TaskKey) -> bool:
        name = self.ran.get(key)
        return name in self.containers and self.containers[name].phase is Phase.RUNNING
