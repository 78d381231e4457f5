"""From start to removal: list, inspect, stop, restart, wait, filters, and the bill."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from tests.support.wait import until
from tests.triton.accounts import Account
from tests.triton.machines import Machine, State
from tests.triton.simulator import Client, TritonSimulator


def filtered(**filters: object) -> str:
    return "&filters=" + json.dumps(filters)


async def test_list_and_inspect_lack_fields_of_docker_s(call: Client) -> None:
    await call.run()
    (entry,) = await call.listed()
    assert not {"State", "NetworkSettings", "Mounts", "ImageID", "HostConfig"} & set(entry)
    assert entry["Status"].startswith("Up ")
    inspect = await call.inspect()
    assert not {"Mounts", "GraphDriver"} & set(inspect)
    assert not {"Status", "Dead", "Health"} & set(inspect["State"])
    assert "Networks" not in inspect["NetworkSettings"]


async def test_an_unknown_exit_code_is_shown_as_0(triton: TritonSimulator, call: Client) -> None:
    await call.run()
    await triton.datacenter.crash(triton.datacenter.machines[0])
    state = (await call.inspect())["State"]
    assert (state["Running"], state["ExitCode"], state["OOMKilled"]) == (False, 0, False)
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z" != state["StartedAt"]
    assert (await call.listed())[0]["Status"] == "Exited"
    assert (await call("POST", "/containers/c1/wait")).json == {}


async def test_wait_list_and_inspect_show_a_known_exit_code(call: Client) -> None:
    await call.run(Env=["SIM_EXIT_AFTER=0", "SIM_EXIT_CODE=3"])
    assert (await call("POST", "/containers/c1/wait")).json == {"StatusCode": 3}
    assert (await call.listed())[0]["Status"].startswith("Exited (3) ")
    assert (await call.inspect())["State"]["ExitCode"] == 3


async def test_a_stopping_machine_has_an_empty_status_and_no_finish_time(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.stopped_when = stopped = asyncio.Event()
    await call.run(Env=["SIM_EXIT_AFTER=0", "SIM_EXIT_CODE=3"])
    (machine,) = triton.datacenter.machines
    await until(lambda: machine.state is State.STOPPING)
    assert [entry["Status"] for entry in await call.listed()] == [""]
    state = (await call.inspect())["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 0)
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z" != state["StartedAt"]
    assert await call.listed(filtered(status=["exited"])) == []
    stopped.set()
    assert (await call("POST", "/containers/c1/wait")).json == {"StatusCode": 3}
    assert (await call.listed())[0]["Status"].startswith("Exited (3) ")


async def test_start_and_stop_never_answer_304(call: Client) -> None:
    await call.run()
    statuses = [
        (await call("POST", f"/containers/c1/{verb}")).status
        for verb in ("start", "start", "stop?t=1", "stop", "kill", "start")
    ]
    assert statuses == [204] * 6


async def test_stop_refuses_a_grace_that_is_no_whole_number(call: Client) -> None:
    await call.run()
    assert (await call("POST", "/containers/c1/stop?t=1.5")).status == 422


@pytest.fixture
def graces(triton: TritonSimulator, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that each stop gave."""
    given: list[float] = []
    stop = triton.datacenter.backend.stop

    async def noting(machine: Machine, grace: float) -> None:
        given.append(grace)
        await stop(machine, grace)

    monkeypatch.setattr(triton.datacenter.backend, "stop", noting)
    return given


async def test_the_grace_of_a_stop_is_ten_seconds_or_the_requested_number(
    call: Client, graces: list[float]
) -> None:
    for number, query in enumerate(("", "?t=0", "?t=3")):
        await call.run(f"c{number}")
        assert (await call("POST", f"/containers/c{number}/stop{query}")).status == 204
    assert graces == [10, 0, 3]


async def test_a_negative_grace_waits_without_limit(call: Client, graces: list[float]) -> None:
    await call.run(Env=["SIM_IGNORE_TERM=1", "SIM_EXIT_AFTER=0.2"])
    assert (await call("POST", "/containers/c1/stop?t=-1")).status == 204
    assert graces[0] >= 3600
    assert (await call.inspect())["State"]["ExitCode"] == 0, "not killed"


async def test_the_grace_of_a_restart_is_always_ten_seconds(
    call: Client, graces: list[float]
) -> None:
    await call.run()
    assert (await call("POST", "/containers/c1/restart?t=1")).status == 204
    assert graces == [10]
    assert (await call.inspect())["State"]["Running"] is True


async def test_kill_ignores_the_signal(call: Client) -> None:
    await call.run()
    assert (await call("POST", "/containers/c1/kill?signal=SIGUSR1")).status == 204
    assert (await call.inspect())["State"]["ExitCode"] == 137


async def test_a_running_container_is_not_removed_without_force(call: Client) -> None:
    await call.run()
    answer = await call("DELETE", "/containers/c1?v=1")
    assert answer.status == 500
    assert answer.text.startswith("Conflict, You cannot remove a running container")
    assert (await call("DELETE", "/containers/c1?link=1&force=1")).status == 500
    assert (await call("DELETE", "/containers/c1?force=1")).status == 204


async def test_a_container_whose_volumes_are_in_use_is_not_removed(
    triton: TritonSimulator, call: Client
) -> None:
    assert (await call.create("user", HostConfig={"VolumesFrom": ["lender"]})).status == 404
    await call.create("lender")
    await call.create("other")
    await call.create("user", HostConfig={"VolumesFrom": ["lender:ro"]})
    servers = {machine.name: machine.server for machine in triton.datacenter.machines}
    assert servers["user"] == servers["lender"] != servers["other"]
    answer = await call("DELETE", "/containers/lender?force=1")
    assert (answer.status, "used by user" in answer.text) == (500, True)
    for name in ("user", "lender", "other"):
        assert (await call("DELETE", f"/containers/{name}")).status == 204
    assert triton.remaining == []


async def test_rename_answers_200(call: Client) -> None:
    await call.create("old")
    assert (await call("POST", "/containers/old/rename?name=new")).status == 200
    assert (await call.inspect("new"))["Name"] == "/new"


@pytest.mark.parametrize("name", ["taken", "_x"])
async def test_a_rename_to_a_taken_or_invalid_name_is_refused(
    triton: TritonSimulator, call: Client, name: str
) -> None:
    await call.create("old")
    await call.create("taken")
    answer = await call("POST", f"/containers/old/rename?name={name}")
    assert answer.status == 409
    assert answer.text.startswith("(ValidationFailed) problem renaming container: ")
    assert {entry["Names"][0] for entry in await call.listed()} == {"/old", "/taken"}


async def test_restart_policy_always_starts_an_ended_container_again(
    triton: TritonSimulator, call: Client
) -> None:
    policy = {"RestartPolicy": {"Name": "always"}}
    await call.run(Env=["SIM_EXIT_AFTER=0"], HostConfig=policy)
    await until(lambda: triton.datacenter.machines[0].restarts)


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
async def test_a_stopped_container_or_one_of_unknown_policy_is_not_restarted(
    triton: TritonSimulator, call: Client, policy: str
) -> None:
    life = [] if policy == "always" else ["SIM_EXIT_AFTER=0", "SIM_EXIT_CODE=1"]
    await call.run(Env=life, HostConfig={"RestartPolicy": {"Name": policy}})
    await call("POST", "/containers/c1/stop")
    await asyncio.sleep(0.25)
    assert (triton.datacenter.machines[0].restarts, triton.remaining) == (0, ["c1"])
    assert (await call.inspect())["State"]["Running"] is False


async def test_containers_of_another_account_are_invisible(
    triton: TritonSimulator, call: Client
) -> None:
    bob = triton.datacenter.accounts["bob"] = Account("bob", [])
    body = {"Image": "busybox:latest", "Cmd": ["sleep"], "HostConfig": {}, "Labels": {}}
    theirs = await triton.datacenter.create(bob, "c1", body)
    user = {**body, "HostConfig": {"VolumesFrom": ["c1"]}}
    await triton.datacenter.create(bob, "user", user)
    for ref in ("c1", theirs.id, theirs.id[:12]):
        assert (await call("GET", f"/containers/{ref}/json")).status == 404
    assert await call.listed() == []
    assert (await call.create("c1")).status == 200, "the name is free"
    assert (await call("DELETE", "/containers/c1")).status == 204, "its volumes are not used"


async def test_wait_is_cut_off_after_two_minutes_without_an_answer(
    triton: TritonSimulator, call: Client
) -> None:
    assert triton.options.idle_seconds == 120, "two minutes, unless a test is in a hurry"
    await call.run()
    triton.options.idle_seconds = 0.1
    began = time.monotonic()
    with pytest.raises(aiohttp.ClientError):
        await call("POST", "/containers/c1/wait")
    assert 0.1 <= time.monotonic() - began < 30


async def test_autoremove_and_health_checks_have_no_effect(
    triton: TritonSimulator, call: Client
) -> None:
    check = {"Test": ["CMD", "exit 1"], "Interval": 10**7, "Retries": 1}
    await call.run(Env=["SIM_EXIT_AFTER=0.2"], HostConfig={"AutoRemove": True}, Healthcheck=check)
    await asyncio.sleep(0.1)
    (entry,) = await call.listed()
    assert "health" not in entry["Status"]
    assert "Health" not in (await call.inspect())["State"]
    await call("POST", "/containers/c1/wait")
    await asyncio.sleep(0.05)
    assert (await call.listed())[0]["Status"].startswith("Exited (0) ")
    assert triton.remaining == ["c1"]


async def test_list_filters(call: Client) -> None:
    await call.run("one", Labels={"a": "b", "triton.cns.services": "x", "pair": "k=v"})
    await call.create("two", Labels={"a": "c"})

    async def names(**filters: object) -> set[str]:
        return {entry["Names"][0] for entry in await call.listed(filtered(**filters))}

    assert await names(status=["running"]) == {"/one"}
    assert await names(status={"exited": True}) == {"/two"}
    assert await names(status=["running", "exited"]) == set()
    assert await names(label=["a=b"]) == {"/one"}
    assert await names(label=["a"]) == {"/one", "/two"}
    assert await names(label=["pair=k=v"]) == set()
    assert await names(label=["triton.cns.services"]) == set()
    assert await names(label=["com.joyent.package=sample-1G"]) == {"/one", "/two"}
    assert await names(name=["^t"]) == {"/two"}
    ids = {entry["Names"][0]: entry["Id"] for entry in await call.listed()}
    assert await names(id=[ids["/one"]]) == {"/one"}
    assert await names(id=["^" + ids["/two"][:12]]) == {"/two"}
    assert await names(id=["^x"]) == set()


async def test_invalid_list_filters_are_server_errors(call: Client) -> None:
    for text in (json.dumps({"status": ["nonsense"]}), "{broken"):
        assert (await call("GET", "/containers/json", params={"filters": text})).status == 500


async def test_a_stopped_container_is_billed_until_it_is_removed(
    triton: TritonSimulator, call: Client
) -> None:
    await call.run(Env=["SIM_EXIT_AFTER=0"])
    await until(lambda: triton.datacenter.machines[0].state is State.STOPPED)
    first = triton.datacenter.bill()["sample-1G"]
    await asyncio.sleep(0.1)
    second = triton.datacenter.bill()["sample-1G"]
    assert second - first >= 0.1
    assert triton.remaining == ["c1"]
    with pytest.raises(AssertionError, match="machines remain"):
        triton.check_nothing_is_billed()
    await call("DELETE", "/containers/c1")
    triton.check_nothing_is_billed()
    paid = triton.datacenter.bill()
    await asyncio.sleep(0.05)
    assert (triton.remaining, triton.datacenter.bill()) == ([], paid)
