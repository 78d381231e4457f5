"""One task in full, for the live page: its TaskInfo, and what became of it. Secrets are masked."""

from __future__ import annotations

from shim.core.history import CompletedTask
from shim.core.task import Task
from shim.http.executor import AnyExecutor, executor_of, sandbox_path
from shim.http.live.rows import scalars_of, stage_of
from shim.http.protojson import Json, to_json
from shim.http.view import View
from shim.model.container import Ref
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus


def task_json(view: View, container_id: str) -> Json | None:
    """None: the agent knows no such container any more."""
    for task in view.agent.tasks.values():
        if task.ref.container_id == container_id:
            return _live(view, task)
    for framework_id in view.agent.completed_frameworks:
        for completed in view.agent.completed_tasks(framework_id):
            if completed.ref.container_id == container_id:
                return _completed(view, completed)
    return None


def _live(view: View, task: Task) -> Json:
    executor = executor_of(task, view.agent)
    body = _body(view, task.ref, task.info, task.wire, task.accepted, executor)
    pending = view.agent.unacknowledged_states(task.key)
    body["unacknowledged"] = [TaskState.Name(state) for state in pending]
    body["addresses"] = list(task.addresses)
    body["stage"] = stage_of(task)
    body["live"] = task.live
    if view.billing is not None and (paid := view.billing.paid(task.ref.name)):
        body["triton"] = dict(paid)
    return body


def _completed(view: View, task: CompletedTask) -> Json:
    body = _body(view, task.ref, task.info, task.wire, task.accepted, task.executor)
    return {**body, "unacknowledged": [], "addresses": [], "stage": "", "live": False}


def _body(
    view: View,
    ref: Ref,
    info: TaskInfo,
    wire: WireTask,
    accepted: float,
    executor: AnyExecutor | None,
) -> Json:
    return {
        "id": ref.container_id,
        "container": ref.name,
        "task": wire.task_id.value,
        "framework_id": wire.framework_id.value,
        "state": TaskState.Name(wire.state),
        "accepted": accepted,
        "directory": sandbox_path(view.work_dir, wire.slave_id.value, ref, executor),
        "resources": scalars_of(wire),
        "statuses": [
            {
                "state": TaskState.Name(status.state),
                "timestamp": status.timestamp,
                "message": status.message,
                "reason": _reason(status),
                "healthy": status.healthy if status.HasField("healthy") else None,
            }
            for status in wire.statuses
        ],
        "info": to_json(info),
    }


def _reason(status: TaskStatus) -> str:
    return TaskStatus.Reason.Name(status.reason) if status.HasField("reason") else ""
