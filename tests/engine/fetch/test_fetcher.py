"""The launch hook, called as the containerizer does, on a fake engine."""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.fetcher import Fetcher
from shim.engine.images.credentials import docker_config_of_agent
from shim.engine.mapping import MappingSettings
from shim.errors import Transient
from shim.model.facts import (
    ContainerStarted,
    Fact,
    Failure,
    LaunchAdvanced,
    LaunchCancelled,
    LaunchFailed,
)
from shim.model.facts import Stage as Step
from shim.model.orders import CancelLaunch, Launch
from shim.protos.mesos_pb2 import ContainerInfo
from tests.engine.containers.harness import allow_create
from tests.engine.fetch.archives import FILES, a_tar, link
from tests.engine.fetch.server import Server
from tests.engine.fetch.tasks import as_uri, fetcher, launch, spec
from tests.fakes.engine import FakeEngine
from tests.support.wait import until

SANDBOX = "/mnt/mesos/sandbox"
CONFIG = json.dumps({"auths": {"r:5000": {"auth": "bWU6bXk="}}}).encode()


class World:
    def __init__(self, directory: Path, kind: str, **options: Any) -> None:
        self.engine = FakeEngine()
        self.settings = MappingSettings(
            shim_id="fake", kind="triton" if kind == "triton" else "docker"
        )
        self.directory = directory
        self.fetcher: Fetcher = fetcher(self.engine, self.settings, directory, **options)
        self.facts: list[Fact] = []
        self.containerizer = Containerizer(
            self.engine,
            self._post,
            lambda order: spec(order, self.settings),
            auth_for=self.fetcher.auth_for,
            hooks=[self.fetcher],
        )

    def _post(self, fact: Fact) -> None:
        self.facts.append(fact)
        allow_create(self.containerizer, fact)

    async def end(self, order: Launch) -> Fact:
        """Run the hook for a whole launch."""
        self.containerizer.carry_out(order)
        await until(lambda: self._outcomes(order))
        await until(lambda: not self.containerizer.busy and not self.kept)
        return self._outcomes(order)[0]

    def _outcomes(self, order: Launch) -> list[Fact]:
        ends = (ContainerStarted, LaunchFailed, LaunchCancelled)
        return [fact for fact in self.facts if isinstance(fact, ends) and fact.ref == order.ref]

    def files(self, order: Launch) -> dict[str, bytes]:
        return self.engine.boxes[order.ref.name].files

    @property
    def kept(self) -> list[str]:
        return [path.name for path in (self.directory / "containers").iterdir()]


@asynccontextmanager
async def made(directory: Path, kind: str = "docker", **options: Any) -> AsyncIterator[World]:
    world = World(directory, kind, **options)
    try:
        yield world
    finally:
        await world.containerizer.close()
        await world.fetcher.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made(tmp_path) as it:
        yield it


async def test_fetched_files_are_in_the_sandbox_before_the_start(
    world: World, server: Server
) -> None:
    server.files = {"x.tar": a_tar(), "run": b"2"}
    order = launch(server.url("x.tar"), as_uri(server.url("run"), output_file="bin/go"))
    assert isinstance(await world.end(order), ContainerStarted)
    wanted = {"x.tar": a_tar(), "bin/go": b"2"} | FILES
    assert world.files(order) == {f"{SANDBOX}/{name}": data for name, data in wanted.items()}
    stages = [fact.stage for fact in world.facts if isinstance(fact, LaunchAdvanced)]
    assert stages == [Step.FETCHING, Step.CREATING]
    assert world.kept == []
    assert (world.fetcher.succeeded, world.fetcher.failed) == (1, 0)


async def test_without_uris_nothing_is_fetched_and_nothing_uploaded(world: World) -> None:
    order = launch()
    assert isinstance(await world.end(order), ContainerStarted)
    assert world.engine.calls["put_archive"] == 0
    assert [f.stage for f in world.facts if isinstance(f, LaunchAdvanced)] == [Step.CREATING]


async def test_on_triton_the_sandbox_directory_is_uploaded(tmp_path: Path) -> None:
    async with made(tmp_path, "triton") as world:
        order = launch()
        order.task.container.docker.network = ContainerInfo.DockerInfo.BRIDGE
        assert isinstance(await world.end(order), ContainerStarted)
        assert world.engine.calls["put_archive"] == 1


async def test_a_404_fails_the_task_with_the_uri(world: World, server: Server) -> None:
    order = launch(server.url("nothing"))
    failed = await world.end(order)
    assert isinstance(failed, LaunchFailed)
    assert failed.failure is Failure.FETCH
    assert failed.message == (
        f"Failed to fetch all URIs for container '{order.ref.container_id}': "
        f"{server.url('nothing')}: the server answered 404 Not Found"
    )
    assert world.engine.calls["create"] == 0
    assert (world.kept, world.fetcher.failed) == ([], 1)


async def test_an_archive_that_leaves_the_sandbox_fails_the_task(
    world: World, server: Server
) -> None:
    server.files["x.tar"] = a_tar({"../../etc/cron.d/x": b""})
    order = launch(server.url("x.tar"))
    failed = await world.end(order)
    assert isinstance(failed, LaunchFailed)
    assert failed.message == (
        f"Failed to fetch all URIs for container '{order.ref.container_id}': "
        f"{server.url('x.tar')}: the archive leads out of the sandbox: '../../etc/cron.d/x'"
    )
    assert world.kept == []


async def test_an_archive_that_writes_through_a_link_fails_the_task(
    world: World, server: Server
) -> None:
    server.files["x.tar"] = a_tar({}, link("l", "/etc"), tarfile.TarInfo("l/evil"))
    failed = await world.end(launch(server.url("x.tar")))
    assert isinstance(failed, LaunchFailed)
    assert "'l/evil' is written through the link 'l' to '/etc'" in failed.message
    assert world.engine.calls["create"] == 0


async def test_the_first_failure_ends_the_fetching(world: World, server: Server) -> None:
    await world.end(launch(server.url("nothing"), server.url("more")))
    assert server.asked == {"nothing": 1}


async def test_all_uris_are_checked_before_any_is_fetched(world: World, server: Server) -> None:
    failed = await world.end(launch(server.url("a"), "ftp://h/b"))
    assert isinstance(failed, LaunchFailed)
    assert failed.message.startswith("Could not fetch: Only http and https URIs")
    assert not server.asked


async def test_ten_tasks_of_one_cached_uri_fetch_it_once(world: World, server: Server) -> None:
    server.files["a"] = b"1"
    orders = [launch(as_uri(server.url("a"), cache=True)) for _ in range(10)]
    await asyncio.gather(*(world.end(order) for order in orders))
    assert server.asked == {"a": 1}
    assert all(world.files(order) == {f"{SANDBOX}/a": b"1"} for order in orders)
    assert world.fetcher.cache_used == 1


async def test_a_kill_ends_the_fetch_and_leaves_nothing(world: World, server: Server) -> None:
    order = launch(server.url("stall/a"))
    world.containerizer.carry_out(order)
    await until(lambda: world.kept)
    world.containerizer.carry_out(CancelLaunch(order.ref))
    await until(lambda: not world.containerizer.busy)
    assert isinstance(world.facts[-1], LaunchCancelled)
    await until(lambda: not world.kept)


async def test_a_kill_ends_the_upload(world: World, server: Server) -> None:
    server.files["a"] = b"1"
    world.engine.hold("put_archive")
    order = launch(server.url("a"))
    world.containerizer.carry_out(order)
    await until(lambda: world.engine.calls["put_archive"])
    world.containerizer.carry_out(CancelLaunch(order.ref))
    await until(lambda: not world.containerizer.busy)
    assert isinstance(world.facts[-1], LaunchCancelled)
    assert not world.engine.boxes
    await until(lambda: not world.kept)


async def test_a_broken_upload_is_repeated(world: World, server: Server) -> None:
    server.files["a"] = b"1"
    world.engine.fail("put_archive", Transient("upload: connection reset"))
    order = launch(server.url("a"))
    assert isinstance(await world.end(order), ContainerStarted)
    assert world.files(order) == {f"{SANDBOX}/a": b"1"}
    assert server.asked == {"a": 1}


async def test_a_sandbox_directory_mounted_elsewhere_has_the_files(
    world: World, server: Server
) -> None:
    server.files["x.tar"] = a_tar()
    order = launch(as_uri(server.url("x.tar"), cache=True))
    order.task.container.volumes.add(host_path="dir", container_path="/data", mode=1)
    await world.end(order)
    assert world.files(order)["/data/b.sh"] == FILES["dir/b.sh"]
    assert world.files(order)[f"{SANDBOX}/dir/b.sh"] == FILES["dir/b.sh"]


@pytest.mark.parametrize("name", [".docker/config.json", ".dockercfg"])
async def test_fetched_credentials_are_used_for_the_pull_only(
    tmp_path: Path, server: Server, name: str
) -> None:
    agents = docker_config_of_agent({"auths": {"r:5000": {"auth": "eW91OnlvdXJz"}}})
    async with made(tmp_path, docker_config=agents) as world:
        world.engine.registry.add("r:5000/i:1")
        server.files["docker.tar"] = a_tar({name: CONFIG})
        order = launch(server.url("docker.tar"), image="r:5000/i:1")
        assert isinstance(await world.end(order), ContainerStarted)
        ((_, auth),) = world.engine.pulls
        assert auth is not None
        assert (auth.username, auth.password) == ("me", "my")
        assert world.files(order) == {}


async def test_the_agents_credentials_are_used_without_the_tasks_own(
    tmp_path: Path, server: Server
) -> None:
    agents = docker_config_of_agent({"auths": {"r:5000": {"auth": "eW91OnlvdXJz"}}})
    async with made(tmp_path, docker_config=agents) as world:
        world.engine.registry.update(["r:5000/i:1", "r:5000/j:1"])
        await world.end(launch(image="r:5000/i:1"))
        server.files[".dockercfg"] = b"{}"
        await world.end(launch(server.url(".dockercfg"), image="r:5000/j:1"))
        assert [auth and auth.username for _, auth in world.engine.pulls] == ["you", None]


async def test_a_malformed_fetched_config_fails_the_task(world: World, server: Server) -> None:
    server.files[".dockercfg"] = b"<html>"
    failed = await world.end(launch(server.url(".dockercfg"), image="r:5000/i:1"))
    assert isinstance(failed, LaunchFailed)
    assert "Not a Docker config (not JSON): fetched .dockercfg" in failed.message


async def test_files_left_by_a_crash_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "containers" / "old").mkdir(parents=True)
    (tmp_path / "journal.db").write_bytes(b"")
    async with made(tmp_path) as world:
        assert world.kept == []
        assert (tmp_path / "journal.db").exists()
