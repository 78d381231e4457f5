"""What the errands share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shim.engine.api import Auth, ContainerSpec, Engine, ImageRef
from shim.engine.complaint import Complaint
from shim.engine.hooks import LaunchHook
from shim.engine.images import Images
from shim.engine.turns import Turns
from shim.engine.watch import Watch
from shim.model.container import Ref
from shim.model.facts import Fact
from shim.model.orders import Launch


@dataclass(frozen=True, slots=True)
class Tools:
    """What every errand works with."""

    engine: Engine
    post: Callable[[Fact], None]
    watch: Watch
    turns: Turns
    images: Images
    clock: Callable[[], float]
    make_spec: Callable[[Launch], ContainerSpec]
    """Raises InvalidTask."""
    auth_for: Callable[[Launch, ImageRef], Auth | None]
    hooks: Sequence[LaunchHook]
    patience: float
    """Seconds until a launch that does not get on is given up."""
    last_words: Callable[[Ref], Awaitable[None]]
    """Take what a container leaves behind; waited for, in bounded time, before its removal."""
    complaint: Complaint
    """About launches that do not get on."""
    unstarted: set[str] = field(default_factory=set)
    """Names of containers to be removed, if there are any, that were never started."""
    uncertain: dict[str, float] = field(default_factory=dict)
    """Names that a create whose answer was lost may still bring up, and since when."""
