from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.images.image_reference import parse_image
from shim.engine.triton import TritonEngine
from shim.engine.triton.login import ClientLogin
from shim.model.container import LABEL_SHIM
from tests.triton.place import Place, emptied

OWNER = "test-shim"
Spec = Callable[..., ContainerSpec]


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CREATE_POLL", 0.05)
    monkeypatch.setattr(limits, "STOP_POLL", 0.05)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Place]:
    """Where every test must leave nothing that is paid for."""
    async with emptied(tmp_path) as made:
        yield made


@pytest.fixture
async def engine(at: Place) -> AsyncIterator[TritonEngine]:
    made = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id=OWNER)
    yield made
    await made.close()
    assert at.endpoint.unpinned == [], "every call says which version of the API it means"


@pytest.fixture
async def spec(at: Place) -> AsyncIterator[Spec]:
    """Makes specs. At its end the engine removes what came of them: anything else is a leak."""
    names: set[str] = set()

    def make(name: str = "mesos-1", **body: Any) -> ContainerSpec:
        image = parse_image("busybox")
        labels = {LABEL_SHIM: OWNER, **body.pop("Labels", {})}
        names.add(name)
        wanted = {"Image": image.text, "Cmd": ["sleep"], "Labels": labels, "HostConfig": {}}
        return ContainerSpec(name, image, {**wanted, **body})

    yield make
    engine = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id=OWNER)
    for name in names & {*at.left}:
        await engine.remove(name)
    await engine.close()
