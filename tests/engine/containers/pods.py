"""A containerizer with the agent's own mapping, and task groups to launch on it."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from shim.engine.api import ContainerSpec
from shim.engine.containers.containerizer import Containerizer
from shim.engine.fetch.sandbox_archive import with_sandbox_volume
from shim.engine.infra.image import IMAGE, image_archive
from shim.engine.mapping import MappingSettings, container_spec
from shim.engine.mapping.executor import executor_launch
from shim.engine.mapping.pod import is_infra
from shim.model.container import Ref
from shim.model.facts import ContainerRemoved, ContainerStarted, Fact, LaunchFailed
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from shim.model.orders import Launch, LaunchExecutor, MemberOf, Remove, Stop
from shim.protos.mesos_pb2 import ExecutorInfo, FrameworkInfo, TaskInfo
from tests.engine.containers.harness import allow_create
from tests.engine.fetch.tasks import fetcher
from tests.support.wait import patience

FRAMEWORK = FrameworkId("f")
NETWORK = 'container { type: MESOS network_infos { name: "bridge" } }'
SHARED = """container { volumes { mode: RW container_path: "%s"
    source { type: SANDBOX_PATH sandbox_path { type: PARENT path: "data" } } } }"""


def container_id() -> ContainerId:
    return ContainerId(str(uuid.uuid4()))


class Pod:
    """One executor and its tasks, not launched yet."""

    def __init__(self, executor: str = NETWORK, *, infra: bool = True) -> None:
        self.ref = Ref(ExecutorKey(FRAMEWORK, ExecutorId("pod")), container_id())
        self.info = ExecutorInfo(type=ExecutorInfo.DEFAULT)
        self.info.executor_id.value = "pod"
        text_format.Merge(executor, self.info)
        self.infra = infra
        self.tasks: dict[str, tuple[Ref, TaskInfo]] = {}

    def add(self, name: str, command: str, text: str = "", image: str = "busybox:1") -> Ref:
        """A task whose command is run by a shell, or is for the fake engine where it has none."""
        task = TaskInfo(name=name)
        task.task_id.value = name
        task.slave_id.value = "S"
        task.command.value = command
        task.container.mesos.image.type = task.container.mesos.image.DOCKER
        task.container.mesos.image.docker.name = image
        text_format.Merge(f"container {{ type: MESOS }} {text}", task)
        ref = Ref(TaskKey(FRAMEWORK, TaskId(name)), container_id())
        self.tasks[name] = ref, task
        return ref

    @property
    def executor_order(self) -> LaunchExecutor:
        return LaunchExecutor(self.ref, self.info, FrameworkInfo(user="", name=""), "S", ())

    def task_order(self, name: str) -> Launch:
        ref, task = self.tasks[name]
        member = MemberOf(self.ref, self.info, self.infra, group=tuple(self.tasks.values()))
        return Launch(ref, task, "S", member)


class PodHarness:
    """Orders task groups, and waits for the facts about them."""

    def __init__(self, engine: Any, shim_id: str, directory: Path, **settings: Any) -> None:
        self.engine = engine
        self.facts: list[Fact] = []
        self._news = asyncio.Event()
        self.settings = MappingSettings(shim_id, pod_image=IMAGE, **settings)
        self._fetcher = fetcher(engine, self.settings, directory)
        self.containerizer = Containerizer(
            engine,
            self._post,
            self._spec,
            executor_launch=lambda order: executor_launch(order, self.settings, {}),
            own_images={IMAGE: partial(image_archive, "amd64")},
            hooks=[self._fetcher],
        )

    def _post(self, fact: Fact) -> None:
        self.facts.append(fact)
        allow_create(self.containerizer, fact)
        self._news.set()

    def _spec(self, order: Launch) -> ContainerSpec:
        key = order.ref.key
        spec = container_spec(
            order.ref,
            order.task,
            agent_id="S",
            executor_id="pod" if order.executor else "" if isinstance(key, TaskKey) else "pod",
            settings=self.settings,
            member=order.executor,
        )
        if self.settings.triton or is_infra(order.ref, order.task):
            return spec
        return with_sandbox_volume(spec, self.settings.sandbox_directory)

    def launch(self, pod: Pod) -> None:
        """All orders at once, as the core gives them."""
        if pod.infra:
            self.containerizer.carry_out(pod.executor_order)
        for name in pod.tasks:
            self.containerizer.carry_out(pod.task_order(name))

    async def running(self, pod: Pod) -> None:
        self.launch(pod)
        for ref, _ in pod.tasks.values():
            await self.until(ContainerStarted, ref)

    async def until(self, kind: Any, ref: Ref) -> Any:
        async with patience():
            while True:
                found = [f for f in self.facts if getattr(f, "ref", None) == ref]
                for fact in found:
                    if isinstance(fact, kind):
                        return fact
                failed = [fact for fact in found if isinstance(fact, LaunchFailed)]
                assert not (failed and kind is ContainerStarted), failed
                self._news.clear()
                await self._news.wait()

    async def remove(self, pod: Pod) -> None:
        """The tasks, then the executor, as the core does."""
        refs = [ref for ref, _ in pod.tasks.values()]
        for ref in refs:
            self.containerizer.carry_out(Stop(ref, 0.0))
        for ref in [*refs, pod.ref]:
            self.containerizer.carry_out(Remove(ref))
        for ref in [*refs, pod.ref]:
            await self.until(ContainerRemoved, ref)

    async def close(self) -> None:
        await self.containerizer.close()
        await self._fetcher.close()
