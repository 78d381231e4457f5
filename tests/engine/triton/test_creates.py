"""Creates at a simulated Triton: connected, detached, lost, failed, and thousands of them."""

from __future__ import annotations

import asyncio
import time

import pytest

from shim import limits
from shim.engine.triton import TritonEngine
from shim.errors import Ambiguous, InProgress, NameTaken, NotFound, Permanent, Transient
from shim.model.container import Phase
from tests.engine.triton.conftest import Spec
from tests.support.wait import until
from tests.triton.api_errors import ApiError
from tests.triton.simulator import TritonSimulator


async def test_a_create_returns_when_it_is_provisioned(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    create = asyncio.create_task(engine.create(spec()))
    await until(lambda: triton.remaining)
    (listed,) = await engine.list()
    assert (listed.phase, len(listed.id)) == (Phase.PROVISIONING, 32)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.addresses) == (Phase.PROVISIONING, ())
    assert engine.provisioning == 1
    provision.set()
    assert len(await create) == 64
    assert engine.provisioning == 0


async def test_more_creates_than_connections(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CREATE_HELD_MIN", 0.05)
    monkeypatch.setattr(limits, "CREATE_RELEASE_INTERVAL", 0.01)
    monkeypatch.setattr(limits, "CREATES_HELD", 3)
    triton.options.provision_when = provision = asyncio.Event()
    creates = [asyncio.create_task(engine.create(spec(f"mesos-{n}"))) for n in range(20)]
    await until(lambda: len(triton.remaining) == 20)
    assert engine._creates.connected <= 3
    provision.set()
    ids = await asyncio.gather(*creates)
    assert set(ids) == {machine.id for machine in triton.datacenter.machines}


async def test_a_slow_create_calls_back_when_its_outcome_is_known(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    called = list[None]()
    create = asyncio.create_task(engine.create_or_notify(spec(), lambda: called.append(None)))
    await until(lambda: triton.remaining)
    engine._creates.detach(engine._creates._connected["mesos-1"])
    with pytest.raises(InProgress):
        await create
    assert not called
    provision.set()
    await until(lambda: called)
    identity = await engine.create_or_notify(spec(), lambda: called.append(None))
    assert identity == triton.datacenter.machines[0].id
    assert len(called) == 1


async def test_a_connected_create_fails_with_tritons_message(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_seconds = 0.2
    words = "problem creating container: No compute resources available: full"
    triton.options.fail_provisions.append(ApiError(409, words, "NoAllocatableServersError"))
    with pytest.raises(Permanent, match="No compute resources available: full"):
        await engine.create(spec())


async def test_a_lost_answer_is_found_by_name(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_seconds = 0.3
    create = asyncio.create_task(engine.create(spec()))
    await until(lambda: triton.remaining)
    for connection in list(triton.endpoint._runner.server.connections):  # type: ignore[union-attr]
        connection.transport.abort()
    assert await create == triton.datacenter.machines[0].id
    assert len(triton.datacenter.machines) == 1


async def test_a_detached_create_that_fails_is_ambiguous(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    triton.options.fail_provisions.append(ApiError(500, "vm.provision failed"))
    create = asyncio.create_task(engine.create(spec()))
    await until(lambda: triton.remaining)
    engine._creates.detach(engine._creates._connected["mesos-1"])
    detached = engine._creates._detached
    await until(lambda: "mesos-1" in detached and detached["mesos-1"].listed)
    provision.set()
    with pytest.raises(Ambiguous, match="failed while it was provisioned"):
        await create


async def test_a_create_that_never_arrived_is_transient(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CREATE_UNSEEN_MAX", 0.1)
    ready = asyncio.Event()
    engine._creates.watch("mesos-1", ready.set)
    await ready.wait()
    with pytest.raises(Transient, match="was not answered, and Triton never listed it"):
        await engine.create(spec())


async def test_a_taken_name_is_an_error(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await engine.create(spec())
    with pytest.raises(NameTaken, match="mesos-1: problem creating container"):
        await engine.create(spec())


async def test_a_create_waits_for_an_earlier_create_of_its_name(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_seconds = 0.3
    first = asyncio.create_task(engine.create(spec()))
    await until(lambda: triton.remaining)
    with pytest.raises(NameTaken):
        await engine.create(spec())
    assert (await engine.inspect("mesos-1")).phase is Phase.CREATED
    await first


async def test_removal_is_transient_while_provisioning(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    create = asyncio.create_task(engine.create(spec()))
    await until(lambda: triton.remaining)
    with pytest.raises(Transient, match="cannot currently remove a provisioning container"):
        await engine.remove("mesos-1")
    provision.set()
    await create
    await engine.remove("mesos-1")
    assert triton.remaining == []


async def test_lists_are_asked_for_only_while_creates_are_detached(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    def lists() -> int:
        return triton.endpoint.calls.count(("GET", "/containers/json"))

    triton.options.provision_when = provision = asyncio.Event()
    creates = [asyncio.create_task(engine.create(spec(f"mesos-{n}"))) for n in range(5)]
    await until(lambda: len(triton.remaining) == 5)
    for create in engine._creates._connected.values():
        engine._creates.detach(create)
    began = time.monotonic()
    await until(lambda: lists() >= 2)
    provision.set()
    await asyncio.gather(*creates)
    assert lists() <= (time.monotonic() - began) / limits.CREATE_POLL + 2
    after = lists()
    await asyncio.sleep(4 * limits.CREATE_POLL)
    assert lists() == after


async def test_a_missing_image_is_not_found(engine: TritonEngine, spec: Spec) -> None:
    with pytest.raises(NotFound, match="No such image"):
        await engine.create(spec(Image="nothing:1"))
