from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shim import limits
from shim.config.master import parse_master
from shim.discovery.consul_detector import ConsulDetector, leading_address
from shim.discovery.master_detector import detector_for
from shim.model.ids import Pid
from shim.wire.detect import StaticDetector
from shim.wire.zookeeper import ZooKeeperDetector
from tests.discovery.real_consul import RealConsul
from tests.support.wait import until


def node(address: str, *tags: str, port: Any = 5050) -> dict[str, Any]:
    return {
        "Node": {"Address": "192.0.2.1"},
        "Service": {"Address": address, "Port": port, "Tags": list(tags) or None},
    }


def test_the_only_instance_leads_or_the_one_tagged_leader() -> None:
    assert leading_address([]) is None
    assert leading_address([node("a")]) == ("a", 5050)
    assert leading_address([node("")]) == ("192.0.2.1", 5050)
    assert leading_address([node("a"), node("b")]) is None
    assert leading_address([node("a", "master"), node("b", "master", "leader")]) == ("b", 5050)
    assert leading_address([node("a", "leader"), node("b", "leader")]) is None


def detector(url: str) -> ConsulDetector:
    made = detector_for(parse_master(url, {}))
    assert isinstance(made, ConsulDetector)
    return made


def test_each_form_of_master_has_its_detector() -> None:
    assert isinstance(detector_for(parse_master("m:5050")), StaticDetector)
    assert isinstance(detector_for(parse_master("zk://m:2181/mesos")), ZooKeeperDetector)
    detector("consul://c:8500/service/mesos-master")


@pytest.mark.parametrize(
    "invalid", [node("a..b"), node("127.0.0.1", port=70_000), node("127.0.0.1", port="x"), {}, "x"]
)
async def test_an_invalid_instance_is_ignored_and_read_again(
    monkeypatch: pytest.MonkeyPatch, invalid: Any
) -> None:
    """A client that may register in Consul must not be able to end an agent."""
    monkeypatch.setattr(limits, "CONSUL_RETRY_MAX", 0.1)
    monkeypatch.setattr(limits, "CONSUL_BLOCK_PAUSE", 0.01)
    answers: list[Any] = [[invalid], [node("127.0.0.1")]]
    reported: list[Pid | None] = []
    watched = detector("consul://127.0.0.1:1/service/mesos")

    async def service(name: str, **_: object) -> tuple[str, Any]:
        return "1", answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(watched._client.health, "service", service)
    task = asyncio.create_task(watched.run(reported.append))
    await until(lambda: reported == [Pid("master", "127.0.0.1", 5050)])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.needs_consul
async def test_the_master_is_followed(own_consul: RealConsul) -> None:
    def register(key: str, *tags: str) -> None:
        body = {"ID": key, "Name": "mesos", "Port": 5050, "Address": key, "Tags": list(tags)}
        own_consul.call("PUT", "/v1/agent/service/register", body)

    reported: list[Pid | None] = []
    watched = detector(f"consul://127.0.0.1:{own_consul.port}/service/mesos")
    task = asyncio.create_task(watched.run(reported.append))
    await until(lambda: reported == [None])
    register("127.0.0.2", "leader")
    register("127.0.0.3")
    await until(lambda: reported[1:] == [Pid("master", "127.0.0.2", 5050)])
    own_consul.kill()
    await asyncio.to_thread(own_consul.start)
    register("127.0.0.2")
    register("127.0.0.3", "leader")
    await until(lambda: reported[-1] == Pid("master", "127.0.0.3", 5050))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
