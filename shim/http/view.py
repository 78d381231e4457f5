"""What pages read: the agent's view of itself, sandboxes, usage, fetches and cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shim import __version__
from shim.core.view import AgentView
from shim.http.health import Liveness
from shim.http.protojson import Json
from shim.http.time_slicer import TimeSlicer
from shim.model.container import Entry, Ref, Usage
from shim.model.ids import ExecutorKey, TaskKey
from shim.telemetry.launch_stats import LaunchStats

_INSTALLED = Path(__file__).stat().st_mtime

BUILD: Json = {
    "build_date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(_INSTALLED)),
    "build_time": _INSTALLED,
    "build_user": f"mesos-shim {__version__}",
}
"""Beside ``version`` in ``/state`` and ``/version``: ``version`` is the Mesos release whose
behaviour the agent has, ``build_user`` names the program that answers."""


class Outputs(Protocol):
    """stdout and stderr of every task. ``live``: the engine may still have the container."""

    def latest(self, key: TaskKey | ExecutorKey) -> Ref | None: ...

    def knows(self, ref: Ref) -> bool: ...

    async def entries(self, ref: Ref, live: bool) -> Sequence[Entry]: ...

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes: ...

    async def extents(self, ref: Ref, name: str, live: bool) -> Sequence[tuple[int, int]]:
        """``(offset, length)`` of the parts that are kept, in order."""


class FileOrDirectory(Protocol):
    """A file with its content, or a directory with its entries."""

    @property
    def is_directory(self) -> bool: ...

    @property
    def content(self) -> bytes: ...

    @property
    def entries(self) -> Sequence[Entry]: ...


class Files(Protocol):
    """All other files of a running task's sandbox. Raises NotFound, Permanent or Transient."""

    async def fetch(self, ref: Ref, path: str) -> FileOrDirectory: ...


class FetchStats(Protocol):
    """Fetches of URIs since the start of the process, by container, and the cache in bytes."""

    @property
    def succeeded(self) -> int: ...

    @property
    def failed(self) -> int: ...

    @property
    def cache_used(self) -> int: ...

    @property
    def cache_size(self) -> int: ...


class Usages(Protocol):
    async def __call__(self, refs: Collection[Ref] | None = None) -> Mapping[Ref, Usage]:
        """Samples of these containers, or of all running ones; those without one are left out."""


class Billing(Protocol):
    """Cost of containers at an endpoint that charges for them (Triton)."""

    def paid(self, name: str) -> Mapping[str, Any] | None:
        """The package of the container of this name; None before the engine has shown it."""

    def state(self) -> Json:
        """Sums by package and framework."""

    def tasks(self) -> Iterator[Json]:
        """Cost of each container."""

    def bill_of(self, name: str) -> Json | None:
        """Cost of the container of this name; None before the engine has shown it."""


def alone() -> Mapping[str, Any]:
    """The page ``/leader`` of an agent that shares its journal with no other."""
    return {"leading": True, "journal": "sqlite"}


@dataclass(frozen=True, slots=True)
class View:
    agent: AgentView
    work_dir: str
    flags: Mapping[str, str]
    started: float
    """Seconds since the epoch."""
    outputs: Outputs
    files: Files
    usages: Usages
    liveness: Callable[[], Liveness]
    launch_stats: LaunchStats
    fetch_stats: FetchStats
    billing: Billing | None = None
    leadership: Callable[[], Mapping[str, Any]] = alone
    """What ``/leader`` shows."""
    services: Callable[[Ref], Sequence[str]] = lambda ref: ()
    """The names of a container in service discovery."""
    may_touch: bool = False
    """Operators may run commands in tasks and signal them, if their password is right."""
    more_signals: Callable[[], Sequence[tuple[str, bool, str]]] = tuple
    """Name, state and words of services that not every agent has: Consul, Triton's login."""
    time_slicer: TimeSlicer = field(default_factory=TimeSlicer)
