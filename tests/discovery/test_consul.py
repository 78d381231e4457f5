"""Against a real Consul, as Debian packages it."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

import pytest

from shim import limits
from shim.discovery.config import Checks
from shim.discovery.desired_state import ENDING
from shim.discovery.services import ServiceContext, agent_service, registration
from shim.errors import Permanent, Transient
from shim.model.orders import Publish
from tests.discovery.real import RealConsul
from tests.discovery.tasks import SITE, discovery, publish, ref, task
from tests.discovery.world import client_of, running, settled, until

pytestmark = pytest.mark.needs_consul

HEALTH = "health_check { type: TCP tcp { port: 80 } }"


@pytest.fixture
def site() -> ServiceContext:
    """An owner, and names, of this test alone."""
    return replace(SITE, owner=f"shim-{uuid.uuid4().hex[:8]}")


def order(
    site: ServiceContext, number: int = 1, healthy: bool | None = True, name: str = ""
) -> Publish:
    info = task(HEALTH + discovery("number: 80"), name=name or f"web-{site.owner}")
    return publish(info, healthy=healthy, number=number)


def found(consul: RealConsul, site: ServiceContext) -> list[tuple[str, int]]:
    return consul.passing(f"web-{site.owner}")


def ours(consul: RealConsul, site: ServiceContext) -> list[str]:
    services = consul.call("GET", "/v1/agent/services")
    return sorted(key for key in services if key.startswith(site.prefix))


async def test_life_of_a_registration(plain_consul: RealConsul, site: ServiceContext) -> None:
    async with running(plain_consul.address, site) as sync:
        sync.publish(order(site, healthy=None))
        await until(lambda: settled(sync))
        assert len(ours(plain_consul, site)) == 1
        assert found(plain_consul, site) == []
        sync.publish(order(site, healthy=True))
        await until(lambda: found(plain_consul, site) == [("10.0.0.7", 80)])
        sync.publish(order(site, healthy=False))
        await until(lambda: found(plain_consul, site) == [])
        assert await sync.withdraw(ref(), timeout=10)
        assert ours(plain_consul, site) == []


async def test_a_restart_of_the_shim_writes_nothing(
    plain_consul: RealConsul, site: ServiceContext
) -> None:
    nasty = {f"k {i}": "ü" * i for i in range(0, 700, 11)} | {"urlprefix-/ä": "tag", "b": "a\n"}
    orders = [order(site, number) for number in range(100)]
    info = task(discovery('number: 1 name: "A_b"', 'number: 2 protocol: "udp"'), labels=nasty)
    orders.append(publish(info, ("fd00::1",), number=100))
    async with running(plain_consul.address, site) as sync:
        for each in orders:
            sync.publish(each)
        await until(lambda: settled(sync))
        assert sync.stats.writes == 102
    async with running(plain_consul.address, site) as sync:
        for each in orders:
            sync.publish(each)
        sync.ready()
        await until(lambda: settled(sync))
        await asyncio.sleep(0.5)
        assert sync.stats.writes == 0
        assert sync.stats.known == 102


async def test_what_ended_while_the_shim_was_away_goes(
    plain_consul: RealConsul, site: ServiceContext
) -> None:
    async with running(plain_consul.address, site) as sync:
        for number in (1, 2):
            sync.publish(order(site, number))
        await until(lambda: settled(sync))
    async with running(plain_consul.address, site) as sync:
        sync.publish(order(site, 2))
        await asyncio.sleep(0.5)
        assert len(ours(plain_consul, site)) == 2
        sync.ready()
        await until(lambda: len(ours(plain_consul, site)) == 1)
        assert found(plain_consul, site) == [("10.0.0.7", 80)]


async def test_two_shims_leave_one_another_alone(
    plain_consul: RealConsul, site: ServiceContext
) -> None:
    # A name that begins as the other's does.
    other = replace(site, owner=f"{site.owner}-b")
    async with (
        running(plain_consul.address, site) as first,
        running(plain_consul.address, other) as second,
    ):
        first.ready()
        second.ready()
        first.publish(order(site, 1))
        second.publish(order(other, 1))
        await until(lambda: settled(first) and settled(second))
        await asyncio.sleep(0.5)
        assert await first.withdraw(ref(1), timeout=10)
        await asyncio.sleep(0.5)
        assert (first.stats.known, second.stats.known) == (0, 1)
        assert len(ours(plain_consul, other)) == 1


async def test_maintenance_by_hand_is_kept_ours_is_not(
    plain_consul: RealConsul, site: ServiceContext
) -> None:
    client = client_of(plain_consul.address)
    async with running(plain_consul.address, site) as sync:
        sync.publish(order(site))
        await until(lambda: settled(sync))
        (key,) = ours(plain_consul, site)
        await client.maintain(key, "by hand")
        await asyncio.sleep(0.4)
        assert found(plain_consul, site) == []
        # Registering would lift it.
        moved = publish(order(site).task, ("10.0.0.8",), True)
        sync.publish(moved)
        await until(
            lambda: plain_consul.call("GET", f"/v1/agent/service/{key}")["Address"] == "10.0.0.8"
        )
        await until(lambda: settled(sync))
        assert found(plain_consul, site) == []
        await client.resume(key)
        await client.maintain(key, ENDING)
        await until(lambda: found(plain_consul, site) == [("10.0.0.8", 80)])
    await client.close()


async def test_consul_killed_and_restarted_in_the_middle(
    own_consul: RealConsul, site: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_LOOK_INTERVAL", 0.1)
    async with running(own_consul.address, site) as sync:
        sync.ready()
        for number in range(30):
            sync.publish(order(site, number))
        await until(lambda: sync.stats.known > 5)
        own_consul.kill()
        for number in range(30, 40):
            sync.publish(order(site, number))
        await until(lambda: not sync.stats.connected)
        assert not await sync.withdraw(ref(0), timeout=5)
        await asyncio.to_thread(own_consul.start)
        await until(lambda: settled(sync), 60)
        assert len(ours(own_consul, site)) == 39
        await until(lambda: len(found(own_consul, site)) == 39)
        await asyncio.sleep(1)  # The first feeding of each.
        writes = sync.stats.writes
        assert writes >= 2 * 39
        own_consul.kill()
        await until(lambda: not sync.stats.connected)
        await asyncio.to_thread(own_consul.start)
        await until(lambda: settled(sync), 60)
        assert sync.stats.writes == writes


async def test_the_agents_own_service(plain_consul: RealConsul, site: ServiceContext) -> None:
    site = replace(site, datacenter=site.owner)
    healthy = [True]
    name = f"mesos-agent-{site.owner}"
    async with running(
        plain_consul.address,
        site,
        me=lambda: agent_service(site, "S0", "192.0.2.9", 5051, healthy[0]),
    ) as sync:
        await until(lambda: plain_consul.passing(name) == [("192.0.2.9", 5051)])
        assert await sync.withdraw_agent(timeout=10)
        assert ours(plain_consul, site) == []


async def test_with_acls_a_token_that_may_write_services_is_enough(
    acl_consul: RealConsul, site: ServiceContext
) -> None:
    token = acl_consul.token('service_prefix "" { policy = "write" }')
    env = {"CONSUL_HTTP_TOKEN": token}
    async with running(acl_consul.address, site, env) as sync:
        sync.ready()
        sync.publish(order(site, healthy=None))
        await until(lambda: settled(sync))
        sync.publish(order(site, healthy=True))
        await until(lambda: found(acl_consul, site) == [("10.0.0.7", 80)])
        # A second withdrawal finds nothing: with ACLs Consul answers 500 then.
        assert await sync.withdraw(ref(), timeout=10)
        assert ours(acl_consul, site) == []
    client = client_of(acl_consul.address, env)
    await client.deregister("unknown")
    await client.close()


async def test_with_acls_a_token_for_some_names_registers_those(
    acl_consul: RealConsul, site: ServiceContext
) -> None:
    token = acl_consul.token(f'service_prefix "web-{site.owner}" {{ policy = "write" }}')
    async with running(acl_consul.address, site, {"CONSUL_HTTP_TOKEN": token}) as sync:
        sync.publish(order(site, 1))
        sync.publish(order(site, 2, name="db"))
        await until(lambda: sync.stats.known == 1 and sync.stats.refused == 1)
        await asyncio.sleep(0.3)
        assert sync.stats.connected
        assert len(ours(acl_consul, site)) == 1


async def test_a_token_that_was_revoked_removes_nothing(
    acl_consul: RealConsul, site: ServiceContext
) -> None:
    env = {"CONSUL_HTTP_TOKEN": acl_consul.token('service_prefix "" { policy = "write" }')}
    async with running(acl_consul.address, site, env) as sync:
        sync.publish(order(site))
        await until(lambda: settled(sync))
    for useless in ({}, {"CONSUL_HTTP_TOKEN": str(uuid.uuid4())}):
        async with running(acl_consul.address, site, useless) as sync:
            sync.ready()
            sync.publish(order(site, 2))
            await until(lambda: sync.stats.failures > 0)
            await asyncio.sleep(0.3)
        assert len(ours(acl_consul, site)) == 1


async def test_tls_with_a_client_certificate(tls_consul: RealConsul, site: ServiceContext) -> None:
    files = {
        "CONSUL_CACERT": str(tls_consul.directory / "ca.pem"),
        "CONSUL_CLIENT_CERT": str(tls_consul.directory / "client.pem"),
        "CONSUL_CLIENT_KEY": str(tls_consul.directory / "client.key"),
    }
    named = files | {"CONSUL_TLS_SERVER_NAME": "server.dc1.consul"}
    careless = {**files, "CONSUL_CACERT": "", "CONSUL_HTTP_SSL_VERIFY": "false"}
    for env in (files, named, careless):
        client = client_of(tls_consul.address, env)
        await client.services("nobody")
        await client.close()
    async with running(tls_consul.address, site, files) as sync:
        sync.publish(order(site))
        await until(lambda: settled(sync))
        assert found(tls_consul, site) == [("10.0.0.7", 80)]


@pytest.mark.parametrize(
    "change",
    [{"CONSUL_CACERT": ""}, {"CONSUL_TLS_SERVER_NAME": "other.dc1.consul"}, {"no certificate": ""}],
)
async def test_tls_that_does_not_fit_is_no_answer(
    tls_consul: RealConsul, change: dict[str, str]
) -> None:
    env = {"CONSUL_CACERT": str(tls_consul.directory / "ca.pem")}
    if "no certificate" not in change:
        env["CONSUL_CLIENT_CERT"] = str(tls_consul.directory / "client.pem")
        env["CONSUL_CLIENT_KEY"] = str(tls_consul.directory / "client.key")
    client = client_of(tls_consul.address, env | change)
    with pytest.raises((Transient, Permanent)):
        await client.services("nobody")
    await client.close()


async def test_each_check_we_make_is_one_that_consul_takes(
    plain_consul: RealConsul, site: ServiceContext
) -> None:
    client = client_of(plain_consul.address)
    texts = [
        "",
        'health_check { type: HTTP http { port: 80 path: "/x?y=1" scheme: "https" } }',
        "health_check { type: TCP tcp { port: 80 } interval_seconds: 0 timeout_seconds: 1e3 }",
        'health_check { type: COMMAND command { value: "true" } }',
    ]
    for mode in Checks:
        for text in texts:
            info = task(text + discovery("number: 80"), name="checks")
            wanted = registration(publish(info), replace(site, checks=mode)).services
            await client.register(wanted[0].body)
            assert len(await client.checks(site.prefix)) == 1
    await client.deregister(wanted[0].id)
    await client.close()
