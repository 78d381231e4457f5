"""Task groups as frameworks write them."""

from __future__ import annotations

from typing import Any

from tests.e2e.client import Framework, Json, task
from tests.e2e.conftest import System

BRIDGE: Json = {"type": "MESOS", "network_infos": [{"name": "bridge"}]}
"""The container of an executor with a network of its own."""


def member(system: System, task_id: str, command: str, **container: Any) -> Json:
    """A task of a group, in the system's image; ``container`` are fields of its ContainerInfo."""
    return in_pod(task(task_id, command), system.image, **container)


def in_pod(info: Json, image: str, **container: Any) -> Json:
    """The task as one of a group."""
    mesos = {"image": {"type": "DOCKER", "docker": {"name": image}}}
    return {**info, "container": {"type": "MESOS", "mesos": mesos, **container}}


def shared_volume(name: str, path: str) -> Json:
    """A directory of the executor, at ``path`` of the task."""
    sandbox_path = {"type": "PARENT", "path": name}
    source = {"type": "SANDBOX_PATH", "sandbox_path": sandbox_path}
    return {"mode": "RW", "container_path": path, "source": source}


def group(
    framework: Framework, executor_id: str, *tasks: Json, container: Json | None = BRIDGE
) -> Json:
    """The operation that launches them, in this executor."""
    amounts = {"cpus": 0.1, "mem": 32, "disk": 10}
    executor: Json = {
        "type": "DEFAULT",
        "executor_id": {"value": executor_id},
        "framework_id": {"value": framework.framework_id},
        "resources": [
            {"name": name, "type": "SCALAR", "scalar": {"value": amount}}
            for name, amount in amounts.items()
        ],
    }
    if container is not None:
        executor["container"] = container
    launch = {"executor": executor, "task_group": {"tasks": list(tasks)}}
    return {"type": "LAUNCH_GROUP", "launch_group": launch}
