"""What the one suite needs to know about each engine: how to say "run for ever" to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from shim.engine.api import ContainerSpec, Engine, ImageRef
from shim.engine.client.http_engine import HttpEngine
from shim.engine.docker import DockerEngine
from shim.engine.images.image_reference import parse_image
from shim.model.container import LABEL_CONTAINER, LABEL_SHIM
from shim.model.volume import Volume, volume_name
from tests.support.wait import patience


@dataclass
class Rig:
    """An engine and commands that do the same on each."""

    engine: Engine
    other: Engine
    """The same endpoint seen by another shim."""
    shim_id: str
    image: ImageRef
    runs: Sequence[str]
    """Until it is asked to end."""
    stubborn: Sequence[str]
    """Until it is killed."""
    says: Callable[[str, str], Sequence[str]]
    """Prints to stdout and stderr, then ends with 0."""
    ends: Callable[[int], Sequence[str]]
    """Ends at once with an exit code."""
    prints_ready: bool = False
    """``runs`` and ``stubborn`` print a line once their signal handlers stand."""
    writable: str = "/tmp"
    network: str = "none"
    made: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def spec(self, command: Sequence[str], **body: Any) -> ContainerSpec:
        container_id = str(uuid.uuid4())
        name = f"mesos-{container_id}"
        self.made.append(name)
        labels = {LABEL_SHIM: self.shim_id, LABEL_CONTAINER: container_id}
        wanted = {
            "Image": self.image.text,
            "Cmd": list(command),
            "Labels": labels,
            "HostConfig": {"NetworkMode": self.network},
        }
        return ContainerSpec(name, self.image, {**wanted, **body})

    def volume(self, **rest: Any) -> Volume:
        """A volume to be made; removed at the end of the test."""
        name = volume_name(self.shim_id, str(uuid.uuid4()))
        self.volumes.append(name)
        return Volume(name, {LABEL_SHIM: self.shim_id, "kind": "test"}, **rest)

    async def create(self, command: Sequence[str], **body: Any) -> str:
        spec = self.spec(command, **body)
        await self.engine.create(spec)
        return spec.name

    async def run(self, command: Sequence[str]) -> str:
        name = await self.create(command)
        await self.engine.start(name)
        return name

    async def rename(self, name: str, new: str) -> None:
        """As ``docker rename``. The fake engine knows containers by their first name alone."""
        if isinstance(self.engine, HttpEngine):
            path = f"/containers/{name}/rename"
            await self.engine._http.call("rename", "POST", path, params={"name": new})

    async def has_trap(self, name: str) -> None:
        """Wait until the program is ready for signals."""
        if self.prints_ready:
            async with patience(), aclosing(self.engine.logs(name, since=0, follow=True)) as lines:
                assert (await anext(lines))[2] == b"ready\n"

    async def close(self) -> None:
        for name in self.made:
            await self.engine.remove(name)
        for volume in self.volumes:
            await self.engine.remove_volume(volume)
        if isinstance(self.engine, DockerEngine):
            for image in self.images:
                await self.engine._http.call("image", "DELETE", f"/images/{image}")
        await self.engine.close()
        await self.other.close()


def missing_image(text: str) -> ImageRef:
    return parse_image(text)
