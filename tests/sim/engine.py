"""A simulated Docker endpoint: containers by name, slow, forgetful, sometimes away.

A request arrives after a while and is answered after another. Whatever goes wrong, the endpoint
itself is honest: what it did, it did, even when nobody hears its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shim.errors import NameTaken, NotFound, Permanent, ShimError, Transient
from shim.model.container import (
    LABEL_CONTAINER,
    LABEL_FRAMEWORK,
    LABEL_SHIM,
    LABEL_TASK,
    Container,
    Phase,
    Ref,
)
from shim.model.ids import TaskKey
from tests.sim.clock import Clock, Violation
from tests.sim.plan import Plan

Answer = Callable[[Any, ShimError | None], None]


@dataclass(slots=True)
class Spec:
    """How a task's container behaves."""

    ends: float | None = None
    code: int | None = 0
    oom: bool = False
    pull: float = 0.0
    trouble: str = ""
    stubborn: bool = False


@dataclass(slots=True)
class Box:
    """One container, as it really is."""

    ref: Ref
    spec: Spec
    phase: Phase
    exit_code: int | None = None
    oom_killed: bool = False
    started: int = 0

    def seen(self) -> Container:
        key = self.ref.key
        return Container(
            self.ref.name,
            f"id-{self.ref.container_id}",
            self.phase,
            {
                LABEL_SHIM: "sim",
                LABEL_FRAMEWORK: key.framework_id,
                LABEL_TASK: key.task_id,
                LABEL_CONTAINER: self.ref.container_id,
            },
            self.exit_code,
            self.oom_killed,
            "",
            ("172.17.0.2",),
            b"[{}]",
        )


@dataclass(slots=True)
class Engine:
    clock: Clock
    plan: Plan
    rng: Random
    say: Callable[..., None]
    boxes: dict[str, Box] = field(default_factory=dict)
    specs: dict[TaskKey, Spec] = field(default_factory=dict)
    ran: dict[TaskKey, str] = field(default_factory=dict)
    """The container in which each task ran: there is one at most."""
    away_until: float = 0.0
    calm: bool = False
    changed: Callable[[str], None] = lambda name: None

    # --- requests -------------------------------------------------------------------------

    def request(self, verb: str, argument: Any, answer: Answer) -> None:
        self.clock.after(self._while(0.005), self._arrive, verb, argument, answer)

    def _while(self, at_least: float) -> float:
        return self.rng.uniform(at_least / 2, max(at_least, self.plan.slow))

    def _arrive(self, verb: str, argument: Any, answer: Answer) -> None:
        now, faults, rng = self.clock.now, self.plan.faults, self.rng
        if now < self.away_until:
            self.clock.after(self._while(0.005), answer, None, Transient("connection refused"))
            return
        bad = not self.calm
        if bad and rng.random() < faults["engine_error"]:
            self.clock.after(self._while(0.005), answer, None, Transient("500 server error"))
            return
        lost = bad and rng.random() < faults["answer_lost"]
        try:
            result, error = getattr(self, "_" + verb)(argument), None
        except ShimError as raised:
            result, error = None, raised
        self.say("engine", verb, argument, "->", error or result, "(answer lost)" if lost else "")
        if lost:
            error = Transient("timed out")
        took = self._while(0.005)
        if verb == "create" and error is None and self.plan.triton:
            took = self._provision(argument)
        elif verb == "stop" and error is None and result:
            took = result
        self.clock.after(took, answer, None if verb == "stop" else result, error)

    def _provision(self, ref: Ref) -> float:
        self.boxes[ref.name].phase = Phase.PROVISIONING
        took = self._while(1.0) * 3
        self.clock.after(took, self._provisioned, ref)
        return took

    def _provisioned(self, ref: Ref) -> None:
        box = self.boxes.get(ref.name)
        if box is not None and box.phase is Phase.PROVISIONING:
            box.phase = Phase.CREATED

    def _list(self, _: None) -> tuple[Container, ...]:
        return tuple(box.seen() for box in self.boxes.values())

    def _inspect(self, name: str) -> Container:
        return self._find(name).seen()

    def _find(self, name: str) -> Box:
        if name not in self.boxes:
            raise NotFound(f"No such container: {name}")
        return self.boxes[name]

    def _create(self, ref: Ref) -> None:
        if ref.name in self.boxes:
            raise NameTaken(f"Conflict: {ref.name}")
        spec = self.specs[ref.key]
        if spec.trouble == "create":
            raise Permanent("invalid mount")
        self.boxes[ref.name] = Box(ref, spec, Phase.CREATED)

    def _start(self, name: str) -> None:
        box = self._find(name)
        if box.phase is Phase.PROVISIONING:
            raise Transient("still provisioning")
        if box.phase is Phase.RUNNING:
            return
        if box.started:
            raise Violation(f"{box.ref} is started a second time")
        if box.spec.trouble == "start":
            raise Permanent("exec: no such file")
        if box.ref.key in self.ran:
            before = self.ran[box.ref.key]
            raise Violation(f"{box.ref} is started, but the task ran in {before} before")
        self.ran[box.ref.key] = name
        box.started = 1
        box.phase = Phase.RUNNING
        if box.spec.ends is not None:
            self.clock.after(box.spec.ends, self.exit, name, box.spec.code, box.spec.oom)

    def _stop(self, argument: tuple[str, float]) -> float:
        """How long it takes."""
        name, grace = argument
        box = self._find(name)
        if box.phase is not Phase.RUNNING:
            return 0.0
        took = grace if box.spec.stubborn else min(grace, self.rng.uniform(0.0, 1.0))
        code = 137 if box.spec.stubborn else 143
        self.clock.after(took, self.exit, name, code)
        return took + 0.01

    def _remove(self, name: str) -> None:
        box = self.boxes.get(name)
        if box is None:
            return
        if box.phase is Phase.PROVISIONING:
            raise Transient("still provisioning")
        del self.boxes[name]
        self.changed(name)

    # --- what happens by itself ------------------------------------------------------------

    def exit(self, name: str, code: int | None, oom: bool = False) -> None:
        box = self.boxes.get(name)
        if box is not None and box.phase is Phase.RUNNING:
            self.say("engine", name, "exits", code)
            box.phase, box.exit_code, box.oom_killed = Phase.EXITED, code, oom
            self.changed(name)

    def remove_by_others(self, name: str) -> None:
        box = self.boxes.get(name)
        if box is not None and box.phase is not Phase.PROVISIONING:
            self.say("engine", name, "is removed by somebody else")
            del self.boxes[name]
            self.changed(name)

    def running(self, key: TaskKey) -> bool:
        name = self.ran.get(key)
        return name in self.boxes and self.boxes[name].phase is Phase.RUNNING
