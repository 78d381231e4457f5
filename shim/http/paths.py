"""Virtual paths of sandboxes: which task's sandbox a path names, and which file in it.

A sandbox has three paths, as at a stock agent. None of them exists on a disk::

    WORK_DIR/slaves/S/frameworks/F/executors/E/runs/CONTAINER   (``directory`` in /state)
    WORK_DIR/slaves/S/frameworks/F/executors/E/runs/latest
    /frameworks/F/executors/E/runs/latest

They are the sandbox of a command task E. Below those of a default executor E, ``tasks/T`` is the
sandbox of its task T.
"""

from __future__ import annotations

from dataclasses import dataclass

from shim.core.executors import Executor
from shim.core.task import Task
from shim.core.view import AgentView
from shim.http.executor import executor_path, sandbox_path
from shim.http.view import Outputs
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey

LATEST = "latest"


class Inaccessible(Exception):
    """The path contains ``..``, ``.`` or NUL, so it could lead out of a sandbox."""


@dataclass(frozen=True, slots=True)
class SandboxPath:
    ref: Ref
    live: bool
    """The engine may still have the container."""
    inside: str
    """The path within the sandbox; empty for the sandbox itself."""


def resolve(path: str, work_dir: str, agent: AgentView, outputs: Outputs) -> SandboxPath | None:
    """None if no such sandbox is known. Raises Inaccessible."""
    path = path.rstrip("/").removeprefix(work_dir.rstrip("/"))
    parts = path.split("/")
    if ".." in parts or "." in parts or "\0" in path:
        raise Inaccessible
    found = _split(parts)
    if found is None:
        return None
    framework, executor, run, inside = found
    ref = _find(TaskKey(framework, TaskId(executor)), run, agent, outputs) or _find_custom(
        ExecutorKey(framework, ExecutorId(executor)), run, agent, outputs
    )
    if ref is None and inside[:1] == ["tasks"] and len(inside) > 1:
        ref = _find_member(framework, executor, run, TaskId(inside[1]), agent, outputs)
        inside = inside[2:]
    if ref is None:
        return None
    return SandboxPath(ref, _is_live(ref, agent), "/".join(inside))


def member_directories(path: str, work_dir: str, agent: AgentView) -> list[str] | None:
    """Names in the directory of a default executor, or in ``tasks`` there; None: another path."""
    found = _split(path.rstrip("/").removeprefix(work_dir.rstrip("/")).split("/"))
    if found is None or found[3] not in ([], ["tasks"]):
        return None
    framework, executor, run, inside = found
    members = _members(framework, executor, run, agent)
    if not members:
        return None
    return sorted({ref.task_key.task_id for ref in members}) if inside else ["tasks"]


def task_paths(work_dir: str, key: TaskKey, task: Task) -> tuple[str, str]:
    """The first and the last of the three paths of a task's sandbox."""
    short = f"/frameworks/{key.framework_id}/executors/{task.executor_id}/runs/{LATEST}"
    agent_id = task.wire.slave_id.value
    if task.executor_key is not None:
        container = Ref(task.executor_key, task.ref.container_id)
        return executor_path(work_dir, agent_id, container), short
    executor = None if task.group is None else task.group.executor
    if executor is not None:
        short += f"/tasks/{key.task_id}"
    return sandbox_path(work_dir, agent_id, task.ref, executor), short


def _split(parts: list[str]) -> tuple[FrameworkId, str, str, list[str]] | None:
    """Framework, executor, run, and the parts below the run's directory."""
    match parts:
        case ["", "slaves", _, "frameworks", framework, "executors", executor, "runs", run, *rest]:
            pass
        case ["", "frameworks", framework, "executors", executor, "runs", run, *rest]:
            pass
        case _:
            return None
    return FrameworkId(framework), executor, run, [part for part in rest if part]


def _members(framework: FrameworkId, executor: str, run: str, agent: AgentView) -> list[Ref]:
    """The tasks of a default executor that are known, oldest first."""
    found: list[tuple[Ref, Executor]] = [
        (completed.ref, completed.executor)
        for completed in agent.completed_tasks(framework)
        if isinstance(completed.executor, Executor)
        and completed.executor.key.executor_id == executor
    ]
    known = agent.executors.get(ExecutorKey(framework, ExecutorId(executor)))
    if known is not None:
        found += [(agent.tasks[key].ref, known) for key in known.task_keys]
    newest = found[-1][1].container_id if found else ""
    wanted = newest if run == LATEST else run
    return [ref for ref, owner in found if owner.container_id == wanted]


def _find_member(
    framework: FrameworkId,
    executor: str,
    run: str,
    task_id: TaskId,
    agent: AgentView,
    outputs: Outputs,
) -> Ref | None:
    key = TaskKey(framework, task_id)
    runs = [ref for ref in _members(framework, executor, run, agent) if ref.key == key]
    return runs[-1] if runs else outputs.latest(key)


def _find(key: TaskKey, run: str, agent: AgentView, outputs: Outputs) -> Ref | None:
    task = agent.tasks.get(key)
    ended = agent.completed_tasks(key.framework_id)
    runs = [found.ref for found in ended if found.ref.key == key]
    runs += [ref for ref in agent.pending_removals.values() if ref.key == key]
    if task is not None:
        runs.append(task.ref)
    if run == LATEST:
        return runs[-1] if runs else outputs.latest(key)
    wanted = Ref(key, ContainerId(run))
    return wanted if wanted in runs or outputs.knows(wanted) else None


def _find_custom(key: ExecutorKey, run: str, agent: AgentView, outputs: Outputs) -> Ref | None:
    """The container of a custom executor."""
    executor = agent.custom_executors.get(key)
    if executor is not None and run in (LATEST, executor.container_id):
        return executor.ref
    if run == LATEST:
        return outputs.latest(key)
    wanted = Ref(key, ContainerId(run))
    return wanted if outputs.knows(wanted) else None


def _is_live(ref: Ref, agent: AgentView) -> bool:
    if isinstance(ref.key, ExecutorKey):
        executor = agent.custom_executors.get(ref.key)
        is_live = executor is not None and executor.ref == ref and executor.live
        return is_live or ref.container_id in agent.pending_removals
    task = agent.tasks.get(ref.task_key)
    return ref.container_id in agent.pending_removals or (
        task is not None and task.ref == ref and task.live
    )
