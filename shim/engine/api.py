"""What the shim asks of a Docker endpoint: calls about containers, images and volumes.

The contract of every engine (``tests/contract`` runs one suite on each of them):

* A call may be repeated with the same name; twice has the effect of once.
* :class:`~shim.errors.Transient` means "no certain answer": the caller assumes nothing and
  inspects the container. :class:`~shim.errors.Permanent` has the endpoint's error text.
* No call touches a container without this shim's ``mesos-shim.id`` label, unless its caller gives
  the exact name of a container that the shim named.
* No call takes a thread; any number may be under way at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, runtime_checkable

from shim.model.container import Container
from shim.model.volume import Volume


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image reference, split into the parameters of ``POST /images/create``."""

    text: str
    """As the task wrote it, ``:latest`` added where a tag is missing."""
    repository: str
    tag: str
    """A tag, or a digest ``sha256:...``."""
    registry: str
    """The key of its credentials: ``host[:port]``, or ``docker.io``."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Registry credentials: user and password, or an identity token. No secret is in the repr."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    server: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything a create call needs; made by the pure mapping from a TaskInfo."""

    name: str
    image: ImageRef
    body: Mapping[str, Any]
    """JSON body of ``POST /containers/create``, names as in the Docker API."""
    force_pull: bool = False
    platform: str = ""
    starts_after: str = ""
    """The container that must run before this one is created; empty: none."""
    default_workdir: str = ""
    """``WorkingDir`` where the image has none; empty: the engine's own, ``/``."""
    completes_image_command: bool = False
    """``Cmd`` holds arguments for the image's own program (``engine.mapping.command``)."""
    warnings: tuple[str, ...] = ()
    """Harmless options of the task that this endpoint does not honour, for the log."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An endpoint's description of itself. Values that it does not report are zero or empty."""

    kind: str
    """``docker`` or ``triton``."""
    version: str
    api_version: str
    name: str
    """The engine host's name, or the datacenter's."""
    cpus: float = 0.0
    memory_mb: int = 0
    disk_mb: int = 0
    account: str = ""
    architecture: str = ""
    """``amd64``, ``arm64``, ...: of the images that it runs."""

    def __str__(self) -> str:
        """For people; fields without a value are left out."""
        account = f", account {self.account}" if self.account else ""
        size = f", {self.cpus:g} cpus, {self.memory_mb} MB" if self.cpus else ""
        return f"{self.kind} {self.version} (API {self.api_version}) on {self.name}{account}{size}"


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    output: bytes


class Engine(Protocol):
    """One Docker endpoint."""

    @property
    def kind(self) -> str:
        """``docker`` or ``triton``."""

    @property
    def has_events(self) -> bool:
        """Whether :meth:`events` works. Without events only :meth:`list` shows ends."""

    async def info(self) -> EngineInfo: ...

    async def create(self, spec: ContainerSpec) -> str:
        """Create the container, return its id. NameTaken when one of that name exists.

        NotFound: its image does not exist. Transient: the container may exist now, or soon;
        inspect it by name.
        """

    async def start(self, name: str) -> None:
        """Start it; starting a running container succeeds. NotFound: it does not exist."""

    async def inspect(self, name: str) -> Container:
        """Everything about one container, ``Container.inspect`` included. NotFound."""

    async def stop(self, name: str, grace: float) -> None:
        """Signal it, then kill it after ``grace`` whole seconds; returns when it is down.

        Stopping a stopped container succeeds. NotFound: it does not exist.
        """

    async def remove(self, name: str) -> None:
        """Remove it, running or not, with its anonymous volumes. It need not exist.

        Transient while the endpoint cannot remove it yet (provisioning, removal under way).
        """

    async def list(self) -> Sequence[Container]:
        """All containers of this shim (by label), in one call, without ``Container.inspect``."""

    async def has_image(self, image: ImageRef) -> bool: ...

    async def image_config(self, image: ImageRef) -> Mapping[str, Any]:
        """``Config`` of an image that the endpoint has: ``Entrypoint``, ``Cmd``, ... NotFound."""

    async def pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str = "",
    ) -> None:
        """Pull it. A cancelled coroutine cancels the pull. Permanent has the registry's words."""

    async def create_volume(self, volume: Volume) -> None:
        """Create it; creating it again succeeds, and changes nothing.

        NameTaken: a volume of that name exists that another owner made. Permanent: another driver
        made it, or the endpoint cannot make such a volume.
        """

    async def remove_volume(self, name: str) -> None:
        """Remove it with its files. It need not exist. Transient while a container has it."""

    async def volumes_missing(self) -> str:
        """Why the endpoint has no volumes, in its own words; empty: it has them."""

    async def list_volumes(self) -> Sequence[Volume]:
        """All volumes of this shim; none at an endpoint without volumes."""

    def events(self) -> AsyncGenerator[str, None]:
        """Names of this shim's containers that ended or were removed.

        The first item is empty: the stream is open, and a list from now on completes it. Ends, or
        raises Transient, when the stream breaks; the caller then lists and opens it again.
        """

    async def put_archive(self, name: str, path: str, tar: bytes | BinaryIO) -> None:
        """Unpack a tar at ``path``, a directory in the container; a file is read to its end."""

    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        """A tar of ``path``, at most ``limit`` bytes (Permanent beyond). NotFound."""

    def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[tuple[int, float, bytes], None]:
        """``(stream, timestamp, line)`` with stream 1 stdout, 2 stderr; seconds since the epoch.

        Lines keep their newline; a long one may come in several pieces. ``since`` is inclusive.
        ``tail`` is the number of last lines to which the answer is limited.
        """

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        """Run a command in the container; Transient after ``timeout`` seconds."""

    async def stats(self, name: str) -> Mapping[str, Any]:
        """One sample of the endpoint's own statistics."""

    async def close(self) -> None: ...


@runtime_checkable
class CreateNotifier(Protocol):
    """An optional extension of an engine whose creates take minutes: it calls back."""

    async def create_or_notify(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        """:meth:`Engine.create`, or InProgress while the endpoint works on the create.

        After InProgress, ``on_ready`` is called once. The caller then asks for the same create
        again, and gets its outcome or InProgress once more. A caller that does not ask again
        removes the container.
        """


@runtime_checkable
class ImageLoader(Protocol):
    """An optional extension of an engine that takes images by upload as well as from registries."""

    async def load_image(self, archive: bytes) -> None:
        """Load an archive as ``docker save`` writes it; loading it again succeeds."""


@runtime_checkable
class ContainerUpdater(Protocol):
    """An optional extension of an engine that changes the limits of a running container."""

    async def update(self, name: str, limits: Mapping[str, int]) -> None:
        """Set ``Memory``, ``CpuShares``, ... as in HostConfig. NotFound.

        Permanent: the engine or the kernel refuses them, such as less memory than is in use.
        """


@runtime_checkable
class PathModes(Protocol):
    """An optional extension of an engine that knows the mode of a file in a container."""

    async def path_mode(self, name: str, path: str) -> int:
        """The permission bits of a path, with set-id and sticky bits. NotFound."""


class ProcessStream(Protocol):
    """stdin, stdout and stderr of one process in a container, over one connection.

    No method holds more than a piece of output: a process whose output is not read waits.
    """

    @property
    def tty(self) -> bool:
        """Whether the process has a terminal: all output is stdout then."""

    @property
    def has_stdin(self) -> bool:
        """Without stdin, what is written is lost."""

    async def read(self) -> tuple[int, bytes] | None:
        """The next output, never empty: 1 stdout, 2 stderr. None at its end. Transient."""

    async def write(self, data: bytes) -> None:
        """Returns when little enough waits to be sent. Transient when the process is gone."""

    async def close_stdin(self) -> None:
        """The process reads the end of its input. Without effect on a terminal."""

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal."""

    async def exit_code(self) -> int | None:
        """Of a process started by :meth:`InteractiveExec.start_exec`, once, after its output.

        None when the endpoint does not know it.
        """

    def close(self) -> None:
        """Close the connection. The process keeps running."""


@runtime_checkable
class InteractiveExec(Protocol):
    """An optional extension of an engine: processes in containers that people talk to."""

    async def start_exec(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tty: bool = False,
        user: str = "",
    ) -> ProcessStream:
        """Start a process in a running container. NotFound; Permanent if it does not run."""

    async def attach(self, name: str, *, stdin: bool, output: bool = True) -> ProcessStream:
        """The container's own process: its input, its output from now on, or both."""

    async def kill(self, name: str, signal: int) -> None:
        """Send a signal to the container's own process. NotFound; Permanent if it does not run.

        On Triton every signal is SIGKILL, and a container that does not run is no error.
        """
