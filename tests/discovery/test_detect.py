from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shim import limits
from shim.discovery.detect import consul_detector, leading
from shim.errors import ConfigError
from shim.model.ids import Pid
from tests.discovery.real import RealConsul
from tests.discovery.world import until


def node(address: str, *tags: str, port: Any = 5050) -> dict[str, Any]:
    return {
        "Node": {"Address": "192.0.2.1"},
        "Service": {"Address": address, "Port": port, "Tags": list(tags) or None},
    }


def test_one_instance_leads_or_the_one_that_says_so() -> None:
    assert leading([]) is None
    assert leading([node("a")]) == ("a", 5050)
    assert leading([node("")]) == ("192.0.2.1", 5050)
    assert leading([node("a"), node("b")]) is None
    assert leading([node("a", "master"), node("b", "master", "leader")]) == ("b", 5050)
    assert leading([node("a", "leader"), node("b", "leader")]) is None


@pytest.mark.parametrize(
    "url", ["consul://h:1/NAME", "consul://h:1/service/", "consul://h:1/service/a/b"]
)
def test_a_wrong_address_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=url):
        consul_detector(url, {})


def test_without_a_host_the_environment_names_consul() -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_ADDR"):
        consul_detector("consul:///service/mesos", {})
    consul_detector("consul:///service/mesos", {"CONSUL_HTTP_ADDR": "h:1"})


@pytest.mark.parametrize(
    "trash", [node("a..b"), node("127.0.0.1", port=70_000), node("127.0.0.1", port="x"), {}, "x"]
)
async def test_an_instance_that_is_no_address_is_none_and_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, trash: Any
) -> None:
    """Whoever may register in Consul must not be able to end an agent."""
    monkeypatch.setattr(limits, "CONSUL_RETRY_MAX", 0.1)
    monkeypatch.setattr(limits, "CONSUL_BLOCK_PAUSE", 0.01)
    answers: list[Any] = [[trash], [node("127.0.0.1")]]
    seen: list[Pid | None] = []
    detector = consul_detector("consul://127.0.0.1:1/service/mesos", {})

    async def service(name: str, **_: object) -> tuple[str, Any]:
        return "1", answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(detector._client.health, "service", service)
    task = asyncio.create_task(detector.run(seen.append))
    await until(lambda: seen == [Pid("master", "127.0.0.1", 5050)], 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.needs_consul
async def test_the_master_is_followed(own_consul: RealConsul) -> None:
    def register(key: str, *tags: str) -> None:
        body = {"ID": key, "Name": "mesos", "Port": 5050, "Address": key, "Tags": list(tags)}
        own_consul.call("PUT", "/v1/agent/service/register", body)

    seen: list[Pid | None] = []
    detector = consul_detector(f"consul://127.0.0.1:{own_consul.port}/service/mesos", {})
    task = asyncio.create_task(detector.run(seen.append))
    await until(lambda: seen == [None])
    register("127.0.0.2", "leader")
    register("127.0.0.3")
    await until(lambda: seen[1:] == [Pid("master", "127.0.0.2", 5050)])
    own_consul.kill()
    await asyncio.to_thread(own_consul.start)
    register("127.0.0.2")
    register("127.0.0.3", "leader")
    await until(lambda: seen[-1] == Pid("master", "127.0.0.3", 5050))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
