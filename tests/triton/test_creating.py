"""Creates: what is refused, how long they take, what they ignore, packages and affinity."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.support.wait import until
from tests.triton.api_errors import ApiError
from tests.triton.simulator import Client, TritonSimulator


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"HostConfig": ...}, 422, '"HostConfig" must be an object'),
        ({"Image": ...}, 422, '"Image" must be a string'),
        ({"Image": "never-pulled:1"}, 404, "(ResourceNotFound) No such image: never-pulled:1"),
        ({"Cmd": "sleep 1"}, 422, '"Cmd" must be an array of strings'),
        ({"Entrypoint": "sh"}, 422, '"Entrypoint" must be an array of strings'),
        ({"Env": {"a": "b"}}, 422, '"Env" must be an array of strings'),
        ({"Cmd": []}, 500, "No command specified"),
        ({"Hostname": None}, 500, "of null"),
        ({"Labels": {"x": 1}}, 422, 'label "x" value is not a string: 1'),
        ({"Labels": {"x": None}}, 422, 'label "x" value is not a string: null'),
        ({"Labels": None, "Env": ["affinity:container!=x"]}, 500, "of null"),
        ({"Labels": {"triton.nonsense": "1"}}, 422, "triton.nonsense"),
        ({"Labels": {"triton.network.public": "external"}}, 422, "published ports"),
        ({"HostConfig": {"NetworkMode": "host"}}, 400, "(NotImplemented)"),
        ({"HostConfig": {"NetworkMode": "none"}}, 400, "(NotImplemented)"),
        ({"HostConfig": {"NetworkMode": "container:x"}}, 400, "(NotImplemented)"),
        ({"HostConfig": {"NetworkMode": "unknown"}}, 404, "unknown"),
        ({"HostConfig": {"NetworkMode": "My-"}}, 404, "My-"),
        ({"HostConfig": {"NetworkMode": "external", "Links": ["a:b"]}}, 400, "(NotImplemented)"),
        ({"HostConfig": {"Binds": ["/etc:/etc"]}}, 500, "host volumes are not supported"),
        ({"HostConfig": {"LogConfig": {"Type": "journald"}}}, 422, "journald"),
        ({"HostConfig": {"LogConfig": {"Config": {"tag": "x" * 1025}}}}, 422, "log options"),
        ({"HostConfig": {"VolumesFrom": ["a", "b", "c"]}}, 500, ""),
        ({"Volumes": {f"/{n}": {} for n in range(9)}}, 500, "AssertionError"),
        ({"Volumes": {"data": {}}}, 500, "AssertionError"),
        ({"HostConfig": {"PortBindings": {"0/tcp": [{}]}}}, 422, "invalid port"),
        ({"HostConfig": {"PortBindings": {"65536/tcp": [{}]}}}, 422, "invalid port"),
        ({"HostConfig": {"PortBindings": {"80/sctp": [{}]}}}, 422, "invalid port"),
        ({"HostConfig": {"PortBindings": {"80": [{}]}}}, 422, "invalid port"),
        ({"HostConfig": {"Memory": 65 * 2**30}}, 422, "(NoSufficientPackage)"),
        ({"HostConfig": {"Memory": 5 * 2**30}}, 422, "memory=5g"),  # special-64G is no sample-
        ({"Labels": {"com.joyent.package": "no-such"}}, 422, "com.joyent.package=no-such"),
        ({"Labels": {"com.joyent.package": "a b"}}, 500, "invalid value for com.joyent.package"),
        ({"Labels": {"com.docker.swarm.affinities": "nonsense"}}, 422, "not JSON"),
        ({"Env": ["affinity:container=x"]}, 422, "affinity"),
    ],
)
async def test_an_invalid_create_is_refused(
    triton: TritonSimulator, call: Client, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = await call.create(**changes)
    assert (answer.status, words in answer.text) == (status, True), answer.text
    assert triton.remaining == []


@pytest.mark.parametrize("port", ["8080", "0", "080"])
async def test_ports_cannot_be_remapped(call: Client, port: str) -> None:
    answer = await call.create(HostConfig={"PortBindings": {"80/tcp": [{"HostPort": port}]}})
    assert answer.status == 500
    assert "publish port: remapping of port numbers not allowed" in answer.text


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_at_most_128_ports_of_each_kind(call: Client, kind: str) -> None:
    ports: dict[str, Any] = {
        f"{port}/{each}": [{}] for port in range(1, 129) for each in ("tcp", "udp")
    }
    assert (await call.create(HostConfig={"PortBindings": ports})).status == 200
    ports[f"129/{kind}"] = [{}]
    answer = await call.create("more", HostConfig={"PortBindings": ports})
    assert (answer.status, "only 128 ports" in answer.text) == (500, True)


@pytest.mark.parametrize("driver", ["syslog", "gelf", "fluentd"])
async def test_some_log_drivers_need_an_address(
    triton: TritonSimulator, call: Client, driver: str
) -> None:
    async def create(**options: str) -> int:
        config = {"LogConfig": {"Type": driver, "Config": options}}
        return (await call.create(HostConfig=config)).status

    address = {f"{driver}-address": "tcp://x:1"}
    assert await create(**address) == 422, "the operator did not turn it on"
    triton.options.log_drivers = frozenset({"json-file", driver})
    assert await create() == 422
    assert await create(**address) == 200


async def test_labels_may_be_null_without_affinity(call: Client) -> None:
    assert (await call.create(Labels=None)).status == 200


async def test_an_account_without_a_package_can_neither_create_nor_list(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.packages = ()
    for answer in (await call.create(), await call("GET", "/containers/json")):
        assert answer.status == 500
        assert answer.text.startswith("no packages match parameters (")
    assert triton.remaining == []


@pytest.mark.parametrize("status", [409, 422])
async def test_a_duplicate_name_is_a_validation_failure(
    triton: TritonSimulator, call: Client, status: int
) -> None:
    triton.options.vmapi_status = status
    assert (await call.create("twice")).status == 200
    answer = await call.create("twice")
    assert answer.status == status
    assert answer.text.startswith("(ValidationFailed) problem creating container: ")
    assert '"alias" (Duplicate) Already exists for this owner_uuid' in answer.text


async def test_a_name_is_taken_before_its_machine_is_provisioned(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    first = asyncio.create_task(call.create("twice"))
    await until(lambda: triton.remaining)
    assert not first.done()
    assert (await call.create("twice")).text.startswith("(ValidationFailed) ")
    provision.set()
    assert (await first).status == 200
    assert triton.remaining == ["twice"]


@pytest.mark.parametrize("name", ["_x", "a b", "x" * 190])
async def test_an_invalid_name_is_a_validation_failure(call: Client, name: str) -> None:
    assert (await call.create(name)).text.startswith("(ValidationFailed) ")


async def test_an_account_must_be_approved(triton: TritonSimulator, call: Client) -> None:
    triton.account.approved = False
    answer = await call.create()
    assert answer.status == 403
    assert answer.text.startswith("(NotAuthorized) ")


async def test_a_create_answers_200(call: Client) -> None:
    answer = await call.create()
    assert answer.status == 200
    assert answer.json["Warnings"] == []
    assert len(answer.json["Id"]) == 64


async def test_create_blocks_until_provisioned(triton: TritonSimulator, call: Client) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    create = asyncio.create_task(call.create("slow"))
    await until(lambda: triton.remaining)
    (entry,) = await call.listed()
    assert entry["Status"].startswith("Provisioning ")
    assert len(entry["Id"]) == 32
    assert (await call.inspect("slow"))["NetworkSettings"]["IPAddress"] == ""
    refused = await call("DELETE", "/containers/slow?force=1")
    assert refused.status == 500
    assert "cannot currently remove a provisioning container" in refused.text
    assert triton.datacenter.bill()["sample-1G"] == 0
    provision.set()
    assert (await create).json["Id"].startswith(entry["Id"])
    assert (await call("DELETE", "/containers/slow")).status == 204
    assert triton.remaining == []


async def test_start_and_exec_fail_while_provisioning(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    create = asyncio.create_task(call.create())
    await until(lambda: triton.remaining)
    for path in ("start", "exec"):
        answer = await call("POST", f"/containers/c1/{path}", json={"Cmd": ["true"]})
        assert answer.status == 500
        assert answer.text.startswith("VM is still provisioning (")
    provision.set()
    assert (await create).status == 200
    assert (await call.inspect())["State"]["Running"] is False


async def test_the_idle_limit_does_not_apply_to_create(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.idle_seconds, triton.options.provision_seconds = 0.1, 0.3
    assert (await call.create()).status == 200


async def test_provisioning_goes_on_without_the_connection(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.provision_when = provision = asyncio.Event()
    create = asyncio.create_task(call.create("dropped"))
    await until(lambda: triton.remaining)
    create.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await create
    provision.set()
    await until(lambda: triton.datacenter.machines[0].provisioned)
    assert (await call.listed())[0]["Status"] == "Created"


async def test_a_machine_whose_provisioning_failed_is_not_shown(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.fail_provisions.append(ApiError(500, "vm.provision failed"))
    assert (await call.create("fails")).status == 500
    assert await call.listed() == []
    assert (await call("GET", "/containers/fails/json")).status == 404
    assert triton.remaining == []


async def test_each_container_has_its_own_address_public_if_ports_are_published(
    call: Client,
) -> None:
    ports = {"80/tcp": [{"HostPort": "80"}], "443/tcp": [{}]}
    await call.create("inner")
    await call.create("outer", HostConfig={"PortBindings": ports})
    inner, outer = [(await call.inspect(n))["NetworkSettings"] for n in ("inner", "outer")]
    assert inner["IPAddress"].startswith("192.168.")
    assert outer["IPAddress"].startswith("198.18.")
    assert outer["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "80"}]


async def test_machines_provisioned_together_have_different_addresses(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.provision_seconds = 0.1
    await asyncio.gather(*(call.create(f"c{number}") for number in range(260)))
    assert len({machine.address for machine in triton.datacenter.machines}) == 260
    assert len({machine.mac for machine in triton.datacenter.machines}) == 260


async def test_publish_all_gives_a_public_address(call: Client) -> None:
    await call.create(HostConfig={"PublishAllPorts": True})
    address = (await call.inspect())["NetworkSettings"]["IPAddress"]
    assert address.startswith("198.18.")


async def test_ignored_options_are_dropped_silently(call: Client) -> None:
    host = {
        "Privileged": True,
        "CapAdd": ["ALL"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}],
        "Devices": [{"PathOnHost": "/dev/null"}],
        "NetworkMode": "My-Fabric-Network",
        "AutoRemove": True,
    }
    answer = await call.create(HostConfig=host, StopSignal="SIGINT", Healthcheck={"Test": ["x"]})
    assert answer.json["Warnings"] == []
    shown = json.dumps(await call.inspect())
    for name in ("Privileged", "CapAdd", "Ulimit", "Device", "StopSignal", "Health", "AutoRemove"):
        assert name not in shown
    assert (await call.inspect())["HostConfig"]["NetworkMode"] == "bridge"


async def test_memory_selects_the_package_and_inspect_shows_the_package_s_memory(
    call: Client,
) -> None:
    await call.create(HostConfig={"Memory": 900 * 2**20})
    inspect = await call.inspect()
    assert inspect["Config"]["Labels"] == {"com.joyent.package": "sample-1G"}
    assert inspect["HostConfig"]["Memory"] == 2**30


async def test_a_package_label_overrides_memory_and_prefix(
    triton: TritonSimulator, call: Client
) -> None:
    label = triton.options.packages[-1].uuid[:8]
    await call.create(Labels={"com.joyent.package": label}, HostConfig={"Memory": 1})
    (entry,) = await call.listed()
    assert entry["Labels"]["com.joyent.package"] == "special-64G"
    assert triton.datacenter.machines[0].labels == {}


async def test_affinity_entries_are_obeyed_and_removed_from_env(
    triton: TritonSimulator, call: Client
) -> None:
    for number in range(4):
        await call.create(f"db{number}", Env=["A=b", "affinity:container!=db*"])
    assert {machine.server for machine in triton.datacenter.machines} == {0, 1, 2, 3}
    inspect = await call.inspect("db1")
    assert inspect["Config"]["Env"] == ["A=b"]
    assert json.loads(inspect["Config"]["Labels"]["com.docker.swarm.affinities"]) == [
        "container!=db*"
    ]
    answer = await call.create("db4", Env=["affinity:container!=db*"])
    assert answer.text.startswith("(NoAllocatableServersError) problem creating container: No comp")
    soft = await call.create("db5", Env=["affinity:container!=~db*"])
    assert soft.status == 200


async def test_hard_affinity_filters_replace_soft_ones(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.servers = 2
    await call.create("db0")
    mixed = ["affinity:container==db0", "affinity:container!=~db*"]
    await call.create("db1", Env=mixed)
    assert [machine.server for machine in triton.datacenter.machines] == [0, 0]
    labels = (await call.inspect("db1"))["Config"]["Labels"]
    assert json.loads(labels["com.docker.swarm.affinities"]) == ["container==db0"]
