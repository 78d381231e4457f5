"""What the errands share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shim.engine.api import Auth, ContainerSpec, Engine, ImageRef
from shim.engine.containers.hooks import LaunchHook
from shim.engine.containers.log_throttle import LogThrottle
from shim.engine.containers.priority_semaphore import PrioritySemaphore
from shim.engine.containers.watcher import ContainerWatcher
from shim.engine.images.puller import ImagePuller
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Launch


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """What every errand works with."""

    engine: Engine
    post: Callable[[Fact], None]
    watch: ContainerWatcher
    turns: PrioritySemaphore
    images: ImagePuller
    clock: Callable[[], float]
    make_spec: Callable[[Launch], ContainerSpec]
    """Raises InvalidTask."""
    auth_for: Callable[[Launch, ImageRef], Auth | None]
    hooks: Sequence[LaunchHook]
    patience: float
    """Seconds until a launch that does not get on is given up."""
    collect_final_logs: Callable[[Ref], Awaitable[None]]
    """Take what a container leaves behind; waited for, in bounded time, before its removal."""
    complaint: LogThrottle
    """About launches that do not get on."""
    unstarted: set[str] = field(default_factory=set)
    """Names of containers to be removed, if there are any, that were never started."""
    uncertain: dict[str, float] = field(default_factory=dict)
    """Names that a create whose answer was lost may still bring up, and since when."""
