"""Images out of a real registry: credentials, forced pulls, slow pulls, one pull for many tasks."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import tarfile
import uuid
from collections.abc import Callable, Iterator

import aiohttp
import docker
import pytest

from tests.e2e.agents import AgentProcess
from tests.e2e.conftest import System
from tests.e2e.gate import gate
from tests.e2e.tasks import docker_task, ends
from tests.engine.fetch.archives import a_tar
from tests.engine.fetch.server import serving
from tests.support import busybox, registry
from tests.support.registry import Registry
from tests.support.wait import until

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_busybox,
    pytest.mark.needs_registry,
]

PULL = "TASK_FAILED Failed to launch container: Cannot pull "
Push = Callable[[Registry], str]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.running(tmp_path_factory.mktemp("public"), user="") as running:
        yield running


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


@pytest.fixture
def push(docker_client: docker.DockerClient) -> Iterator[Push]:
    """Puts a new image of 1 MB, which the engine then does not have, into a registry."""
    tag = uuid.uuid4().hex

    def push(where: Registry) -> str:
        docker_client.api.import_image_from_data(_noisy(), repository=tag, tag="1")
        name = where.push(docker_client, f"{tag}:1", f"tests/{tag}:1")
        docker_client.images.remove(f"{tag}:1")
        return name

    yield push
    for image in docker_client.images.list():
        for name in image.tags:
            if tag in name:
                docker_client.images.remove(name, force=True)


def _noisy() -> bytes:
    file_system = io.BytesIO(busybox.root_file_system())
    with tarfile.open(fileobj=file_system, mode="a") as tar:
        member = tarfile.TarInfo("noise")
        member.size = 300_000
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    return file_system.getvalue()


async def stages(agent: AgentProcess) -> list[str]:
    """What the launches of waiting tasks are busy with, as ``/state`` says it."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{agent.port}/state") as answer,
    ):
        (framework,) = (await answer.json())["frameworks"]
    executors = framework["executors"]
    return [task["stage"] for found in executors for task in found["queued_tasks"]]


async def test_ten_tasks_of_one_image_pull_it_once(
    public: Registry, push: Push, shared: System
) -> None:
    image = await asyncio.to_thread(push, public)
    agent = await shared.agent()
    async with gate(public.port, rate=4e6) as way:
        image = image.replace(str(public.port), str(way.port))
        tasks = [docker_task(shared, f"t{n}", "true", image=image) for n in range(10)]
        async with shared.framework() as framework:
            found = await ends(framework, *tasks)
    assert found == {f"t{n}": "TASK_FINISHED" for n in range(10)}
    assert way.count("GET", "/manifests/") == 1
    assert agent.log.count(f"pulled {image} in ") == 1


async def test_credentials(private: Registry, push: Push, shared: System) -> None:
    image = await asyncio.to_thread(push, private)
    wrong = {"auths": {private.host: {"auth": "bm90OnRoaXM="}}}
    agent = await shared.agent()
    async with serving() as server, shared.framework() as framework:
        for name, config in (("right", private.docker_config), ("wrong", wrong)):
            archive = a_tar({".docker/config.json": json.dumps(config).encode()})
            server.files[f"{name}/docker.tgz"] = gzip.compress(archive)

        def fetching(name: str) -> dict[str, object]:
            uris = [{"value": server.url(f"{name}/docker.tgz")}]
            return {"value": "test ! -e $MESOS_SANDBOX/.docker", "uris": uris}

        found = await ends(
            framework,
            docker_task(shared, "anonymous", image=image),
            docker_task(shared, "wrong", fetching("wrong"), image=image),
        )
        found |= await ends(framework, docker_task(shared, "right", fetching("right"), image=image))
    assert found["right"] == "TASK_FINISHED"
    assert all(found[name].startswith(PULL + image) for name in ("anonymous", "wrong"))
    assert found["anonymous"].endswith(": no basic auth credentials")
    assert found["wrong"].endswith(": unauthorized: authentication required")
    assert "secret" not in agent.log


async def test_the_agents_own_credentials(private: Registry, push: Push, system: System) -> None:
    """They are used where the task brings none, and not as a second try where it does."""
    image = await asyncio.to_thread(push, private)
    wrong = json.dumps({"auths": {private.host: {"auth": "bm90OnRoaXM="}}}).encode()
    config = system.directory / "docker.json"
    config.write_bytes(private.docker_config_bytes)
    await system.agent(f"--docker_config={config}")
    async with serving() as server, system.framework() as framework:
        server.files["docker.tar"] = a_tar({".dockercfg": wrong})
        command = {"value": "true", "uris": [{"value": server.url("docker.tar")}]}
        own = docker_task(system, "own", command, image=image, force_pull_image=True)
        found = await ends(framework, docker_task(system, "plain", "true", image=image))
        found |= await ends(framework, own)
    assert found["plain"] == "TASK_FINISHED"
    assert "unauthorized" in found["own"]


async def test_a_forced_pull_fails_though_the_image_is_there(
    shared: System, docker_client: docker.DockerClient
) -> None:
    image = f"127.0.0.1:9/tests/{uuid.uuid4().hex}:1"
    docker_client.images.get(shared.image).tag(image)
    await shared.agent()
    try:
        async with shared.framework() as framework:
            found = await ends(
                framework,
                docker_task(shared, "forced", "true", image=image, force_pull_image=True),
                docker_task(shared, "plain", "true", image=image),
            )
    finally:
        docker_client.images.remove(image)
    assert found["plain"] == "TASK_FINISHED"
    assert found["forced"].startswith(PULL)
    assert "127.0.0.1:9" in found["forced"]
    assert "connection refused" in found["forced"]


async def test_a_slow_pull_is_seen_and_ends_with_a_kill(
    public: Registry, push: Push, system: System
) -> None:
    image = await asyncio.to_thread(push, public)
    agent = await system.agent()
    async with gate(public.port, rate=2e3) as way, system.framework() as framework:
        image = image.replace(str(public.port), str(way.port))
        await framework.launch(*(docker_task(system, name, image=image) for name in "ab"))
        await agent.logged(f"pulling {image}: 0 of 1 layers")
        told = await stages(agent)
        assert len(told) == 2
        assert all(text.startswith(f"pulling image {image}: 0 of 1 layers") for text in told)
        await framework.kill("a")
        killed = await framework.end("a")
        assert way.connections
        await framework.kill("b")
        await framework.end("b")

        async def given_up() -> bool:
            return not way.connections

        await until(given_up, "the end of the pull")
        assert framework.states("a") == framework.states("b") == ["TASK_KILLED"]
    assert killed["reason"] == "REASON_TASK_KILLED_DURING_LAUNCH"
    assert f"the pull of {image} is cancelled" in agent.log
    assert system.containers() == []


async def test_a_pull_that_takes_too_long(public: Registry, push: Push, system: System) -> None:
    image = await asyncio.to_thread(push, public)
    await system.agent("--executor_registration_timeout=5secs")
    async with gate(public.port, rate=2e3) as way, system.framework() as framework:
        image = image.replace(str(public.port), str(way.port))
        await framework.launch(docker_task(system, "slow", image=image))
        ended = await framework.end("slow")
    assert ended["reason"] == "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
    assert ended["message"] == (
        "Failed to launch container: not started within 5 s, while pulling image"
    )
