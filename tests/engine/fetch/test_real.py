"""Sandboxes of real containers, and pulls with fetched credentials from a real registry."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.containers.containerizer import Containerizer
from shim.engine.docker import DockerEngine
from shim.engine.mapping import MappingSettings
from shim.model.facts import ContainerStarted, Fact, Failure, LaunchFailed
from shim.model.orders import Launch
from tests.engine.containers.harness import allow_create
from tests.engine.fetch.archives import a_tar, link
from tests.engine.fetch.server import Server
from tests.engine.fetch.tasks import as_uri, fetcher, launch, spec
from tests.support import registry
from tests.support.registry import Registry
from tests.support.wait import patience

pytestmark = pytest.mark.needs_docker

SANDBOX = "/mnt/mesos/sandbox"


class World:
    def __init__(self, shim_id: str, image: str, directory: Path) -> None:
        self.image = image
        self.engine = DockerEngine(resolve(), shim_id=shim_id)
        settings = MappingSettings(shim_id=shim_id)
        self.fetcher = fetcher(self.engine, settings, directory)
        self.facts: list[Fact] = []
        self.made: list[str] = []
        self.containerizer = Containerizer(
            self.engine,
            self._post,
            lambda order: spec(order, settings),
            auth_for=self.fetcher.auth_for,
            hooks=[self.fetcher],
        )

    def _post(self, fact: Fact) -> None:
        self.facts.append(fact)
        allow_create(self.containerizer, fact)

    def parameter(self, order: Launch, key: str, value: str) -> None:
        order.task.container.docker.parameters.add(key=key, value=value)

    async def run(self, order: Launch) -> ContainerStarted | LaunchFailed:
        self.made.append(order.ref.name)
        self.containerizer.carry_out(order)
        async with patience():
            while True:
                for fact in self.facts:
                    if isinstance(fact, ContainerStarted | LaunchFailed) and fact.ref == order.ref:
                        return fact
                await asyncio.sleep(0.01)

    async def shell(self, order: Launch, script: str) -> str:
        """Run a script in the started container and return its output."""
        started = await self.run(order)
        assert isinstance(started, ContainerStarted), started
        done = await self.engine.exec(order.ref.name, ["sh", "-c", script], {}, 20)
        assert done.exit_code == 0, done.output
        return done.output.decode()

    async def close(self) -> None:
        await self.containerizer.close()
        await self.fetcher.close()
        for name in self.made:
            await self.engine.remove(name)
        await self.engine.close()


@pytest.fixture
async def world(shim_id: str, busybox_image: str, tmp_path: Path) -> AsyncIterator[World]:
    made = World(shim_id, busybox_image, tmp_path / "fetch")
    yield made
    await made.close()


async def test_files_links_and_programs_are_in_the_sandbox(world: World, server: Server) -> None:
    server.files["x.tar"] = a_tar(
        {"a.txt": b"hello\n", "dir/run.sh": b"#!/bin/sh\necho ran\n"},
        link("soft", "a.txt"),
        link("hard", "a.txt", b"1"),
    )
    server.files["go"] = b"#!/bin/sh\necho gone\n"
    order = launch(
        as_uri(server.url("x.tar"), cache=True),
        as_uri(server.url("go"), executable=True),
        image=world.image,
    )
    output = await world.shell(order, f"cd {SANDBOX} && cat soft hard && dir/run.sh && ./go && ls")
    assert output.split() == [
        "hello",
        "hello",
        "ran",
        "gone",
        "a.txt",
        "dir",
        "go",
        "hard",
        "soft",
    ]


@pytest.mark.parametrize("read_only", [False, True])
async def test_links_out_of_the_sandbox_lead_where_they_say(
    world: World, server: Server, read_only: bool
) -> None:
    server.files["x.tar"] = a_tar(
        {"lib/a.txt": b""},
        link("bin/sh", "/bin/sh"),
        link("lib/accounts", "../../../../etc/passwd"),
    )
    order = launch(as_uri(server.url("x.tar"), cache=True), image=world.image)
    world.parameter(order, "read-only", str(read_only).lower())
    script = "readlink bin/sh && readlink lib/accounts && bin/sh -c 'head -c 4 lib/accounts'"
    output = await world.shell(order, f"cd {SANDBOX} && {script}")
    target = "/etc/passwd" if read_only else "../../../../etc/passwd"
    assert output.split() == ["/bin/sh", target, "root"]


@pytest.mark.parametrize("uris", [False, True])
@pytest.mark.parametrize("user", ["", "65534"])
async def test_every_user_may_write_in_the_sandbox(
    world: World, server: Server, user: str, uris: bool
) -> None:
    server.files["a"] = b"1"
    order = launch(*([server.url("a")] if uris else []), image=world.image)
    if user:
        world.parameter(order, "user", user)
    output = await world.shell(order, "cd $MESOS_SANDBOX && touch mine && mkdir d && ls && pwd")
    assert output.split() == [*(["a"] if uris else []), "d", "mine", SANDBOX]


async def test_a_read_only_container_has_its_files(world: World, server: Server) -> None:
    server.files["a"] = b"1"
    order = launch(server.url("a"), image=world.image)
    world.parameter(order, "read-only", "true")
    assert await world.shell(order, f"cat {SANDBOX}/a && touch {SANDBOX}/b") == "1"


async def test_a_sandbox_directory_mounted_elsewhere_has_the_files(
    world: World, server: Server
) -> None:
    server.files["x.tar"] = a_tar({"etc/app.conf": b"yes\n"})
    order = launch(server.url("x.tar"), image=world.image)
    order.task.container.volumes.add(host_path="etc", container_path="/conf", mode=1)
    assert await world.shell(order, "cat /conf/app.conf") == "yes\n"


async def test_the_sandbox_volume_is_removed_with_the_container(
    world: World, docker_client: docker.DockerClient
) -> None:
    order = launch(image=world.image)
    await world.run(order)
    mounts = docker_client.containers.get(order.ref.name).attrs["Mounts"]
    (name,) = [mount["Name"] for mount in mounts if mount["Destination"] == SANDBOX]
    await world.engine.remove(order.ref.name)
    with pytest.raises(docker.errors.NotFound):
        docker_client.volumes.get(name)


# --- a private registry --------------------------------------------------------------------


@pytest.fixture
def private(
    tmp_path_factory: pytest.TempPathFactory,
    docker_client: docker.DockerClient,
    busybox_image: str,
) -> Iterator[Registry]:
    with registry.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.mark.needs_registry
async def test_fetched_credentials_open_a_private_registry(
    world: World, server: Server, private: Registry, docker_client: docker.DockerClient
) -> None:
    image = await asyncio.to_thread(
        private.push, docker_client, world.image, f"private/{uuid.uuid4().hex}:1"
    )
    try:
        refused = await world.run(launch(image=image))
        assert isinstance(refused, LaunchFailed)
        assert refused.failure is Failure.PULL
        assert "no basic auth credentials" in refused.message

        server.files["docker.tar"] = a_tar({".docker/config.json": private.docker_config_bytes})
        order = launch(server.url("docker.tar"), image=image)
        assert await world.shell(order, f"ls -A {SANDBOX}") == ""

        wrong = private.docker_config_bytes.replace(b'{"auth": "', b'{"auth": "eDp5", "x": "')
        server.files["docker.tar"] = a_tar({".docker/config.json": wrong})
        order = launch(server.url("docker.tar"), image=image)
        order.task.container.docker.force_pull_image = True
        denied = await world.run(order)
        assert isinstance(denied, LaunchFailed)
        assert "unauthorized" in denied.message
    finally:
        for name in world.made:
            await world.engine.remove(name)
        docker_client.images.remove(image)
