"""The Engine contract: every engine is held to each of these."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import signal
import tarfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from shim.engine.api import (
    ContainerUpdater,
    CreateNotifier,
    Engine,
    ImageLoader,
    InteractiveExec,
    PathModes,
)
from shim.engine.images.image_reference import parse_image
from shim.engine.infra.image import image_archive
from shim.errors import NameTaken, NotFound, Permanent, Transient
from shim.model.container import LABEL_SHIM, Container, Phase
from shim.model.volume import Volume
from tests.contract.rigs import Rig, missing_image
from tests.support.wait import PATIENCE, patience


async def ended(rig: Rig, name: str) -> Container:
    async with patience():
        while (found := await rig.engine.inspect(name)).phase is not Phase.EXITED:
            await asyncio.sleep(0.02)
    return found


def a_tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def test_info_describes_the_endpoint(rig: Rig) -> None:
    info = await rig.engine.info()
    assert info.kind == rig.engine.kind
    assert info.version
    assert info.api_version
    if info.kind == "triton":
        assert (info.cpus, info.memory_mb, info.disk_mb) == (0, 0, 0)  # it does not say
        return
    assert info.cpus > 0
    assert info.memory_mb > 100
    assert info.disk_mb > 100


async def test_only_triton_calls_back_for_creates(rig: Rig) -> None:
    assert isinstance(rig.engine, CreateNotifier) == (rig.engine.kind == "triton")


async def test_a_created_container_is_described_in_full(rig: Rig) -> None:
    spec = rig.spec(rig.runs)
    identity = await rig.engine.create(spec)
    found = await rig.engine.inspect(spec.name)
    assert (found.name, found.id, found.phase) == (spec.name, identity, Phase.CREATED)
    assert spec.body["Labels"].items() <= found.labels.items()
    assert found.exit_code is None
    (described,) = json.loads(found.inspect)
    assert described["Id"] == identity


async def test_a_name_is_taken_once(rig: Rig) -> None:
    spec = rig.spec(rig.runs)
    await rig.engine.create(spec)
    with pytest.raises(NameTaken, match=spec.name):
        await rig.engine.create(spec)


async def test_a_missing_image_is_not_found(rig: Rig) -> None:
    spec = rig.spec(rig.runs, Image="mesos-shim-test/missing:1")
    object.__setattr__(spec, "image", missing_image("mesos-shim-test/missing:1"))
    with pytest.raises(NotFound, match="No such image"):
        await rig.engine.create(spec)


async def test_a_renamed_container_is_known_by_its_first_name(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    identity = (await rig.engine.inspect(name)).id
    await rig.rename(name, f"renamed-{name}"[:40])
    found = await rig.engine.inspect(name)
    assert (found.name, found.id, found.phase) == (name, identity, Phase.RUNNING)
    assert [each.name for each in await rig.engine.list()] == [name]
    await rig.has_trap(name)
    await rig.engine.stop(name, 10)
    assert (await ended(rig, name)).name == name
    await rig.engine.remove(name)
    assert await rig.engine.list() == []
    with pytest.raises(NotFound):
        await rig.engine.inspect(name)


async def test_removing_finds_a_container_that_was_renamed_meanwhile(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    await rig.rename(name, f"renamed-{name}"[:40])
    await rig.engine.remove(name)
    assert await rig.engine.list() == []


async def test_starting_twice_is_starting_once(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    await rig.engine.start(name)
    assert (await rig.engine.inspect(name)).phase is Phase.RUNNING


async def test_a_missing_command_fails_the_start_with_the_endpoints_message(rig: Rig) -> None:
    if rig.engine.kind == "triton":
        pytest.skip("the simulator does not know the message of a real datacenter")
    name = await rig.create(["/nosuch"])
    with pytest.raises(Permanent, match="OCI runtime create failed"):
        await rig.engine.start(name)
    found = await rig.engine.inspect(name)
    assert (found.phase, found.exit_code) == (Phase.CREATED, None)
    assert "OCI runtime" in found.error


async def read_logs(engine: Engine, name: str) -> None:
    async with aclosing(engine.logs(name, since=0, follow=False)) as lines:
        async for _ in lines:
            pass


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda engine, name: engine.start(name), id="start"),
        pytest.param(lambda engine, name: engine.inspect(name), id="inspect"),
        pytest.param(lambda engine, name: engine.stop(name, 1), id="stop"),
        pytest.param(lambda engine, name: engine.stats(name), id="stats"),
        pytest.param(lambda engine, name: engine.exec(name, ["true"], {}, 5), id="exec"),
        pytest.param(read_logs, id="logs"),
    ],
)
async def test_a_missing_container_is_not_found(
    rig: Rig, call: Callable[[Engine, str], Awaitable[object]]
) -> None:
    with pytest.raises(NotFound, match="No such container"):
        await call(rig.engine, "mesos-missing")


@pytest.mark.parametrize("code", [0, 3])
async def test_the_exit_code_is_that_of_the_process(rig: Rig, code: int) -> None:
    name = await rig.run(rig.ends(code))
    found = await ended(rig, name)
    assert (found.exit_code, found.oom_killed, found.error) == (code, False, "")


async def test_a_stop_returns_when_the_container_is_down(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    await rig.has_trap(name)
    began = time.monotonic()
    await rig.engine.stop(name, 2 * PATIENCE)
    assert time.monotonic() - began < PATIENCE
    found = await rig.engine.inspect(name)
    assert (found.phase, found.exit_code) == (Phase.EXITED, 143)


async def test_a_container_that_ignores_sigterm_is_killed_after_its_grace(rig: Rig) -> None:
    name = await rig.run(rig.stubborn)
    await rig.has_trap(name)
    began = time.monotonic()
    await rig.engine.stop(name, 1.9)
    assert 0.9 <= time.monotonic() - began < PATIENCE
    assert (await rig.engine.inspect(name)).exit_code == 137


async def test_a_second_stop_shortens_the_first(rig: Rig) -> None:
    name = await rig.run(rig.stubborn)
    await rig.has_trap(name)
    first = asyncio.create_task(rig.engine.stop(name, 2 * PATIENCE))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await rig.engine.stop(name, 0)
    await first
    assert time.monotonic() - began < PATIENCE
    assert (await rig.engine.inspect(name)).phase is Phase.EXITED


async def test_stopping_a_stopped_container_succeeds(rig: Rig) -> None:
    name = await rig.run(rig.ends(3))
    await ended(rig, name)
    await rig.engine.stop(name, 1)
    assert (await rig.engine.inspect(name)).exit_code == 3


async def test_removing_needs_no_stop_and_may_be_repeated(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    await rig.engine.remove(name)
    await rig.engine.remove(name)
    with pytest.raises(NotFound):
        await rig.engine.inspect(name)


async def test_concurrent_removals_succeed_or_are_transient(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    results = await asyncio.gather(
        *(rig.engine.remove(name) for _ in range(3)), return_exceptions=True
    )
    assert all(result is None or isinstance(result, Transient) for result in results)
    await rig.engine.remove(name)


async def test_a_list_holds_this_shims_containers_in_every_phase(rig: Rig) -> None:
    created = await rig.create(rig.runs)
    running = await rig.run(rig.runs)
    down = await rig.run(rig.ends(3))
    await ended(rig, down)
    listed = {found.name: found for found in await rig.engine.list()}
    assert {name: found.phase for name, found in listed.items()} == {
        created: Phase.CREATED,
        running: Phase.RUNNING,
        down: Phase.EXITED,
    }
    assert listed[down].exit_code == 3
    assert listed[running].owner == rig.shim_id
    assert listed[running].inspect == b""
    assert list(await rig.other.list()) == []


async def test_an_image_is_present_or_not(rig: Rig) -> None:
    assert await rig.engine.has_image(rig.image)
    assert not await rig.engine.has_image(missing_image("mesos-shim-test/missing:1"))


async def test_the_config_of_an_image(rig: Rig) -> None:
    assert "Cmd" in await rig.engine.image_config(rig.image)
    with pytest.raises(NotFound):
        await rig.engine.image_config(missing_image("mesos-shim-test/missing:1"))


async def test_a_pull_fails_with_the_registrys_message(rig: Rig) -> None:
    with pytest.raises((Permanent, Transient), match=r"127\.0\.0\.1:1"):
        await rig.engine.pull(missing_image("127.0.0.1:1/missing:1"), None, lambda text: None)


def an_image(shim_id: str) -> tuple[str, bytes]:
    """The agent's own image under another name, so that no agent's is touched."""
    name = f"mesos-shim-test/{shim_id.lower()}:1"
    archive = image_archive("amd64")
    with tarfile.open(fileobj=io.BytesIO(archive)) as old:
        files = {each.name: old.extractfile(each) for each in old.getmembers()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    manifest = json.loads(content["manifest.json"])
    manifest[0]["RepoTags"] = [name]
    content["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as new:
        for path, data in content.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return name, buffer.getvalue()


async def test_an_image_is_loaded_and_its_program_ends_when_asked(rig: Rig) -> None:
    if not isinstance(rig.engine, ImageLoader):
        assert rig.engine.kind == "triton"
        return
    image, archive = an_image(rig.shim_id)
    rig.images.append(image)
    await asyncio.gather(*(rig.engine.load_image(archive) for _ in range(3)))
    assert await rig.engine.has_image(parse_image(image))
    with pytest.raises((Permanent, Transient), match="tar file"):
        await rig.engine.load_image(b"x" * 1024)
    spec = rig.spec([])
    body = {key: value for key, value in spec.body.items() if key != "Cmd"}
    spec = dataclasses.replace(spec, image=parse_image(image), body={**body, "Image": image})
    await rig.engine.create(spec)
    await rig.engine.start(spec.name)
    assert isinstance(rig.engine, InteractiveExec)
    async with patience():
        # A signal that comes before the program waits for one is lost, as for any first process.
        while (await rig.engine.inspect(spec.name)).phase is Phase.RUNNING:
            with contextlib.suppress(Permanent):
                await rig.engine.kill(spec.name, signal.SIGTERM)
            await asyncio.sleep(0.05)
    found = await ended(rig, spec.name)
    assert found.exit_code == (0 if rig.engine.kind == "docker" else 143)


async def test_limits_of_a_running_container_are_changed(rig: Rig) -> None:
    if not isinstance(rig.engine, ContainerUpdater):
        assert rig.engine.kind == "triton"
        return
    name = await rig.create(rig.runs, HostConfig={"NetworkMode": rig.network, "Memory": 2**26})
    await rig.engine.start(name)
    await rig.engine.update(name, {"Memory": 2**27, "MemorySwap": 2**28, "CpuShares": 512})
    if rig.engine.kind == "docker":
        (described,) = json.loads((await rig.engine.inspect(name)).inspect)
        assert described["HostConfig"]["Memory"] == 2**27
        assert described["HostConfig"]["CpuShares"] == 512
    with pytest.raises(NotFound, match="No such container"):
        await rig.engine.update("mesos-missing", {"CpuShares": 512})
    with pytest.raises((Permanent, Transient), match=r"cannot update|Invalid|invalid|Minimum"):
        await rig.engine.update(name, {"Memory": 2**60 if rig.engine.kind == "fake" else 1})


async def test_a_volume_is_made_once_and_listed_by_its_owner(rig: Rig) -> None:
    volume = rig.volume()
    await rig.engine.create_volume(volume)
    await rig.engine.create_volume(volume)
    (listed,) = await rig.engine.list_volumes()
    assert listed.name == volume.name
    if rig.engine.kind != "triton":  # Triton keeps no labels of volumes
        assert listed.labels == volume.labels
    assert list(await rig.other.list_volumes()) == []
    await rig.engine.remove_volume(volume.name)
    await rig.engine.remove_volume(volume.name)
    assert list(await rig.engine.list_volumes()) == []


async def test_a_volume_that_a_container_has_is_removed_after_it(rig: Rig) -> None:
    volume = rig.volume()
    await rig.engine.create_volume(volume)
    host = {"NetworkMode": rig.network, "Binds": [f"{volume.name}:/data:rw"]}
    name = await rig.create(rig.runs, HostConfig=host)
    with pytest.raises(Transient, match="use"):
        await rig.engine.remove_volume(volume.name)
    await rig.engine.remove(name)
    assert [each.name for each in await rig.engine.list_volumes()] == [volume.name]
    await rig.engine.remove_volume(volume.name)
    assert list(await rig.engine.list_volumes()) == []


async def test_a_volume_that_cannot_be_made_is_refused(rig: Rig) -> None:
    with pytest.raises(Permanent, match=r"mesos-shim-test-nosuch|invalid volume"):
        await rig.engine.create_volume(rig.volume(driver="mesos-shim-test-nosuch"))


async def test_a_volume_of_another_owner_is_not_taken(rig: Rig) -> None:
    if rig.engine.kind == "triton":
        pytest.skip("there the owner is in the name")
    volume = rig.volume()
    await rig.engine.create_volume(volume)
    with pytest.raises(NameTaken, match=volume.name):
        await rig.other.create_volume(Volume(volume.name, {LABEL_SHIM: "another"}))


async def test_events_name_ended_and_removed_containers(rig: Rig) -> None:
    if not rig.engine.has_events:
        pytest.skip("this endpoint has none")
    async with aclosing(rig.engine.events()) as events, patience():
        assert await anext(events) == ""
        name = await rig.run(rig.ends(0))
        assert await anext(events) == name
        await rig.engine.remove(name)
        assert await anext(events) == name


async def test_files_are_written_and_read(rig: Rig) -> None:
    name = await rig.create(rig.runs)
    await rig.engine.put_archive(name, rig.writable, a_tar("hello", b"you"))
    got = await rig.engine.get_archive(name, f"{rig.writable}/hello", 10_240)
    with tarfile.open(fileobj=io.BytesIO(got)) as tar:
        (member,) = tar.getmembers()
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == b"you"
    with pytest.raises(Permanent, match="more than 100 bytes"):
        await rig.engine.get_archive(name, f"{rig.writable}/hello", 100)
    with pytest.raises(NotFound):
        await rig.engine.get_archive(name, f"{rig.writable}/nothing", 10_240)


async def test_the_mode_of_a_directory_is_known(rig: Rig) -> None:
    if not isinstance(rig.engine, PathModes):
        pytest.skip("this endpoint does not tell it")
    name = await rig.create(rig.runs)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("made")
        member.type, member.mode = tarfile.DIRTYPE, 0o3750
        tar.addfile(member)
    await rig.engine.put_archive(name, rig.writable, buffer.getvalue())
    assert await rig.engine.path_mode(name, f"{rig.writable}/made") == 0o3750


@pytest.mark.parametrize("follow", [False, True])
async def test_logs_have_streams_and_times(rig: Rig, follow: bool) -> None:
    began = time.time()
    name = await rig.run(rig.says("one", "two"))
    if not follow:
        await ended(rig, name)
    lines = []
    async with aclosing(rig.engine.logs(name, since=0, follow=follow)) as got, patience():
        lines = [line async for line in got]
    assert sorted((stream, text) for stream, _, text in lines) == [(1, b"one\n"), (2, b"two\n")]
    assert all(began - 1 < stamp < time.time() + 1 for _, stamp, _ in lines)
    latest = max(stamp for _, stamp, _ in lines)
    async with aclosing(rig.engine.logs(name, since=latest + 0.001, follow=False)) as got:
        assert [line async for line in got] == []


async def test_a_command_runs_in_the_container(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    said = await rig.engine.exec(name, ["echo", "hello"], {}, PATIENCE)
    assert (said.exit_code, said.output) == (0, b"hello\n")
    printed = await rig.engine.exec(name, ["sh", "-c", "echo $WORD"], {"WORD": "env"}, PATIENCE)
    assert printed.output == b"env\n"
    assert (await rig.engine.exec(name, ["false"], {}, PATIENCE)).exit_code == 1
    with pytest.raises(Transient, match="has not ended after"):
        await rig.engine.exec(name, ["sleep", "60"], {}, 0.3)


async def test_no_command_runs_in_a_stopped_container(rig: Rig) -> None:
    name = await rig.run(rig.ends(0))
    await ended(rig, name)
    with pytest.raises(Permanent, match="is not running"):
        await rig.engine.exec(name, ["true"], {}, PATIENCE)


async def test_stats_are_one_sample(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    sample = await rig.engine.stats(name)
    assert sample["memory_stats"] if rig.engine.kind == "triton" else name in sample["name"]


async def test_many_calls_at_once(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    found = await asyncio.gather(*(rig.engine.inspect(name) for _ in range(100)))
    assert {container.phase for container in found} == {Phase.RUNNING}
