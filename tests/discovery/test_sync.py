from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from shim import limits
from shim.discovery.consul_client import ConsulClient
from shim.discovery.desired_state import ENDING
from shim.discovery.services import Service, agent_service, task_services
from shim.errors import Transient
from shim.model.orders import Publish
from tests.discovery.fake_consul import FakeConsul
from tests.discovery.running import in_sync, running
from tests.discovery.tasks import CONTEXT, discovery, publish, ref, task
from tests.support.wait import PATIENCE, until

HEALTH = "health_check { type: TCP tcp { port: 80 } }"


def order(number: int = 1, healthy: bool | None = True, name: str = "web") -> Publish:
    info = task(HEALTH + discovery("number: 80"), name=name)
    return publish(info, healthy=healthy, number=number)


def service(number: int = 1, healthy: bool | None = True) -> Service:
    return task_services(order(number, healthy), CONTEXT).services[0]


def address(fake: FakeConsul) -> str:
    return f"127.0.0.1:{fake.port}"


@contextmanager
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "CONSUL_RETRY_MIN", 0.02)
        patch.setattr(limits, "CONSUL_RETRY_MAX", 0.1)
        yield


async def resyncs(fake: FakeConsul, count: int) -> None:
    """Wait for ``count`` more complete resyncs."""
    end = fake.reads + count + 1
    await until(lambda: fake.reads >= end)


async def test_register_update_and_withdraw_of_a_task(fake: FakeConsul) -> None:
    async with running(address(fake), CONTEXT) as sync:
        sync.publish(order(healthy=None))
        await until(lambda: in_sync(sync))
        assert fake.checks[service().check_id]["Status"] == "critical"
        sync.publish(order(healthy=True))
        await until(lambda: fake.checks[service().check_id]["Status"] == "passing")
        assert await sync.withdraw(ref(), timeout=PATIENCE)
        assert fake.services == {}
        assert fake.writes == {"register": 1, "report": 1, "maintenance": 1, "deregister": 1}


async def test_a_task_that_is_published_after_its_withdrawal_is_registered(
    fake: FakeConsul,
) -> None:
    """An executor reports TASK_STARTING and TASK_RUNNING at once: one order after the other."""
    async with running(address(fake), CONTEXT) as sync:
        await until(lambda: sync.stats.connected)
        withdrawal = sync.withdraw(ref(), timeout=PATIENCE)
        sync.publish(order())
        assert await withdrawal, "there was nothing to withdraw"
        await until(lambda: list(fake.services) == [service().id])
        assert in_sync(sync)


async def test_ten_thousand_services_and_nothing_to_write(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_TASK_TTL", 1e9)  # No TTL update is due.
    for number in range(10_000):
        fake.add(service(number))
    async with running(address(fake), CONTEXT) as sync:
        for number in range(10_000):
            sync.publish(order(number))
        sync.enable_orphan_removal()
        await until(lambda: sync.stats.connected)
        await resyncs(fake, 2)
        assert sync.stats.registered == 10_000
        assert fake.writes == {}


async def test_an_empty_list_is_verified_before_it_is_accepted(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_RETRY_MIN", 0.02)
    async with running(address(fake), CONTEXT) as sync:
        sync.publish(order())
        await until(lambda: in_sync(sync))
        sync.enable_orphan_removal()
        fake.writes.clear()
        fake.hides_services = True
        await until(lambda: not sync.stats.connected)
        await resyncs(fake, 1)
        assert fake.writes == {}
        fake.hides_services = False
        await until(lambda: in_sync(sync))
        assert fake.writes == {}


async def test_everything_is_registered_again_at_a_consul_that_lost_it(fake: FakeConsul) -> None:
    async with running(address(fake), CONTEXT) as sync:
        sync.publish(order(1))
        sync.publish(order(2))
        await until(lambda: in_sync(sync))
        fake.services.clear()
        fake.checks.clear()
        await until(lambda: len(fake.services) == 2)


@pytest.mark.parametrize("refusal", [(500, "No cluster leader"), (403, "ACL not found"), (200, "")])
async def test_nothing_is_written_on_a_failed_read(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch, refusal: tuple[int, str]
) -> None:
    fake.add(service(2))
    with quick(monkeypatch):
        async with running(address(fake), CONTEXT) as sync:
            sync.enable_orphan_removal()
            fake.refusal = refusal
            sync.publish(order())
            await until(lambda: sync.stats.failures > 3)
            assert fake.writes == {}
            fake.refusal = None
            await until(lambda: list(fake.services) == [service().id])


async def test_orphans_stay_until_their_removal_is_enabled(fake: FakeConsul) -> None:
    fake.add(service(7))
    foreign = task_services(order(8), replace(CONTEXT, owner="shim-2")).services[0]
    fake.add(foreign)
    async with running(address(fake), CONTEXT) as sync:
        await resyncs(fake, 3)
        assert len(fake.services) == 2
        sync.enable_orphan_removal()
        await until(lambda: list(fake.services) == [foreign.id])


async def test_orders_do_not_wait_for_a_consul_that_is_down(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quick(monkeypatch):
        async with running(address(fake), CONTEXT) as sync:
            sync.publish(order(1))
            await until(lambda: in_sync(sync))
            await fake.stop()
            await until(lambda: not sync.stats.connected)
            before = time.monotonic()
            for number in range(2, 500):
                sync.publish(order(number))
            assert not await sync.withdraw(ref(1), timeout=2 * PATIENCE)
            assert time.monotonic() - before < PATIENCE
            assert sync.stats.pending <= 500
            await fake.start()
            await until(lambda: in_sync(sync))
            assert service(1).id not in fake.services
            assert len(fake.services) == 498


async def test_retries_go_on_after_days_without_consul(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More failures in a row than a float has powers of two."""
    monkeypatch.setattr(limits, "CONSUL_RETRY_MIN", 0.0)
    monkeypatch.setattr(limits, "CONSUL_RETRY_MAX", 0.0)

    async def no_answer(self: ConsulClient, owner: str) -> None:
        raise Transient("no answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(ConsulClient, "services", no_answer)
        async with running(address(fake), CONTEXT) as sync:
            sync.publish(order())
            await until(lambda: sync.stats.failures > 1100)
            patch.undo()
            await until(lambda: in_sync(sync))


async def test_a_withdrawal_from_a_hanging_consul_ends_at_its_timeout(
    fake: FakeConsul,
) -> None:
    async with running(address(fake), CONTEXT, interval=60) as sync:
        sync.publish(order())
        await until(lambda: in_sync(sync))
        fake.answers_requests.clear()
        before = time.monotonic()
        assert not await sync.withdraw(ref(), timeout=0.1)
        assert time.monotonic() - before < limits.CONSUL_TIMEOUT / 2, "the wait exceeds the timeout"
        fake.answers_requests.set()
        await until(lambda: fake.services == {})


async def test_a_waiting_withdrawal_ends_when_consul_goes_down(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quick(monkeypatch):
        async with running(address(fake), CONTEXT, interval=60) as sync:
            sync.publish(order())
            await until(lambda: in_sync(sync))
            await fake.stop()
            before = time.monotonic()
            assert not await sync.withdraw(ref(), timeout=2 * PATIENCE)
            assert time.monotonic() - before < PATIENCE


async def test_a_refused_registration_is_logged_once_and_not_repeated(
    fake: FakeConsul, caplog: pytest.LogCaptureFixture
) -> None:
    fake.refuse_names.add("forbidden")
    async with running(address(fake), CONTEXT) as sync:
        sync.publish(order(1, name="forbidden"))
        sync.publish(order(2))
        await until(lambda: len(fake.services) == 1 and sync.stats.refused == 1)
        await resyncs(fake, 3)
        said = [r for r in caplog.records if "Missing service:write" in r.getMessage()]
        assert len(said) == 1
        assert sync.stats.connected
        fake.refuse_names.clear()
        sync.publish(order(1, healthy=False, name="forbidden"))
        await until(lambda: len(fake.services) == 2)


async def test_own_maintenance_is_ended_and_an_operators_is_kept(fake: FakeConsul) -> None:
    for number, why in ((1, ENDING), (2, "by hand"), (3, "by hand")):
        fake.add(service(number))
        fake.checks[f"_service_maintenance:{service(number).id}"] = {
            "Status": "critical",
            "Notes": why,
            "ServiceID": service(number).id,
            "ttl": False,
        }
    fake.services[service(3).id]["Port"] = 1
    async with running(address(fake), CONTEXT) as sync:
        for number in (1, 2, 3):
            sync.publish(order(number))
        await until(lambda: in_sync(sync))
        await resyncs(fake, 1)
        held = {key for key in fake.checks if key.startswith("_service_maintenance")}
        assert held == {f"_service_maintenance:{service(n).id}" for n in (2, 3)}
        assert fake.services[service(3).id]["Port"] == 80


async def test_a_lost_check_is_registered_again(fake: FakeConsul) -> None:
    async with running(address(fake), CONTEXT, interval=60) as sync:
        sync.publish(order(healthy=False))
        await until(lambda: in_sync(sync))
        fake.checks.clear()
        sync.publish(order(healthy=True))
        await until(lambda: fake.checks.get(service().check_id, {}).get("Status") == "passing")


async def test_the_agents_own_service_is_kept_passing_and_withdrawn(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_AGENT_TTL", 0.3)
    healthy = [True]

    def own_service() -> Service:
        return agent_service(CONTEXT, "S0", "192.0.2.9", 5051, healthy[0])

    async with running(address(fake), CONTEXT, own_service=own_service) as sync:
        await until(lambda: fake.writes["report"] >= 3)
        check = fake.checks[own_service().check_id]
        assert check["Status"] == "passing"
        assert fake.writes["register"] == 1
        healthy[0] = False
        await until(lambda: check["Status"] == "critical")
        assert await sync.withdraw_agent(timeout=PATIENCE)
        assert fake.services == {}
        await asyncio.sleep(0.3)
        assert fake.services == {}


async def test_a_changed_name_is_logged_once(
    fake: FakeConsul, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(address(fake), CONTEXT) as sync:
        for healthy in (None, True, False):
            sync.publish(order(healthy=healthy, name="My_Web"))
        await until(lambda: in_sync(sync))
    assert [r.getMessage() for r in caplog.records if "my-web" in r.getMessage()] == [
        f"task {ref()} in Consul: name 'My_Web' is registered as 'my-web', which DNS can find"
    ]


async def test_services_beyond_the_bound_are_not_registered(
    fake: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_SERVICES", 2)
    async with running(address(fake), CONTEXT) as sync:
        for number in range(4):
            sync.publish(order(number))
        await until(lambda: in_sync(sync))
        assert len(fake.services) == 2
