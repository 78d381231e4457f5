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
from tests.triton.simulator import TritonSimulator, run_simulator

OWNER = "test-shim"
Spec = Callable[..., ContainerSpec]


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CREATE_POLL", 0.05)
    monkeypatch.setattr(limits, "STOP_POLL", 0.05)


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    """A simulator in which every test must leave no billed machine."""
    async with run_simulator(tmp_path, must_end_empty=True) as made:
        yield made


@pytest.fixture
async def engine(triton: TritonSimulator) -> AsyncIterator[TritonEngine]:
    made = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=OWNER)
    yield made
    await made.close()
    assert triton.endpoint.without_version == [], (
        "every call says which version of the API it means"
    )


@pytest.fixture
async def spec(triton: TritonSimulator) -> AsyncIterator[Spec]:
    """Makes specs. Their containers are removed at the end; any other container is a leak."""
    names: set[str] = set()

    def make(name: str = "mesos-1", **body: Any) -> ContainerSpec:
        image = parse_image("busybox")
        labels = {LABEL_SHIM: OWNER, **body.pop("Labels", {})}
        names.add(name)
        wanted = {"Image": image.text, "Cmd": ["sleep"], "Labels": labels, "HostConfig": {}}
        return ContainerSpec(name, image, {**wanted, **body})

    yield make
    engine = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=OWNER)
    for name in names & {*triton.remaining}:
        await engine.remove(name)
    await engine.close()
