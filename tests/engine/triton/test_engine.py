"""What the contract suite does not ask: Triton's own ways, against the simulated double."""

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
from shim.certs import login_files
from shim.certs.certificate import new_style
from shim.engine.api import Auth
from shim.engine.client.endpoint import resolve
from shim.engine.images.image_reference import parse_image
from shim.engine.triton import TritonEngine, is_triton
from shim.engine.triton.login import ClientLogin
from shim.errors import NotFound, Permanent, Transient
from shim.model.container import Container, Phase
from tests.engine.triton.conftest import OWNER, Spec
from tests.triton.machines import State
from tests.triton.place import ACCOUNT, Place, place, where
from tests.triton.server import Endpoint


async def run(engine: TritonEngine, spec: Spec, **body: object) -> None:
    await engine.create(spec(**body))
    await engine.start("mesos-1")


async def test_info(engine: TritonEngine) -> None:
    info = await engine.info()
    assert (info.kind, info.name, info.account) == ("triton", "test-1", ACCOUNT)
    assert (info.api_version, info.cpus, info.memory_mb) == ("1.21", 0.0, 0)


async def test_it_is_recognised_without_an_account(at: Place) -> None:
    at.datacenter.accounts.clear()
    assert await is_triton(resolve(at.endpoint.docker_host, str(at.certs)))


async def test_every_kind_of_call_says_which_version_it_means(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.list()
    await engine.exec("mesos-1", ["true"], {}, 5)
    async with aclosing(engine.logs("mesos-1", since=0, follow=False)) as lines:
        assert [line async for line in lines] == []
    await engine.pull(parse_image("new/image"), None, lambda text: None)
    await engine.stop("mesos-1", 1)
    assert at.endpoint.unpinned == []
    asked = {path for _, path in at.endpoint.calls}
    made = {"/containers/create", "/containers/json", "/containers/mesos-1/stop", "/images/create"}
    assert asked >= made | {"/containers/mesos-1/logs", "/containers/mesos-1/exec"}


async def test_a_create_may_take_an_hour_and_other_calls_as_long_as_triton_waits(
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
    at: Place, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks like one that is stopping until lists have called it ended for a while."""
    monkeypatch.setattr(limits, "EXIT_STATUS_PATIENCE", 0.2)
    await run(engine, spec)
    await at.datacenter.crash(at.datacenter.machines[0])
    for _ in range(2):
        assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
        assert (await engine.list())[0].exit_code is None
    await asyncio.sleep(0.25)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, None)


async def test_one_that_is_stopping_has_not_ended(
    at: Place, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXIT_STATUS_PATIENCE", 0.0)
    at.options.stopping_seconds = 0.4
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0.1", "SIM_EXIT_CODE=3"])
    await asyncio.sleep(0.3)
    assert (await engine.list())[0].phase is Phase.PROVISIONING
    assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
    await asyncio.sleep(0.4)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, 3)


async def test_one_that_stops_for_ever_has_ended(
    at: Place, engine: TritonEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server is gone: a kill of it must come to an end."""
    monkeypatch.setattr(limits, "EXIT_STATUS_PATIENCE", 0.0)
    monkeypatch.setattr(limits, "NO_STATUS_PATIENCE", 0.3)
    at.options.stopping_seconds = 1.5
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0.1"])
    await asyncio.sleep(0.2)
    for _ in range(2):
        assert (await engine.list())[0].phase is Phase.PROVISIONING
        assert (await engine.inspect("mesos-1")).phase is Phase.RUNNING
    await asyncio.sleep(0.35)
    found = await engine.inspect("mesos-1")
    assert (found.phase, found.exit_code) == (Phase.EXITED, None)


async def test_a_login_that_cannot_be_read_any_more_changes_no_answer(
    at: Place, engine: TritonEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.list()
    stat = Path.stat

    def denied(self: Path, **more: Any) -> Any:
        if self.parent == at.certs:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **more)

    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(NotFound):
        await engine.inspect("nobody")
    at.account.keys.clear()
    with pytest.raises(Transient, match="Triton does not accept"):
        await engine.inspect("nobody")


@asynccontextmanager
async def answering(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TritonEngine]:
    """An engine behind something that says 200, and this, to everything."""

    async def serve(self: Endpoint, request: web.Request) -> web.Response:
        return web.Response(text=body)

    monkeypatch.setattr(Endpoint, "_serve", serve)
    async with place(tmp_path) as at:
        engine = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id=OWNER)
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
async def test_an_answer_that_is_not_tritons_says_nothing(
    call: Callable[[TritonEngine], Awaitable[object]],
    body: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering(body, tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await call(engine)


@pytest.mark.parametrize("body", ["{}", '""', "null"])
async def test_what_is_no_list_does_not_say_that_nothing_is_there(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(body, tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await engine.list()


async def test_a_create_whose_answer_is_none_is_tried_again(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering("{}", tmp_path, monkeypatch) as engine:
        with pytest.raises(Transient):
            await engine.create(spec())


async def test_what_was_paid_for_is_read_back(engine: TritonEngine, spec: Spec) -> None:
    await run(engine, spec, HostConfig={"Memory": 900 * 2**20})
    await engine.inspect("mesos-1")
    assert engine.packages == {"sample-1G": 1024}
    assert (await engine.list())[0].labels["com.joyent.package"] == "sample-1G"


async def test_a_stop_that_is_cut_off_is_watched_to_its_end(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_IGNORE_TERM=1"])
    at.options.idle_seconds = 0.1
    began = time.monotonic()
    await engine.stop("mesos-1", 1)
    took = time.monotonic() - began
    assert 0.9 < took < limits.ENGINE_STOP_SLACK / 4, "the grace, not all that a stop may take"
    assert at.endpoint.calls.count(("POST", "/containers/mesos-1/stop")) == 1


async def test_stopping_twice_is_fine_and_nothing_is_not_found(
    engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.stop("mesos-1", 5)
    await engine.stop("mesos-1", 5)
    with pytest.raises(NotFound):
        await engine.stop("nobody", 5)


async def test_maintenance(at: Place, engine: TritonEngine, spec: Spec) -> None:
    at.options.maintenance = "Back soon"
    at.options.maintenance_until = time.time() + 60
    with pytest.raises(Transient, match="Back soon") as caught:
        await engine.create(spec())
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 61
    assert await engine.list() == []


async def test_a_revoked_key_says_which_and_a_renewed_one_is_taken_up(
    at: Place, engine: TritonEngine
) -> None:
    at.account.keys.clear()
    with pytest.raises(Transient, match=f"of account {ACCOUNT} .*renew") as caught:
        await engine.list()
    assert str(at.certs / "cert.pem") in str(caught.value)
    at.account.keys.append(at.key.public_key())
    at.datacenter.accounts["bob"] = at.account
    login_files.write(at.certs, new_style("bob", at.key, datetime.now(UTC)), where(at.endpoint))
    at.account.login = "bob"
    assert (await engine.info()).account == "bob"


async def test_another_shim_of_the_account_is_not_seen(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    for owner in ("other", "with=sign"):
        other = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id=owner)
        assert await other.list() == []
        await other.close()
    assert [found.owner for found in await engine.list()] == [OWNER]


class Heard:
    def __init__(self) -> None:
        self.words: list[object] = []

    def listed(self, containers: Sequence[Container], took: float) -> None:
        assert 0 < took < 5
        self.words.append(len(containers))

    def inspected(self, container: Container) -> None:
        self.words.append(container.phase)

    def removed(self, name: str) -> None:
        self.words.append(name)


async def test_whoever_wants_to_know_hears_of_everything_of_ours(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    heard = Heard()
    engine.subscribe(heard)
    await engine.list()
    await engine.create(spec())
    await engine.inspect("mesos-1")
    await engine.list()
    await engine.remove("mesos-1")
    await engine.remove("mesos-1")
    assert heard.words == [0, Phase.CREATED, 1, "mesos-1", "mesos-1"]
    other = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id="other")
    strange = Heard()
    other.subscribe(strange)
    await engine.create(spec())
    await other.inspect("mesos-1")
    assert strange.words == []
    await other.close()


async def test_a_log_is_followed_to_its_container_s_end(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo", "SIM_EXIT_AFTER=0.3"])
    (machine,) = at.datacenter.machines
    async with aclosing(engine.logs("mesos-1", since=0, follow=True)) as lines:
        assert await anext(lines) == (1, ANY, b"one\n")
        assert machine.state is State.RUNNING
        assert [text async for _, _, text in lines] == [b"two\n"]
    assert machine.state is State.STOPPED


async def test_of_a_long_log_the_end_can_be_asked_for(engine: TritonEngine, spec: Spec) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo\nthree"])
    async with aclosing(engine.logs("mesos-1", since=0, follow=False, tail=2)) as lines:
        assert [text async for _, _, text in lines] == [b"two\n", b"three\n"]


async def test_logs_are_cut_by_us_since_triton_ignores_since(
    engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec, Env=["SIM_OUTPUT=one\ntwo", "SIM_EXIT_AFTER=0.2"])
    async with aclosing(engine.logs("mesos-1", since=time.time() + 9, follow=False)) as lines:
        assert [line async for line in lines] == []


async def test_exec_looks_once_because_looking_forgets(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    result = await engine.exec("mesos-1", ["echo", "hi"], {}, 5)
    assert (result.exit_code, result.output) == (0, b"hi\n")
    assert (await engine.exec("mesos-1", ["sh", "-c", "exit 3"], {}, 5)).exit_code == 3
    assert (await engine.exec("mesos-1", ["env"], {"A": "b"}, 5)).output == b"A=b"
    assert at.endpoint.execs == {}


async def test_exec_errors(engine: TritonEngine, spec: Spec) -> None:
    await engine.create(spec())
    with pytest.raises(Permanent, match="is not running"):
        await engine.exec("mesos-1", ["true"], {}, 5)
    with pytest.raises(NotFound, match="No such exec"):
        await engine._exec_output("/exec/nothing")


async def test_pulls(engine: TritonEngine) -> None:
    heard: list[str] = []
    await engine.pull(parse_image("new/image"), None, heard.append)
    assert await engine.has_image(parse_image("new/image"))
    assert heard
    with pytest.raises(Permanent, match="image missing:1 not found in registry"):
        await engine.pull(parse_image("missing:1"), None, heard.append)
    with pytest.raises(Permanent, match="authentication required"):
        await engine.pull(parse_image("private:1"), None, heard.append)
    await engine.pull(parse_image("private:1"), Auth("u", "secret"), heard.append)
    with pytest.raises(Permanent, match="linux/arm64"):
        await engine.pull(parse_image("x"), None, heard.append, "linux/arm64")


async def test_an_endpoint_that_is_away_is_transient(at: Place) -> None:
    engine = TritonEngine("https://localhost:1", ClientLogin(at.certs), shim_id=OWNER)
    with pytest.raises(Transient) as caught:
        await engine.list()
    said = "list: https://localhost:1: cannot be reached: Connection refused"
    assert str(caught.value) == said
    with pytest.raises(Transient, match="localhost:1"):
        await engine._exec_output("/exec/x")
    await engine.close()


async def test_an_endpoint_that_cannot_prove_who_it_is_says_so(at: Place) -> None:
    (at.certs / "ca.pem").unlink()
    engine = TritonEngine(at.endpoint.url, ClientLogin(at.certs), shim_id=OWNER)
    with pytest.raises(Transient, match=r"its certificate does not verify: [\w -]+$"):
        await engine.list()
    await engine.close()


async def test_random_errors_are_transient(at: Place, engine: TritonEngine) -> None:
    at.options.error_rate = 1.0
    with pytest.raises(Transient, match="an internal error occurred"):
        await engine.list()


async def test_one_that_runs_is_removed_by_force(
    at: Place, engine: TritonEngine, spec: Spec
) -> None:
    await run(engine, spec)
    await engine.remove("mesos-1")
    assert at.left == []


async def test_nothing_is_left(at: Place, engine: TritonEngine, spec: Spec) -> None:
    await run(engine, spec, Env=["SIM_EXIT_AFTER=0.05"])
    await asyncio.sleep(0.1)
    assert at.left == ["mesos-1"]
    await engine.remove("mesos-1")
    await engine.remove("mesos-1")
    assert at.left == []
