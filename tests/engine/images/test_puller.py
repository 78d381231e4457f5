"""Images: asked for once, pulled once, and given up when nobody waits any more."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.api import Auth
from shim.engine.images.puller import ImagePuller
from shim.engine.images.reference import parse_image
from shim.errors import Permanent
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

IMAGE = parse_image("web:1")
BOB, EVE = Auth("bob", "right"), Auth("eve", "wrong")


class Desk:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.engine.registry.add(IMAGE.text)
        self.images = ImagePuller(self.engine, asyncio.get_running_loop().time)
        self.told: list[str] = []

    async def ensure(
        self, auth: Auth | None = None, *, force: bool = False, platform: str = ""
    ) -> None:
        def report(text: str) -> None:
            self.told.append(text)

        await self.images.ensure(IMAGE, lambda: auth, force=force, platform=platform, report=report)

    def begin(self, auth: Auth | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(self.ensure(auth))


@timeless
async def test_what_is_there_is_asked_for_once_and_not_pulled() -> None:
    desk = Desk()
    desk.engine.images.add(IMAGE.text)
    await desk.ensure()
    await desk.ensure()
    assert (desk.engine.calls["has_image"], desk.engine.pulls) == (1, [])
    assert desk.told == []


@timeless
async def test_many_who_want_one_image_share_its_pull_and_its_progress() -> None:
    desk = Desk()
    held = desk.engine.hold("pull")
    first = [desk.begin() for _ in range(10)]
    await asyncio.sleep(1)
    late = desk.begin()
    await asyncio.sleep(1)
    assert desk.told[-1].startswith("web:1")
    assert len(desk.told) >= 11
    held.set()
    await asyncio.gather(*first, late)
    assert desk.engine.pulls == [(IMAGE.text, None)]


@timeless
async def test_other_credentials_are_another_pull() -> None:
    desk = Desk()
    desk.engine.fail("pull", Permanent("wrong password"))
    mine, theirs = desk.begin(EVE), desk.begin(BOB)
    with pytest.raises(Permanent, match="wrong password"):
        await mine
    await theirs
    assert [auth for _, auth in desk.engine.pulls] == [EVE, BOB]


@timeless
async def test_only_the_last_one_who_goes_cancels_the_pull() -> None:
    desk = Desk()
    held = desk.engine.hold("pull")
    first, last = desk.begin(), desk.begin()
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.sleep(1)
    assert desk.engine.pulls_cancelled == 0
    last.cancel()
    await asyncio.wait([first, last])
    await asyncio.sleep(1)
    assert desk.engine.pulls_cancelled == 1
    held.set()
    await desk.ensure()
    assert len(desk.engine.pulls) == 2


@timeless
async def test_force_pulls_what_is_there() -> None:
    desk = Desk()
    desk.engine.images.add(IMAGE.text)
    await desk.ensure(force=True)
    await desk.ensure(force=True)
    assert len(desk.engine.pulls) == 2


@timeless
async def test_what_is_forgotten_is_asked_for_again() -> None:
    desk = Desk()
    await desk.ensure()
    desk.engine.images.clear()
    desk.images.forget(IMAGE)
    await desk.ensure()
    assert len(desk.engine.pulls) == 2


@timeless
async def test_an_endpoint_that_is_away_for_a_moment_fails_nothing() -> None:
    desk = Desk()
    desk.engine.fail("pull", times=3)
    await desk.ensure()
    assert len(desk.engine.pulls) == 4


@timeless
async def test_progress_is_told_now_and_then() -> None:
    desk = Desk()
    pulled = desk.engine.pull

    async def chatty(image: object, auth: object, progress: object, platform: str) -> None:
        for number in range(100):
            progress(f"piece {number}")  # type: ignore[operator]
            await asyncio.sleep(0.1)
        await pulled(image, auth, lambda _: None, platform)  # type: ignore[arg-type]

    desk.engine.pull = chatty  # type: ignore[method-assign,assignment]
    await desk.ensure()
    assert 2 <= len(desk.told) <= 2 + 10 / limits.PULL_REPORT_INTERVAL


@timeless
async def test_only_so_many_images_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(limits, "IMAGES_REMEMBERED", 2)
    for text in ("a:1", "b:1", "c:1"):
        desk.engine.images.add(text)
    for text in ("a:1", "b:1", "c:1", "c:1", "b:1", "a:1"):
        await desk.images.ensure(
            parse_image(text), lambda: None, force=False, platform="", report=desk.told.append
        )
    assert desk.engine.calls["has_image"] == 4
