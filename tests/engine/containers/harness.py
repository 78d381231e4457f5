"""A containerizer on a fake engine, and the facts that it posted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from shim.engine.api import ContainerSpec
from shim.engine.containers.containerizer import Containerizer
from shim.engine.images.image_reference import parse_image
from shim.model.container import LABEL_CONTAINER, LABEL_SHIM, Ref
from shim.model.facts import Fact, LaunchAdvanced, Stage
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import AllowCreate, Launch
from shim.protos.mesos_pb2 import TaskInfo
from tests.fakes.engine import FakeEngine

LAUNCH_TIMEOUT = 900.0


class Harness:
    """A containerizer with its engine and facts. Commands and images are set by task."""

    def __init__(
        self, engine: Any, *, image: str = "busybox:1", shim_id: str = "", **options: Any
    ) -> None:
        self.engine = engine
        self.shim_id = shim_id or engine.shim_id
        self.image = image
        self.host: dict[str, object] = {}
        self.facts: list[Fact] = []
        self.commands: dict[str, Sequence[str]] = {}
        self.images: dict[str, str] = {}
        self.spec_error: Exception | None = None
        self.force_pull = False
        self.completes_image_command = False
        self.allows_create = True
        """Whether a launch that reaches CREATING goes on."""
        self._news = asyncio.Event()
        self.containerizer = Containerizer(
            engine,
            self._post,
            self.spec,
            registration_timeout=LAUNCH_TIMEOUT,
            clock=asyncio.get_running_loop().time,
            **options,
        )

    def _post(self, fact: Fact) -> None:
        self.facts.append(fact)
        if self.allows_create:
            allow_create(self.containerizer, fact)
        self._news.set()

    def spec(self, order: Launch) -> ContainerSpec:
        if self.spec_error is not None:
            raise self.spec_error
        task = order.ref.task_key.task_id
        image = parse_image(self.images.get(task, self.image))
        body = {
            "Image": image.text,
            "Cmd": self.commands.get(task, ["sleep"]),
            "Labels": self.labels(order.ref),
            "HostConfig": self.host,
        }
        return ContainerSpec(
            order.ref.name,
            image,
            body,
            self.force_pull,
            completes_image_command=self.completes_image_command,
        )

    def labels(self, ref: Ref) -> dict[str, str]:
        return {LABEL_SHIM: self.shim_id, LABEL_CONTAINER: ref.container_id}

    def ref(self, task: str = "task", command: Sequence[str] = ("sleep",), image: str = "") -> Ref:
        self.commands[task] = command
        if image:
            self.images[task] = image
        return Ref(TaskKey(FrameworkId("f"), TaskId(task)), ContainerId(str(uuid.uuid4())))

    def launch(self, task: str = "task", command: Sequence[str] = ("sleep",), **kw: Any) -> Ref:
        ref = self.ref(task, command, **kw)
        self.relaunch(ref)
        return ref

    def relaunch(self, ref: Ref) -> None:
        self.containerizer.carry_out(Launch(ref, TaskInfo(), "agent"))

    async def running(self, task: str = "task", command: Sequence[str] = ("sleep",)) -> Ref:
        from shim.model.facts import ContainerStarted

        ref = self.launch(task, command)
        await self.until(ContainerStarted, ref)
        return ref

    async def until(self, kind: Any, ref: Ref, seconds: float = 5000) -> Any:
        """Wait for the first fact of that kind about the container."""
        async with asyncio.timeout(seconds):
            while True:
                for fact in self.of(ref):
                    if isinstance(fact, kind):
                        return fact
                self._news.clear()
                await self._news.wait()

    async def wait_idle(self) -> None:
        """Wait until no container has a worker."""
        while self.containerizer.busy:
            await asyncio.sleep(0.01)

    def of(self, ref: Ref) -> list[Any]:
        return [fact for fact in self.facts if getattr(fact, "ref", None) == ref]

    def kinds(self, ref: Ref) -> list[str]:
        return [type(fact).__name__ for fact in self.of(ref)]


def allow_create(containerizer: Containerizer, fact: Fact) -> None:
    """Let a launch that reaches CREATING go on, as the core does."""
    if isinstance(fact, LaunchAdvanced) and fact.stage is Stage.CREATING:
        asyncio.get_running_loop().call_soon(containerizer.carry_out, AllowCreate(fact.ref))


@asynccontextmanager
async def harness(
    engine: Any = None, *, watching: bool = True, **options: Any
) -> AsyncIterator[Harness]:
    made = Harness(engine or FakeEngine(), **options)
    watch = asyncio.create_task(made.containerizer.run()) if watching else None
    # The event stream is open before a test begins, as it is before a task is launched.
    await asyncio.sleep(0.001)
    try:
        yield made
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        await made.containerizer.close()


def tasks_of(ref: Ref) -> list[str]:
    """Names of the asyncio tasks about a container."""
    return [t.get_name() for t in asyncio.all_tasks() if ref.name in t.get_name()]
