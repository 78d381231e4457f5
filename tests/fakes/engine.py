"""An engine in memory that keeps the Engine contract, and fails as a test wants it to.

``tests/contract`` runs the same suite on it as on the real engines. :meth:`FakeEngine.fail` makes
a call fail before it has its effect, or after (the answer is lost). :meth:`FakeEngine.hold` makes
a call wait until the test releases it.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from shim.engine.api import Auth, ContainerSpec, EngineInfo, ExecResult, ImageRef
from shim.errors import InProgress, NameTaken, NotFound, Permanent, Transient
from shim.model.container import LABEL_SHIM, Container, Phase, Ref
from shim.model.volume import Volume
from tests.fakes.process import FakeProcess

KILLED = 137

T = TypeVar("T")


@dataclass
class Box:
    """A container of the fake engine, for a test to inspect and change."""

    name: str
    id: str
    image: str
    labels: Mapping[str, str]
    command: Sequence[str]
    body: Mapping[str, Any] = field(default_factory=dict)
    """Of its create call."""
    phase: Phase = Phase.CREATED
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    starts: int = 0
    stops: list[float] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    directories: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    """Those that an archive brought, or that have been changed by one."""
    output: list[tuple[int, float, bytes]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def volumes(self) -> set[str]:
        """The names of the volumes that it mounts."""
        return {volume.name for volume in self.mounts}

    @property
    def mounts(self) -> list[Volume]:
        host = self.body.get("HostConfig", {})
        binds = [bind.partition(":")[0] for bind in host.get("Binds") or []]
        named = [Volume(name) for name in binds if not name.startswith("/")]
        for mount in host.get("Mounts") or []:
            if mount["Type"] == "volume":
                options = mount.get("VolumeOptions") or {}
                named.append(Volume(mount["Source"], options.get("Labels") or {}))
        return named

    @property
    def inspect(self) -> dict[str, Any]:
        """What tests have needed of the inspect of a real engine."""
        named = self.body.get("HostConfig", {}).get("Mounts") or []
        mounts = [
            {"Name": each["Source"], "Destination": each["Target"], "RW": not each["ReadOnly"]}
            for each in named
        ]
        config = {"User": self.body.get("User", "")}
        return {"Id": self.id, "Name": f"/{self.name}", "Config": config, "Mounts": mounts}

    @property
    def network_of(self) -> str:
        """The container whose network it joins; empty: none."""
        mode = self.body.get("HostConfig", {}).get("NetworkMode", "")
        return mode.removeprefix("container:") if mode.startswith("container:") else ""

    @property
    def obeys(self) -> bool:
        """Whether it ends on SIGTERM; not with ``stubborn`` in its command."""
        return "stubborn" not in self.command


@dataclass
class Fault:
    error: Exception | None
    after: bool
    hold: asyncio.Event | None = None


class FakeEngine:
    """The first word of a container's command says what the container does.

    ``sleep``: runs until stopped; ``exit N``: ends at once with N; ``say OUT ERR``: prints both
    and ends; ``nosuch``: cannot be started; with ``stubborn``: ends by SIGKILL only.
    """

    kind = "fake"

    def __init__(self, shim_id: str = "fake", *, has_events: bool = True) -> None:
        self.shim_id = shim_id
        self.has_events = has_events
        self.boxes: dict[str, Box] = {}
        self.volumes: dict[str, Volume] = {}
        self.images: set[str] = {"busybox:1"}
        self.image_configs: dict[str, Mapping[str, Any]] = {}
        self.registry: set[str] = set()
        self.pulls: list[tuple[str, Auth | None]] = []
        self.pulls_cancelled = 0
        self.away = False
        self.calls: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._ids = 0
        self.processes: list[FakeProcess] = []
        """Of every exec and attach, oldest first."""

    # --- what tests do to it ----------------------------------------------------------------

    def fail(
        self, verb: str, error: Exception | None = None, *, after: bool = False, times: int = 1
    ) -> None:
        """The next ``times`` calls of ``verb`` raise, with (``after``) or without their effect."""
        for _ in range(times):
            self._faults[verb].append(Fault(error or Transient(f"{verb}: no answer"), after))

    def hold(self, verb: str, error: Exception | None = None) -> asyncio.Event:
        """The next call of ``verb`` takes effect once the event is set."""
        event = asyncio.Event()
        self._faults[verb].append(Fault(error, after=False, hold=event))
        return event

    def end(self, name: str, code: int | None = 0, *, silently: bool = False, **what: Any) -> None:
        """The container's process ends by itself; ``silently``: without an event."""
        box = self.boxes[name]
        box.phase, box.exit_code = Phase.EXITED, code
        for key, value in what.items():
            setattr(box, key, value)
        box.ended.set()
        if not silently:
            self._send_event(name)

    def destroy(self, name: str, *, silently: bool = False) -> None:
        """Another client removes it; ``silently``: without an event."""
        box = self.boxes.pop(name)
        box.ended.set()
        if not silently:
            self._send_event(name)

    def break_events(self) -> None:
        for listener in self._listeners:
            listener.put_nowait(None)

    def add(self, name: str, labels: Mapping[str, str], phase: Phase = Phase.RUNNING) -> Box:
        """A container that exists already."""
        self._ids += 1
        box = Box(name, f"{self._ids:064x}", "busybox:1", labels, ("sleep",), phase=phase)
        self.boxes[name] = box
        return box

    # --- the engine ---------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        return await self._call(
            "info",
            lambda: EngineInfo(
                "fake", "1", "1.41", "fake", 2.0, 4096, 10_000, architecture="amd64"
            ),
        )

    async def create(self, spec: ContainerSpec) -> str:
        def effect() -> str:
            if spec.name in self.boxes:
                raise NameTaken(f"The container name {spec.name!r} is already in use")
            if spec.image.text not in self.images:
                raise NotFound(f"No such image: {spec.image.text}")
            box = self.add(spec.name, spec.body["Labels"], Phase.CREATED)
            box.image, box.command = spec.image.text, spec.body.get("Cmd") or ("sleep",)
            box.body = spec.body
            for volume in box.mounts:
                self.volumes.setdefault(volume.name, volume)
            return box.id

        return await self._call("create", effect)

    async def start(self, name: str) -> None:
        def effect() -> None:
            box = self._box(name)
            if box.phase is Phase.RUNNING:
                return
            joined = self.boxes.get(box.network_of)
            if box.network_of and (joined is None or joined.phase is not Phase.RUNNING):
                raise Permanent(f"cannot join network of a non running container: {box.network_of}")
            if box.command[0] in ("nosuch", "/nosuch"):
                box.error = "OCI runtime create failed"
                raise Permanent(box.error)
            box.starts += 1
            box.phase, box.exit_code = Phase.RUNNING, None
            box.ended.clear()
            if box.command[0] == "say":
                for stream, word in enumerate(box.command[1:], 1):
                    box.output.append((stream, time.time(), f"{word}\n".encode()))
            if box.command[0] in ("exit", "say"):
                self.end(name, int(box.command[1]) if box.command[0] == "exit" else 0)

        await self._call("start", effect)

    async def inspect(self, name: str) -> Container:
        return await self._call("inspect", lambda: self._describe(self._box(name), full=True))

    async def stop(self, name: str, grace: float) -> None:
        box = await self._call("stop", lambda: self._box(name))
        box.stops.append(grace)
        if box.phase is Phase.RUNNING and not box.obeys:
            try:
                async with asyncio.timeout(int(grace)):
                    await box.ended.wait()
            except TimeoutError:
                pass
        if box.phase is Phase.RUNNING:
            self.end(name, 143 if box.obeys else KILLED)

    async def remove(self, name: str) -> None:
        def effect() -> None:
            if name in self.boxes:
                self.destroy(name)

        await self._call("remove", effect)

    async def list(self) -> Sequence[Container]:
        return await self._call(
            "list",
            lambda: [
                self._describe(box, full=False)
                for box in self.boxes.values()
                if box.labels.get(LABEL_SHIM) == self.shim_id
            ],
        )

    async def has_image(self, image: ImageRef) -> bool:
        return await self._call("has_image", lambda: image.text in self.images)

    async def image_config(self, image: ImageRef) -> Mapping[str, Any]:
        def effect() -> Mapping[str, Any]:
            if image.text not in self.images:
                raise NotFound(f"No such image: {image.text}")
            return self.image_configs.get(image.text, {"Cmd": ["sleep"]})

        return await self._call("image_config", effect)

    async def pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str = "",
    ) -> None:
        def effect() -> None:
            if image.text not in self.registry:
                raise Permanent(f"manifest for {image.text} not found: manifest unknown")
            self.images.add(image.text)

        self.pulls.append((image.text, auth))
        progress("0 of 1 layers")
        try:
            await self._call("pull", effect)
        except asyncio.CancelledError:
            self.pulls_cancelled += 1
            raise
        progress("1 of 1 layers")

    async def load_image(self, archive: bytes) -> None:
        def effect() -> None:
            try:
                with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                    manifest = tar.extractfile("manifest.json")
                    assert manifest is not None
                    for image in json.load(manifest):
                        self.images.update(image["RepoTags"])
            except (tarfile.TarError, KeyError) as error:
                raise Permanent(f"Error processing tar file: {error}") from None

        await self._call("load_image", effect)

    async def update(self, name: str, limits: Mapping[str, int]) -> None:
        def effect() -> None:
            if limits.get("Memory", 0) > 2**53:
                raise Permanent(f"cannot update container {name}: runc did not terminate")
            box = self._box(name)
            host = {**box.body.get("HostConfig", {}), **limits}
            box.body = {**box.body, "HostConfig": host}

        await self._call("update", effect)

    async def create_volume(self, volume: Volume) -> None:
        def effect() -> None:
            if volume.driver not in ("", "local"):
                raise Permanent(f"error looking up volume plugin {volume.driver}: not found")
            made = self.volumes.setdefault(volume.name, volume)
            if made.owner != volume.owner:
                raise NameTaken(f"a volume {volume.name} exists that is not this agent's")

        await self._call("create_volume", effect)

    async def remove_volume(self, name: str) -> None:
        def effect() -> None:
            if any(name in box.volumes for box in self.boxes.values()):
                raise Transient(f"remove {name}: volume is in use")
            self.volumes.pop(name, None)

        await self._call("remove_volume", effect)

    async def volumes_missing(self) -> str:
        return ""

    async def list_volumes(self) -> Sequence[Volume]:
        return await self._call(
            "list_volumes",
            lambda: [each for each in self.volumes.values() if each.owner == self.shim_id],
        )

    async def events(self) -> AsyncGenerator[str, None]:
        await self._call("events", lambda: None)
        mine: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.add(mine)
        try:
            yield ""
            while (name := await mine.get()) is not None:
                yield name
        finally:
            self._listeners.discard(mine)
        raise Transient("events: connection reset")

    async def put_archive(self, name: str, path: str, tar: bytes | BinaryIO) -> None:
        def effect() -> None:
            with tarfile.open(
                fileobj=io.BytesIO(tar if isinstance(tar, bytes) else tar.read())
            ) as members:
                for member in members:
                    content = members.extractfile(member)
                    full = f"{path.rstrip('/')}/{member.name}"
                    if content is not None:
                        self._box(name).files[full] = content.read()
                    elif member.isdir():
                        self._box(name).directories[full] = member

        await self._call("put_archive", effect)

    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        def effect() -> bytes:
            content = self._box(name).files.get(path)
            if content is None:
                raise NotFound(f"Could not find the file {path} in container {name}")
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as members:
                member = tarfile.TarInfo(path.rpartition("/")[2])
                member.size = len(content)
                members.addfile(member, io.BytesIO(content))
            if buffer.tell() > limit:
                raise Permanent(f"{path}: more than {limit} bytes")
            return buffer.getvalue()

        return await self._call("get_archive", effect)

    async def path_mode(self, name: str, path: str) -> int:
        def effect() -> int:
            found = self._box(name).directories.get(path)
            return 0o755 if found is None else found.mode

        return await self._call("path_mode", effect)

    async def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[tuple[int, float, bytes], None]:
        box = await self._call("logs", lambda: self._box(name))
        sent = len(box.output)
        for line in box.output[-tail:] if tail else list(box.output):
            if line[1] >= since:
                yield line
        while follow and not box.ended.is_set():
            await asyncio.sleep(0.01)
            for line in box.output[sent:]:
                yield line
            sent = len(box.output)

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        def effect() -> ExecResult:
            if self._box(name).phase is not Phase.RUNNING:
                raise Permanent(f"Container {name} is not running")
            if argv[0] == "false":
                return ExecResult(1, b"")
            words = argv[1:] if argv[0] == "echo" else env.values()
            return ExecResult(0, " ".join(words).encode() + b"\n")

        if argv[0] == "sleep":
            raise Transient(f"exec: {argv[0]!r} has not ended after {timeout:g} s")
        return await self._call("exec", effect)

    async def start_exec(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tty: bool = False,
        user: str = "",
    ) -> FakeProcess:
        """``cat``, ``exit N``, ``say OUT ERR``; any ``sh -c`` kills those with its first word."""

        def effect() -> FakeProcess:
            box = self._box(name)
            if box.phase is not Phase.RUNNING:
                raise Permanent(f"Container {name} is not running")
            process = FakeProcess(argv, env, tty=tty, user=user, stop=box.ended)
            self.processes.append(process)
            if argv[:2] == ["sh", "-c"] and len(argv) > 4:
                hit = [each for each in self.processes if argv[4] in each.marks]
                for each in hit:
                    each.end(128 + int(argv[5]))
                process.end(0 if hit else 1)
            return process

        return await self._call("start_exec", effect)

    async def attach(self, name: str, *, stdin: bool, output: bool = True) -> FakeProcess:
        """The container's own process: it repeats its input, if its body has ``OpenStdin``."""

        def effect() -> FakeProcess:
            box = self._box(name)
            if box.phase is not Phase.RUNNING:
                raise Permanent(f"Container {name} is not running")
            process = FakeProcess(
                ["cat"],
                {},
                tty=bool(box.body.get("Tty")),
                has_stdin=stdin and bool(box.body.get("OpenStdin")),
                stop=box.ended,
            )
            self.processes.append(process)
            return process

        return await self._call("attach", effect)

    async def kill(self, name: str, signal: int) -> None:
        def effect() -> None:
            if self._box(name).phase is not Phase.RUNNING:
                raise Permanent(f"Container {name} is not running")
            self.end(name, 128 + signal)

        await self._call("kill", effect)

    async def stats(self, name: str) -> Mapping[str, Any]:
        return await self._call("stats", lambda: {"name": self._box(name).name})

    async def close(self) -> None:
        self.break_events()

    # --- inside -------------------------------------------------------------------------------

    async def _call(self, verb: str, effect: Callable[[], T]) -> T:
        self.calls[verb] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(verb, effect)
        finally:
            self.in_flight -= 1

    async def _answer(self, verb: str, effect: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        fault = self._faults[verb].popleft() if self._faults[verb] else None
        if fault and fault.hold:
            await fault.hold.wait()
        if self.away:
            raise Transient(f"{verb}: connection refused")
        if fault and fault.error and not fault.after:
            raise fault.error
        result = effect()
        await asyncio.sleep(0)
        if fault and fault.error:
            raise fault.error
        return result

    def _box(self, name: str) -> Box:
        try:
            return self.boxes[name]
        except KeyError:
            raise NotFound(f"No such container: {name}") from None

    def _send_event(self, name: str) -> None:
        for listener in self._listeners:
            listener.put_nowait(name)

    @staticmethod
    def _describe(box: Box, *, full: bool) -> Container:
        return Container(
            name=box.name,
            id=box.id,
            phase=box.phase,
            labels=box.labels,
            exit_code=box.exit_code,
            oom_killed=box.oom_killed if full else False,
            error=box.error if full else "",
            inspect=json.dumps([box.inspect]).encode() if full else b"",
        )


class NotifyingEngine(FakeEngine):
    """A fake engine whose creates take long: each ends at :meth:`finish_create`, and calls back."""

    def __init__(self) -> None:
        super().__init__()
        self.creates_pending: dict[str, Callable[[], None]] = {}
        self.creates_asked: list[str] = []
        self._outcomes: dict[str, Exception | None] = {}

    async def create_or_notify(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        self.creates_asked.append(spec.name)
        if spec.name not in self._outcomes:
            self.creates_pending[spec.name] = on_ready
            raise InProgress
        if (error := self._outcomes.pop(spec.name)) is not None:
            raise error
        return await super().create(spec)

    async def create_asked(self, ref: Ref) -> None:
        """Returns when the container's create is under way."""
        while ref.name not in self.creates_pending:
            await asyncio.sleep(0.01)

    def finish_create(self, ref: Ref, error: Exception | None = None) -> None:
        """The create ends, with an error if one is given."""
        self._outcomes[ref.name] = error
        self.creates_pending.pop(ref.name)()
