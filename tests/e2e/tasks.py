"""Docker tasks as frameworks write them, and what is often asked about many at once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

from tests.e2e.client import Framework, Json, task
from tests.e2e.conftest import System
from tests.support.wait import PATIENCE, until

GENTLE = "trap 'exit 0' TERM; sleep 1000 & wait"
"""Runs until it is asked to end."""
STUBBORN = "trap '' TERM; sleep 1000"
"""Runs until it is killed."""
AT_ONCE: Json = {"grace_period": {"nanoseconds": 0}}
"""A kill policy for tasks whose end is not what a test is about."""


def a_task(system: System, task_id: str, command: str = GENTLE, **fields: Any) -> Json:
    """A task of the system's image; ``fields`` are those of ``client.task``."""
    return task(task_id, command, **{"image": system.image, **fields})


def docker_task(
    system: System,
    task_id: str,
    command: str | Json = "sleep 1000",
    *,
    container: Json | None = None,
    parameters: Mapping[str, str] | None = None,
    ports: tuple[int, int] | None = None,
    resources: Mapping[str, float] | None = None,
    **docker: Any,
) -> Json:
    """``docker`` are fields of DockerInfo, ``container`` of ContainerInfo; a text is shell's."""
    info = copy.deepcopy(task(task_id, image=system.image, kill_policy=AT_ONCE))
    info["command"] = {"value": command} if isinstance(command, str) else command
    info["container"].update(container or {})
    given = [{"key": key, "value": value} for key, value in (parameters or {}).items()]
    info["container"]["docker"].update({**docker, "parameters": given})
    for name, value in (resources or {}).items():
        info["resources"].append({"name": name, "type": "SCALAR", "scalar": {"value": value}})
    if ports:
        ranges = {"range": [{"begin": ports[0], "end": ports[1]}]}
        info["resources"].append({"name": "ports", "type": "RANGES", "ranges": ranges})
    return info


async def ends(framework: Framework, *tasks: Json, timeout: float = PATIENCE) -> dict[str, str]:
    """Launch them; each one's last state, with its message where it did not finish."""
    await framework.launch(*tasks)
    found = {}
    for info in tasks:
        status = await framework.end(info["task_id"]["value"], timeout)
        finished = status["state"] == "TASK_FINISHED"
        words = "" if finished else f" {status.get('message', '')}"
        found[info["task_id"]["value"]] = status["state"] + words
    return found


async def running(
    system: System, framework: Framework, *tasks: Json, timeout: float = PATIENCE
) -> dict[str, Json]:
    """Launch them; what the engine says of each one's container, once it runs.

    Tasks that trap signals have set their traps then.
    """
    await framework.launch(*tasks)
    found = {}
    for info in tasks:
        name = info["task_id"]["value"]
        await framework.state(name, "TASK_RUNNING", timeout)
        if info["command"].get("value", "").startswith("trap "):
            await traps_are_set(system, name)
        found[name] = (await asyncio.to_thread(system.container_of, name)).attrs
    return found


async def traps_are_set(system: System, task_id: str) -> None:
    """Wait until the task's shell sleeps: a signal that comes before its trap is ignored."""

    async def sleeps() -> bool:
        container = await asyncio.to_thread(system.container_of, task_id)
        processes = (await asyncio.to_thread(container.top))["Processes"] or []
        return any(process[-1].startswith("sleep ") for process in processes)

    await until(sleeps, f"the traps of {task_id}")
