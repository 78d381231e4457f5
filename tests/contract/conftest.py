from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shim.engine.client.endpoint import resolve
from shim.engine.docker import DockerEngine
from shim.engine.images.image_reference import parse_image
from shim.engine.triton import TritonEngine
from shim.engine.triton.login import ClientLogin
from tests.contract.rigs import Rig
from tests.fakes.engine import FakeEngine
from tests.triton.backends import Backend, SimulatedBackend
from tests.triton.docker_backend import DockerBackend
from tests.triton.options import Options
from tests.triton.simulator import run_simulator


def _fake(shim_id: str) -> Rig:
    engine, other = FakeEngine(shim_id), FakeEngine(f"{shim_id}-other")
    other.boxes, other.volumes = engine.boxes, engine.volumes
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
        runs=shell("trap 'exit 143' TERM; echo ready; sleep 1000 & wait"),
        stubborn=shell("trap '' TERM; echo ready; sleep 1000"),
        prints_ready=True,
        says=lambda out, err: shell(f"echo {out}; echo {err} >&2"),
        ends=lambda code: shell(f"exit {code}"),
    )


@asynccontextmanager
async def _triton(rig: Rig, certs: Path, backend: Backend) -> AsyncIterator[Rig]:
    """``rig`` with engines of the Triton simulator."""
    await rig.engine.close()
    await rig.other.close()
    async with run_simulator(
        certs,
        Options(provision_seconds=0.1, stopping_seconds=0.3, volumes=True, automount=True),
        backend,
        must_end_empty=True,
    ) as at:
        rig.engine, rig.other = (
            TritonEngine(at.endpoint.url, ClientLogin(certs), shim_id=owner)
            for owner in (rig.shim_id, f"{rig.shim_id}-other")
        )
        rig.network = "bridge"
        yield rig
        await rig.close()
        assert at.endpoint.without_version == []


ENGINES = [
    "fake",
    pytest.param("docker", marks=pytest.mark.needs_docker),
    "triton",
    pytest.param("triton-docker", marks=pytest.mark.needs_docker),
]
"""``triton``: with simulated machines; ``triton-docker``: they are containers."""


@pytest.fixture(params=ENGINES)
async def rig(request: pytest.FixtureRequest, shim_id: str, tmp_path: Path) -> AsyncIterator[Rig]:
    made = _fake(shim_id)
    if request.param == "triton":
        async with _triton(made, tmp_path, SimulatedBackend([made.image.text])) as at:
            yield at
        return
    if request.param != "fake":
        made = _docker(shim_id, request.getfixturevalue("busybox_image"))
    if request.param == "triton-docker":
        async with _triton(made, tmp_path, DockerBackend()) as at:
            yield at
        return
    yield made
    await made.close()
