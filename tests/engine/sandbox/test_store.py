"""Output from a (fake) engine to readers: while it runs, after its end, after restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from shim import limits
from shim.engine.sandbox.buffer import OutputBuffer
from shim.engine.sandbox.store import SandboxStore
from shim.errors import Ambiguous, NotFound, Permanent, Transient
from shim.model.container import LABEL_SHIM, Container, Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, TaskId, TaskKey
from tests.fakes.engine import Box, FakeEngine
from tests.support.wait import PATIENCE, patience, until


def a_ref(task: str = "task") -> Ref:
    return Ref(TaskKey(FrameworkId("f"), TaskId(task)), ContainerId(str(uuid.uuid4())))


def box_of(engine: FakeEngine, ref: Ref) -> Box:
    return engine.add(ref.name, {LABEL_SHIM: engine.shim_id})


def kept_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def say(box: Box, text: str, stream: int = 1, at: float | None = None) -> None:
    box.output.append((stream, time.time() if at is None else at, text.encode()))


@asynccontextmanager
async def open_store(engine: FakeEngine, directory: Path) -> AsyncIterator[SandboxStore]:
    store = SandboxStore(engine, directory)
    await store.load()
    try:
        yield store
    finally:
        await store.close()


async def text(store: SandboxStore, ref: Ref, name: str = "stdout", live: bool = True) -> str:
    return (await store.read(ref, name, 0, 10**9, live)).decode()


async def reads(store: SandboxStore, ref: Ref, expected: str) -> None:
    """Wait until a reader gets this output, and no more."""

    async def it_does() -> bool:
        return await text(store, ref) == expected

    await until(it_does, f"the output {expected!r}")


@pytest.fixture(autouse=True)
def _patient_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine as well a reader gets what was written, unless a test says less."""
    monkeypatch.setattr(limits, "LOG_READ_TIMEOUT", PATIENCE)


async def test_a_container_without_a_reader_costs_nothing(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with open_store(engine, tmp_path) as store:
        ref = a_ref()
        say(box_of(engine, ref), "x\n")
        await asyncio.sleep(0.01)
        assert (engine.calls["logs"], store.followed, kept_in(tmp_path)) == (0, 0, set())


async def test_a_reader_gets_the_whole_output_and_then_new_lines(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with open_store(engine, tmp_path) as store:
        ref = a_ref()
        box = box_of(engine, ref)
        say(box, "one\n")
        say(box, "bad\n", 2)
        assert await text(store, ref) == "one\n"
        assert await text(store, ref, "stderr") == "bad\n"
        for number in range(50):
            say(box, f"{number}\n")
        everything = "one\n" + "".join(f"{n}\n" for n in range(50))
        await reads(store, ref, everything)
        assert store.followed == 1
        entries = await store.entries(ref, True)
        assert [(e.name, e.size) for e in entries] == [("stderr", 4), ("stdout", 4 + 140)]
        # Once to catch up, once to follow: never a call per read.
        assert engine.calls["logs"] == 2


async def test_a_log_is_not_followed_after_its_last_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_WATCHED", 0.05)
    engine = FakeEngine()
    async with open_store(engine, tmp_path) as store:
        ref = a_ref()
        box = box_of(engine, ref)
        say(box, "one\n")
        assert await text(store, ref) == "one\n"
        await until(lambda: store.followed == 0, "the end of following")
        say(box, "two\n")
        assert await text(store, ref) == "one\ntwo\n"


async def test_a_bounded_number_of_logs_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOGS_FOLLOWED", 2)
    engine = FakeEngine()
    async with open_store(engine, tmp_path) as store:
        refs = [a_ref(str(number)) for number in range(5)]
        for ref in refs:
            say(box_of(engine, ref), f"{ref.task_key.task_id}\n")
            await text(store, ref)
            await asyncio.sleep(0.001)
        assert store.followed == 2
        say(engine.boxes[refs[0].name], "more\n")
        assert await text(store, refs[0]) == "0\nmore\n"


async def test_final_logs_outlive_the_container(tmp_path: Path) -> None:
    engine = FakeEngine()
    ref, silent = a_ref(), a_ref("silent")
    async with open_store(engine, tmp_path) as store:
        box = box_of(engine, ref)
        say(box, "one\n")
        assert await text(store, ref) == "one\n"
        say(box, "two\n")
        say(box, "bad\n", 2)
        engine.end(ref.name)
        await store.collect_final_logs(ref)
        box_of(engine, silent)
        await store.collect_final_logs(silent)
        engine.boxes.clear()
        assert await text(store, ref, live=False) == "one\ntwo\n"
        assert await text(store, ref, "stderr", live=True) == "bad\n"
        assert await text(store, silent, live=False) == ""
        assert store.latest(ref.task_key) == ref
        # One that wrote nothing costs no directory.
        assert kept_in(tmp_path) == {ref.container_id}
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref, live=False) == "one\ntwo\n"
        assert store.latest(ref.task_key) == ref


async def test_a_restart_resumes_a_log_at_its_cursor(tmp_path: Path) -> None:
    engine, ref = FakeEngine(), a_ref()
    box = box_of(engine, ref)
    now = 1_700_000_000.0
    for number in range(3):
        say(box, f"a{number}\n", at=now)
    say(box, "e\n", 2, at=now - 0.5)
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref) == "a0\na1\na2\n"
    # Written after the last look, some of it within the same tick of the engine's clock.
    say(box, "a3\n", at=now)
    say(box, "late\n", 2, at=now - 0.4)
    say(box, "b\n", at=now + 1)
    with (tmp_path / ref.container_id / "stdout.0").open("ab") as file:
        file.write(b"torn by a crash")
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref) == "a0\na1\na2\na3\nb\n"
        assert await text(store, ref, "stderr") == "e\nlate\n"


async def test_a_clock_set_back_hides_no_line_within_one_pass(tmp_path: Path) -> None:
    engine, ref = FakeEngine(), a_ref()
    box = box_of(engine, ref)
    for number, at in enumerate((100.0, 200.0, 150.0, 160.0)):
        say(box, f"{number}\n", at=at)
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref) == "0\n1\n2\n3\n"


async def test_beginning_and_end_of_a_huge_output_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_FETCH_BYTES", 10_000)
    monkeypatch.setattr(limits, "LOG_TAIL_LINES", 100)
    engine, ref = FakeEngine(), a_ref()
    box = box_of(engine, ref)
    for number in range(10_000):
        say(box, f"{number:9}\n", at=1000.0 + number)
    async with open_store(engine, tmp_path) as store:
        await store.collect_final_logs(ref)
        lines = (await text(store, ref, live=False)).splitlines()
    assert lines[:1000] == [f"{number:9}" for number in range(1000)]
    assert lines[-100:] == [f"{number:9}" for number in range(9900, 10_000)]
    assert sum("more output than is kept" in line for line in lines) == 1
    assert len(lines) < 1200


@pytest.mark.parametrize("error", [Transient("away"), Ambiguous("an internal error occurred")])
async def test_final_logs_are_retried(tmp_path: Path, error: Exception) -> None:
    engine, ref = FakeEngine(), a_ref()
    say(box_of(engine, ref), "the last\n")
    engine.fail("logs", error, times=2)
    async with open_store(engine, tmp_path) as store:
        await store.collect_final_logs(ref)
        assert await text(store, ref, live=False) == "the last\n"
        assert await text(store, ref, "stderr", live=False) == ""


@pytest.mark.parametrize("error", [Transient("away"), Permanent("no such driver")])
async def test_an_output_that_cannot_be_read_has_the_reason_in_stderr(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_FETCH_TIMEOUT", 0.5)
    engine, ref = FakeEngine(), a_ref()
    box_of(engine, ref)
    engine.fail("logs", error, times=99)
    async with open_store(engine, tmp_path) as store:
        await store.collect_final_logs(ref)
        assert str(error) in await text(store, ref, "stderr", live=False)


async def test_a_removal_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_FETCH_TIMEOUT", 0.05)
    engine, ref = FakeEngine(), a_ref()
    box_of(engine, ref)
    engine.hold("logs")
    async with open_store(engine, tmp_path) as store:
        async with patience():
            await store.collect_final_logs(ref)
        assert "within 0.05 s" in await text(store, ref, "stderr", live=False)


async def test_a_reader_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_READ_TIMEOUT", 0.05)
    engine, ref = FakeEngine(), a_ref()
    say(box_of(engine, ref), "x\n")
    held = engine.hold("logs")
    async with open_store(engine, tmp_path) as store:
        async with patience():
            assert await text(store, ref) == ""
        held.set()
        await reads(store, ref, "x\n")


async def test_a_sweep_deletes_the_oldest_ended_sandboxes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with open_store(engine, tmp_path) as store:
        refs = [a_ref(str(number)) for number in range(6)]
        for ref in refs:
            say(box_of(engine, ref), "0123456789")
            if ref is not refs[0]:
                await store.collect_final_logs(ref)
        await text(store, refs[0])
        monkeypatch.setattr(limits, "SANDBOX_TOTAL_BYTES", 35)
        await store.sweep(time.time())
        left = kept_in(tmp_path)
        assert left == {refs[0].container_id, refs[4].container_id, refs[5].container_id}
        assert store.latest(refs[1].task_key) is None
        await store.sweep(time.time() + limits.SANDBOX_AGE + 1)
        assert kept_in(tmp_path) == {refs[0].container_id}
        assert await text(store, refs[0]) == "0123456789"


async def test_a_failing_disk_is_no_error_of_readers(tmp_path: Path) -> None:
    engine, ref = FakeEngine(), a_ref()
    say(box_of(engine, ref), "x\n")
    (tmp_path / "file").write_text("")
    async with open_store(engine, tmp_path / "file") as store:
        await store.collect_final_logs(ref)
        assert await text(store, ref, live=False) == ""


async def test_a_reader_during_the_collection_waits_for_the_final_logs(tmp_path: Path) -> None:
    engine, ref = FakeEngine(), a_ref()
    box = box_of(engine, ref)
    say(box, "one\n")
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref) == "one\n"
        say(box, "two\n")
        engine.end(ref.name)
        held = engine.hold("logs")
        ending = asyncio.create_task(store.collect_final_logs(ref))
        await asyncio.sleep(0.01)
        reading = asyncio.create_task(text(store, ref))
        await asyncio.sleep(0.01)
        assert not reading.done()
        held.set()
        assert await reading == "one\ntwo\n"
        await ending


async def test_concurrent_collections_are_bounded_and_wait_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_FETCHES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "LOG_SLOT_TIMEOUT", 0.05)
    engine = FakeEngine()
    refs = [a_ref(str(number)) for number in range(3)]
    for ref in refs:
        say(box_of(engine, ref), "x\n")
    async with open_store(engine, tmp_path) as store:
        held = engine.hold("logs")
        asyncio.get_running_loop().call_later(0.2, held.set)
        async with patience():
            await asyncio.gather(*(store.collect_final_logs(ref) for ref in refs))
        assert [store.knows(ref) for ref in refs] == [True, False, False]


async def test_failing_collections_do_not_block_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as it may be tried again, each would keep its place."""

    class Half(FakeEngine):
        async def logs(self, name: str, **more: Any) -> AsyncGenerator[Any, None]:
            if name in bad:
                raise Transient("an internal error occurred")
            async for line in super().logs(name, **more):
                yield line

    monkeypatch.setattr(limits, "LOG_FETCHES_AT_ONCE", 2)
    monkeypatch.setattr(limits, "LOG_FETCH_TIMEOUT", 3.0)
    monkeypatch.setattr(limits, "LOG_SLOT_TIMEOUT", 8.0)
    engine, refs = Half(), [a_ref(str(number)) for number in range(20)]
    bad = {ref.name for ref in refs[:10]}
    for ref in refs:
        say(box_of(engine, ref), "x\n")
    async with open_store(engine, tmp_path) as store:
        await asyncio.gather(*(store.collect_final_logs(ref) for ref in refs))
        assert [await text(store, ref, live=False) for ref in refs[10:]] == ["x\n"] * 10


async def test_an_unexpected_exception_does_not_prevent_the_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, ref = FakeEngine(), a_ref()
    say(box_of(engine, ref), "x\n")
    async with open_store(engine, tmp_path) as store:
        engine.fail("logs", ZeroDivisionError("a bug"))
        await store.collect_final_logs(ref)
    assert "last output is lost" in caplog.text


async def test_other_users_cannot_read_sandboxes(tmp_path: Path) -> None:
    async with open_store(FakeEngine(), tmp_path / "sandboxes"):
        assert (tmp_path / "sandboxes").stat().st_mode & 0o077 == 0


# --- between the final logs and the removal -------------------------------------------------

DEAD = "can not get logs from container which is dead or marked for removal"


class BeingRemoved(FakeEngine):
    """Refuses to read the log of a container that it removes, in words of its own."""

    error: Exception = Permanent(DEAD)
    state: ClassVar[dict[str, Any] | None] = None
    """``State`` in the answer of inspect. None: the container is gone by then."""
    removing = False

    async def logs(self, name: str, **more: Any) -> AsyncGenerator[Any, None]:
        if self.removing:
            self.calls["logs"] += 1
            raise self.error
        async for line in super().logs(name, **more):
            yield line

    async def inspect(self, name: str) -> Container:
        if self.removing and self.state is None:
            raise NotFound(f"No such container: {name}")
        found = await super().inspect(name)
        state = {"State": self.state} if self.removing else {}
        return dataclasses.replace(found, inspect=json.dumps([state]).encode())


async def test_the_log_of_a_silent_container_is_not_read_after_its_collection(
    tmp_path: Path,
) -> None:
    engine, ref = BeingRemoved(), a_ref()
    box_of(engine, ref)
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref) == ""
        await store.collect_final_logs(ref)
        engine.removing = True
        asked = engine.calls["logs"]
        for _ in range(3):
            assert await text(store, ref) == ""
            assert await text(store, ref, "stderr") == ""
        await store.collect_final_logs(ref)
        assert engine.calls["logs"] == asked
    assert kept_in(tmp_path) == set()


async def test_a_reader_that_began_before_the_end_of_the_collection_reads_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, ref = BeingRemoved(), a_ref()
    box_of(engine, ref)
    async with open_store(engine, tmp_path) as store:
        opening, original = asyncio.Event(), store._open

        async def slow_once(ref: Ref) -> OutputBuffer:
            monkeypatch.setattr(store, "_open", original)
            await opening.wait()
            return await original(ref)

        monkeypatch.setattr(store, "_open", slow_once)
        reading = asyncio.create_task(text(store, ref, "stderr"))
        await asyncio.sleep(0)
        await store.collect_final_logs(ref)
        engine.removing = True
        opening.set()
        assert await reading == ""
        assert store.followed == 0
    assert kept_in(tmp_path) == set()


@pytest.mark.parametrize(
    "error", [Permanent(DEAD), Permanent("gone"), Transient("500: marked for removal")]
)
@pytest.mark.parametrize("state", [None, {"Status": "removing"}, {"Status": "dead", "Dead": True}])
async def test_the_error_of_a_container_that_is_being_removed_is_not_in_its_output(
    tmp_path: Path,
    error: Exception,
    state: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(limits, "LOG_READ_TIMEOUT", 0.1)
    monkeypatch.setattr(limits, "LOG_FETCH_TIMEOUT", 0.2)
    monkeypatch.setattr(BeingRemoved, "error", error)
    monkeypatch.setattr(BeingRemoved, "state", state)
    engine, ref = BeingRemoved(), a_ref()
    box_of(engine, ref)
    engine.removing = True
    async with open_store(engine, tmp_path) as store:
        assert await text(store, ref, "stderr") == ""
        await store.collect_final_logs(ref)
        assert await text(store, ref, "stderr", live=False) == ""
    assert kept_in(tmp_path) == set()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


# --- sandboxes whose final logs were never collected ----------------------------------------


async def test_a_container_that_disappears_without_a_collection_has_ended(tmp_path: Path) -> None:
    engine, gone, runs = FakeEngine(), a_ref("gone"), a_ref("runs")
    async with open_store(engine, tmp_path) as store:
        for ref in (gone, runs):
            say(box_of(engine, ref), "x\n")
            assert await text(store, ref) == "x\n"
    engine.destroy(gone.name)
    async with open_store(engine, tmp_path) as store:
        assert (len(store), store.latest(gone.task_key)) == (0, None)
        await store.sweep(time.time() + limits.LOG_WATCHED + 1)
        assert (len(store), store.latest(gone.task_key), store.latest(runs.task_key)) == (
            1,
            gone,
            None,
        )
        assert await text(store, gone, live=False) == "x\n"
    async with open_store(engine, tmp_path) as store:
        await store.sweep(time.time() + 365 * 24 * 3600)
        assert kept_in(tmp_path) == {runs.container_id}
        assert await text(store, runs) == "x\n"


async def test_an_engine_that_is_away_ends_no_sandbox(tmp_path: Path) -> None:
    engine, ref = FakeEngine(), a_ref()
    async with open_store(engine, tmp_path) as store:
        say(box_of(engine, ref), "x\n")
        assert await text(store, ref) == "x\n"
    engine.destroy(ref.name)
    async with open_store(engine, tmp_path) as store:
        engine.fail("inspect", Transient("away"))
        await store.sweep(time.time() + 365 * 24 * 3600)
        assert kept_in(tmp_path) == {ref.container_id}
        await store.sweep(time.time() + 365 * 24 * 3600)
        assert kept_in(tmp_path) == set()


async def test_a_sweep_asks_for_a_bounded_number_of_containers_and_for_all_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SANDBOXES_CHECKED", 2)
    engine, refs = FakeEngine(), [a_ref(str(number)) for number in range(6)]
    async with open_store(engine, tmp_path) as store:
        for ref in refs:
            say(box_of(engine, ref), "x\n")
            assert await text(store, ref) == "x\n"
    engine.destroy(refs[5].name)
    async with open_store(engine, tmp_path) as store:
        now = time.time() + limits.LOG_WATCHED + 1
        for sweeps in range(1, 4):
            await store.sweep(now + sweeps)
            assert engine.calls["inspect"] == 2 * sweeps
        assert len(store) == 1


async def test_a_sweep_leaves_a_collection_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_READ_TIMEOUT", 0.0)
    engine, ref = FakeEngine(), a_ref()
    say(box_of(engine, ref), "x\n")
    async with open_store(engine, tmp_path) as store:
        held = engine.hold("logs")
        collecting = asyncio.create_task(store.collect_final_logs(ref))
        await asyncio.sleep(0.01)
        await store.sweep(time.time())
        assert await text(store, ref) == ""
        held.set()
        await collecting
        assert await text(store, ref) == "x\n"
        assert engine.calls["logs"] == 1


async def test_the_output_of_an_executor_is_kept_beside_that_of_tasks(tmp_path: Path) -> None:
    engine = FakeEngine()
    key = ExecutorKey(FrameworkId("f"), ExecutorId("task"))
    refs = [Ref(key, ContainerId(str(uuid.uuid4()))), a_ref("task")]
    async with open_store(engine, tmp_path) as store:
        for ref in refs:
            say(box_of(engine, ref), f"{type(ref.key).__name__}\n")
            await store.collect_final_logs(ref)
    async with open_store(engine, tmp_path) as store:
        for ref in refs:
            assert store.latest(ref.key) == ref
            assert await text(store, ref, live=False) == f"{type(ref.key).__name__}\n"
