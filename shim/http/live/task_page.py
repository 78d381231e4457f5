"""One task in full, for the live page: its TaskInfo, and what became of it. Secrets are masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shim.core.custom_executor import CustomExecutor
from shim.core.history import CompletedTask
from shim.core.task import LaunchStep, Task
from shim.http.executor import AnyExecutor, executor_of, sandbox_path
from shim.http.live.rows import row_id, scalars_of, stage_of
from shim.http.protojson import Json, to_json
from shim.http.view import View
from shim.model.container import ContainerPort, Ref
from shim.model.ids import FrameworkId, TaskId, TaskKey
from shim.protos.mesos_pb2 import Task as WireTask
from shim.protos.mesos_pb2 import TaskInfo, TaskState, TaskStatus

_LAUNCHING = (TaskState.TASK_STAGING, TaskState.TASK_STARTING)


def task_json(view: View, query: Mapping[str, str]) -> Json | None:
    """By ``id``, that of its row, or by ``framework_id`` and ``task_id``: the last one of these.

    None: the agent knows no such task any more.
    """
    if (found := _find_live(view, query)) is not None:
        return _live(view, found)
    wanted = query.get("id"), _key(query)
    for framework_id in view.agent.completed_frameworks:
        for completed in reversed(view.agent.completed_tasks(framework_id)):
            if _is_meant(*wanted, completed.ref, completed.executor):
                return _completed(view, completed)
    return None


def _find_live(view: View, query: Mapping[str, str]) -> Task | None:
    agent = view.agent
    if "id" not in query:
        return agent.tasks.get(_key(query))
    container_id, slash, task_id = query["id"].partition("/")
    if not slash:
        return agent.task_in(container_id)
    for executor in agent.custom_executors.values():
        if executor.container_id == container_id:
            task = agent.tasks.get(TaskKey(executor.key.framework_id, TaskId(task_id)))
            if task is not None and executor_of(task, agent) is executor:
                return task
    return None


def _is_meant(id_: str | None, key: TaskKey, ref: Ref, executor: AnyExecutor | None) -> bool:
    """Whether a completed task has this id of its row, or this key if no id is given."""
    return ref.key == key if id_ is None else row_id(ref, executor) == id_


def _key(query: Mapping[str, str]) -> TaskKey:
    framework_id, task_id = query.get("framework_id", ""), query.get("task_id", "")
    return TaskKey(FrameworkId(framework_id), TaskId(task_id))


def _live(view: View, task: Task) -> Json:
    executor = executor_of(task, view.agent)
    body = _body(view, task.ref, task.info, task.wire, executor)
    pending = view.agent.unacknowledged_states(task.key)
    exec_in = running_container(task, executor)
    return {
        **body,
        "accepted": task.accepted,
        "launch": launch_json(task.accepted, task.steps, task.wire),
        "unacknowledged": [TaskState.Name(state) for state in pending],
        "addresses": list(task.addresses),
        "ports": [_port_text(port) for port in task.ports],
        "services": list(view.services(task.ref)),
        "stage": stage_of(task),
        "live": task.live,
        "exec_in": exec_in,
        "may_touch": view.may_touch and exec_in is not None,
    }


def _completed(view: View, task: CompletedTask) -> Json:
    return {
        **_body(view, task.ref, task.info, task.wire, task.executor),
        "accepted": task.accepted,
        "launch": launch_json(task.accepted, task.steps, task.wire),
        "unacknowledged": [],
        "addresses": [],
        "ports": [],
        "services": [],
        "stage": "",
        "live": False,
        "exec_in": None,
        "may_touch": False,
    }


def _body(
    view: View, ref: Ref, info: TaskInfo, wire: WireTask, executor: AnyExecutor | None
) -> Json:
    body: Json = {
        "id": row_id(ref, executor),
        "container": ref.name,
        "task": wire.task_id.value,
        "framework_id": wire.framework_id.value,
        "executor": "" if executor is None else executor.key.executor_id,
        "state": TaskState.Name(wire.state),
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
    if view.billing is not None and (bill := view.billing.bill_of(ref.name)):
        body["triton"] = dict(bill)
    return body


def running_container(task: Task, executor: AnyExecutor | None) -> Json | None:
    """The ContainerID, for the operator API, of the container that the task runs in.

    ``parent`` is there for a task of a group. Tasks of a custom executor run in its container.
    """
    if isinstance(executor, CustomExecutor):
        runs = executor.started and executor.live and task.live
        return {"value": executor.container_id} if runs else None
    if not task.container_running:
        return None
    own: Json = {"value": task.ref.container_id}
    return own if executor is None else {**own, "parent": {"value": executor.container_id}}


def launch_json(accepted: float, steps: Sequence[LaunchStep], wire: WireTask) -> list[Json]:
    """The stages of the launch with the seconds that each took; None for the present one."""
    if not steps:
        return []
    over = (each.timestamp for each in wire.statuses if each.state not in _LAUNCHING)
    ends = [*(step.began for step in steps), next(over, None)]
    stages = [("accepted", accepted, ""), *steps]
    return [
        {
            "stage": stage,
            "began": began,
            "detail": detail,
            "seconds": None if end is None else round(max(0.0, end - began), 3),
        }
        for (stage, began, detail), end in zip(stages, ends, strict=True)
    ]


def _port_text(port: ContainerPort) -> str:
    """``80/tcp``, or ``80/tcp at 31005`` with the port of the engine's host."""
    published = "" if port.host is None else f" at {port.host}"
    return f"{port.number}/{port.protocol}{published}"


def _reason(status: TaskStatus) -> str:
    return TaskStatus.Reason.Name(status.reason) if status.HasField("reason") else ""
