"""Launches of tasks with URIs."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from shim.engine.api import ContainerSpec, Engine
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.fetch.sandbox_archive import with_sandbox_volume
from shim.engine.mapping import MappingSettings, container_spec
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import Launch
from shim.protos.mesos_pb2 import CommandInfo, ContainerInfo, TaskInfo


def launch(*uris: CommandInfo.URI | str, image: str = "busybox:1", script: str = "") -> Launch:
    """A launch of ``script``, or of something that runs, with these URIs."""
    task = TaskInfo(name="t")
    task.task_id.value, task.slave_id.value = "t", "S0"
    task.container.type = ContainerInfo.DOCKER
    task.container.docker.image = image
    task.container.docker.network = ContainerInfo.DockerInfo.NONE
    task.command.shell = False
    task.command.arguments.extend(["sh", "-c", script] if script else ["sleep", "100"])
    for uri in uris:
        task.command.uris.append(uri if isinstance(uri, CommandInfo.URI) else as_uri(uri))
    ref = Ref(TaskKey(FrameworkId("F"), TaskId("t")), ContainerId(str(uuid.uuid4())))
    return Launch(ref, task, "agent")


def as_uri(url: str, **fields: Any) -> CommandInfo.URI:
    return CommandInfo.URI(value=url, **fields)


def fetcher(
    engine: Engine, settings: MappingSettings, directory: Path, **options: object
) -> Fetcher:
    defaults: dict[str, object] = {
        "cache_directory": directory / "cache-of-fetch",
        "cache_size": 1_000_000,
    }
    return Fetcher(engine, settings, directory, **(defaults | options))  # type: ignore[arg-type]


def spec(order: Launch, settings: MappingSettings) -> ContainerSpec:
    made = container_spec(order.ref, order.task, agent_id="a", executor_id="t", settings=settings)
    return made if settings.triton else with_sandbox_volume(made, settings.sandbox_directory)
