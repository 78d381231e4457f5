from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.image import parse_image
from shim.engine.triton import TritonEngine
from shim.engine.triton.login import Login
from shim.model.container import LABEL_SHIM
from tests.triton.place import Place, place

OWNER = "test-shim"
Spec = Callable[..., ContainerSpec]


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CREATE_POLL", 0.05)
    monkeypatch.setattr(limits, "STOP_POLL", 0.05)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as made:
        yield made


@pytest.fixture
async def engine(at: Place) -> AsyncIterator[TritonEngine]:
    made = TritonEngine(at.endpoint.url, Login(at.certs), shim_id=OWNER)
    yield made
    await made.close()


@pytest.fixture
def spec() -> Spec:
    def make(name: str = "mesos-1", **body: Any) -> ContainerSpec:
        image = parse_image("busybox")
        labels = {LABEL_SHIM: OWNER, **body.pop("Labels", {})}
        wanted = {"Image": image.text, "Cmd": ["sleep"], "Labels": labels, "HostConfig": {}}
        return ContainerSpec(name, image, {**wanted, **body})

    return make
