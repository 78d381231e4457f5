"""A task group on a real engine: localhost and a directory are shared, and nothing is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.docker import DockerEngine
from shim.model.facts import ContainerStarted
from shim.model.orders import Stop
from tests.engine.containers.pods import SHARED, Pod, PodHarness
from tests.support.wait import patience

pytestmark = pytest.mark.needs_docker

SERVER = "echo hello > shared/index.html; httpd -f -p 8080 -h $MESOS_SANDBOX/shared"
CLIENT = """
until wget -q -O /data/copy http://127.0.0.1:8080/index.html; do sleep 0.1; done
echo "$(cat /data/copy) $(hostname) $MESOS_CONTAINER_IP $(id -u)" > /data/report
sleep 1000
"""


@pytest.fixture
async def h(shim_id: str, tmp_path: Path) -> AsyncIterator[PodHarness]:
    engine = DockerEngine(resolve(), shim_id=shim_id)
    made = PodHarness(engine, shim_id, tmp_path)
    watch = asyncio.create_task(made.containerizer.run())
    yield made
    watch.cancel()
    await asyncio.wait([watch])
    await made.close()
    for container in await engine.list():
        await engine.remove(container.name)
    for volume in await engine.list_volumes():
        await engine.remove_volume(volume.name)
    await engine.close()


async def described(h: PodHarness, name: str) -> Any:
    return json.loads((await h.engine.inspect(name)).inspect)[0]


async def test_a_server_and_a_client_share_localhost_and_a_directory(
    h: PodHarness, busybox_image: str
) -> None:
    pod = Pod('container { type: MESOS hostname: "pod" network_infos { name: "bridge" } }')
    pod.add("server", SERVER, SHARED % "shared", busybox_image)
    client = pod.add("client", CLIENT, SHARED % "/data", busybox_image)
    text = 'container { docker { parameters { key: "user" value: "nobody" } } }'
    writer = pod.add(
        "nobody", "echo me > /data/mine; sleep 99", text + SHARED % "/data", busybox_image
    )
    await h.running(pod)
    infra = (await h.until(ContainerStarted, pod.ref)).container
    (address,) = infra.addresses
    async with patience():
        while True:
            result = await h.engine.exec(client.name, ["cat", "/data/report", "/data/mine"], {}, 10)
            if result.exit_code == 0 and result.output.count(b"\n") == 2:
                break
            await asyncio.sleep(0.1)
    assert result.output.decode() == f"hello pod {address} 0\nme\n"
    shm = ["sh", "-c", "echo x > /dev/shm/x"]
    assert (await h.engine.exec(client.name, shm, {}, 10)).exit_code == 0
    assert (await h.engine.exec(writer.name, ["cat", "/dev/shm/x"], {}, 10)).output == b"x\n"
    own = await described(h, client.name)
    assert own["HostConfig"]["NetworkMode"].startswith("container:")
    assert len(await h.engine.list_volumes()) == 1
    # A stop of the infra container takes no grace period: its program waits for the signal.
    began = asyncio.get_running_loop().time()
    h.containerizer.carry_out(Stop(pod.ref, 60.0))
    await h.remove(pod)
    assert asyncio.get_running_loop().time() - began < 30
    assert list(await h.engine.list()) == []
    assert list(await h.engine.list_volumes()) == []
