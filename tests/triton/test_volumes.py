"""NFS volumes: off by default, of fixed sizes, on fabric networks only."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.wait import until
from tests.triton.simulator import Client, TritonSimulator


def data_volume(name: str = "data", **options: str) -> dict[str, Any]:
    return {"Name": name, "Driver": "tritonnfs", "DriverOpts": options}


async def test_volumes_are_off_by_default(call: Client) -> None:
    assert (await call("GET", "/volumes")).status == 500
    assert (await call("POST", "/volumes/create", json=data_volume())).status == 500


async def test_a_second_volume_of_one_name_is_refused(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.volumes = True
    for status in (200, 409):
        answer = await call("POST", "/volumes/create", json=data_volume())
        assert answer.status == status
    assert answer.text.startswith("(VolumeAlreadyExists) ")


async def test_volumes_have_fixed_sizes_and_can_be_bound(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.volumes = triton.options.automount = True
    triton.options.volume_seconds = 0.1
    began = time.monotonic()
    sizes = {
        size: (await call("POST", "/volumes/create", json=data_volume(f"v{size}", **opts))).status
        for size, opts in [(s, {"size": s}) for s in ("10G", "15G", "200G", "1024M")]
    }
    assert sizes == {"10G": 200, "15G": 409, "200G": 200, "1024M": 409}
    assert time.monotonic() - began >= 0.2
    assert (await call.create("a", HostConfig={"Binds": ["v10G:/data:ro"]})).status == 200
    refused = await call.create("b", HostConfig={"Binds": ["/etc:/etc"]})
    assert refused.status == 422
    assert "Invalid binds" in refused.text


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ({"Binds": ["a:/data"]}, 422, "Invalid binds"),
        ({"Binds": ["data:/data:rw,z"]}, 422, "Invalid binds"),
        ({"Binds": ["data:relative"]}, 422, "Invalid binds"),
        (
            {"Binds": ["data:/data"], "NetworkMode": "external"},
            409,
            "(VolumesNotReachableError) Volumes not reachable from container: data",
        ),
    ],
)
async def test_invalid_binds_are_refused(
    triton: TritonSimulator, call: Client, host: dict[str, Any], status: int, words: str
) -> None:
    triton.options.volumes = triton.options.automount = True
    assert (await call("POST", "/volumes/create", json=data_volume())).status == 200
    answer = await call.create(HostConfig=host)
    assert (answer.status, words in answer.text) == (status, True), answer.text
    assert triton.remaining == []


async def test_without_automounting_no_volume_can_be_mounted(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.volumes = True
    assert (await call("POST", "/volumes/create", json=data_volume())).status == 200
    answer = await call.create(HostConfig={"Binds": ["data:/data"]})
    assert answer.status == 500
    assert "automounting NFS volumes is not enabled" in answer.text


async def test_a_volume_that_is_being_made_has_its_name_and_is_not_there_yet(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.volumes, triton.options.volume_seconds = True, 0.3
    making = asyncio.ensure_future(call("POST", "/volumes/create", json=data_volume()))
    await until(lambda: triton.datacenter.volumes.names, "the create")
    again = await call("POST", "/volumes/create", json=data_volume())
    assert again.text.startswith("(VolumeAlreadyExists) ")
    assert (await call("GET", "/volumes")).json["Volumes"] == []
    assert "Could not find volume" in (await call("DELETE", "/volumes/data")).text
    assert (await making).json == {"Name": "data"}
    assert (await call("DELETE", "/volumes/data")).status == 204


async def test_automounting_creates_a_missing_volume(triton: TritonSimulator, call: Client) -> None:
    triton.options.volumes = triton.options.automount = True
    for name in ("one", "two"):
        assert (await call.create(name, HostConfig={"Binds": ["data:/data"]})).status == 200
    assert [each["Name"] for each in (await call("GET", "/volumes")).json["Volumes"]] == ["data"]


async def test_a_volume_is_removed_unless_a_container_mounts_it(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.volumes = triton.options.automount = True
    made = (await call.create("one", HostConfig={"Binds": ["data:/data"]})).json["Id"]
    refused = await call("DELETE", "/volumes/data")
    assert (refused.status, refused.text.startswith("(VolumeInUse) ")) == (409, True)
    assert (await call("DELETE", f"/containers/{made}")).status == 204
    assert (await call("DELETE", "/volumes/data")).status == 204
    missing = await call("DELETE", "/volumes/data")
    assert (missing.status, "Could not find volume" in missing.text) == (500, True)
