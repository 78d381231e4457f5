from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shim.engine.docker import DockerEngine
from shim.engine.endpoint import resolve
from shim.engine.image import parse_image
from tests.contract.rigs import Rig
from tests.fakes.engine import FakeEngine


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


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.needs_docker)])
async def rig(request: pytest.FixtureRequest, shim_id: str) -> AsyncIterator[Rig]:
    if request.param == "fake":
        made = _fake(shim_id)
    else:
        made = _docker(shim_id, request.getfixturevalue("busybox_image"))
    yield made
    await made.close()
