"""Images present or pulled: ten tasks of one image pull it once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from shim import limits
from shim.engine.api import Auth, Engine, ImageRef
from shim.engine.client.retry import Passing, soon_while_passing

log = logging.getLogger(__name__)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What makes two launches wait for the same pull. Credentials are part of it: nobody's pull
    fails for another's wrong password."""

    image: ImageRef
    auth: Auth | None
    platform: str
    force: bool


@dataclass(slots=True)
class _Pull:
    """One pull (or the question whether one is needed) and who waits for it."""

    task: asyncio.Task[None] | None = None
    waiters: set[Report] = field(default_factory=set)
    text: str = ""
    """What was told last; empty as long as nothing is being pulled."""
    told: float = 0.0

    def tell(self, text: str) -> None:
        log.info("pulling %s", text)
        self.text = text
        for report in self.waiters:
            report(text)


class ImagePuller:
    """What is known about an engine's images, and the pulls under way."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._present: dict[str, None] = {}
        self._pulls: dict[_Wish, _Pull] = {}
        self._slots = asyncio.Semaphore(limits.PULLS_AT_ONCE)

    async def ensure(
        self,
        image: ImageRef,
        auth: Callable[[], Auth | None],
        *,
        force: bool,
        platform: str,
        report: Report,
    ) -> None:
        """The image is there afterwards. ``report`` hears of a pull and its progress, if any.

        Cancelling the last one who waits for a pull cancels the pull. Raises what it ended with.
        """
        if force or image.text not in self._present:
            await self._join(_Wish(image, auth(), platform, force), report)
        self._remember(image)

    def forget(self, image: ImageRef) -> None:
        """It was there, and a create says that it is not."""
        self._present.pop(image.text, None)

    async def _join(self, wish: _Wish, report: Report) -> None:
        pull = self._pulls.get(wish)
        if pull is None:
            pull = self._pulls[wish] = _Pull()
            pull.task = asyncio.create_task(self._provide(wish, pull))
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
                    log.info("the pull of %s is given up: nobody waits for it", wish.image.text)
                if self._pulls.get(wish) is pull:
                    del self._pulls[wish]

    async def _provide(self, wish: _Wish, pull: _Pull) -> None:
        async with self._slots:
            if not wish.force and await self._engine.has_image(wish.image):
                return
            began, progress = self._clock(), self._progress(wish, pull)
            pull.tell(wish.image.text)
            # Who is not let in waits by himself, as long as his patience lasts.
            async for attempt in soon_while_passing(Passing(unwelcome=False)):
                with attempt:
                    await self._engine.pull(wish.image, wish.auth, progress, wish.platform)
            log.info("pulled %s in %.1f s", wish.image.text, self._clock() - began)

    def _progress(self, wish: _Wish, pull: _Pull) -> Report:
        """Passes on to all waiters what the engine says, now and then."""

        def progress(text: str) -> None:
            now = self._clock()
            if now - pull.told >= limits.PULL_REPORT_INTERVAL:
                pull.told = now
                pull.tell(f"{wish.image.text}: {text}")

        return progress

    def _remember(self, image: ImageRef) -> None:
        self._present[image.text] = None
        if len(self._present) > limits.IMAGES_REMEMBERED:
            del self._present[next(iter(self._present))]
