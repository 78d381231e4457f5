"""The launch hook that gives every container its sandbox, and pulls their fetched credentials."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from shim import limits
from shim.engine.api import Auth, Engine, ImageRef
from shim.engine.fetch.archive import Budget
from shim.engine.fetch.cache import Cache
from shim.engine.fetch.download import Downloads
from shim.engine.fetch.pool import in_pool
from shim.engine.fetch.sandbox_archive import SandboxArchive, directory_tar, is_root
from shim.engine.fetch.uris import Item, plan
from shim.engine.images.credentials import DockerConfig, docker_config_of_task
from shim.engine.mapping.rules import Rules
from shim.engine.mapping.volumes import sandbox_volumes
from shim.errors import Permanent
from shim.model.container import Ref
from shim.model.orders import Launch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What was fetched for one container."""

    tars: Mapping[str, Path]
    """By where they go in the container."""
    configs: Mapping[str, bytes]


class Fetcher:
    """A :class:`~shim.engine.containers.worker_deps.LaunchHook`."""

    def __init__(
        self,
        engine: Engine,
        rules: Rules,
        directory: Path,
        *,
        cache_directory: Path,
        cache_size: int,
        docker_config: DockerConfig | None = None,
        file_root: Path | None = None,
    ) -> None:
        """Empties its own parts of both directories. Needs a running loop.

        ``docker_config`` is the agent's own.
        """
        self._engine = engine
        self._rules = rules
        self._directory = directory / "containers"
        self._cache = Cache(cache_directory / "cache", cache_size)
        self._docker_config = docker_config
        self._file_root = file_root
        self._pool = ThreadPoolExecutor(limits.FETCH_THREADS, thread_name_prefix="fetch")
        self._downloads = Downloads(self._pool, file_root)
        self._prepared: dict[Ref, _Prepared] = {}
        self._numbers = itertools.count()
        self.succeeded = self.failed = 0
        """Containers whose URIs were, or could not be, fetched."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)

    @property
    def cache_used(self) -> int:
        """Bytes in the cache."""
        return self._cache.used

    @property
    def cache_size(self) -> int:
        """Bytes that the cache may have."""
        return self._cache.size

    async def close(self) -> None:
        """After all launches have ended."""
        await self._downloads.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def auth_for(self, order: Launch, image: ImageRef) -> Auth | None:
        """Credentials of a pull: what the task brought along, else the agent's. InvalidTask."""
        prepared = self._prepared.get(order.ref)
        config = docker_config_of_task(order.task, prepared.configs if prepared else {})
        if config is None:
            config = self._docker_config
        if config is None:
            return None
        for warning in config.warnings:
            log.warning("%s: docker config: %s", order.ref, warning)
        return config.auth(image)

    # --- the hook ---------------------------------------------------------------------------

    def wanted(self, order: Launch) -> bool:
        return bool(order.task.command.uris)

    async def before_create(self, order: Launch) -> None:
        """Fetch everything, in order, and put the sandbox's tar together."""
        if not self.wanted(order):
            return
        items = plan(order.task.command.uris, self._file_root)
        directory = self._directory / order.ref.container_id
        try:
            _make_anew(directory)
            self._prepared[order.ref] = await self._prepare(order, items, directory)
        except (Permanent, OSError) as error:
            self.failed += 1
            self._forget(order.ref)
            what = f"Failed to fetch all URIs for container '{order.ref.container_id}'"
            raise Permanent(f"{what}: {error}") from None
        self.succeeded += 1

    async def after_create(self, order: Launch) -> None:
        """Everybody may write in the sandbox, and what was fetched is in it."""
        name, sandbox = order.ref.name, self._rules.sandbox_directory
        described = await self._describe(name)
        config, host = described.get("Config") or {}, described.get("HostConfig") or {}
        open_to_all = is_root(config.get("User") or "")
        if self._rules.triton or not (open_to_all or host.get("ReadonlyRootfs")):
            tar = directory_tar(sandbox, parents=self._rules.triton)
            await self._engine.put_archive(name, "/", tar)
        prepared = self._prepared.get(order.ref)
        for path, file in (prepared.tars if prepared else {}).items():
            with file.open("rb") as opened:
                await self._engine.put_archive(name, path, opened)

    def after_launch(self, ref: Ref) -> None:
        self._forget(ref)

    # --- inside -----------------------------------------------------------------------------

    def _forget(self, ref: Ref) -> None:
        """Taking gigabytes away takes a while, so only the name goes at once."""
        self._prepared.pop(ref, None)
        directory = self._directory / ref.container_id
        if directory.exists():
            gone = directory.rename(self._directory / f"gone-{next(self._numbers)}")
            self._pool.submit(shutil.rmtree, gone, ignore_errors=True)

    async def _describe(self, name: str) -> Mapping[str, Any]:
        inspect = (await self._engine.inspect(name)).inspect
        (described,) = json.loads(inspect) if inspect else ({},)
        return dict(described)

    async def _prepare(self, order: Launch, items: list[Item], directory: Path) -> _Prepared:
        places = {"": self._rules.sandbox_directory}
        for volume in sandbox_volumes(order.task, self._rules):
            places[volume.directory] = volume.destination
        budget = Budget()
        sandbox = SandboxArchive(directory, [part for part in places if part], budget)
        try:
            for item in items:
                with await self._open(order, item, directory) as file:
                    work = partial(sandbox.add, item, file)
                    await in_pool(self._pool, work, on_cancel=budget.stop)
        finally:
            sandbox.close()
        tars = {places[part]: path for part, path in sandbox.tars.items()}
        return _Prepared(tars, sandbox.configs)

    async def _open(self, order: Launch, item: Item, directory: Path) -> BinaryIO:
        def report(text: str) -> None:
            log.info("%s: fetching %s: %s", order.ref, item.shown, text)

        async def fetch(path: Path) -> None:
            await self._downloads.fetch(item, path, report)

        if item.cache:
            return await self._cache.open((order.task.command.user, item.url), fetch)
        path = directory / "fetched"
        await fetch(path)
        file = path.open("rb")
        path.unlink()
        return file


def _make_anew(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
