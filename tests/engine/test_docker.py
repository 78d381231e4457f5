"""DockerEngine against an endpoint that misbehaves: what a well-behaved one never shows."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from shim import limits
from shim.engine.api import Auth, ContainerSpec, ImageRef
from shim.engine.client import transport
from shim.engine.client.endpoint import resolve
from shim.engine.client.http_engine import registry_auth
from shim.engine.docker import DockerEngine
from shim.errors import Ambiguous, NameTaken, NotFound, Permanent, Transient
from shim.model.container import LABEL_CONTAINER, LABEL_SHIM
from shim.model.volume import Volume
from tests.engine.client.certificates import Authority
from tests.support.wait import patience

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IMAGE = ImageRef("reg:5000/a:1", "reg:5000/a", "1", "reg:5000")
VERSION = {"Version": "99", "ApiVersion": "1.41"}


class Daemon:
    """Answers with a handler for each path, without the version."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.seen: list[web.Request] = []
        self.version = VERSION

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if request.path == "/version":
            return web.json_response(self.version)
        return await self.handlers[request.path.split("/", 2)[2]](request)

    def answer(self, path: str, **kwargs: object) -> None:
        async def handler(request: web.Request) -> web.Response:
            return web.Response(**kwargs)  # type: ignore[arg-type]

        self.handlers[path] = handler


@asynccontextmanager
async def served(
    daemon: Daemon, tmp_path: Path, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    server = web.Server(daemon.serve)  # type: ignore[arg-type]
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site: web.BaseSite
    if tls is None:
        site = web.UnixSite(runner, str(tmp_path / "docker.sock"))
        await site.start()
        yield f"unix://{tmp_path / 'docker.sock'}"
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        yield f"tcp://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def engine(daemon: Daemon, tmp_path: Path) -> AsyncIterator[DockerEngine]:
    async with served(daemon, tmp_path) as host:
        made = DockerEngine(resolve(host), shim_id="me")
        yield made
        await made.close()


def spec(platform: str = "") -> ContainerSpec:
    return ContainerSpec("mesos-1", IMAGE, {"Image": IMAGE.text}, platform=platform)


@pytest.mark.parametrize(
    ("theirs", "spoken"), [("1.41", "1.41"), ("1.51", "1.51"), ("1.99", "1.51"), ("1.9", "1.9")]
)
async def test_the_newest_api_version_that_both_sides_know_is_used(
    daemon: Daemon, engine: DockerEngine, theirs: str, spoken: str
) -> None:
    daemon.version = {"Version": "1", "ApiVersion": theirs}
    daemon.answer("containers/x/start", status=204)
    await engine.start("x")
    await engine.start("x")
    assert [request.path for request in daemon.seen] == [
        "/version",
        f"/v{spoken}/containers/x/start",
        f"/v{spoken}/containers/x/start",
    ]


async def test_a_create_sends_name_platform_and_body(daemon: Daemon, engine: DockerEngine) -> None:
    async def create(request: web.Request) -> web.Response:
        assert await request.json() == {"Image": "reg:5000/a:1"}
        return web.json_response({"Id": "abc", "Warnings": []}, status=201)

    daemon.handlers["containers/create"] = create
    assert await engine.create(spec("linux/arm64")) == "abc"
    assert dict(daemon.seen[-1].query) == {"name": "mesos-1", "platform": "linux/arm64"}
    await engine.create(spec())
    assert dict(daemon.seen[-1].query) == {"name": "mesos-1"}


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("info", lambda engine: engine.info()),
        ("containers/json", lambda engine: engine.list()),
        ("containers/x/json", lambda engine: engine.inspect("x")),
        ("containers/create", lambda engine: engine.create(spec())),
        ("containers/x/stats", lambda engine: engine.stats("x")),
        ("containers/x/exec", lambda engine: engine.exec("x", ["true"], {}, 5)),
        ("images/create", lambda engine: engine.pull(IMAGE, None, lambda text: None)),
    ],
)
@pytest.mark.parametrize("body", ["<html>hello</html>", "[1]", '"text"'])
async def test_an_answer_that_is_not_dockers_is_transient(
    daemon: Daemon,
    engine: DockerEngine,
    path: str,
    call: Callable[[DockerEngine], Awaitable[object]],
    body: str,
) -> None:
    daemon.answer(path, text=body)
    with pytest.raises(Transient, match="is not Docker's"):
        await call(engine)


@pytest.mark.parametrize("body", ["{}", '""', "null"])
async def test_an_answer_that_is_no_list_is_not_an_empty_list(
    daemon: Daemon, engine: DockerEngine, body: str
) -> None:
    daemon.answer("containers/json", text=body)
    with pytest.raises(Transient, match="is not Docker's"):
        await engine.list()


@pytest.mark.parametrize("event", ['{"Actor": 5}', '{"Actor": {"Attributes": "x"}}', "[1]", "x"])
async def test_a_malformed_event_ends_the_stream_only(
    daemon: Daemon, engine: DockerEngine, event: str
) -> None:
    daemon.answer("events", text=f"{event}\n")
    with pytest.raises(Transient, match="is not Docker's"):
        async with aclosing(engine.events()) as names:
            assert [name async for name in names] == [""]


async def test_a_line_that_is_too_long_ends_the_stream_only(
    daemon: Daemon, engine: DockerEngine
) -> None:
    """An event repeats every label of its container, and a task may bring megabytes of them."""
    event = {"Actor": {"Attributes": {"name": "x", "label": "l" * 2**20}}}
    daemon.answer("events", text=f"{json.dumps(event)}\n")
    with pytest.raises(Transient, match="events: unix:"):
        async with aclosing(engine.events()) as names:
            assert [name async for name in names] == [""]
    daemon.answer("images/create", text=f"{json.dumps({'status': 's' * 2**20})}\n")
    with pytest.raises(Transient, match="pull: unix:"):
        await engine.pull(IMAGE, None, lambda text: None)


@pytest.mark.parametrize("labels", [{LABEL_SHIM: "me"}, {LABEL_SHIM: "another"}, None])
async def test_a_volume_is_inspected_where_the_answer_to_its_create_lacks_the_labels(
    daemon: Daemon, engine: DockerEngine, labels: dict[str, str] | None
) -> None:
    """So does an engine that was restarted, once for each volume."""
    daemon.answer("volumes/create", text=json.dumps({"Name": "v", "Labels": None}))
    daemon.answer("volumes/v", text=json.dumps({"Name": "v", "Labels": labels}))
    volume = Volume("v", {LABEL_SHIM: "me"}, "local")
    if labels == volume.labels:
        await engine.create_volume(volume)
    else:
        with pytest.raises(NameTaken, match="not this agent's"):
            await engine.create_volume(volume)


async def test_a_missing_endpoint_is_transient(tmp_path: Path) -> None:
    for host in (f"unix://{tmp_path}/missing.sock", "tcp://127.0.0.1:1"):
        engine = DockerEngine(resolve(host), shim_id="me")
        with pytest.raises(Transient, match=host):
            await engine.list()
        await engine.close()


async def test_an_endpoint_that_hangs_is_transient(
    daemon: Daemon, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    daemon.handlers["containers/x/stop"] = hang
    monkeypatch.setattr(limits, "ENGINE_STOP_SLACK", 0.1)
    with pytest.raises(Transient, match="stop: no answer from unix:"):
        await engine.stop("x", 0)


async def test_a_connection_that_breaks_is_transient(daemon: Daemon, engine: DockerEngine) -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    daemon.handlers["containers/x/start"] = cut
    with pytest.raises(Transient, match="start: unix:"):
        await engine.start("x")


async def test_maintenance_has_a_retry_after(daemon: Daemon, engine: DockerEngine) -> None:
    daemon.answer("containers/json", status=503, text="back soon", headers={"Retry-After": "7"})
    with pytest.raises(Transient, match="back soon") as caught:
        await engine.list()
    assert caught.value.retry_after == 7


async def test_a_list_asks_for_the_shims_label(daemon: Daemon, engine: DockerEngine) -> None:
    daemon.answer("containers/json", text="[]")
    assert await engine.list() == []
    query = daemon.seen[-1].query
    assert (query["all"], json.loads(query["filters"])) == ("1", {"label": ["mesos-shim.id=me"]})


async def test_names_are_quoted_in_paths(daemon: Daemon, engine: DockerEngine) -> None:
    daemon.answer("containers/a/b/json", status=404, text="No such container: a/b")
    daemon.answer("containers/json", text="[]")
    with pytest.raises(NotFound):
        await engine.inspect("a/b")
    paths = [request.rel_url.raw_path for request in daemon.seen]
    assert "/v1.41/containers/a%2Fb/json" in paths


# --- pulls --------------------------------------------------------------------------------


def chunks(*pieces: dict[str, object], cut: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(json.dumps(piece).encode() + b"\r\n")
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handler


async def test_a_pull_reports_progress(daemon: Daemon, engine: DockerEngine) -> None:
    daemon.handlers["images/create"] = chunks(
        {"status": "Pulling fs layer", "id": "a"}, {"status": "Pull complete", "id": "a"}
    )
    said: list[str] = []
    await engine.pull(IMAGE, Auth("me", "secret", server="reg:5000"), said.append, "linux/arm64")
    assert said == ["0 of 1 layers", "1 of 1 layers"]
    request = daemon.seen[-1]
    assert dict(request.query) == {
        "fromImage": "reg:5000/a",
        "tag": "1",
        "platform": "linux/arm64",
    }
    sent = json.loads(base64.urlsafe_b64decode(request.headers["X-Registry-Auth"]))
    assert sent == {"username": "me", "password": "secret", "serveraddress": "reg:5000"}


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        ({"error": "denied: no"}, Permanent),
        ({"errorDetail": {"message": "denied: no"}, "error": "x"}, Permanent),
        ({"errorDetail": {"message": "denied: i/o timeout"}}, Ambiguous),
    ],
)
async def test_an_error_inside_the_stream_fails_the_pull(
    daemon: Daemon, engine: DockerEngine, piece: dict[str, object], kind: type[Exception]
) -> None:
    daemon.handlers["images/create"] = chunks({"status": "x"}, piece)
    with pytest.raises(kind, match="denied") as caught:
        await engine.pull(IMAGE, None, lambda text: None)
    assert type(caught.value) is kind
    assert "X-Registry-Auth" not in daemon.seen[-1].headers


async def test_a_pull_whose_connection_breaks_fails(daemon: Daemon, engine: DockerEngine) -> None:
    daemon.handlers["images/create"] = chunks({"status": "Downloading", "id": "a"}, cut=True)
    with pytest.raises(Transient):
        await engine.pull(IMAGE, None, lambda text: None)


async def test_a_silent_pull_times_out(
    daemon: Daemon, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(5)
        return response

    daemon.handlers["images/create"] = hang
    monkeypatch.setattr("shim.engine.docker.STREAM", transport.time_limit(idle=0.1))
    with pytest.raises(Transient, match="no answer"):
        await engine.pull(IMAGE, None, lambda text: None)


def test_an_identity_token_replaces_user_and_password() -> None:
    sent = json.loads(base64.urlsafe_b64decode(registry_auth(Auth("", "", "token", "reg"))))
    assert sent == {"identitytoken": "token", "serveraddress": "reg"}


# --- streams ------------------------------------------------------------------------------


async def test_an_event_stream_that_breaks_is_transient(
    daemon: Daemon, engine: DockerEngine
) -> None:
    event: dict[str, object] = {
        "Type": "container",
        "Action": "die",
        "Actor": {"Attributes": {"name": "mesos-1"}},
    }
    daemon.handlers["events"] = chunks(event, cut=True)
    got: list[str] = []

    async def listen() -> None:
        async with aclosing(engine.events()) as events:
            async for name in events:
                got.append(name)  # noqa: PERF401 (what came before the error counts)

    with pytest.raises(Transient):
        await listen()
    assert got[0] == ""
    filters = json.loads(daemon.seen[-1].query["filters"])
    assert filters["label"] == ["mesos-shim.id=me"]


async def test_a_silent_event_stream_ends_without_an_error(
    daemon: Daemon, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine on which nothing happens sends nothing for hours."""
    monkeypatch.setattr("shim.engine.docker.STREAM", transport.time_limit(idle=0.1))

    async def silence(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response

    daemon.handlers["events"] = silence
    async with aclosing(engine.events()) as names:
        assert [name async for name in names] == [""]


async def test_an_event_of_a_renamed_container_has_its_first_name(
    daemon: Daemon, engine: DockerEngine
) -> None:
    attributes = {"name": "by-hand", LABEL_CONTAINER: "1F"}
    daemon.answer("events", text=json.dumps({"Actor": {"Attributes": attributes}}) + "\n")
    async with aclosing(engine.events()) as names:
        assert [name async for name in names] == ["", "mesos-1f"]


async def test_long_calls_never_delay_short_ones(tmp_path: Path) -> None:
    daemon = Daemon()
    gate = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(status=204)

    for number in range(20):
        daemon.handlers[f"containers/{number}/stop"] = hang
    daemon.answer("containers/json", text="[]")
    async with served(daemon, tmp_path) as host:
        engine = DockerEngine(resolve(host), shim_id="me", connections=2)
        stops = [asyncio.create_task(engine.stop(str(number), 60)) for number in range(20)]
        await asyncio.sleep(0.05)
        async with patience():
            assert await engine.list() == []
        gate.set()
        await asyncio.gather(*stops)
        await engine.close()


async def test_short_calls_share_a_bounded_number_of_connections(tmp_path: Path) -> None:
    daemon = Daemon()
    links: set[object] = set()

    async def listed(request: web.Request) -> web.Response:
        links.add(request.transport)
        await asyncio.sleep(0.01)
        return web.Response(text="[]")

    daemon.handlers["containers/json"] = listed
    async with served(daemon, tmp_path) as host:
        engine = DockerEngine(resolve(host), shim_id="me", connections=3)
        await asyncio.gather(*(engine.list() for _ in range(30)))
        await engine.close()
    assert len(links) <= 3


# --- TLS ----------------------------------------------------------------------------------


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    authority = Authority()
    authority.write(tmp_path / "ca.pem")
    for side in ("", "server-"):
        authority.issue(tmp_path / f"{side}cert.pem", tmp_path / f"{side}key.pem", "us")
    return tmp_path


def daemon_tls(certs: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certs / "ca.pem")
    context.load_cert_chain(certs / "server-cert.pem", certs / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_both_sides_present_their_certificates(daemon: Daemon, certs: Path) -> None:
    daemon.answer("containers/json", text="[]")
    async with served(daemon, certs, daemon_tls(certs)) as host:
        engine = DockerEngine(resolve(host, str(certs), environ={}), shim_id="me")
        assert await engine.list() == []
        assert not engine._http.endpoint.is_local
        await engine.close()


async def test_a_daemon_certified_by_another_authority_is_rejected(
    daemon: Daemon, certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = tmp_path_factory.mktemp("others")
    authority = Authority()
    authority.write(others / "ca.pem")
    authority.issue(others / "cert.pem", others / "key.pem", "stranger")
    async with served(daemon, certs, daemon_tls(certs)) as host:
        engine = DockerEngine(resolve(host, str(others), environ={}), shim_id="me")
        with pytest.raises(Transient, match="its certificate does not verify"):
            await engine.list()
        await engine.close()


async def test_the_disk_size_of_a_remote_engine_is_a_default(
    daemon: Daemon, engine: DockerEngine
) -> None:
    described = {
        "Name": "there",
        "NCPU": 4,
        "MemTotal": 8 * 2**30,
        "DockerRootDir": "/nowhere/at/all",
    }
    daemon.answer("info", text=json.dumps(described))
    info = await engine.info()
    assert (info.name, info.cpus, info.memory_mb) == ("there", 4.0, 8192)
    assert (info.kind, info.version, info.api_version) == ("docker", "99", "1.41")
    assert info.disk_mb == 100 * 1024


async def test_an_endless_answer_is_rejected(
    daemon: Daemon, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ENGINE_ANSWER_BYTES", 1000)
    daemon.answer("containers/json", text=" " * 1001)
    with pytest.raises(Permanent, match="more than 1000 bytes"):
        await engine.list()


def test_every_call_has_a_time_limit() -> None:
    for limit in (transport.QUICK, transport.WORK):
        assert limit.total
    assert transport.STREAM.sock_read
    assert isinstance(transport.QUICK, aiohttp.ClientTimeout)
