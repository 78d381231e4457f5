"""The launch hook that fetches URIs, fills sandboxes, and gives pulls their credentials."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from shim import limits
from shim.engine.api import Auth, Engine, ImageRef
from shim.engine.fetch.archive import UnpackQuota
from shim.engine.fetch.cache import FetcherCache
from shim.engine.fetch.download import Downloader, run_in_pool
from shim.engine.fetch.sandbox_archive import (
    SandboxArchive,
    SandboxTar,
    directory_tar,
    is_root,
    links_tar,
)
from shim.engine.fetch.uris import FetchItem, fetch_items
from shim.engine.images.credentials import DockerConfig, docker_config_of_task
from shim.engine.mapping.mapping_settings import MappingSettings
from shim.engine.mapping.pod import is_infra
from shim.engine.mapping.shared_volumes import shared_volumes
from shim.engine.mapping.volumes import sandbox_volumes
from shim.errors import Permanent
from shim.model.container import Ref
from shim.model.orders import Launch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The fetched files of one container."""

    tars: Mapping[str, SandboxTar]
    """Tar by the directory in the container to extract it to."""
    configs: Mapping[str, bytes]


class Fetcher:
    """A :class:`~shim.engine.containers.worker_deps.LaunchHook`."""

    def __init__(
        self,
        engine: Engine,
        settings: MappingSettings,
        directory: Path,
        *,
        cache_directory: Path,
        cache_size: int,
        docker_config: DockerConfig | None = None,
        file_root: Path | None = None,
    ) -> None:
        """Empties ``directory/containers`` and ``cache_directory/cache``. Needs a running loop.

        ``docker_config`` holds the agent's credentials, ``file_root`` is for ``file://`` URIs.
        """
        self._engine = engine
        self._settings = settings
        self._directory = directory / "containers"
        self._cache = FetcherCache(cache_directory / "cache", cache_size)
        self._docker_config = docker_config
        self._file_root = file_root
        self._pool = ThreadPoolExecutor(limits.FETCH_THREADS, thread_name_prefix="fetch")
        self._downloader = Downloader(self._pool, file_root)
        self._prepared: dict[Ref, _Prepared] = {}
        self._serial = itertools.count()
        self.succeeded = self.failed = 0
        """Containers of which all URIs were fetched, and of which one failed."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)

    @property
    def cache_used(self) -> int:
        """Bytes in the cache."""
        return self._cache.used

    @property
    def cache_size(self) -> int:
        """The bound of the cache in bytes."""
        return self._cache.size

    async def close(self) -> None:
        """Call after the end of all launches."""
        await self._downloader.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def auth_for(self, order: Launch, image: ImageRef) -> Auth | None:
        """Return the credentials of a pull: the task's, else the agent's. Raises InvalidTask."""
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

    def applies_to(self, order: Launch) -> bool:
        return bool(order.task.command.uris)

    async def before_create(self, order: Launch) -> None:
        """Fetch all URIs in order and build the tars of the sandbox. Raises Permanent."""
        if not self.applies_to(order):
            return
        items = fetch_items(order.task.command.uris, self._file_root)
        directory = self._directory / order.ref.container_id
        try:
            _recreate(directory)
            self._prepared[order.ref] = await self._prepare(order, items, directory)
        except (Permanent, OSError) as error:
            self.failed += 1
            self.after_launch(order.ref)
            what = f"Failed to fetch all URIs for container '{order.ref.container_id}'"
            raise Permanent(f"{what}: {error}") from None
        self.succeeded += 1

    async def after_create(self, order: Launch) -> None:
        """Make the sandbox writable for every user and upload the fetched files."""
        if is_infra(order.ref, order.task):
            return  # nothing of it uses a sandbox
        name, sandbox = order.ref.name, self._settings.sandbox_directory
        described = await self._describe(name)
        config, host = described.get("Config") or {}, described.get("HostConfig") or {}
        open_to_all = is_root(config.get("User") or "")
        if self._settings.triton or not (open_to_all or host.get("ReadonlyRootfs")):
            tar = directory_tar(sandbox, *self._shared(order), parents=self._settings.triton)
            await self._engine.put_archive(name, "/", tar)
        prepared = self._prepared.get(order.ref)
        for path, sandbox_tar in (prepared.tars if prepared else {}).items():
            with sandbox_tar.path.open("rb") as opened:
                await self._engine.put_archive(name, path, opened)
            if links := sandbox_tar.outside_links:
                from_root = not host.get("ReadonlyRootfs")
                data = links_tar(links, path, from_root=from_root)
                await self._engine.put_archive(name, "/" if from_root else path, data)

    def after_launch(self, ref: Ref) -> None:
        """Delete the files of a container in a thread: gigabytes take a while."""
        self._prepared.pop(ref, None)
        directory = self._directory / ref.container_id
        if directory.exists():
            renamed = directory.rename(self._directory / f"deleted-{next(self._serial)}")
            self._pool.submit(shutil.rmtree, renamed, ignore_errors=True)

    def _shared(self, order: Launch) -> Sequence[str]:
        """The directories that the task writes and shares with others of its executor."""
        shared = shared_volumes(order, self._settings)
        return [volume.destination for volume in shared if not volume.read_only]

    # --- inside -----------------------------------------------------------------------------

    async def _describe(self, name: str) -> Mapping[str, Any]:
        inspect = (await self._engine.inspect(name)).inspect
        (described,) = json.loads(inspect) if inspect else ({},)
        return dict(described)

    async def _prepare(self, order: Launch, items: list[FetchItem], directory: Path) -> _Prepared:
        destinations = {"": self._settings.sandbox_directory}
        for volume in sandbox_volumes(order.task, self._settings):
            destinations[volume.directory] = volume.destination
        quota = UnpackQuota()
        sandbox = SandboxArchive(directory, [part for part in destinations if part], quota)
        try:
            for item in items:
                with await self._open(order, item, directory) as file:
                    work = partial(sandbox.add, item, file)
                    await run_in_pool(self._pool, work, on_cancel=quota.cancel)
        finally:
            sandbox.close()
        tars = {destinations[part]: tar for part, tar in sandbox.tars.items()}
        return _Prepared(tars, sandbox.configs)

    async def _open(self, order: Launch, item: FetchItem, directory: Path) -> BinaryIO:
        def report(text: str) -> None:
            log.info("%s: fetching %s: %s", order.ref, item.printable_url, text)

        async def fetch(path: Path) -> None:
            await self._downloader.fetch(item, path, report)

        if item.cache:
            return await self._cache.open((order.task.command.user, item.url), fetch)
        path = directory / "fetched"
        await fetch(path)
        file = path.open("rb")
        path.unlink()
        return file


def _recreate(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
