"""Logs, exec, archives and pulls; the long calls and their idle limits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable

from tests.triton.simulator import Client, TritonSimulator


async def test_logs_end_with_the_connection_and_are_empty_without_tail(call: Client) -> None:
    await call.run(Env=["SIM_OUTPUT=one\ntwo"])
    assert (await call("GET", "/containers/c1/logs?stdout=1")).body == b""
    answer = await call("GET", "/containers/c1/logs?tail=all&stdout=0&since=9999999999")
    assert not {"Content-Length", "Transfer-Encoding"} & set(answer.headers)
    assert answer.body == b"\x01\0\0\0\0\0\0\x04one\n\x01\0\0\0\0\0\0\x04two\n"
    assert (await call("GET", "/containers/c1/logs?tail=1")).body[8:] == b"two\n"


async def test_logs_hold_only_lines_since_the_last_rotation(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.log_rotate_lines = 2
    await call.run(Env=["SIM_OUTPUT=one\ntwo\nthree"])
    assert (await call("GET", "/containers/c1/logs?tail=all")).body[8:] == b"three\n"


async def test_only_logs_of_the_json_file_driver_can_be_read(
    triton: TritonSimulator, call: Client
) -> None:
    triton.options.log_drivers = frozenset({"json-file", "syslog"})
    drivers = {
        "file": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "sent": {"Type": "syslog", "Config": {"syslog-address": "udp://x"}},
    }
    for name, driver in drivers.items():
        await call.run(name, Env=["SIM_OUTPUT=one"], HostConfig={"LogConfig": driver})
    assert (await call("GET", "/containers/file/logs?tail=all")).body[8:] == b"one\n"
    answer = await call("GET", "/containers/sent/logs?tail=all")
    assert (answer.status, answer.body) == (200, b"")


async def test_followed_logs_end_when_the_container_ends(call: Client) -> None:
    await call.run(Env=["SIM_OUTPUT=one", "SIM_EXIT_AFTER=0.2"])
    answer = await call("GET", "/containers/c1/logs?tail=all&follow=1&timestamps=1")
    assert answer.body.endswith(b"Z one\n")


async def test_a_detached_exec_can_be_inspected_once(call: Client) -> None:
    await call.run()
    made = await call("POST", "/containers/c1/exec", json={"Cmd": ["exit 3"], "Detach": True})
    assert made.status == 200
    ident = made.json["Id"]
    assert (await call("POST", f"/exec/{ident}/start", json={})).status == 201
    await asyncio.sleep(0.05)
    assert (await call("GET", f"/exec/{ident}/json")).json == {"Running": False, "ExitCode": 3}
    assert (await call("GET", f"/exec/{ident}/json")).status == 404


async def created_exec(call: Client, *command: str) -> str:
    made = await call("POST", "/containers/c1/exec", json={"Cmd": command})
    return str(made.json["Id"])


async def attached(triton: TritonSimulator, exec_id: str) -> bytes:
    """Everything received on the connection of an attached exec."""
    reader, writer = await asyncio.open_connection(
        "localhost", triton.endpoint.port, ssl=triton.context(triton.certs)
    )
    path = f"/v1.21/exec/{exec_id}/start"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    received = await reader.read()
    writer.close()
    return received


async def test_an_attached_exec_upgrades_to_a_raw_stream(
    triton: TritonSimulator, call: Client
) -> None:
    await call.run()
    received = await attached(triton, await created_exec(call, "echo", "hi"))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert b"\r\nContent-Length:" not in head
    assert b"\r\nTransfer-Encoding:" not in head
    assert body == b"\x01\0\0\0\0\0\0\x03hi\n"


async def test_exec_needs_a_running_container(call: Client) -> None:
    await call.create()
    answer = await call("POST", "/containers/c1/exec", json={"Cmd": ["true"]})
    assert answer.status == 409
    assert answer.text.startswith("(DockerContainerNotRunning) ")


async def test_archives_of_stopped_containers_depend_on_the_platform(
    triton: TritonSimulator, call: Client
) -> None:
    await call.create()
    path = "/containers/c1/archive?path=/tmp"
    assert (await call("PUT", path, data=b"tar")).status == 200
    assert (await call("GET", path)).body == b"tar"
    triton.options.archive_when_stopped = False
    for method in ("PUT", "GET"):
        answer = await call(method, path)
        assert (answer.status, answer.text.split()[0]) == (409, "(NotSupported)")


async def test_a_failed_pull_is_answered_200_with_the_error_in_its_stream(call: Client) -> None:
    answer = await call("POST", "/images/create?fromImage=missing/image&tag=1")
    assert answer.status == 200
    last = json.loads(answer.text.splitlines()[-1])
    assert "not found" in last["error"] == last["errorDetail"]["message"]
    assert (await call("POST", "/images/create?fromImage=busybox")).status == 400


async def test_the_idle_limit_does_not_apply_to_streams(
    triton: TritonSimulator, call: Client
) -> None:
    await call.run(Env=["SIM_OUTPUT=one"])
    (machine,) = triton.datacenter.machines
    exec_id = await created_exec(call, "sleep", "0.3")
    triton.options.idle_seconds = 0.1

    async def seconds(answer: Awaitable[object]) -> float:
        began = time.monotonic()
        await answer
        return time.monotonic() - began

    async def kill_later() -> float:
        await asyncio.sleep(0.5)
        await triton.datacenter.kill(machine)
        return 0.5

    took = await asyncio.gather(
        seconds(attached(triton, exec_id)),
        seconds(call("GET", "/containers/c1/logs?tail=all&follow=1")),
        kill_later(),
    )
    assert min(took) >= 0.25
