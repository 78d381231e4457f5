"""The head of the live page: is the agent well, what does it offer, what failed lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from shim import limits
from shim.core.history import CompletedTask
from shim.core.view import AgentView
from shim.http.amounts import Amount
from shim.http.health import Liveness
from shim.http.live.rows import SCALARS
from shim.http.protojson import Json
from shim.http.view import View
from shim.model.ids import FrameworkId
from shim.protos.mesos_pb2 import TaskState

FAILURES = frozenset(
    {
        TaskState.TASK_FAILED,
        TaskState.TASK_LOST,
        TaskState.TASK_ERROR,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
    }
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One answer to "is it well?"."""

    name: str
    well: bool
    text: str

    def json(self) -> Json:
        return {"name": self.name, "well": self.well, "text": self.text}


@dataclass(slots=True)
class OverviewCounts:
    """What a walk over all tasks counts. It is made in slices of time."""

    now: float
    """Seconds since the epoch."""
    tasks: Counter[FrameworkId] = field(default_factory=Counter)
    """Those that the agent has."""
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Tasks that failed in the last hour, by state and message."""

    def add_completed(self, task: CompletedTask) -> None:
        if task.wire.state in FAILURES and self.now - task.ended <= limits.LIVE_FAILURES_AGE:
            text = task.wire.statuses[-1].message if task.wire.statuses else ""
            self.failed[TaskState.Name(task.wire.state), text[: limits.LIVE_MESSAGE]] += 1

    def failures(self) -> list[Json]:
        """The most frequent first."""
        return [
            {"state": state, "message": text, "count": count}
            for (state, text), count in self.failed.most_common(limits.LIVE_FAILURES)
        ]


Used = Mapping[str, Sequence[float]]
"""Sums of :data:`SCALARS` by framework id."""


def summary(view: View, used: Iterable[Used], counts: OverviewCounts) -> Json:
    """``used``: by tasks, and by executors."""
    agent = view.agent
    total = Amount(agent.info.resources).json()
    by_framework: dict[str, list[float]] = {}
    for framework_id, amounts in chain.from_iterable(each.items() for each in used):
        before = by_framework.setdefault(framework_id, [0.0] * len(SCALARS))
        by_framework[framework_id] = [a + b for a, b in zip(before, amounts, strict=True)]
    in_all = [sum(column) for column in zip(*by_framework.values(), strict=True)]
    resources = {
        name: {"used": round(amount, 2), "total": total.get(name, 0)}
        for name, amount in zip(SCALARS, in_all or [0.0] * len(SCALARS), strict=True)
    }
    body: Json = {
        "agent_id": agent.agent_id or "",
        "hostname": agent.info.hostname,
        "master": str(agent.master or ""),
        "version": agent.version,
        "started": view.started,
        "may_touch": view.may_touch,
        "now": counts.now,
        "signals": [signal.json() for signal in signals(view)],
        "resources": resources,
        "frameworks": _frameworks(agent, by_framework, counts.tasks),
        "failures": counts.failures(),
        "unacknowledged": agent.unacknowledged_updates,
        "to_remove": len(agent.pending_removals),
        "ended": {TaskState.Name(s): count for s, count in agent.ended_by_state.items()},
    }
    if view.billing is not None:
        body["triton"] = view.billing.state()
    return body


def signals(view: View) -> list[Signal]:
    agent, liveness = view.agent, view.liveness()
    return [
        _master(agent),
        Signal(
            "endpoint",
            liveness.relist_age <= limits.HEALTH_RELIST_AGE and not liveness.endpoint_error,
            liveness.endpoint_error or f"listed its containers {liveness.relist_age:.0f} s ago",
        ),
        _journal(liveness),
        *(Signal(name, well, text) for name, well, text in view.more_signals()),
        *([Signal("drain", False, "the agent is being drained")] if agent.drain_config else []),
    ]


def _journal(liveness: Liveness) -> Signal:
    if liveness.journal_problem:
        return Signal("journal", False, f"takes no records: {liveness.journal_problem}")
    if liveness.disk_failing:
        return Signal("journal", False, "takes no records: is the disk of --work_dir full?")
    return Signal("journal", True, "durable")


def _master(agent: AgentView) -> Signal:
    if agent.recovering:
        return Signal("master", False, "recovering: the endpoint has not listed its containers")
    if agent.connected:
        return Signal("master", True, f"registered with {agent.master}")
    if agent.master is None:
        return Signal("master", False, "no leading master is known")
    return Signal("master", False, f"not registered with {agent.master} yet")


def _frameworks(agent: AgentView, used: Used, tasks: Counter[FrameworkId]) -> list[Json]:
    found: list[Json] = []
    for id_, framework in agent.frameworks.items():
        amounts = dict(zip(SCALARS, used.get(id_, ()), strict=False))
        shown = {name: round(amounts.get(name, 0.0), 3) for name in SCALARS}
        found.append({"id": id_, "name": framework.info.name, "tasks": tasks[id_], **shown})
    return found
