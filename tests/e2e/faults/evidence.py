"""What tasks themselves wrote down, held against what their framework heard.

Knows nothing of the shim: its input is the tasks' own files, which the engine's containers write,
and the framework's events. A task writes ``started`` when it starts and ``ended N`` as its last
act; ``hostname`` tells one container from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.client import TERMINAL, Json

ORDER = ("TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")
NEVER_RAN = {"TASK_DROPPED", "TASK_LOST"}
"""Words that promise that a task did not run (and, here, nobody else ends tasks)."""

REFUSED = NEVER_RAN | {"TASK_ERROR"}
"""The same of a master. TASK_ERROR: the offer was too small for a task and its new executor."""

INSIDE = "/evidence"


def script(task_id: str, body: str) -> str:
    """A shell command that keeps a diary; ``body`` ends with ``leave N``."""
    return (
        f"diary={INSIDE}/{task_id}\n"
        'say() { read at rest < /proc/uptime; echo "$* $at $(hostname)" >> $diary; }\n'
        "leave() { say ended $1; exit $1; }\n"
        "say started\n"
        f"{body}\n"
    )


def text(path: Path) -> str:
    """A diary; empty until its task has begun."""
    return path.read_text() if path.exists() else ""


@dataclass(frozen=True, slots=True)
class Diary:
    """One task's own account."""

    starts: int
    codes: tuple[int, ...]
    """Exit codes it left with."""

    @classmethod
    def read(cls, path: Path) -> Diary:
        words = [line.split() for line in text(path).splitlines()]
        codes = tuple(int(word[1]) for word in words if word[0] == "ended")
        return cls(sum(word[0] == "started" for word in words), codes)


def complaints(
    task_ids: Iterable[str], events: Sequence[Json], directory: Path, exit_text: str
) -> list[str]:
    """Everything that is not as it must be; empty: all is well.

    ``exit_text`` is what TASK_FAILED says to have exited.
    """
    heard: dict[str, list[Json]] = {task_id: [] for task_id in task_ids}
    for event in events:
        if event["event"] == "update":
            heard[event["status"]["task_id"]["value"]].append(event["status"])
    return [
        f"{task_id}: {text}"
        for task_id, statuses in heard.items()
        for text in _of(statuses, Diary.read(directory / task_id), exit_text)
    ]


def _of(statuses: Sequence[Json], diary: Diary, exit_text: str) -> Iterable[str]:
    """The agent's words are held against the diary, the master's against the agent's."""
    ours = [s for s in _distinct(statuses) if s["source"] != "SOURCE_MASTER"]
    masters = {s["state"] for s in statuses if s["source"] == "SOURCE_MASTER"} & TERMINAL
    states = [status["state"] for status in ours]
    ends = [status for status in ours if status["state"] in TERMINAL]
    if diary.starts > 1:
        yield f"started {diary.starts} times"
    if len(ends) > 1:
        yield f"{len(ends)} terminal updates: {states}"
    elif ends and masters - {ends[0]["state"]}:
        yield f"the agent ended it as {states}, the master as {masters}"
    elif not ends and (len(masters) != 1 or not masters <= REFUSED or diary.starts):
        said = {s.get("message", "") for s in statuses if s["source"] == "SOURCE_MASTER"}
        yield f"no end: {states}, master {masters} {said}, started {diary.starts} times"
    elif ends:
        yield from _order(states)
        yield from _truth(ends[0], states, diary, exit_text)


def _order(states: Sequence[str]) -> Iterable[str]:
    if states[-1] not in TERMINAL:
        yield f"taken back: {states}"
    known = [ORDER.index(state) for state in states if state in ORDER]
    if known != sorted(set(known)):
        yield f"out of order or repeated: {states}"


def _distinct(statuses: Sequence[Json]) -> list[Json]:
    """An update comes again, with the same uuid, until its acknowledgement has arrived."""
    seen: set[str] = set()
    result = []
    for status in statuses:
        uuid = status.get("uuid", "")
        if not uuid or uuid not in seen:
            result.append(status)
        seen.add(uuid)
    return result


def _truth(end: Json, states: Sequence[str], diary: Diary, exit_text: str) -> Iterable[str]:
    state, message = end["state"], end.get("message", "")
    if state in NEVER_RAN and diary.starts:
        yield f"{state} ({message}), and yet it started"
    # A stop may meet the runtime on a busy machine before it has become the task's shell.
    if "TASK_RUNNING" in states and not diary.starts and state != "TASK_KILLED":
        yield f"told as running, but it never started: {states}"
    if state == "TASK_FINISHED" and diary.codes != (0,):
        yield f"finished, and yet it left with {diary.codes}"
    # An executor that ends, as one without an agent does, takes along what it has not reported.
    with_executor = end.get("reason") == "REASON_EXECUTOR_TERMINATED" and _is_inside(end)
    if (
        state == "TASK_FAILED"
        and not with_executor
        and message != f"{exit_text} exited with status {_code(diary)}"
    ):
        yield f"failed ({message}), and yet it left with {diary.codes}"
    if state not in NEVER_RAN | {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"}:
        yield f"ended as {state} ({message})"
    if diary.codes and state not in ("TASK_KILLED", "TASK_FINISHED", "TASK_FAILED"):
        yield f"left with {diary.codes}, told as {state}"


def _is_inside(end: Json) -> bool:
    """Whether the task ran in a custom executor: that of a command task has the task's id."""
    inside: bool = end.get("executor_id", end["task_id"]) != end["task_id"]
    return inside


def _code(diary: Diary) -> int | None:
    return diary.codes[0] if len(diary.codes) == 1 else None
