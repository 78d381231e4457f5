from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from shim import limits
from shim.config.consul import consul_config
from shim.discovery.consul_client import ConsulClient
from shim.errors import ConfigError, NotFound, Permanent, Transient
from tests.discovery.real_consul import make_certificates

Connect = Callable[..., Awaitable[ConsulClient]]


class ScriptedServer:
    """A server with a list of answers. The last one is repeated; status 0 never answers."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.requests: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer[0] == 0:
            await asyncio.sleep(30)
        return web.Response(status=answer[0], text=answer[1])


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    runners, clients = [], []

    async def make(script: ScriptedServer, **env: str) -> ConsulClient:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", script.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        if socket := env.pop("socket", ""):
            await web.UnixSite(runner, socket).start()
            address = f"unix://{socket}"
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"127.0.0.1:{runner.addresses[0][1]}"
        config = consul_config(address, "all", "mesos", env)
        assert config is not None
        client = ConsulClient(config)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, "Invalid check", Permanent),
        (403, "Permission denied: Missing service:write on web", Permanent),
        (404, "unknown service ID", NotFound),
        (429, "slow down", Transient),
        (500, "No cluster leader", Transient),
        (500, 'CheckID "x" does not have associated TTL', NotFound),
        (503, "", Transient),
        (302, "", Permanent),
    ],
)
async def test_errors_carry_consuls_own_text(
    connect: Connect, status: int, body: str, error: type[Exception]
) -> None:
    client = await connect(ScriptedServer((status, body)))
    with pytest.raises(error) as caught:
        await client.update_check("x", True, "note")
    assert type(caught.value) is error
    assert f"PUT /v1/agent/check/pass/x: {status} {body}".strip() in str(caught.value)


async def test_a_500_answer_is_retried(connect: Connect) -> None:
    script = ScriptedServer((500, "No cluster leader"), (200, ""))
    await (await connect(script)).register({"Name": "a"})
    assert len(script.requests) == 2


async def test_retries_are_bounded_and_a_403_is_not_retried(connect: Connect) -> None:
    script = ScriptedServer((500, "rpc error"))
    with pytest.raises(Transient):
        await (await connect(script)).register({"Name": "a"})
    assert len(script.requests) == limits.CONSUL_ATTEMPTS
    script = ScriptedServer((403, "ACL not found"))
    with pytest.raises(Permanent):
        await (await connect(script)).register({"Name": "a"})
    assert len(script.requests) == 1


async def test_deregistering_a_missing_service_succeeds(connect: Connect) -> None:
    await (await connect(ScriptedServer((500, 'Unknown service "x"')))).deregister("x")


@pytest.mark.parametrize("body", ["", "<html>", "[]"])
async def test_an_answer_that_is_not_consuls_is_transient(connect: Connect, body: str) -> None:
    client = await connect(ScriptedServer((200, body)))
    with pytest.raises(Transient, match="not an answer of a Consul agent"):
        await client.services("me")


async def test_a_call_without_answer_times_out(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_TIMEOUT", 0.05)
    client = await connect(ScriptedServer((0, "")))
    with pytest.raises(Transient, match="no answer in time"):
        await client.has_service("x")


async def test_an_oversized_answer_is_an_error(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_BODY", 10)
    client = await connect(ScriptedServer((200, '{"a": "123456789"}')))
    with pytest.raises(Transient, match="more than 10 bytes"):
        await client.services("me")


async def test_a_refused_connection_names_the_address() -> None:
    config = consul_config("127.0.0.1:1", "all", "mesos", {})
    assert config is not None
    client = ConsulClient(config)
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1"):
        await client.services("me")
    await client.close()


async def test_the_token_goes_in_the_header_with_every_call(
    connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    script = ScriptedServer((200, "{}"))
    env = {"CONSUL_HTTP_AUTH": "user:pw", "CONSUL_NAMESPACE": "team"}
    client = await connect(script, CONSUL_HTTP_TOKEN="from-env", **env)
    await client.services("me")
    await client.deregister("x")
    await client.update_check("x", False, "a b")
    await client.enter_maintenance("x", "why")
    for request in script.requests:
        assert request.headers["X-Consul-Token"] == "from-env"
        assert request.headers["X-Consul-Namespace"] == "team"
        assert request.headers["Authorization"].startswith("Basic ")
        assert "token" not in request.query
    assert script.requests[2].query["note"] == "a b"
    client = await connect(script, CONSUL_HTTP_TOKEN_FILE=str(tmp_path / "token"))
    await client.services("me")
    assert script.requests[-1].headers["X-Consul-Token"] == "from-file"


async def test_a_unix_socket(connect: Connect, tmp_path: Path) -> None:
    client = await connect(ScriptedServer((200, "{}")), socket=str(tmp_path / "consul.sock"))
    assert await client.services("me") == {}


async def test_python_consuls_own_environment_variables_are_ignored(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "https://elsewhere:1")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "another token")
    script = ScriptedServer((200, "{}"))
    await (await connect(script)).services("me")
    assert "X-Consul-Token" not in script.requests[0].headers


@pytest.mark.parametrize(
    "env",
    [
        {"CONSUL_HTTP_TOKEN_FILE": "/nonexistent/token"},
        {"CONSUL_CACERT": "/nonexistent/ca.pem"},
        {"CONSUL_CLIENT_CERT": "/nonexistent/c.pem", "CONSUL_CLIENT_KEY": "/nonexistent/k.pem"},
    ],
)
def test_a_file_that_cannot_be_read_is_named(env: dict[str, str]) -> None:
    config = consul_config("https://127.0.0.1:1", "all", "mesos", env)
    assert config is not None
    with pytest.raises(ConfigError) as caught:
        ConsulClient(config)
    for variable, path in env.items():
        assert f"{variable}={path!r}" in str(caught.value)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    env = {
        "CONSUL_CLIENT_CERT": str(tmp_path / "client.pem"),
        "CONSUL_CLIENT_KEY": str(tmp_path / "server.key"),
    }
    config = consul_config("https://127.0.0.1:1", "all", "mesos", env)
    assert config is not None
    with pytest.raises(ConfigError, match="CONSUL_CLIENT_KEY"):
        ConsulClient(config)
