"""What pages read, for tests: a real core with tasks, and fakes of everything else."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shim.core.agent import Core
from shim.core.context import CoreSettings, Now, PodNetwork
from shim.core.lifecycle import Event
from shim.core.registration import State
from shim.errors import NotFound
from shim.http.health import Liveness
from shim.http.protojson import Json
from shim.http.view import View
from shim.model import facts
from shim.model.container import OUTPUTS, Container, Entry, Phase, Ref, Usage
from shim.model.ids import AgentId, ExecutorKey, FrameworkId, Pid, TaskId, TaskKey
from shim.model.records import Snapshot
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    DiscoveryInfo,
    ExecutorInfo,
    FrameworkInfo,
    HealthCheck,
    SlaveInfo,
    TaskInfo,
    Value,
)
from shim.protos.messages_pb2 import RunTaskGroupMessage
from shim.telemetry.launch_stats import LaunchStats

AGENT = "4f3e-S0"
FRAMEWORK = "4f3e-0001"


class CountingEntropy:
    """Ids 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self._last = 0

    def uuid(self) -> bytes:
        self._last += 1
        return uuid.UUID(int=self._last, version=4).bytes

    def uniform(self, limit: float) -> float:
        return 0.0


def registered_core() -> Core:
    """A core that has recovered and is registered with a master."""
    info = SlaveInfo(hostname="agent.example", port=5051)
    for name, amount in (("cpus", 64.0), ("mem", 131072.0)):
        info.resources.add(name=name, type=Value.SCALAR).scalar.value = amount
    info.attributes.add(name="rack", type=Value.TEXT).text.value = "r1"
    settings = CoreSettings(pid=Pid("slave(1)", "10.1.2.3", 5051), info=info, version="1.11.0")
    core = Core(settings, CountingEntropy(), Snapshot(), Now(0.0, 1_700_000_000.0))
    core.ctx.agent_id = AgentId(AGENT)
    core.ctx.master = Pid("master", "10.0.0.1", 5050)
    core.registration.state = State.CONNECTED
    return core


def framework_info(framework_id: str = FRAMEWORK) -> FrameworkInfo:
    info = FrameworkInfo(user="root", name="marathon", checkpoint=True, roles=["*"], hostname="m1")
    info.id.value = framework_id
    info.failover_timeout = 604800.0
    info.capabilities.add(type=FrameworkInfo.Capability.MULTI_ROLE)
    return info


def task_info(task_id: str) -> TaskInfo:
    """A task as Marathon launches it, with every part that pages show or hide."""
    info = TaskInfo(name=task_id.partition(".")[0])
    info.task_id.value = task_id
    info.slave_id.value = AGENT
    for name, amount in (("cpus", 0.5), ("mem", 128.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR)
        resource.scalar.value = amount
        resource.allocation_info.role = "*"
    ports = info.resources.add(name="ports", type=Value.RANGES)
    ports.ranges.range.add(begin=31005, end=31005)
    info.command.value = "sleep 60; echo a long command"
    for name in ("MARATHON_APP_ID", "PORT0", "PASSWORD"):
        info.command.environment.variables.add(name=name, value=f"value of {name}")
    info.container.type = ContainerInfo.DOCKER
    docker = info.container.docker
    docker.image, docker.network = "nginx:1.25", ContainerInfo.DockerInfo.BRIDGE
    docker.port_mappings.add(host_port=31005, container_port=80, protocol="tcp")
    docker.parameters.add(key="label", value=f"MESOS_TASK_ID={task_id}")
    docker.parameters.add(key="env", value="TOKEN=do-not-tell")
    info.labels.labels.add(key="tier", value="front")
    info.discovery.visibility = DiscoveryInfo.CLUSTER
    info.discovery.name = info.name
    info.discovery.ports.ports.add(number=31005, name="http", protocol="tcp")
    info.health_check.type = HealthCheck.TCP
    info.health_check.tcp.port = 80
    return info


def accept_task(core: Core, task_id: str, framework_id: str = FRAMEWORK) -> Ref:
    framework = core.frameworks.update(framework_info(framework_id), "@0.0.0.0:0")
    key = TaskKey(FrameworkId(framework_id), TaskId(task_id))
    core.tasks.accept(framework, key, task_info(task_id))
    return core.tasks.table[key].ref


def run_task(core: Core, ref: Ref) -> None:
    container = Container(ref.name, "id", Phase.RUNNING, addresses=("192.168.128.7",))
    core.tasks.apply(ref, Event.CREATING)
    core.tasks.apply(ref, Event.STARTED, container)
    core.ctx.take()


def end_task(core: Core, ref: Ref, *, acknowledged: bool = False) -> None:
    core.tasks.apply(ref, Event.EXITED, facts.ContainerExited(ref, 0))
    if acknowledged:
        core.status_updates.drop(ref.task_key)
        core.tasks.forget(ref.task_key)
    core.ctx.take()


def run_tasks(core: Core, count: int) -> list[Ref]:
    refs = [accept_task(core, f"web.{uuid.uuid4()}") for _ in range(count)]
    for ref in refs:
        run_task(core, ref)
        # Most updates of running tasks have been acknowledged.
        core.status_updates.drop(ref.task_key)
    core.ctx.take()
    return refs


@dataclass
class FakeFetchStats:
    succeeded: int = 0
    failed: int = 0
    cache_used: int = 0
    cache_size: int = 0


@dataclass
class FakeOutputs:
    """The same outputs for every task."""

    texts: dict[str, bytes] = field(default_factory=dict)
    """By file name."""
    known: set[Ref] = field(default_factory=set)
    """Containers whose output is kept although the core has forgotten them."""
    last_live: bool | None = None
    """``live`` of the last call."""
    kept: list[tuple[int, int]] | None = None
    """Extents; None: everything is kept."""

    def latest(self, key: TaskKey | ExecutorKey) -> Ref | None:
        return next((ref for ref in self.known if ref.key == key), None)

    def knows(self, ref: Ref) -> bool:
        return ref in self.known

    async def entries(self, ref: Ref, live: bool) -> Sequence[Entry]:
        self.last_live = live
        return [Entry(name, len(self.texts.get(name, b"")), 1.5) for name in OUTPUTS]

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes:
        return self.texts.get(name, b"")[offset : offset + length]

    async def extents(self, ref: Ref, name: str, live: bool) -> Sequence[tuple[int, int]]:
        return self.kept if self.kept is not None else [(0, len(self.texts.get(name, b"")))]


@dataclass(frozen=True)
class FakeFile:
    is_directory: bool = False
    content: bytes = b""
    entries: tuple[Entry, ...] = ()


@dataclass
class FakeFiles:
    files: dict[str, FakeFile | Exception] = field(default_factory=dict)
    """By path; an exception is raised."""
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, ref: Ref, path: str) -> FakeFile:
        self.fetched.append(path)
        found = self.files.get(path, NotFound(path))
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class FakeBilling:
    """Of machines of one package, at 3600 an hour: each second costs 1."""

    seconds: dict[str, float]
    """By the name of the container."""

    def paid(self, name: str) -> Mapping[str, Any] | None:
        return {"package": "g4-small", "mem": 1024} if name in self.seconds else None

    def bill_of(self, name: str) -> Json | None:
        if (seconds := self.seconds.get(name)) is None:
            return None
        return {"package": "g4-small", "machine_seconds": seconds, "cost": seconds}

    def tasks(self) -> Iterator[Json]:
        return iter(())

    def state(self) -> Json:
        return {
            "containers_without_task": [],
            "cost_per_hour": 3600.0 * len(self.seconds),
            "frameworks": {FRAMEWORK: sum(self.seconds.values())},
            "packages": {
                "g4-small": {
                    "machine_seconds": sum(self.seconds.values()),
                    "machines": len(self.seconds),
                    "mem": 1024,
                    "price_per_hour": 3600.0,
                }
            },
        }


@dataclass
class PageData:
    """All that a View needs. ``liveness`` may be replaced at any time."""

    core: Core = field(default_factory=registered_core)
    outputs: FakeOutputs = field(default_factory=FakeOutputs)
    files: FakeFiles = field(default_factory=FakeFiles)
    usages: dict[Ref, Usage] = field(default_factory=dict)
    liveness: Liveness = field(default_factory=Liveness)
    launch_stats: LaunchStats = field(default_factory=lambda: LaunchStats(lambda stage, s: None))
    fetch_stats: FakeFetchStats = field(default_factory=FakeFetchStats)
    services: dict[Ref, list[str]] = field(default_factory=dict)
    may_touch: bool = False
    billing: FakeBilling | None = None

    @property
    def view(self) -> View:
        return View(
            agent=self.core.view,
            work_dir="/var/lib/shim",
            flags={"port": "5051"},
            started=1_700_000_000.5,
            outputs=self.outputs,
            files=self.files,
            usages=self._usages,
            liveness=lambda: self.liveness,
            launch_stats=self.launch_stats,
            fetch_stats=self.fetch_stats,
            services=lambda ref: self.services.get(ref, ()),
            may_touch=self.may_touch,
            billing=self.billing,
        )

    async def _usages(self, refs: Collection[Ref] | None = None) -> Mapping[Ref, Usage]:
        return {ref: use for ref, use in self.usages.items() if refs is None or ref in refs}


def launch_group(core: Core, executor_id: str, *tasks: str, launch_executor: bool = True) -> None:
    """A task group, delivered to its default executor at once: that is on the host's network."""
    message = RunTaskGroupMessage(launch_executor=launch_executor)
    message.framework.CopyFrom(framework_info())
    message.executor.type = ExecutorInfo.DEFAULT
    message.executor.executor_id.value = executor_id
    message.executor.name = f"pod {executor_id}"
    message.executor.resources.add(name="cpus", type=Value.SCALAR).scalar.value = 0.1
    message.executor.resources[0].allocation_info.role = "*"
    message.task_group.tasks.extend(map(task_info, tasks))
    core.ctx.settings = replace(core.ctx.settings, pod_network=PodNetwork.SHARED)
    framework = core.frameworks.update(message.framework, "@0.0.0.0:0")
    core.groups.launch(framework, message, None)
    core.groups.advance()
    core.ctx.take()


def run_group(core: Core, *tasks: str) -> None:
    """All tasks of a launched group run."""
    for name in tasks:
        run_task(core, core.tasks.table[TaskKey(FrameworkId(FRAMEWORK), TaskId(name))].ref)
    core.groups.advance()
    core.ctx.take()
