"""Points 12, 13, 15, 18 to 20: streams, what is missing, images, volumes, maintenance, the cut."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from tests.triton.place import Client, Place


async def test_12_logs_end_with_the_connection_and_need_a_tail(call: Client) -> None:
    await call.run(Env=["SIM_OUTPUT=one\ntwo"])
    assert (await call("GET", "/containers/c1/logs?stdout=1")).body == b""
    answer = await call("GET", "/containers/c1/logs?tail=all&stdout=0&since=9999999999")
    assert not {"Content-Length", "Transfer-Encoding"} & set(answer.headers)
    assert answer.body == b"\x01\0\0\0\0\0\0\x04one\n\x01\0\0\0\0\0\0\x04two\n"
    assert (await call("GET", "/containers/c1/logs?tail=1")).body[8:] == b"two\n"


async def test_12_only_what_came_after_the_rotation(at: Place, call: Client) -> None:
    at.options.log_rotate_lines = 2
    await call.run(Env=["SIM_OUTPUT=one\ntwo\nthree"])
    assert (await call("GET", "/containers/c1/logs?tail=all")).body[8:] == b"three\n"


async def test_12_only_json_files_can_be_read(at: Place, call: Client) -> None:
    at.options.log_drivers = frozenset({"json-file", "syslog"})
    drivers = {
        "file": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "sent": {"Type": "syslog", "Config": {"syslog-address": "udp://x"}},
    }
    for name, driver in drivers.items():
        await call.run(name, Env=["SIM_OUTPUT=one"], HostConfig={"LogConfig": driver})
    assert (await call("GET", "/containers/file/logs?tail=all")).body[8:] == b"one\n"
    answer = await call("GET", "/containers/sent/logs?tail=all")
    assert (answer.status, answer.body) == (200, b"")


async def test_12_following_ends_when_the_container_does(call: Client) -> None:
    await call.run(Env=["SIM_OUTPUT=one", "SIM_EXIT_AFTER=0.2"])
    answer = await call("GET", "/containers/c1/logs?tail=all&follow=1&timestamps=1")
    assert answer.body.endswith(b"Z one\n")


async def test_13_events_are_refused_before_login(at: Place) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{at.endpoint.url}/v1.21/events"
        async with session.get(url, ssl=at.context()) as answer:
            assert answer.status == 400
            assert (await answer.text()).startswith("(NotImplemented) ")


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("POST", "/containers/c1/pause", {400}),
        ("POST", "/containers/c1/unpause", {400}),
        ("GET", "/containers/c1/changes", {400}),
        ("POST", "/containers/c1/update", {404, 405}),
        ("POST", "/containers/prune", {404, 405}),
        ("POST", "/networks/create", {400}),
        ("GET", "/system/df", {404, 405}),
        ("GET", "/swarm", {404, 405}),
    ],
)
async def test_13_calls_that_do_not_exist(
    call: Client, method: str, path: str, statuses: set[int]
) -> None:
    await call.create()
    assert (await call(method, path)).status in statuses


async def test_15_volumes_are_off(call: Client) -> None:
    assert (await call("GET", "/volumes")).status == 500
    assert (await call("POST", "/volumes/create", json={"Name": "data"})).status == 500


async def test_15_a_volume_is_made_once(at: Place, call: Client) -> None:
    at.options.volumes = True
    for status in (200, 409):
        answer = await call("POST", "/volumes/create", json={"Name": "data"})
        assert answer.status == status
    assert answer.text.startswith("(VolumeAlreadyExists) ")


async def test_15_volumes_when_on(at: Place, call: Client) -> None:
    at.options.volumes = True
    at.options.volume_seconds = 0.1
    began = time.monotonic()
    sizes = {
        size: (
            await call("POST", "/volumes/create", json={"Name": f"v{size}", "DriverOpts": opts})
        ).status
        for size, opts in [(s, {"size": s}) for s in ("10G", "15G", "200G", "1024M")]
    }
    assert sizes == {"10G": 200, "15G": 409, "200G": 200, "1024M": 409}
    assert time.monotonic() - began >= 0.2
    assert (await call.create("a", HostConfig={"Binds": ["v10G:/data:ro"]})).status == 200
    refused = await call.create("b", HostConfig={"Binds": ["/etc:/etc"]})
    assert refused.status == 422
    assert "Invalid binds" in refused.text


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ({"Binds": ["nobody-s:/data"]}, 500, "automounting NFS volumes is not enabled"),
        ({"Binds": ["a:/data"]}, 422, "Invalid binds"),
        ({"Binds": ["data:/data:rw,z"]}, 422, "Invalid binds"),
        ({"Binds": ["data:relative"]}, 422, "Invalid binds"),
        (
            {"Binds": ["data:/data"], "NetworkMode": "external"},
            409,
            "(VolumesNotReachableError) Volumes not reachable from container: data",
        ),
    ],
)
async def test_15_binds_that_are_refused(
    at: Place, call: Client, host: dict[str, Any], status: int, words: str
) -> None:
    at.options.volumes = True
    assert (await call("POST", "/volumes/create", json={"Name": "data"})).status == 200
    answer = await call.create(HostConfig=host)
    assert (answer.status, words in answer.text) == (status, True), answer.text
    assert at.left == []


async def test_15_automounting_makes_the_volume(at: Place, call: Client) -> None:
    at.options.volumes = at.options.automount = True
    for name in ("one", "two"):
        assert (await call.create(name, HostConfig={"Binds": ["data:/data"]})).status == 200
    assert [each["Name"] for each in (await call("GET", "/volumes")).json["Volumes"]] == ["data"]


async def test_18_exec(call: Client) -> None:
    await call.run()
    made = await call("POST", "/containers/c1/exec", json={"Cmd": ["exit 3"], "Detach": True})
    assert made.status == 200
    ident = made.json["Id"]
    assert (await call("POST", f"/exec/{ident}/start", json={})).status == 201
    await asyncio.sleep(0.05)
    assert (await call("GET", f"/exec/{ident}/json")).json == {"Running": False, "ExitCode": 3}
    assert (await call("GET", f"/exec/{ident}/json")).status == 404


async def attached(at: Place, call: Client, *command: str) -> bytes:
    """All that comes over the connection of an exec that is not detached."""
    made = await call("POST", "/containers/c1/exec", json={"Cmd": command})
    reader, writer = await asyncio.open_connection(
        "localhost", at.endpoint.port, ssl=at.context(at.certs)
    )
    path = f"/v1.21/exec/{made.json['Id']}/start"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    said = await reader.read()
    writer.close()
    return said


async def test_18_an_attached_exec_upgrades_to_a_raw_stream(at: Place, call: Client) -> None:
    await call.run()
    head, _, body = (await attached(at, call, "echo", "hi")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert b"\r\nContent-Length:" not in head
    assert b"\r\nTransfer-Encoding:" not in head
    assert body == b"\x01\0\0\0\0\0\0\x03hi\n"


async def test_18_exec_needs_a_running_container(call: Client) -> None:
    await call.create()
    answer = await call("POST", "/containers/c1/exec", json={"Cmd": ["true"]})
    assert answer.status == 409
    assert answer.text.startswith("(DockerContainerNotRunning) ")


async def test_archives_of_stopped_containers_depend_on_the_platform(
    at: Place, call: Client
) -> None:
    await call.create()
    path = "/containers/c1/archive?path=/tmp"
    assert (await call("PUT", path, data=b"tar")).status == 200
    assert (await call("GET", path)).body == b"tar"
    at.options.archive_when_stopped = False
    for method in ("PUT", "GET"):
        answer = await call(method, path)
        assert (answer.status, answer.text.split()[0]) == (409, "(NotSupported)")


async def test_19_a_failed_pull_is_a_200_with_the_error_inside(call: Client) -> None:
    answer = await call("POST", "/images/create?fromImage=missing/image&tag=1")
    assert answer.status == 200
    last = json.loads(answer.text.splitlines()[-1])
    assert "not found" in last["error"] == last["errorDetail"]["message"]
    assert (await call("POST", "/images/create?fromImage=busybox")).status == 400


async def test_20_maintenance_refuses_all_but_get(at: Place, call: Client) -> None:
    at.options.maintenance = "Back soon"
    at.options.maintenance_until = time.time() + 600
    answer = await call.create()
    assert answer.status == 503
    assert answer.text.startswith("Back soon (")
    until = parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert 599 < until - time.time() < 602
    assert await call.listed() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/c1/start"),
        ("POST", "/containers/c1/stop"),
        ("DELETE", "/containers/c1?force=1"),
        ("PUT", "/containers/c1/archive?path=/tmp"),
        ("POST", "/images/create?fromImage=a&tag=b"),
    ],
)
async def test_20_maintenance_is_for_every_call_that_changes_something(
    at: Place, call: Client, method: str, path: str
) -> None:
    await call.run()
    at.options.maintenance = "Back soon"
    answer = await call(method, path)
    assert (answer.status, answer.text.split(" (")[0]) == (503, "Back soon")
    assert "Retry-After" not in answer.headers, "no end is set"
    assert (await call.inspect())["State"]["Running"] is True


async def test_20_errors_at_random_have_no_code(at: Place, call: Client) -> None:
    at.options.error_rate = 1.0
    answer = await call("GET", "/info")
    assert answer.status == 500
    assert not answer.text.startswith("(")


async def test_20_a_long_stop_is_cut_but_goes_on(at: Place, call: Client) -> None:
    await call.run(Env=["SIM_IGNORE_TERM=1"])
    at.options.idle_seconds = 0.1
    with pytest.raises(aiohttp.ClientError):
        await call("POST", "/containers/c1/stop?t=1")
    await asyncio.sleep(1.1)
    assert (await call.inspect())["State"]["Running"] is False


async def test_20_streams_and_volumes_are_not_cut_when_other_calls_are(
    at: Place, call: Client
) -> None:
    at.options.volumes, at.options.volume_seconds = True, 0.3
    at.options.idle_seconds = 0.1
    await call.run(Env=["SIM_OUTPUT=one", "SIM_EXIT_AFTER=0.5"])

    async def seconds(answer: Awaitable[object]) -> float:
        began = time.monotonic()
        await answer
        return time.monotonic() - began

    took = await asyncio.gather(
        seconds(attached(at, call, "sleep", "0.3")),
        seconds(call("GET", "/containers/c1/logs?tail=all&follow=1")),
        seconds(call("POST", "/volumes/create", json={"Name": "data"})),
    )
    assert min(took) >= 0.25
