from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shim.engine.docker import DockerEngine
from shim.engine.endpoint import resolve
from shim.engine.image import parse_image
from shim.engine.triton import TritonEngine
from shim.engine.triton.login import Login
from tests.contract.rigs import Rig
from tests.fakes.engine import FakeEngine
from tests.triton.datacenter import Options
from tests.triton.place import place
from tests.triton.real import LocalEngine


def _fake(shim_id: str) -> Rig:
    engine, other = FakeEngine(shim_id), FakeEngine(f"{shim_id}-other")
    other.boxes = engine.boxes
    return Rig(
        engine=engine,
        other=other,
        shim_id=shim_id,
        image=parse_image("busybox:1"),
        runs=["sleep"],
        stubborn=["sleep", "stubborn"],
        says=lambda out, err: ["say", out, err],
        ends=lambda code: ["exit", str(code)],
    )


def _docker(shim_id: str, image: str) -> Rig:
    def shell(script: str) -> list[str]:
        return ["sh", "-c", script]

    return Rig(
        engine=DockerEngine(resolve(), shim_id=shim_id),
        other=DockerEngine(resolve(), shim_id=f"{shim_id}-other"),
        shim_id=shim_id,
        image=parse_image(image),
        runs=shell("trap 'exit 143' TERM; sleep 100 & wait"),
        stubborn=shell("trap '' TERM; sleep 100"),
        says=lambda out, err: shell(f"echo {out}; echo {err} >&2"),
        ends=lambda code: shell(f"exit {code}"),
    )


@asynccontextmanager
async def _triton(shim_id: str, image: str, certs: Path) -> AsyncIterator[Rig]:
    """The double of Triton, whose machines are containers of the same engine."""
    async with place(certs, Options(provision_seconds=0.1), LocalEngine()) as at:
        rig = _docker(shim_id, image)
        await rig.engine.close()
        await rig.other.close()
        rig.engine, rig.other = (
            TritonEngine(at.endpoint.url, Login(certs), shim_id=owner)
            for owner in (shim_id, f"{shim_id}-other")
        )
        rig.network = "bridge"
        yield rig
        await rig.close()
        assert at.left == []


ENGINES = [
    "fake",
    pytest.param("docker", marks=pytest.mark.needs_docker),
    pytest.param("triton", marks=pytest.mark.needs_docker),
]


@pytest.fixture(params=ENGINES)
async def rig(request: pytest.FixtureRequest, shim_id: str, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "fake":
        made = _fake(shim_id)
    else:
        image = request.getfixturevalue("busybox_image")
        if request.param == "triton":
            async with _triton(shim_id, image, tmp_path) as made:
                yield made
            return
        made = _docker(shim_id, image)
    yield made
    await made.close()
