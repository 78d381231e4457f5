"""Behaviour of Triton's own, against the simulator. The contract suite tests the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest
from aiohttp import web

from shim import limits
from shim.certs.certificate import new_style
from shim.engine.api import Auth
from shim.engine.client.endpoint import resolve
from shim.engine.images.image_reference import parse_image
from shim.engine.triton import TritonEngine, is_triton
from shim.engine.triton.login import ClientLogin
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Container, Phase
from tests.engine.triton.conftest import OWNER, Spec
from tests.support.login import write_login
from tests.support.wait import PATIENCE, until
from tests.triton.machines import State
from tests.triton.server import Endpoint
from tests.triton.simulator import ACCOUNT, TritonSimulator, login_endpoint, run_simulator


async def run(engine: TritonEngine, spec: Spec, **body: object) -> None:
    await engine.create(spec(**body))
    await engine.start("mesos-1")


async def test_info_shows_the_datacenter_and_the_account(engine: TritonEngine) -> None:
    info = await engine.info()
    assert (info.kind, info.name, info.account) == ("triton", "test-1", ACCOUNT)
    assert (info.api_version, info.cpus, info.memory_mb) == ("1.21", 0.0, 0)


async def test_triton_is_recognised_without_an_account(triton: TritonSimulator) -> None:
    triton.datacenter.accounts.clear()
    assert await is_triton(resolve(triton.endpoint.docker_host, str(triton.certs)))


async def test_each_kind_of_call_names_the_api_version(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.list()
    await engine.exec("mesos-1", ["true"], {}, 5)
    async with aclosing(engine.logs("mesos-1", since=0, follow=False)) as lines:
        assert [line async for line in lines] == []
    await engine.pull(parse_image("new/image"), None, lambda text: None)
    await engine.stop("mesos-1", 1)
    assert triton.endpoint.without_version == []
    asked = {path for _, path in triton.endpoint.calls}
    made = {"/containers/create", "/containers/json", "/containers/mesos-1/stop", "/images/create"}
    assert asked >= made | {"/containers/mesos-1/logs", "/containers/mesos-1/exec"}


async def test_time_limits_are_those_after_which_triton_cuts_a_call(
    engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits_of: dict[str, float | None] = {}
    request = aiohttp.ClientSession._request

    async def watched(self: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
        limits_of[url.rpartition("/")[2]] = more["timeout"].total
        return await request(self, method, url, **more)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", watched)
    await run(engine, spec)
    assert limits_of["create"] is not None
    assert limits_of["create"] > 3600, "Triton cuts it after an hour, not before"
    assert limits_of["start"] is not None
    assert 120 < limits_of["start"] < 180, "after two minutes"


async def test_an_exit_code_that_stays_unknown_is_none(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as stopping until lists have shown it as ended for a while."""
    monkeypatch.setattr(limits, "EXIT_STATUS_WAIT", 600.0)
    await run(engine, spec)
    await triton.datacenter.crash(triton.datacenter.machines[0])
    for _ in range(2):
        assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
        assert (await engine.list())[0].exit_code is None
    monkeypatch.setattr(limits, "EXIT_STATUS_WAIT", 0.0)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, None)


async def test_a_stopping_container_counts_as_running(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXIT_STATUS_WAIT", 0.0)
    triton.options.stopped_when = stopped = asyncio.Event()
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0", "SIM_EXIT_CODE=3"])
    (machine,) = triton.datacenter.machines
    await until(lambda: machine.state is State.STOPPING)
    assert (await engine.list())[0].phase is Phase.PROVISIONING
    assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
    stopped.set()
    await until(lambda: machine.state is State.STOPPED)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, 3)


async def test_a_container_that_never_finishes_stopping_counts_as_ended(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server failed: a kill of the container must still end."""
    monkeypatch.setattr(limits, "EXIT_STATUS_WAIT", 0.0)
    monkeypatch.setattr(limits, "NO_STATUS_WAIT", 600.0)
    triton.options.stopped_when = asyncio.Event()
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0"])
    (machine,) = triton.datacenter.machines
    await until(lambda: machine.state is State.STOPPING)
    for _ in range(2):
        assert (await engine.list())[0].phase is Phase.PROVISIONING
        assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
    monkeypatch.setattr(limits, "NO_STATUS_WAIT", 0.0)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, None)


async def test_certificate_files_that_become_unreadable_change_no_answer(
    triton: TritonSimulator, engine: TritonEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.list()
    stat = Path.stat

    def denied(self: Path, **more: Any) -> Any:
        if self.parent == triton.certs:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **more)

    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(NotFound):
        await engine.inspect("missing")
    triton.account.keys.clear()
    with pytest.raises(Transient, match="Triton does not accept"):
        await engine.inspect("missing")


@asynccontextmanager
async def answering(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TritonEngine]:
    """An engine whose endpoint answers every request with 200 and ``body``."""

    async def serve(self: Endpoint, request: web.Request) -> web.Response:
        return web.Response(text=body)

    monkeypatch.setattr(Endpoint, "_serve", serve)
    async with run_simulator(tmp_path) as triton:
        engine = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=OWNER)
        yield engine
        await engine.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.info(),
        lambda engine: engine.list(),
        lambda engine: engine.inspect("mesos-1"),
        lambda engine: engine.stats("mesos-1"),
        lambda engine: engine.exec("mesos-1", ["true"], {}, 5),
        lambda engine: engine.pull(parse_image("busybox"), None, lambda text: None),
    ],
)
@pytest.mark.parametrize("body", ["<html>hello</html>", "[1]", '"text"'])
async def test_an_answer_that_is_not_triton_s_is_transient(
    call: Callable[[TritonEngine], Awaitable[object]],
    body: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering(body, tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await call(engine)


@pytest.mark.parametrize("body", ["{}", '""', "null"])
async def test_an_answer_that_is_no_list_is_transient(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(body, tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await engine.list()


async def test_a_create_answered_without_an_id_is_transient(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering("{}", tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await engine.create(spec())


async def test_the_package_of_a_container_is_read_from_inspect_and_list(
    engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, HostConfig={"Memory": 900 * 2**20})
    await engine.inspect("mesos-1")
    assert engine.packages == {"sample-1G": 1024}
    assert (await engine.list())[0].labels["com.joyent.package"] == "sample-1G"


async def test_a_stop_that_is_cut_off_is_awaited_by_inspects(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_IGNORE_TERM=1"])
    triton.options.idle_seconds = 0.1
    began = time.monotonic()
    await engine.stop("mesos-1", 1)
    took = time.monotonic() - began
    assert 0.9 < took < limits.ENGINE_STOP_SLACK / 4, "the grace, not all that a stop may take"
    assert triton.endpoint.calls.count(("POST", "/containers/mesos-1/stop")) == 1


async def test_a_second_stop_succeeds_and_a_missing_container_is_not_found(
    engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.stop("mesos-1", 5)
    await engine.stop("mesos-1", 5)
    with pytest.raises(NotFound):
        await engine.stop("missing", 5)


async def test_maintenance_is_transient_with_the_time_of_its_end(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    triton.options.maintenance = "Back soon"
    triton.options.maintenance_until = time.time() + 3600
    with pytest.raises(Transient, match="Back soon") as caught:
        await engine.create(spec())
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after <= 3601
    assert await engine.list() == []


async def test_a_revoked_key_is_named_and_a_renewed_certificate_is_used(
    triton: TritonSimulator, engine: TritonEngine
) -> None:
    triton.account.keys.clear()
    with pytest.raises(Transient, match=f"of account {ACCOUNT} .*renew") as caught:
        await engine.list()
    assert str(triton.certs / "cert.pem") in str(caught.value)
    triton.account.keys.append(triton.key.public_key())
    triton.datacenter.accounts["bob"] = triton.account
    write_login(
        triton.certs,
        new_style("bob", triton.key, datetime.now(UTC)),
        login_endpoint(triton.endpoint),
    )
    triton.account.login = "bob"
    assert (await engine.info()).account == "bob"


async def test_containers_of_another_shim_are_not_listed(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    for owner in ("other", "with=sign"):
        other = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=owner)
        assert await other.list() == []
        await other.close()
    assert [found.owner for found in await engine.list()] == [OWNER]


class RecordingObserver:
    def __init__(self) -> None:
        self.events: list[object] = []

    def listed(self, containers: Sequence[Container], took: float) -> None:
        assert 0 < took < PATIENCE
        self.events.append(len(containers))

    def inspected(self, container: Container) -> None:
        self.events.append(container.phase)

    def removed(self, name: str) -> None:
        self.events.append(name)


async def test_observers_are_told_of_all_own_containers_and_no_others(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    observer = RecordingObserver()
    engine.subscribe(observer)
    await engine.list()
    await engine.create(spec())
    await engine.inspect("mesos-1")
    await engine.list()
    await engine.remove("mesos-1")
    await engine.remove("mesos-1")
    # The second removal finds no such container and lists: a user may have renamed it.
    assert observer.events == [0, Phase.CREATED, 1, "mesos-1", 0, "mesos-1"]
    other = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id="other")
    other_observer = RecordingObserver()
    other.subscribe(other_observer)
    await engine.create(spec())
    await other.inspect("mesos-1")
    assert other_observer.events == []
    await other.close()


async def test_a_log_is_followed_until_its_container_ends(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo"])
    (machine,) = triton.datacenter.machines
    async with aclosing(engine.logs("mesos-1", since=0, follow=True)) as lines:
        assert await anext(lines) == (1, ANY, b"one\n")
        assert machine.state.value == "running"
        await triton.datacenter.kill(machine)
        assert [text async for _, _, text in lines] == [b"two\n"]
    assert machine.state.value == "stopped"


async def test_tail_gives_the_last_lines_of_a_log(engine: TritonEngine, spec: Spec) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo\nthree"])
    async with aclosing(engine.logs("mesos-1", since=0, follow=False, tail=2)) as lines:
        assert [text async for _, _, text in lines] == [b"two\n", b"three\n"]


async def test_log_lines_before_since_are_dropped(engine: TritonEngine, spec: Spec) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo", "SIM_EXIT_AFTER=0.2"])
    async with aclosing(engine.logs("mesos-1", since=time.time() + 9, follow=False)) as lines:
        assert [line async for line in lines] == []


async def test_an_exec_is_inspected_once(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    result = await engine.exec("mesos-1", ["echo", "hi"], {}, 5)
    assert (result.exit_code, result.output) == (0, b"hi\n")
    assert (await engine.exec("mesos-1", ["sh", "-c", "exit 3"], {}, 5)).exit_code == 3
    assert (await engine.exec("mesos-1", ["env"], {"A": "b"}, 5)).output == b"A=b"
    assert triton.endpoint.execs == {}


async def test_an_exec_in_a_stopped_container_is_permanent(
    engine: TritonEngine, spec: Spec
) -> None:
    await engine.create(spec())
    with pytest.raises(Permanent, match="is not running"):
        await engine.exec("mesos-1", ["true"], {}, 5)
    with pytest.raises(NotFound, match="No such exec"):
        await engine._exec_output("/exec/nothing")


async def test_pulls_succeed_or_fail_in_the_registry_s_words(engine: TritonEngine) -> None:
    progress: list[str] = []
    await engine.pull(parse_image("new/image"), None, progress.append)
    assert await engine.has_image(parse_image("new/image"))
    assert progress
    with pytest.raises(Permanent, match="image missing:1 not found in registry"):
        await engine.pull(parse_image("missing:1"), None, progress.append)
    with pytest.raises(Permanent, match="authentication required"):
        await engine.pull(parse_image("private:1"), None, progress.append)
    await engine.pull(parse_image("private:1"), Auth("u", "secret"), progress.append)
    with pytest.raises(Permanent, match="linux/arm64"):
        await engine.pull(parse_image("x"), None, progress.append, "linux/arm64")


async def test_an_unreachable_endpoint_is_transient(triton: TritonSimulator) -> None:
    engine = TritonEngine("https://localhost:1", ClientLogin(triton.certs), shim_id=OWNER)
    with pytest.raises(Transient) as caught:
        await engine.list()
    said = "list: https://localhost:1: cannot be reached: Connection refused"
    assert str(caught.value) == said
    with pytest.raises(Transient, match="localhost:1"):
        await engine._exec_output("/exec/x")
    await engine.close()


async def test_a_server_certificate_that_does_not_verify_is_named(triton: TritonSimulator) -> None:
    (triton.certs / "ca.pem").unlink()
    engine = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id=OWNER)
    with pytest.raises(Transient, match=r"its certificate does not verify: [\w -]+$"):
        await engine.list()
    await engine.close()


async def test_random_errors_are_transient(triton: TritonSimulator, engine: TritonEngine) -> None:
    triton.options.error_rate = 1.0
    with pytest.raises(Transient, match="an internal error occurred"):
        await engine.list()


async def test_a_running_container_is_removed(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.remove("mesos-1")
    assert triton.remaining == []


async def test_removing_twice_leaves_nothing(
    triton: TritonSimulator, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0.05"])
    (machine,) = triton.datacenter.machines
    await until(lambda: machine.state is State.STOPPED)
    assert triton.remaining == ["mesos-1"]
    await engine.remove("mesos-1")
    await engine.remove("mesos-1")
    assert triton.remaining == []
