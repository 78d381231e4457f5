"""A dockerd of our own that is stopped and started again. It has no live-restore."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import docker
import pytest

from tests.e2e.client import on_host
from tests.e2e.conftest import System
from tests.e2e.faults import evidence
from tests.e2e.faults.load import Load
from tests.e2e.faults.volume_load import RESOURCES
from tests.e2e.volumes import ROLE, create, disk, launch, reserve, task_with, volume
from tests.support import busybox
from tests.support.wait import until

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_busybox,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("dockerd") is None, reason="no dockerd of our own here"
    ),
]
SAYS_GOODBYE = "trap 'leave 7' TERM; say waits; sleep 1000 & wait"


class Dockerd:
    """An engine beside the machine's own, without networks.

    In a network namespace of its own: a dockerd without a bridge removes docker0, whoever's it
    is. In a mount namespace of its own: its mounts end with it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.host = f"unix://{directory}/docker.sock"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        place = self._directory
        with (place / "dockerd.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "unshare",
                "--net",
                "--mount",
                "dockerd",
                f"--host={self.host}",
                f"--data-root={place / 'data'}",
                f"--exec-root={place / 'exec'}",
                f"--pidfile={place / 'pid'}",
                "--bridge=none",
                "--iptables=false",
                "--ip-masq=false",
                stdout=log,
                stderr=log,
            )

    async def answers(self) -> bool:
        connector = aiohttp.UnixConnector(str(self._directory / "docker.sock"))
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as http,
                http.get("http://docker/_ping") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(how)
            await self._process.wait()
            self._process = None

    def clear(self) -> None:
        """End what a dockerd leaves behind of its containers: all of it names our directory."""
        ours = f"{self._directory}/exec/".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours in (entry / "cmdline").read_bytes():
                    for child in (entry / f"task/{entry.name}/children").read_text().split():
                        os.kill(int(child), signal.SIGKILL)
                    os.kill(int(entry.name), signal.SIGKILL)

    @property
    def log(self) -> str:
        return (self._directory / "dockerd.log").read_text()


@pytest.fixture
async def dockerd() -> AsyncIterator[Dockerd]:
    # Not below pytest's directories: the path of a socket has 108 bytes at most.
    place = Path(tempfile.mkdtemp(prefix="shim-"))
    made = Dockerd(place)
    await made.start()
    try:
        await until(made.answers, "the first answer of a dockerd of our own")
    except AssertionError:
        pytest.skip(f"no dockerd can be started here: {made.log[-500:]}")
    else:
        yield made
    finally:
        await made.end()
        made.clear()
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


@pytest.fixture
def docker_client(dockerd: Dockerd) -> Iterator[docker.DockerClient]:
    """The system's containers are this dockerd's."""
    client = docker.DockerClient(dockerd.host)
    yield client
    client.close()


@pytest.fixture
def busybox_image(docker_client: docker.DockerClient) -> str:
    return busybox.build(docker_client)


async def test_dockerd_restarts(system: System, dockerd: Dockerd) -> None:
    """What died with it is told as it ended, once; launches wait until it is back.

    A persistent volume that was in use has its data.
    """
    await system.agent("--engine=docker", RESOURCES, DOCKER_HOST=dockerd.host)
    diaries = system.directory / "evidence"
    async with (
        system.framework(roles=[ROLE], principal=None) as framework,
        Load(framework, system.image, diaries) as load,
    ):
        await load.turnover(3)
        await framework.accept(reserve(disk(16)), create(volume("v", 16)))
        script = evidence.script("goodbye", f"echo kept > data/file; {SAYS_GOODBYE}")
        text = f"cd $MESOS_SANDBOX; {script}"
        info = on_host(task_with(system, "goodbye", text, volume("v", 16)))
        info["container"]["volumes"] = load.volumes
        await framework.do("accept", operations=[launch(info)], volume="v")
        # A signal that comes before the trap is ignored.
        await until(lambda: "waits" in evidence.text(diaries / "goodbye"), "the task's trap")
        await framework.state("goodbye", "TASK_RUNNING")
        await dockerd.end()
        await asyncio.sleep(1)
        await dockerd.start()
        ended = await framework.end("goodbye")
        diary = evidence.Diary.read(diaries / "goodbye")
        assert diary.starts == 1
        told = [s["state"] for s in framework.updates("goodbye")]
        assert told == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
        assert diary.codes == (7,)
        assert ended["message"] == "Container exited with status 7"
        await load.turnover(3)
        text = "test $(cat /db/file) = kept"
        read = on_host(task_with(system, "read", text, volume("v", 16, "/db")))
        await framework.do("accept", operations=[launch(read)], volume="v")
        status = await framework.end("read")
        assert status["state"] == "TASK_FINISHED", status["message"]
        await load.drain()
        await system.no_containers()
        assert all(load.starts(name) <= 1 for name in load.launched)
