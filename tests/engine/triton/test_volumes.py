"""Volumes at the simulator: turned off by the operator, or slow, and known by name alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from shim.engine.triton import TritonEngine
from shim.errors import Permanent, Transient
from shim.model.volume import Volume, volume_name
from tests.engine.triton.conftest import OWNER
from tests.support.wait import until
from tests.triton.simulator import TritonSimulator


async def test_where_volumes_are_off_there_are_none(
    triton: TritonSimulator, engine: TritonEngine
) -> None:
    assert list(await engine.list_volumes()) == []
    assert "Volumes are not supported" in await engine.volumes_missing()
    with pytest.raises(Permanent, match="Volumes are not supported"):
        await engine.create_volume(Volume(volume_name(OWNER, "a")))


async def test_volumes_are_made_at_once_with_their_options(
    triton: TritonSimulator, engine: TritonEngine
) -> None:
    triton.options.volumes, triton.options.volume_seconds = True, 0.3
    assert await engine.volumes_missing() == ""
    names = [volume_name(OWNER, part) for part in "abc"]
    began = time.monotonic()
    made = (engine.create_volume(Volume(name, options={"size": "20G"})) for name in names)
    await asyncio.gather(*made)
    assert time.monotonic() - began < 0.9
    assert {each.name for each in await engine.list_volumes()} == set(names)
    with pytest.raises(Permanent, match="Available sizes"):
        await engine.create_volume(Volume(volume_name(OWNER, "d"), options={"size": "15G"}))
    await engine.create_volume(Volume("data"))
    assert "data" not in {each.name for each in await engine.list_volumes()}, "no owner's prefix"


async def test_a_create_that_repeats_one_under_way_ends_when_the_volume_is_there(
    triton: TritonSimulator, engine: TritonEngine
) -> None:
    triton.options.volumes, triton.options.volume_seconds = True, 0.3
    volume = Volume(volume_name(OWNER, "a"))
    making = asyncio.ensure_future(engine.create_volume(volume))
    await until(lambda: triton.datacenter.volumes.names, "the create")
    with pytest.raises(Transient, match="still being made"):
        await engine.create_volume(volume)
    await making
    await engine.create_volume(volume)
