"""The check of task groups: what it says of each kind of endpoint, and that the image is loaded."""

from __future__ import annotations

import pytest

from shim.check import pod_probe
from shim.check.report import CheckFailed
from shim.config import Config, load
from shim.engine.infra.image import IMAGE
from shim.errors import Permanent
from tests.fakes.engine import FakeEngine


def config(*argv: str) -> Config:
    return load(["--master=127.0.0.1:5050", *argv], {})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine()

    async def connect(config: Config, shim_id: str) -> FakeEngine:
        return made

    monkeypatch.setattr(pod_probe, "connect", connect)
    return made


async def test_a_missing_infra_image_is_loaded(engine: FakeEngine) -> None:
    assert "is loaded" in await pod_probe.pods(config())
    assert IMAGE in engine.images
    assert await pod_probe.pods(config()) == f"task groups run; the engine has {IMAGE}"
    engine.images.clear()
    engine.fail("load_image", Permanent("no space left on device"))
    with pytest.raises(Permanent, match="no space left"):
        await pod_probe.pods(config())
    engine.away = True
    with pytest.raises(CheckFailed, match="not checked: the check of the endpoint failed"):
        await pod_probe.pods(config())


async def test_another_image_is_pulled_by_the_first_task_group(engine: FakeEngine) -> None:
    said = await pod_probe.pods(config("--pod_image=registry.example/pause:3"))
    assert said == "task groups run; the first one pulls registry.example/pause:3"
    assert engine.calls["load_image"] == 0


async def test_triton_says_what_becomes_of_task_groups(engine: FakeEngine) -> None:
    engine.kind = "triton"
    assert "are refused" in await pod_probe.pods(config())
    assert "an address of its own" in await pod_probe.pods(config("--triton_pods=separate"))
