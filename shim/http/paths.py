"""Virtual paths of sandboxes: which task's sandbox a path names, and which file in it.

A sandbox has three paths, as at a stock agent. None of them exists on a disk::

    WORK_DIR/slaves/S/frameworks/F/executors/E/runs/CONTAINER   (``directory`` in /state)
    WORK_DIR/slaves/S/frameworks/F/executors/E/runs/latest
    /frameworks/F/executors/E/runs/latest
"""

from __future__ import annotations

from dataclasses import dataclass

from shim.core.view import AgentView
from shim.http.view import Outputs
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey

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
    match parts:
        case ["", "slaves", _, "frameworks", framework, "executors", task, "runs", run, *inside]:
            pass
        case ["", "frameworks", framework, "executors", task, "runs", run, *inside]:
            pass
        case _:
            return None
    ref = _find(TaskKey(FrameworkId(framework), TaskId(task)), run, agent, outputs)
    if ref is None:
        return None
    return SandboxPath(ref, _is_live(ref, agent), "/".join(part for part in inside if part))


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


def _is_live(ref: Ref, agent: AgentView) -> bool:
    task = agent.tasks.get(ref.task_key)
    return ref.container_id in agent.pending_removals or (
        task is not None and task.ref == ref and task.live
    )
