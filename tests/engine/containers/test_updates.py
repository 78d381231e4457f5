"""Updates of running containers: in order, each answered, memory never lowered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shim.engine.containers.updates import ContainerUpdates, _memory
from shim.engine.mapping import MappingSettings
from shim.engine.mapping.resources import limits_of
from shim.errors import Permanent
from shim.model.container import Phase, Ref
from shim.model.facts import ContainerUpdated
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId
from shim.model.orders import UpdateContainer
from shim.protos.mesos_pb2 import Resource, Value
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

REF = Ref(ExecutorKey(FrameworkId("f"), ExecutorId("e")), ContainerId("1"))
SETTINGS = MappingSettings("me")
MIB = 2**20


def order(**values: float) -> UpdateContainer:
    resources = (
        Resource(name=name, type=Value.SCALAR, scalar=Value.Scalar(value=value))
        for name, value in values.items()
    )
    return UpdateContainer(REF, tuple(resources))


class World:
    def __init__(self, engine: Any = None) -> None:
        self.engine = engine or FakeEngine()
        self.facts: list[ContainerUpdated] = []
        self.updates = ContainerUpdates(
            self.engine,
            self.facts.append,
            lambda resources: limits_of(resources, SETTINGS),
            asyncio.sleep,
        )

    @property
    def host(self) -> Any:
        return self.engine.boxes[REF.name].body.get("HostConfig")

    async def answered(self, count: int) -> list[str]:
        while len(self.facts) < count:
            await asyncio.sleep(0.01)
        return [fact.error for fact in self.facts]


@timeless
async def test_updates_of_one_container_go_in_their_order() -> None:
    world = World()
    world.engine.add(REF.name, {}, Phase.RUNNING)
    world.engine.fail("update", times=2)
    world.updates.begin(order(cpus=1, mem=64))
    world.updates.begin(order(cpus=2, mem=128))
    assert await world.answered(2) == ["", ""]
    assert world.host == {"CpuShares": 2048, "Memory": 128 * MIB, "MemorySwap": 256 * MIB}
    assert world.updates._latest == {}


@timeless
async def test_a_failed_update_is_answered_with_the_reason() -> None:
    world = World()
    world.updates.begin(order(cpus=1))
    (missing,) = await world.answered(1)
    assert missing.startswith("No such container")
    world.engine.add(REF.name, {}, Phase.RUNNING)
    world.engine.fail("update", Permanent("runc did not terminate successfully"))
    world.updates.begin(order(cpus=1))
    world.updates.begin(order(cpus=1e300, mem=float("nan")))
    errors = await world.answered(3)
    assert errors[1] == "runc did not terminate successfully"
    assert "Not a finite number" in errors[2]


class FixedEngine:
    """An endpoint as Triton, whose containers keep their size."""


@timeless
async def test_on_triton_a_container_keeps_its_size() -> None:
    world = World(FixedEngine())
    world.updates.begin(order(cpus=1))
    assert "keeps the size that it was made with" in (await world.answered(1))[0]


@timeless
async def test_updates_under_way_end_with_the_agent() -> None:
    world = World()
    world.engine.add(REF.name, {}, Phase.RUNNING)
    world.engine.hold("update")
    world.updates.begin(order(cpus=1))
    world.updates.begin(order(cpus=1))
    await asyncio.sleep(1)
    await world.updates.close()
    assert world.facts == []


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        ({"Memory": 64, "MemorySwap": 128}, 96, {"Memory": 96, "MemorySwap": 192}),
        ({"Memory": 64, "MemorySwap": 128}, 32, {"Memory": 64, "MemorySwap": 128}),
        ({"Memory": 64, "MemorySwap": -1}, 96, {"Memory": 96, "MemorySwap": -1}),
        ({"Memory": 64, "MemorySwap": 512}, 96, {"Memory": 96, "MemorySwap": 512}),
        ({}, 96, {"Memory": 96, "MemorySwap": 192}),
    ],
)
def test_a_memory_limit_is_never_lowered(
    present: dict[str, int], wanted: int, expected: dict[str, int]
) -> None:
    assert _memory(wanted, json.dumps([{"HostConfig": present}]).encode()) == expected
    assert _memory(wanted, b"") == {"Memory": wanted, "MemorySwap": 2 * wanted}
