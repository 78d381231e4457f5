"""Persistent volumes at the endpoint: made once, removed for good."""

from __future__ import annotations

import asyncio

import pytest

from shim import limits
from shim.engine.containers.volume_provisioner import VolumeProvisioner, triton_size
from shim.errors import Permanent, Transient
from shim.model.container import Ref
from shim.model.facts import Fact, VolumeRemoved
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import Launch, RemoveVolume
from shim.model.volume import Volume, VolumeMount
from shim.protos.mesos_pb2 import TaskInfo
from tests.fakes.clock import timeless
from tests.fakes.engine import FakeEngine

REF = Ref(TaskKey(FrameworkId("F"), TaskId("t")), ContainerId("c"))
NAME = "mesos-v"


def mount(size: float = 100.0, path: str = "data") -> VolumeMount:
    return VolumeMount(NAME, "web", "v1", size, path)


def launch(*mounts: VolumeMount) -> Launch:
    return Launch(REF, TaskInfo(), "S", volumes=mounts)


class Rig:
    def __init__(self, driver: str = "local", kind: str = "fake", **options: str) -> None:
        self.engine = FakeEngine()
        self.engine.kind = kind
        self.posted: list[Fact] = []
        self.loop = asyncio.get_running_loop()
        self.volumes = VolumeProvisioner(
            self.engine,
            self.posted.append,
            shim_id=self.engine.shim_id,
            driver=driver,
            options=options,
            clock=self.loop.time,
        )


@timeless
async def test_a_volume_is_made_once_with_labels_that_say_whose_it_is() -> None:
    rig = Rig()
    for _ in range(2):
        assert rig.volumes.applies_to(launch(mount()))
        await rig.volumes.before_create(launch(mount(), mount(path="/other")))
    (made,) = rig.engine.volumes.values()
    assert made == Volume(
        NAME,
        {
            "mesos-shim.id": "fake",
            "org.apache.mesos.role": "web",
            "org.apache.mesos.persistence_id": "v1",
        },
        "local",
    )
    assert rig.engine.calls["create_volume"] == 2
    assert not rig.volumes.applies_to(launch())


@timeless
async def test_options_may_hold_the_name_and_the_size() -> None:
    rig = Rig(device="/srv/{name}", o="size={size}M", type="tmpfs")
    await rig.volumes.before_create(launch(mount(100.4)))
    options = rig.engine.volumes[NAME].options
    assert options == {"device": f"/srv/{NAME}", "o": "size=100M", "type": "tmpfs"}


@timeless
async def test_a_driver_that_does_not_exist_is_named_and_nothing_is_made() -> None:
    rig = Rig("nosuch")
    with pytest.raises(Permanent) as caught:
        await rig.volumes.before_create(launch(mount()))
    assert str(caught.value) == (
        "Cannot make the persistent volume 'v1' of role 'web' (--volume_driver=nosuch): "
        "error looking up volume plugin nosuch: not found"
    )
    assert not rig.engine.volumes


@timeless
async def test_an_endpoint_that_is_away_is_asked_again() -> None:
    rig = Rig()
    rig.engine.fail("create_volume", times=5)
    await rig.volumes.before_create(launch(mount()))
    assert NAME in rig.engine.volumes


@timeless
async def test_a_removal_is_repeated_until_no_container_has_the_volume() -> None:
    rig = Rig()
    await rig.volumes.before_create(launch(mount()))
    rig.engine.fail("remove_volume", Transient("volume is in use"), times=20)
    rig.volumes.carry_out(RemoveVolume(NAME))
    rig.volumes.carry_out(RemoveVolume(NAME))
    await asyncio.sleep(60.0)
    assert rig.volumes.removing == 1
    assert not rig.posted
    await asyncio.sleep(1000.0)
    assert rig.posted == [VolumeRemoved(NAME)]
    assert not rig.engine.volumes
    assert not rig.volumes.removing


@timeless
async def test_a_removal_with_a_certain_answer_is_reported_at_once() -> None:
    rig = Rig()
    rig.volumes.carry_out(RemoveVolume(NAME))
    await asyncio.sleep(0.1)
    assert rig.posted == [VolumeRemoved(NAME)]
    assert rig.engine.calls["remove_volume"] == 1


@pytest.mark.parametrize("kind", ["fake", "triton"])
@pytest.mark.parametrize("reason", ["create", "remove", "restart"])
def test_a_name_is_free_only_when_no_call_about_it_can_still_come(reason: str, kind: str) -> None:
    settles = limits.TRITON_VOLUME_SETTLES if kind == "triton" else limits.CREATE_SETTLES

    @timeless
    async def play() -> None:
        rig = Rig(kind=kind)
        if reason == "create":
            rig.engine.fail("create_volume", after=True)
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.05):
                    await rig.volumes.before_create(launch(mount()))
        elif reason == "remove":
            rig.engine.fail("remove_volume", after=True)
        began = rig.loop.time()
        rig.volumes.carry_out(RemoveVolume(NAME, again=reason == "restart"))
        await asyncio.sleep(5.0)
        assert not rig.posted
        # A call of before has its effect now.
        rig.engine.volumes[NAME] = Volume(NAME)
        while not rig.posted:
            await asyncio.sleep(1.0)
        assert not rig.engine.volumes
        assert settles - 1 <= rig.loop.time() - began < 2 * settles

    play()


@pytest.mark.parametrize(
    ("kind", "at_once"),
    [
        ("fake", limits.VOLUME_CALLS_AT_ONCE),
        ("triton", limits.TRITON_VOLUME_CALLS_AT_ONCE),
    ],
)
def test_a_thousand_removals_are_a_few_calls_at_once(kind: str, at_once: int) -> None:
    remove_a_thousand(kind, at_once)


@timeless
async def remove_a_thousand(kind: str, at_once: int) -> None:
    rig = Rig(kind=kind)
    for number in range(1000):
        rig.engine.volumes[str(number)] = Volume(str(number))
        rig.volumes.carry_out(RemoveVolume(str(number)))
    await asyncio.sleep(60.0)
    assert not rig.engine.volumes
    assert len(rig.posted) == 1000
    assert rig.engine.most_in_flight == at_once


@timeless
async def test_close_leaves_what_is_under_way_to_the_next_start() -> None:
    rig = Rig()
    rig.engine.hold("remove_volume")
    rig.volumes.carry_out(RemoveVolume(NAME))
    await asyncio.sleep(0)
    await rig.volumes.close()
    assert not rig.posted
    assert not rig.volumes.removing


SIZES = [(1, "10G"), (10 * 1024, "10G"), (10 * 1024 + 1, "20G"), (101 * 1024, "200G")]


@pytest.mark.parametrize(("size", "made"), SIZES)
def test_triton_makes_the_smallest_size_that_holds_the_volume(size: float, made: str) -> None:
    assert triton_size(mount(size)) == made


@timeless
async def test_a_volume_too_large_for_triton_is_refused_before_another_is_made() -> None:
    rig = Rig("", kind="triton")
    large = VolumeMount("mesos-w", "web", "large", 1_100_000.0, "more")
    with pytest.raises(Permanent) as caught:
        await rig.volumes.before_create(launch(mount(), large))
    assert str(caught.value) == (
        "Cannot make the persistent volume 'large' of role 'web': it has 1100000 MB, and Triton's"
        " largest volume has 1000 GB"
    )
    assert not rig.engine.volumes


@timeless
async def test_on_triton_the_volume_has_the_size_of_the_resource() -> None:
    rig = Rig("", kind="triton")
    await rig.volumes.before_create(launch(mount(30_000)))
    assert rig.engine.volumes[NAME].options == {"size": "30G"}
