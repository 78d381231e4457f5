"""What pages read. Pages change nothing: they only look at the core and at the sandboxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shim.core.view import AgentView
from shim.http.protojson import Json
from shim.http.time_slicer import TimeSlicer
from shim.model.container import Ref
from shim.model.ids import TaskKey
from shim.model.sandbox import Entry
from shim.model.usage import Usage


class Outputs(Protocol):
    """stdout and stderr of every task. ``live``: the engine has the container."""

    def latest(self, key: TaskKey) -> Ref | None: ...

    def knows(self, ref: Ref) -> bool: ...

    async def entries(self, ref: Ref, live: bool) -> Sequence[Entry]: ...

    async def read(self, ref: Ref, name: str, offset: int, length: int, live: bool) -> bytes: ...

    async def extents(self, ref: Ref, name: str, live: bool) -> Sequence[tuple[int, int]]:
        """``(offset, length)`` of the parts that are kept, in order."""


class Fetched(Protocol):
    """A file, or a directory."""

    @property
    def is_directory(self) -> bool: ...

    @property
    def content(self) -> bytes: ...

    @property
    def entries(self) -> Sequence[Entry]: ...


class Files(Protocol):
    """Other files of running tasks. NotFound, Permanent, Transient."""

    async def fetch(self, ref: Ref, path: str) -> Fetched: ...


class Usages(Protocol):
    async def usages(self) -> Mapping[Ref, Usage]: ...


class Liveness(Protocol):
    """Whether the agent does its work."""

    @property
    def relist_age(self) -> float:
        """Seconds since the endpoint last answered a list."""

    @property
    def endpoint_trouble(self) -> str:
        """What came instead of the last one; empty when it came."""

    @property
    def disk_failing(self) -> bool: ...


class Counts(Protocol):
    """Since the start of the process."""

    @property
    def launches_failed(self) -> int: ...

    @property
    def updates(self) -> int: ...


class Fetches(Protocol):
    """Of URIs, since the start of the process."""

    @property
    def succeeded(self) -> int:
        """Containers whose URIs were fetched."""

    @property
    def failed(self) -> int: ...

    @property
    def cache_used(self) -> int:
        """Bytes."""

    @property
    def cache_size(self) -> int:
        """Bytes that the cache may have."""


class Costs(Protocol):
    """What an endpoint that has to be paid for costs."""

    def paid(self, name: str) -> Mapping[str, Any] | None:
        """What is paid for the container of this name."""

    def state(self) -> Json:
        """Sums."""

    def tasks(self) -> Iterator[Json]:
        """The account of each container."""


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
    pulse: Liveness
    counts: Counts
    fetches: Fetches
    costs: Costs | None = None
    pacer: TimeSlicer = field(default_factory=TimeSlicer)
