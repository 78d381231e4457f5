"""The plan of a run, made from a seed: fault rates, and events with their times.

A plan is plain data, made before the run. A failing plan can therefore be shrunk by leaving events
out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.sim.seeds import WITHOUT_EXECUTORS

#: The weight of each event, by theme; a run has one to three themes.
THEMES: dict[str, dict[str, int]] = {
    "tasks": {"kill": 3, "exit": 3, "health": 2, "kill_executor": 1, "foreign_removal": 1},
    "pods": {"kill": 2, "exit": 2, "kill_pod": 2, "infra_exit": 1, "infra_removal": 1, "crash": 2},
    "crashes": {"crash": 6, "stop": 1},
    "links": {"break_link": 4, "partition": 4, "blink": 2},
    "masters": {"failover": 4, "amnesia": 1, "blink": 1},
    "engine": {"engine_away": 4, "foreign_removal": 2, "exit": 2},
    "disk": {"disk_refuses": 3, "crash": 2},
    "frameworks": {"detach": 3, "teardown": 2, "new_info": 2, "checkpoint_resources": 1},
    "operators": {"drain": 4, "reactivate": 3, "gone": 1, "leave": 1},
    "disasters": {"wipe": 1, "gone": 1, "crash": 2},
}

#: Of runs with custom executors, beside those of their themes.
EXECUTOR_EVENTS = {
    "executor_exit": 2,
    "executor_break": 5,
    "executor_removal": 1,
    "executor_message": 2,
    "executor_shutdown": 2,
    "impersonate": 1,
    "crash": 5,
    "failover": 1,
}
_OF_EXECUTORS = EXECUTOR_EVENTS.keys() - {"crash", "failover"}
_EXECUTOR_SHARE = 0.2
"""Of all runs, those in which tasks are launched for custom executors."""

_FAULTS = {
    "engine_error": (0.0, 0.0, 0.1, 0.3),
    "answer_lost": (0.0, 0.0, 0.1, 0.3),
    "event_lost": (0.0, 0.2, 1.0),
    "ack_lost": (0.0, 0.0, 0.3, 0.6),
    "ack_doubled": (0.0, 0.0, 0.3),
    "ack_late": (0.0, 0.0, 0.5),
    "launch_doubled": (0.0, 0.0, 0.2),
    "authentication_fails": (0.0, 0.3),
}


@dataclass(slots=True)
class Event:
    """``name`` is a method of the World, ``arguments`` its arguments. ``at`` is in seconds."""

    at: float
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        how = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.at:8.3f}  {self.name}({how})"


@dataclass(slots=True)
class ExecutorTraits:
    """How the program of a custom executor behaves. Rates are of 1."""

    v1: bool
    silent: bool
    """It never registers."""
    stubborn: bool
    """It ignores that it is to shut down."""
    deaf: bool
    """It ignores kills of its tasks."""
    late: bool
    """After a loss of its agent it comes back too late, or almost."""
    dies: float | None
    """Seconds from its start until it exits."""
    unfit: bool
    """Its container cannot grow."""
    update_lost: float
    update_doubled: float


@dataclass(slots=True)
class Plan:
    seed: int
    faults: dict[str, float]
    slow: float
    """Longest duration of an engine call, in seconds."""
    triton: bool
    """Creates take long; the container is provisioning meanwhile."""
    authenticate: bool
    frameworks: list[dict[str, bool]]
    events: list[Event]
    length: float
    """Seconds until no more faults occur."""
    volumes: int = 0
    """Persistent volumes that are created and destroyed. Then the master sends operations; else it
    is an old one, which sends all reservations at once."""
    executors: list[ExecutorTraits] = field(default_factory=list)
    """The custom executors that tasks are launched for."""


def make(seed: int) -> Plan:
    plan = _make(Random(seed), seed)
    # Drawn apart, so that the runs without volumes stay what they were.
    rng = Random(f"volume {seed}")
    if rng.random() < 0.4:
        plan.volumes = rng.choice((1, 2, 3))
        for _ in range(rng.choice((3, 10, 30))):
            how = {"volume": rng.randrange(plan.volumes)}
            plan.events.append(Event(rng.uniform(0.3, plan.length), "operate", how))
        for event in plan.events:
            if event.name == "launch" and rng.random() < 0.7:
                event.arguments["volume"] = rng.randrange(plan.volumes)
        plan.events.sort(key=lambda event: event.at)
    _add_executors(plan, Random(f"executor {seed}"))
    return plan


def _add_executors(plan: Plan, rng: Random) -> None:
    """Have custom executors run some of the tasks. Drawn apart, as the volumes."""
    if plan.seed in WITHOUT_EXECUTORS or rng.random() >= _EXECUTOR_SHARE:
        return
    plan.executors = [_traits(rng) for _ in range(rng.choice((1, 1, 2)))]
    launches = [event for event in plan.events if event.name == "launch"]
    for event in launches:
        how = event.arguments
        if how["kind"] in ("task", "group") and "volume" not in how and rng.random() < 0.7:
            how["kind"] = "custom" if how["kind"] == "task" else "custom_group"
            how["executor"] = rng.randrange(len(plan.executors))
            if rng.random() < 0.7:
                how["trouble"], how["pull"] = "", 0.0
    names = sorted(EXECUTOR_EVENTS)
    weights = [EXECUTOR_EVENTS[name] for name in names]
    for what in rng.choices(names, weights, k=rng.choice((0, 2, 5))):
        added = _event(rng, what, plan.length, len(launches), len(plan.frameworks))
        if what in _OF_EXECUTORS:
            added.arguments["executor"] = rng.randrange(len(plan.executors))
        if what == "crash" and rng.random() < 0.7:
            # The steps from the launch of an executor to its first update.
            added.at = rng.choice(launches).at + rng.choice((0.0, 0.0, 0.1, 1.0, 3.0))
        plan.events.append(added)
    plan.events.sort(key=lambda event: event.at)


def _traits(rng: Random) -> ExecutorTraits:
    return ExecutorTraits(
        v1=rng.random() < 0.6,
        silent=rng.random() < 0.07,
        stubborn=rng.random() < 0.2,
        deaf=rng.random() < 0.1,
        late=rng.random() < 0.15,
        dies=rng.choice((None,) * 8 + (0.5, 20.0)),
        unfit=rng.random() < 0.1,
        update_lost=rng.choice((0.0, 0.0, 0.2)),
        update_doubled=rng.choice((0.0, 0.3)),
    )


def _make(rng: Random, seed: int) -> Plan:
    themes = rng.sample(sorted(THEMES), rng.choice((1, 1, 2, 2, 3)))
    length = rng.choice((4.0, 10.0, 30.0, 90.0, 240.0))
    frameworks = [
        {
            "checkpoint": rng.random() < 0.75,
            "partition_aware": rng.random() < 0.5,
            "killing": rng.random() < 0.5,
        }
        for _ in range(rng.choice((1, 1, 2)))
    ]
    tasks = rng.choice((1, 2, 4, 6, 10))
    kinds = (2, 12) if "pods" in themes else (14, 1)
    events = [_launch(rng, i, length, len(frameworks), kinds) for i in range(tasks)]
    weights: dict[str, int] = {"kill": 1, "exit": 1}
    for theme in themes:
        for what, weight in THEMES[theme].items():
            weights[what] = weights.get(what, 0) + weight
    names = sorted(weights)
    chosen = rng.choices(names, [weights[n] for n in names], k=rng.choice((1, 4, 8, 16, 32)))
    events += [_event(rng, what, length, tasks, len(frameworks)) for what in chosen]
    events.sort(key=lambda event: event.at)
    return Plan(
        seed,
        {name: rng.choice(rates) for name, rates in _FAULTS.items()},
        rng.choice((0.02, 0.02, 0.5, 5.0)),
        rng.random() < 0.25,
        rng.random() < 0.25,
        frameworks,
        events,
        length,
    )


def _launch(
    rng: Random, index: int, length: float, frameworks: int, kinds: tuple[int, int]
) -> Event:
    """``kinds`` are the weights of single tasks and of task groups."""
    how = {
        "task": index,
        "framework": rng.randrange(frameworks),
        **_behaviour(rng),
        "grace": rng.choice((None, None, 0.0, 3.0, 30.0)),
        "limit": rng.choice((None,) * 6 + (0.0, 1.5, 30.0)),
        "checked": rng.random() < 0.4,
        "kind": rng.choice(("task",) * kinds[0] + ("group",) * kinds[1] + ("executor", "volume")),
    }
    if how["kind"] == "group":
        how["pod"] = rng.choice((0, 0, 1))
        how["others"] = [_behaviour(rng) for _ in range(rng.choice((0, 1, 2)))]
    return Event(rng.uniform(0.5, 0.5 + length * 0.7), "launch", how)


def _behaviour(rng: Random) -> dict[str, Any]:
    return {
        "ends": rng.choice((None, None, 0.01, 1.0, 8.0, 60.0)),
        "code": rng.choice((0, 0, 1, 137, None)),
        "oom": rng.random() < 0.1,
        "pull": rng.choice((0.0, 0.0, 0.5, 8.0)),
        "trouble": rng.choice(("",) * 8 + ("pull", "create", "start", "invalid")),
        "stubborn": rng.random() < 0.3,
    }


def _event(rng: Random, what: str, length: float, tasks: int, frameworks: int) -> Event:
    task, framework = rng.randrange(tasks), rng.randrange(frameworks)
    how: dict[str, Any] = {}
    match what:
        case "kill":
            how = {"task": task, "grace": rng.choice((None, None, 0.0, 10.0))}
        case "kill_executor" | "foreign_removal":
            how = {"task": task}
        case "kill_pod" | "infra_exit" | "infra_removal":
            how = {"framework": framework, "pod": rng.choice((0, 0, 1))}
        case "exit":
            how = {"task": task, "code": rng.choice((0, 1, 143))}
        case "health":
            how = {"task": task, "healthy": rng.random() < 0.5, "kill": rng.random() < 0.4}
        case "crash" | "wipe":
            how = {"fuse": rng.choice((0, 0, 1, 2, 3, 4, 5, 6, 8, 12)), "down": _duration(rng)}
        case "stop":
            how = {"down": _duration(rng)}
        case "partition":
            how = {
                "up": rng.random() < 0.7,
                "down": rng.random() < 0.7,
                "seconds": rng.choice((1.0, 20.0, 80.0, 160.0)),
                "lossy": rng.random() < 0.5,
            }
        case "blink" | "failover" | "amnesia":
            how = {"gap": rng.choice((0.0, 0.0, 0.5, 8.0)), "detect": rng.choice((0.01, 1.0, 5.0))}
        case "engine_away" | "disk_refuses":
            how = {"seconds": rng.choice((0.5, 3.0, 30.0, 120.0))}
        case "detach":
            how = {"framework": framework, "seconds": rng.choice((0.1, 3.0, 40.0))}
        case "teardown":
            how = {"framework": framework}
        case _ if what in _OF_EXECUTORS:
            how = {"framework": framework}
        case "new_info":
            how = {"framework": framework, "killing": rng.random() < 0.5}
        case "drain":
            how = {"mark_gone": rng.random() < 0.2, "grace": rng.choice((None, 0.0, 2.0))}
    return Event(rng.uniform(0.2, length), what, how)


def _duration(rng: Random) -> float:
    return rng.choice((0.3, 0.3, 2.0, 20.0, 100.0))
