"""Reservations and persistent volumes as frameworks write them."""

from __future__ import annotations

import contextlib
from typing import Any

import docker

from tests.e2e.client import Framework, Json
from tests.e2e.conftest import LABEL_SHIM, System
from tests.e2e.tasks import a_task

ROLE = "db"


def disk(size: float) -> Json:
    """A disk that is dynamically reserved for the role."""
    reservation = {"type": "DYNAMIC", "role": ROLE, "principal": "ops"}
    return {
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": size},
        "reservations": [reservation],
    }


def volume(name: str, size: float, path: str = "data", mode: str = "RW", **more: Any) -> Json:
    persistence = {"id": name, "principal": "ops"}
    mounted = {"container_path": path, "mode": mode}
    return {**disk(size), "disk": {"persistence": persistence, "volume": mounted}, **more}


def reserve(*resources: Json, **more: Any) -> Json:
    return {"type": "RESERVE", "reserve": {"resources": list(resources)}, **more}


def unreserve(*resources: Json, **more: Any) -> Json:
    return {"type": "UNRESERVE", "unreserve": {"resources": list(resources)}, **more}


def create(*volumes: Json, **more: Any) -> Json:
    return {"type": "CREATE", "create": {"volumes": list(volumes)}, **more}


def destroy(*volumes: Json, **more: Any) -> Json:
    return {"type": "DESTROY", "destroy": {"volumes": list(volumes)}, **more}


def launch(*tasks: Json) -> Json:
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


def task_with(system: System, task_id: str, command: str, *volumes: Json, **fields: Any) -> Json:
    info = a_task(system, task_id, command, **fields)
    info["resources"] += volumes
    return info


def volumes_of(system: System) -> list[Any]:
    """The volumes at the engine that agents of this system made."""
    found = system.engine.volumes.list(filters={"label": LABEL_SHIM})
    return [v for v in found if (v.attrs["Labels"] or {})[LABEL_SHIM].startswith(system.shim_id)]


def remove_volumes(system: System) -> None:
    for each in volumes_of(system):
        with contextlib.suppress(docker.errors.NotFound):
            each.remove(force=True)


def disks(event: Json) -> list[Json]:
    resources = [each for offer in event["offers"] for each in offer["resources"]]
    return [each for each in resources if each["name"] == "disk"]


def total_disk(event: Json) -> float:
    return float(sum(resource["scalar"]["value"] for resource in disks(event)))


async def everything(framework: Framework, total: float) -> Json:
    """An offer of all that the agent has: offers that the framework holds are given back.

    ``total`` is the agent's disk.
    """
    while True:
        after = len(framework.events)
        await framework.do("decline", refuse_seconds=0)
        event = await framework.until(lambda e: e["event"] == "offers", after=after)
        if total_disk(event) == total:
            return event
