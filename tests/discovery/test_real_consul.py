"""ConsulSync against a real Consul server."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shim import limits
from shim.discovery.desired_state import ENDING
from shim.discovery.services import ServiceContext, agent_service, task_services
from shim.errors import Permanent, Transient
from shim.model.container import Container
from shim.model.orders import Publish
from shim.model.settings import CheckMode
from tests.agent.in_process import IMAGE, in_process_agent
from tests.dev.master.conftest import Embedded
from tests.dev.master.raw_framework import RawFramework
from tests.discovery.real_consul import RealConsul
from tests.discovery.running import client_of, in_sync, running
from tests.discovery.tasks import CONTEXT, discovery, publish, ref, task
from tests.e2e import client
from tests.fakes.engine import Box, FakeEngine
from tests.support.wait import PATIENCE, until

pytestmark = pytest.mark.needs_consul

HEALTH = "health_check { type: TCP tcp { port: 80 } }"


@pytest.fixture
def context() -> ServiceContext:
    """A context with an owner that no other test uses."""
    return replace(CONTEXT, owner=f"shim-{uuid.uuid4().hex[:8]}")


def order(
    context: ServiceContext, number: int = 1, healthy: bool | None = True, name: str = ""
) -> Publish:
    info = task(HEALTH + discovery("number: 80"), name=name or f"web-{context.owner}")
    return publish(info, healthy=healthy, number=number)


def found(consul: RealConsul, context: ServiceContext) -> list[tuple[str, int]]:
    return consul.passing(f"web-{context.owner}")


def managed(consul: RealConsul, context: ServiceContext) -> list[str]:
    services = consul.call("GET", "/v1/agent/services")
    return sorted(key for key in services if key.startswith(context.prefix))


async def test_life_of_a_registration(plain_consul: RealConsul, context: ServiceContext) -> None:
    async with running(plain_consul.address, context) as sync:
        sync.publish(order(context, healthy=None))
        await until(lambda: in_sync(sync))
        assert len(managed(plain_consul, context)) == 1
        assert found(plain_consul, context) == []
        sync.publish(order(context, healthy=True))
        await until(lambda: found(plain_consul, context) == [("10.0.0.7", 80)])
        sync.publish(order(context, healthy=False))
        await until(lambda: found(plain_consul, context) == [])
        assert await sync.withdraw(ref(), timeout=PATIENCE)
        assert managed(plain_consul, context) == []


async def test_a_restart_of_the_shim_writes_nothing(
    plain_consul: RealConsul, context: ServiceContext
) -> None:
    unusual = {f"k {i}": "ü" * i for i in range(0, 700, 11)} | {"urlprefix-/ä": "tag", "b": "a\n"}
    orders = [order(context, number) for number in range(100)]
    info = task(discovery('number: 1 name: "A_b"', 'number: 2 protocol: "udp"'), labels=unusual)
    orders.append(publish(info, ("fd00::1",), number=100))
    async with running(plain_consul.address, context) as sync:
        for each in orders:
            sync.publish(each)
        await until(lambda: in_sync(sync))
        assert sync.stats.writes == 102
    async with running(plain_consul.address, context) as sync:
        for each in orders:
            sync.publish(each)
        sync.enable_orphan_removal()
        await until(lambda: in_sync(sync))
        await asyncio.sleep(0.5)
        assert sync.stats.writes == 0
        assert sync.stats.registered == 102


async def test_services_of_tasks_that_ended_during_a_restart_are_removed(
    plain_consul: RealConsul, context: ServiceContext
) -> None:
    async with running(plain_consul.address, context) as sync:
        for number in (1, 2):
            sync.publish(order(context, number))
        await until(lambda: in_sync(sync))
    async with running(plain_consul.address, context) as sync:
        sync.publish(order(context, 2))
        await asyncio.sleep(0.5)
        assert len(managed(plain_consul, context)) == 2
        sync.enable_orphan_removal()
        await until(lambda: len(managed(plain_consul, context)) == 1)
        assert found(plain_consul, context) == [("10.0.0.7", 80)]


async def test_two_agents_do_not_touch_each_others_services(
    plain_consul: RealConsul, context: ServiceContext
) -> None:
    # An owner whose name begins with the other owner's name.
    other = replace(context, owner=f"{context.owner}-b")
    async with (
        running(plain_consul.address, context) as first,
        running(plain_consul.address, other) as second,
    ):
        first.enable_orphan_removal()
        second.enable_orphan_removal()
        first.publish(order(context, 1))
        second.publish(order(other, 1))
        await until(lambda: in_sync(first) and in_sync(second))
        await asyncio.sleep(0.5)
        assert await first.withdraw(ref(1), timeout=PATIENCE)
        await asyncio.sleep(0.5)
        assert (first.stats.registered, second.stats.registered) == (0, 1)
        assert len(managed(plain_consul, other)) == 1


async def test_an_operators_maintenance_is_kept_and_the_agents_own_is_not(
    plain_consul: RealConsul, context: ServiceContext
) -> None:
    client = client_of(plain_consul.address)
    async with running(plain_consul.address, context) as sync:
        sync.publish(order(context))
        await until(lambda: in_sync(sync))
        (key,) = managed(plain_consul, context)
        await client.enter_maintenance(key, "by hand")
        await asyncio.sleep(0.4)
        assert found(plain_consul, context) == []
        # A registration ends maintenance mode; the sync enters it again.
        moved = publish(order(context).task, ("10.0.0.8",), True)
        sync.publish(moved)
        await until(
            lambda: plain_consul.call("GET", f"/v1/agent/service/{key}")["Address"] == "10.0.0.8"
        )
        await until(lambda: in_sync(sync))
        assert found(plain_consul, context) == []
        await client.leave_maintenance(key)
        await client.enter_maintenance(key, ENDING)
        await until(lambda: found(plain_consul, context) == [("10.0.0.8", 80)])
    await client.close()


async def test_consul_is_killed_and_restarted_between_writes(
    own_consul: RealConsul, context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONSUL_RESYNC_INTERVAL", 0.1)
    async with running(own_consul.address, context) as sync:
        sync.enable_orphan_removal()
        for number in range(30):
            sync.publish(order(context, number))
        await until(lambda: sync.stats.registered > 5)
        own_consul.kill()
        for number in range(30, 40):
            sync.publish(order(context, number))
        await until(lambda: not sync.stats.connected)
        assert not await sync.withdraw(ref(0), timeout=1)
        await asyncio.to_thread(own_consul.start)
        await until(lambda: in_sync(sync))
        assert len(managed(own_consul, context)) == 39
        await until(lambda: len(found(own_consul, context)) == 39)
        # The first TTL update of each service.
        await until(lambda: sync.stats.writes >= 2 * 39)
        await asyncio.sleep(0.3)
        writes = sync.stats.writes
        own_consul.kill()
        await until(lambda: not sync.stats.connected)
        await asyncio.to_thread(own_consul.start)
        await until(lambda: in_sync(sync))
        assert sync.stats.writes == writes


async def test_the_agents_own_service(plain_consul: RealConsul, context: ServiceContext) -> None:
    context = replace(context, datacenter=context.owner)
    healthy = [True]
    name = f"mesos-agent-{context.owner}"
    async with running(
        plain_consul.address,
        context,
        own_service=lambda: agent_service(context, "S0", "192.0.2.9", 5051, healthy[0]),
    ) as sync:
        await until(lambda: plain_consul.passing(name) == [("192.0.2.9", 5051)])
        assert await sync.withdraw_agent(timeout=PATIENCE)
        assert managed(plain_consul, context) == []


async def test_a_token_with_service_write_is_enough(
    acl_consul: RealConsul, context: ServiceContext
) -> None:
    token = acl_consul.token('service_prefix "" { policy = "write" }')
    env = {"CONSUL_HTTP_TOKEN": token}
    async with running(acl_consul.address, context, env) as sync:
        sync.enable_orphan_removal()
        sync.publish(order(context, healthy=None))
        await until(lambda: in_sync(sync))
        sync.publish(order(context, healthy=True))
        await until(lambda: found(acl_consul, context) == [("10.0.0.7", 80)])
        # With ACLs Consul answers 500 to the deregistration of a missing service.
        assert await sync.withdraw(ref(), timeout=PATIENCE)
        assert managed(acl_consul, context) == []
    client = client_of(acl_consul.address, env)
    await client.deregister("unknown")
    await client.close()


async def test_a_token_for_some_names_registers_only_those(
    acl_consul: RealConsul, context: ServiceContext
) -> None:
    token = acl_consul.token(f'service_prefix "web-{context.owner}" {{ policy = "write" }}')
    async with running(acl_consul.address, context, {"CONSUL_HTTP_TOKEN": token}) as sync:
        sync.publish(order(context, 1))
        sync.publish(order(context, 2, name="db"))
        await until(lambda: sync.stats.registered == 1 and sync.stats.refused == 1)
        await asyncio.sleep(0.3)
        assert sync.stats.connected
        assert len(managed(acl_consul, context)) == 1


async def test_a_revoked_token_removes_nothing(
    acl_consul: RealConsul, context: ServiceContext
) -> None:
    env = {"CONSUL_HTTP_TOKEN": acl_consul.token('service_prefix "" { policy = "write" }')}
    async with running(acl_consul.address, context, env) as sync:
        sync.publish(order(context))
        await until(lambda: in_sync(sync))
    for useless in ({}, {"CONSUL_HTTP_TOKEN": str(uuid.uuid4())}):
        async with running(acl_consul.address, context, useless) as sync:
            sync.enable_orphan_removal()
            sync.publish(order(context, 2))
            await until(lambda: sync.stats.failures > 0)
            await asyncio.sleep(0.3)
        assert len(managed(acl_consul, context)) == 1


async def test_tls_with_a_client_certificate(
    tls_consul: RealConsul, context: ServiceContext
) -> None:
    files = {
        "CONSUL_CACERT": str(tls_consul.directory / "ca.pem"),
        "CONSUL_CLIENT_CERT": str(tls_consul.directory / "client.pem"),
        "CONSUL_CLIENT_KEY": str(tls_consul.directory / "client.key"),
    }
    named = files | {"CONSUL_TLS_SERVER_NAME": "server.dc1.consul"}
    unverified = {**files, "CONSUL_CACERT": "", "CONSUL_HTTP_SSL_VERIFY": "false"}
    for env in (files, named, unverified):
        client = client_of(tls_consul.address, env)
        await client.services("no-owner")
        await client.close()
    async with running(tls_consul.address, context, files) as sync:
        sync.publish(order(context))
        await until(lambda: in_sync(sync))
        assert found(tls_consul, context) == [("10.0.0.7", 80)]


@pytest.mark.parametrize(
    "change",
    [{"CONSUL_CACERT": ""}, {"CONSUL_TLS_SERVER_NAME": "other.dc1.consul"}, {"no certificate": ""}],
)
async def test_a_failed_tls_handshake_is_an_error(
    tls_consul: RealConsul, change: dict[str, str]
) -> None:
    env = {"CONSUL_CACERT": str(tls_consul.directory / "ca.pem")}
    if "no certificate" not in change:
        env["CONSUL_CLIENT_CERT"] = str(tls_consul.directory / "client.pem")
        env["CONSUL_CLIENT_KEY"] = str(tls_consul.directory / "client.key")
    client = client_of(tls_consul.address, env | change)
    with pytest.raises((Transient, Permanent)):
        await client.services("no-owner")
    await client.close()


async def test_consul_accepts_every_kind_of_check(
    plain_consul: RealConsul, context: ServiceContext
) -> None:
    client = client_of(plain_consul.address)
    texts = [
        "",
        'health_check { type: HTTP http { port: 80 path: "/x?y=1" scheme: "https" } }',
        "health_check { type: TCP tcp { port: 80 } interval_seconds: 0 timeout_seconds: 1e3 }",
        'health_check { type: COMMAND command { value: "true" } }',
    ]
    for mode in CheckMode:
        for text in texts:
            info = task(text + discovery("number: 80"), name="checks")
            wanted = task_services(publish(info), replace(context, checks=mode)).services
            await client.register(wanted[0].body)
            assert len(await client.checks(context.prefix)) == 1
    await client.deregister(wanted[0].id)
    await client.close()


# --- a whole agent ---------------------------------------------------------------------------

POD = "10.7.7.7"


class AddressedEngine(FakeEngine):
    """Its containers have addresses."""

    @staticmethod
    def _describe(box: Box, *, full: bool) -> Container:
        return replace(FakeEngine._describe(box, full=full), addresses=(POD,))


def pod_member(name: str, port: int, host_port: int, **fields: Any) -> dict[str, Any]:
    image = {"type": "DOCKER", "docker": {"name": IMAGE}}
    ports = [{"number": host_port, "protocol": "tcp", "name": name}]
    return {
        **client.task(name),
        "command": {"shell": False, "value": "sleep"},
        "container": {"type": "MESOS", "mesos": {"image": image}},
        "discovery": {"visibility": "FRAMEWORK", "ports": {"ports": ports}},
        **fields,
    }


def pod_executor(framework: RawFramework) -> dict[str, Any]:
    mapped = [
        {"host_port": 31000, "container_port": 8080, "protocol": "tcp"},
        {"host_port": 31001, "container_port": 5432, "protocol": "tcp"},
    ]
    amounts = {"cpus": 0.1, "mem": 32, "disk": 10}
    scalars = [
        {"name": name, "type": "SCALAR", "scalar": {"value": value}}
        for name, value in amounts.items()
    ]
    ports = {
        "name": "ports",
        "type": "RANGES",
        "ranges": {"range": [{"begin": 31000, "end": 31001}]},
    }
    return {
        "type": "DEFAULT",
        "executor_id": {"value": "pod"},
        "framework_id": framework.id,
        "resources": [*scalars, ports],
        "container": {
            "type": "MESOS",
            "network_infos": [{"name": "bridge", "port_mappings": mapped}],
        },
    }


async def test_tasks_of_a_pod_are_registered_at_its_address_until_they_end(
    plain_consul: RealConsul, tmp_path: Path
) -> None:
    engine = AddressedEngine(f"pod-{uuid.uuid4().hex[:8]}")
    web, db = f"web-{engine.shim_id}", f"db-{engine.shim_id}"
    check = {"type": "COMMAND", "command": {"shell": False, "value": "false"}}
    policy = {"delay_seconds": 0, "interval_seconds": 0.05, "grace_period_seconds": 0}
    members = [
        pod_member(
            web, 8080, 31000, health_check={**check, **policy, "consecutive_failures": 1000}
        ),
        pod_member(db, 5432, 31001),
    ]
    async with (
        Embedded(port=0) as master,
        in_process_agent(
            master.address,
            engine,
            tmp_path,
            consul=plain_consul.address,
            ports="[31000-31001]",
        ),
        RawFramework(master.address) as framework,
    ):
        launch = {"executor": pod_executor(framework), "task_group": {"tasks": members}}
        operation = {"type": "LAUNCH_GROUP", "launch_group": launch}
        assert (await framework.accept(await framework.offer(), operation))[0] == 202
        await until(lambda: plain_consul.passing(db) == [(POD, 5432)])
        assert services(plain_consul, web) == [(POD, 8080)], "its own port only"
        assert plain_consul.passing(web) == [], "it is not healthy"
        await framework.call("KILL", {"task_id": {"value": db}})
        await until(lambda: services(plain_consul, web) + services(plain_consul, db) == [])
        await until(lambda: not engine.boxes)


def services(consul: RealConsul, name: str) -> list[tuple[str, int]]:
    found = consul.call("GET", f"/v1/catalog/service/{name}")
    return [(each["ServiceAddress"], each["ServicePort"]) for each in found]
