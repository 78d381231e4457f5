"""kill -9 at two steps of a v0 executor. ``scripts/faults --executors``: at all, and v1."""

from __future__ import annotations

import docker
import pytest

from tests.e2e.conftest import System
from tests.e2e.executors.image import executor_image, gateway
from tests.e2e.faults.crashing import Crash
from tests.e2e.faults.executor_load import ExecutorLoad
from tests.e2e.faults.survival import mortal_agent, survive

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


async def test_executors_and_their_tasks_outlive_the_agent(
    system: System, docker_client: docker.DockerClient
) -> None:
    await mortal_agent(system, f"--ip={gateway(docker_client)}")
    image, directory = executor_image(docker_client), system.directory / "evidence"
    crashes = [Crash("hand-over", "after", 1), Crash("executor-ack", "before", 2)]
    async with (
        system.framework() as framework,
        ExecutorLoad(framework, image, directory, protocols=("v0",)) as load,
    ):
        await survive(system, load, crashes)
