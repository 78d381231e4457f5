"""What all workers share, and the hooks of a launch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shim import limits
from shim.engine.api import Auth, ContainerSpec, CreateNotifier, Engine, ImageRef
from shim.engine.client.pacing import LogThrottle
from shim.engine.containers.executor_volumes import ExecutorVolumes
from shim.engine.containers.priority_semaphore import PrioritySemaphore
from shim.engine.containers.running import RunningContainers
from shim.engine.containers.watcher import ContainerWatcher
from shim.engine.images.puller import ImagePuller
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Launch


class LaunchHook(Protocol):
    """Steps around a create that another package adds to a launch.

    Every method may be called again, after a crash or a failed attempt: done twice, it must have
    the effect of once.
    """

    def applies_to(self, order: Launch) -> bool:
        """Whether :meth:`before_create` has work that takes time: FETCHING is reported then."""

    async def before_create(self, order: Launch) -> None:
        """Before the image is looked up. Permanent ends the launch as a failed fetch.

        Cancelled when the launch is cancelled or takes too long.
        """

    async def after_create(self, order: Launch) -> None:
        """The container exists and has not been started. Permanent ends the launch.

        Cancelled as :meth:`before_create` is.
        """

    def after_launch(self, ref: Ref) -> None:
        """The launch is over, whatever its outcome: release what was kept for it."""


class Leftovers:
    """What launches may have left at the endpoint, by container name.

    A worker ends with its launch. A later removal needs these records.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.without_logs: set[str] = set()
        self._unanswered: dict[str, float] = {}
        """Creates whose answer was lost, and since when."""

    def add_without_logs(self, name: str) -> None:
        """If this container exists, no start was ever sent, or it is an infra container."""
        self.without_logs.add(name)

    def add_unanswered_create(self, name: str) -> None:
        """The endpoint may still make this container."""
        self._unanswered[name] = self._clock()

    def settle_create(self, name: str) -> None:
        """The container was seen, or is gone for certain: no create of it is under way."""
        self._unanswered.pop(name, None)

    def may_still_appear(self, name: str) -> bool:
        since = self._unanswered.get(name)
        return since is not None and self._clock() - since < limits.CREATE_SETTLES

    def forget(self, name: str) -> None:
        """Its removal is reported."""
        self.without_logs.discard(name)


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """The dependencies that all workers share."""

    engine: Engine
    notifier: CreateNotifier | None
    """The same engine, if it implements CreateNotifier."""
    post: Callable[[Fact], None]
    watcher: ContainerWatcher
    slots: PrioritySemaphore
    images: ImagePuller
    clock: Callable[[], float]
    make_spec: Callable[[Launch], ContainerSpec]
    """Raises InvalidTask."""
    auth_for: Callable[[Launch, ImageRef], Auth | None]
    hooks: Sequence[LaunchHook]
    launch_timeout: float
    """Seconds after which a launch without progress fails."""
    collect_final_logs: Callable[[Ref], Awaitable[None]]
    """Take a container's last output; returns in bounded time. Its removal waits for it."""
    log_throttle: LogThrottle
    """For warnings about launches that make no progress."""
    leftovers: Leftovers
    running: RunningContainers
    volumes: ExecutorVolumes
