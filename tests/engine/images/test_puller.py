"""Images are looked up once, pulled once, and not pulled when no launch waits."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.api import Auth
from shim.engine.images.image_reference import parse_image
from shim.engine.images.puller import ImagePuller
from shim.engine.infra.image import IMAGE, image_archive
from shim.errors import NotFound, Permanent
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

WEB = parse_image("web:1")
BOB, EVE = Auth("bob", "right"), Auth("eve", "wrong")


class Pulls:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.engine.registry.add(WEB.text)
        self.images = ImagePuller(self.engine, asyncio.get_running_loop().time)
        self.reports: list[str] = []

    async def ensure(
        self, auth: Auth | None = None, *, force: bool = False, platform: str = ""
    ) -> None:
        def report(text: str) -> None:
            self.reports.append(text)

        await self.images.ensure(WEB, lambda: auth, force=force, platform=platform, report=report)

    def begin(self, auth: Auth | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(self.ensure(auth))


@timeless
async def test_a_present_image_is_looked_up_once_and_not_pulled() -> None:
    pulls = Pulls()
    pulls.engine.images.add(WEB.text)
    await pulls.ensure()
    await pulls.ensure()
    assert (pulls.engine.calls["has_image"], pulls.engine.pulls) == (1, [])
    assert pulls.reports == []


@timeless
async def test_launches_of_one_image_share_its_pull_and_its_progress() -> None:
    pulls = Pulls()
    held = pulls.engine.hold("pull")
    first = [pulls.begin() for _ in range(10)]
    await asyncio.sleep(1)
    late = pulls.begin()
    await asyncio.sleep(1)
    assert pulls.reports[-1].startswith("web:1")
    assert len(pulls.reports) >= 11
    held.set()
    await asyncio.gather(*first, late)
    assert pulls.engine.pulls == [(WEB.text, None)]


@timeless
async def test_other_credentials_are_another_pull() -> None:
    pulls = Pulls()
    pulls.engine.fail("pull", Permanent("wrong password"))
    mine, theirs = pulls.begin(EVE), pulls.begin(BOB)
    with pytest.raises(Permanent, match="wrong password"):
        await mine
    await theirs
    assert [auth for _, auth in pulls.engine.pulls] == [EVE, BOB]


@timeless
async def test_the_last_waiter_that_is_cancelled_cancels_the_pull() -> None:
    pulls = Pulls()
    held = pulls.engine.hold("pull")
    first, last = pulls.begin(), pulls.begin()
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.sleep(1)
    assert pulls.engine.pulls_cancelled == 0
    last.cancel()
    await asyncio.wait([first, last])
    await asyncio.sleep(1)
    assert pulls.engine.pulls_cancelled == 1
    held.set()
    await pulls.ensure()
    assert len(pulls.engine.pulls) == 2


@timeless
async def test_force_pulls_a_present_image() -> None:
    pulls = Pulls()
    pulls.engine.images.add(WEB.text)
    await pulls.ensure(force=True)
    await pulls.ensure(force=True)
    assert len(pulls.engine.pulls) == 2


@timeless
async def test_a_forgotten_image_is_looked_up_again() -> None:
    pulls = Pulls()
    await pulls.ensure()
    pulls.engine.images.clear()
    pulls.images.forget(WEB)
    await pulls.ensure()
    assert len(pulls.engine.pulls) == 2


@timeless
async def test_a_pull_is_repeated_while_the_endpoint_is_away() -> None:
    pulls = Pulls()
    pulls.engine.fail("pull", times=3)
    await pulls.ensure()
    assert len(pulls.engine.pulls) == 4


@timeless
async def test_progress_is_reported_at_intervals() -> None:
    pulls = Pulls()
    pulled = pulls.engine.pull

    async def chatty(image: object, auth: object, progress: object, platform: str) -> None:
        for number in range(100):
            progress(f"piece {number}")  # type: ignore[operator]
            await asyncio.sleep(0.1)
        await pulled(image, auth, lambda _: None, platform)  # type: ignore[arg-type]

    pulls.engine.pull = chatty  # type: ignore[method-assign,assignment]
    await pulls.ensure()
    assert 2 <= len(pulls.reports) <= 2 + 10 / limits.PULL_REPORT_INTERVAL


@timeless
async def test_the_number_of_remembered_images_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pulls = Pulls()
    monkeypatch.setattr(limits, "IMAGES_REMEMBERED", 2)
    for text in ("a:1", "b:1", "c:1"):
        pulls.engine.images.add(text)
    for text in ("a:1", "b:1", "c:1", "c:1", "b:1", "a:1"):
        await pulls.images.ensure(
            parse_image(text), lambda: None, force=False, platform="", report=pulls.reports.append
        )
    assert pulls.engine.calls["has_image"] == 4


@timeless
async def test_an_image_of_the_agents_own_is_loaded_whenever_it_is_missing() -> None:
    engine = FakeEngine()
    own = {IMAGE: lambda: image_archive("amd64")}
    images = ImagePuller(engine, asyncio.get_running_loop().time, own)
    image = parse_image(IMAGE)

    async def ensure() -> None:
        await images.ensure(image, lambda: None, force=False, platform="", report=lambda text: None)

    engine.fail("load_image")
    await asyncio.gather(*(ensure() for _ in range(5)))
    assert (engine.calls["load_image"], engine.pulls) == (2, [])
    engine.images.clear()
    images.forget(image)
    await ensure()
    assert engine.images == {IMAGE}
    unknown = {IMAGE: lambda: image_archive("riscv64")}
    images = ImagePuller(FakeEngine(), asyncio.get_running_loop().time, unknown)
    with pytest.raises(Permanent, match="riscv64"):
        await ensure()


@timeless
async def test_the_configuration_of_an_image_is_asked_for_once_in_a_while() -> None:
    pulls = Pulls()
    pulls.engine.images.add(WEB.text)
    pulls.engine.image_configs[WEB.text] = {"WorkingDir": "/a", "Env": ["much"]}
    await pulls.ensure()
    for _ in range(3):
        assert (await pulls.images.config(WEB))["WorkingDir"] == "/a"
    assert pulls.engine.calls["image_config"] == 1
    pulls.engine.image_configs[WEB.text] = {"WorkingDir": "/b"}
    await asyncio.sleep(limits.IMAGE_CONFIG_AGE + 1)
    assert (await pulls.images.config(WEB))["WorkingDir"] == "/b"
    pulls.engine.image_configs[WEB.text] = {"WorkingDir": "/c"}
    await pulls.ensure(force=True)
    assert (await pulls.images.config(WEB))["WorkingDir"] == "/c"
    pulls.images.forget(WEB)
    pulls.engine.images.clear()
    with pytest.raises(NotFound):
        await pulls.images.config(WEB)
