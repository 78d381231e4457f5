"""Provides images. Launches that need the same image share one pull.

The agent's own images come with the agent: they are loaded, not pulled, and again when they were
removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from shim import limits
from shim.engine.api import Auth, Engine, ImageLoader, ImageRef
from shim.engine.client.retry import PULL, retry
from shim.errors import Permanent

log = logging.getLogger(__name__)

ReportProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _PullKey:
    """Launches with the same key share a pull.

    Credentials are part of it: a wrong password fails only the launches that use it.
    """

    image: ImageRef
    auth: Auth | None
    platform: str
    force: bool


@dataclass(slots=True)
class _Pull:
    """A lookup of an image and the pull that may follow, with the launches that wait for it."""

    task: asyncio.Task[None] | None = None
    waiters: set[ReportProgress] = field(default_factory=set)
    text: str = ""
    """The last report; empty as long as nothing is being pulled."""
    reported_at: float = 0.0

    def report(self, text: str) -> None:
        log.info("pulling %s", text)
        self.text = text
        for report in self.waiters:
            report(text)


class ImagePuller:
    """Remembers which images an engine has, and shares the pulls under way."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        own_images: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
    ) -> None:
        """``own_images``: what makes the archive of each, by reference; may raise Permanent."""
        self._engine = engine
        self._own_images = own_images
        self._clock = clock
        self._present: dict[str, None] = {}
        self._configs: dict[str, tuple[float, Mapping[str, Any]]] = {}
        """When each was asked for, and what launches read of it."""
        self._pulls: dict[_PullKey, _Pull] = {}
        self._slots = asyncio.Semaphore(limits.PULLS_AT_ONCE)

    async def ensure(
        self,
        image: ImageRef,
        auth: Callable[[], Auth | None],
        *,
        force: bool,
        platform: str,
        report: ReportProgress,
    ) -> None:
        """Return when the engine has the image. ``report`` is called with a pull's progress.

        A pull is cancelled when the last caller that waits for it is. Raises the pull's error.
        """
        if force or image.text not in self._present:
            self._configs.pop(image.text, None)
            await self._join(_PullKey(image, auth(), platform, force), report)
        self._remember(image)

    async def config(self, image: ImageRef) -> Mapping[str, Any]:
        """``Config`` of an image that the engine has, at most IMAGE_CONFIG_AGE old. NotFound."""
        known = self._configs.get(image.text)
        if known is None or self._clock() - known[0] > limits.IMAGE_CONFIG_AGE:
            found = await self._engine.image_config(image)
            kept = {name: found.get(name) for name in ("Entrypoint", "Cmd", "WorkingDir")}
            known = self._configs[image.text] = (self._clock(), kept)
            if len(self._configs) > limits.IMAGES_REMEMBERED:
                del self._configs[next(iter(self._configs))]
        return known[1]

    def forget(self, image: ImageRef) -> None:
        """Forget an image that a create did not find."""
        self._present.pop(image.text, None)
        self._configs.pop(image.text, None)

    async def _join(self, key: _PullKey, report: ReportProgress) -> None:
        pull = self._pulls.get(key)
        if pull is None:
            pull = self._pulls[key] = _Pull()
            pull.task = asyncio.create_task(self._provide(key, pull))
        assert pull.task is not None
        pull.waiters.add(report)
        if pull.text:
            report(pull.text)
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.waiters.remove(report)
            if not pull.waiters:
                if pull.task.cancel() and pull.text:
                    log.info("the pull of %s is cancelled: no launch needs it", key.image.text)
                if self._pulls.get(key) is pull:
                    del self._pulls[key]

    async def _provide(self, key: _PullKey, pull: _Pull) -> None:
        async with self._slots:
            if not key.force and await self._engine.has_image(key.image):
                return
            if (archive := self._own_images.get(key.image.text)) is not None:
                await self._load(key.image, archive())
                return
            began, progress = self._clock(), self._progress(key, pull)
            pull.report(key.image.text)
            await retry(
                PULL, lambda: self._engine.pull(key.image, key.auth, progress, key.platform)
            )
            log.info("pulled %s in %.1f s", key.image.text, self._clock() - began)

    async def _load(self, image: ImageRef, archive: bytes) -> None:
        engine = self._engine
        if not isinstance(engine, ImageLoader):
            raise Permanent(f"this endpoint takes no images by upload: {image.text}")
        await retry(PULL, lambda: engine.load_image(archive))
        log.info("loaded %s", image.text)

    def _progress(self, key: _PullKey, pull: _Pull) -> ReportProgress:
        """Passes on the engine's progress to all waiters, once in PULL_REPORT_INTERVAL."""

        def progress(text: str) -> None:
            now = self._clock()
            if now - pull.reported_at >= limits.PULL_REPORT_INTERVAL:
                pull.reported_at = now
                pull.report(f"{key.image.text}: {text}")

        return progress

    def _remember(self, image: ImageRef) -> None:
        self._present[image.text] = None
        if len(self._present) > limits.IMAGES_REMEMBERED:
            del self._present[next(iter(self._present))]
