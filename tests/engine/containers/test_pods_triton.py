"""Task groups on the Triton simulator: a machine for each task, and volumes that one lends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shim import limits
from shim.engine.triton import TritonEngine
from shim.engine.triton.login import ClientLogin
from shim.model.facts import ContainerStarted
from tests.engine.containers.pods import SHARED, Pod, PodHarness
from tests.triton.backends import SimulatedBackend
from tests.triton.options import Options
from tests.triton.simulator import TritonSimulator, run_simulator

SHIM = "pods"


@pytest.fixture
async def triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TritonSimulator]:
    monkeypatch.setattr(limits, "CREATE_POLL", 0.05)
    backend, options = SimulatedBackend(["busybox:1"]), Options(provision_seconds=0.2)
    async with run_simulator(tmp_path, options, backend, must_end_empty=True) as made:
        yield made


@pytest.fixture
async def h(triton: TritonSimulator, tmp_path: Path) -> AsyncIterator[PodHarness]:
    engine = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=SHIM)
    made = PodHarness(engine, SHIM, tmp_path / "shim", kind="triton")
    watch = asyncio.create_task(made.containerizer.run())
    yield made
    watch.cancel()
    await asyncio.wait([watch])
    await made.close()
    await engine.close()


async def test_each_task_has_an_address_and_the_first_lends_its_directory(
    triton: TritonSimulator, h: PodHarness
) -> None:
    pod = Pod("", infra=False)
    pod.add("alone", "sleep 100")
    lender = pod.add("lender", "sleep 100", SHARED % "/data")
    borrower = pod.add("borrower", "sleep 100", SHARED % "/data")
    await h.running(pod)
    machines = {machine.name: machine for machine in triton.datacenter.machines}
    assert set(machines) == {ref.name for ref, _ in pod.tasks.values()}, "no infra container"
    lends, borrows = machines[lender.name], machines[borrower.name]
    assert lends.body["Volumes"] == {"/data": {}}
    assert borrows.host_config["VolumesFrom"] == [lender.name]
    assert borrows.server == lends.server
    assert lends.provisioned is not None
    assert borrows.created >= lends.provisioned
    started = [await h.until(ContainerStarted, ref) for ref, _ in pod.tasks.values()]
    assert len({fact.container.addresses for fact in started}) == 3
    # The lender goes last, in whatever order the removals come.
    await h.remove(pod)
    assert triton.remaining == []
    assert triton.datacenter.volumes._volumes == {}
