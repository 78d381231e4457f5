"""What the scripts make of the tools of this machine, and what we make of their output."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.engine.checks.exec_probe import script, understand
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import Http, Tcp
from tests.engine.checks.test_network_probe import serving
from tests.support.ports import free_port


async def run(target: Http | Tcp, path: str) -> ProbeResult:
    shell, *rest = script(target, 3)
    process = await asyncio.create_subprocess_exec(
        shell, *rest, stdout=-1, stderr=-2, env={"PATH": path}
    )
    output, _ = await process.communicate()
    return understand(target, output)


@pytest.fixture(params=["curl", "wget", "bash", "busybox wget nc sleep", "busybox nc sleep"])
def only(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH with one tool alone. (The wget of a static busybox may crash: then nc is asked.)"""
    program, *applets = request.param.split()
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not here")
    for name in applets or [program]:
        (tmp_path / name).symlink_to(os.path.realpath(found))
    return str(tmp_path)


async def test_every_tool_tells_the_status(only: str) -> None:
    async with serving() as port:
        for code in (200, 503):
            found = await run(Http(port, f"/status/{code}?a='b'&c=$HOME"), only)
            assert (found.sign, found.value) == (ProbeStatus.ANSWERED, code)


async def test_every_tool_tells_that_nobody_listens(only: str) -> None:
    found = await run(Http(free_port()), only)
    assert found.sign in (ProbeStatus.REFUSED, ProbeStatus.SILENT)


async def test_a_shell_without_tools_is_no_way_for_http_and_enough_for_tcp(tmp_path: Path) -> None:
    assert (await run(Http(1), str(tmp_path))).sign is ProbeStatus.IMPOSSIBLE
    async with serving() as port:
        assert (await run(Tcp(port), str(tmp_path))).sign is ProbeStatus.ANSWERED
    assert (await run(Tcp(free_port()), str(tmp_path))).sign is ProbeStatus.REFUSED


async def test_bash_connects() -> None:
    async with serving() as port:
        assert (await run(Tcp(port), os.environ["PATH"])).sign is ProbeStatus.ANSWERED
    assert (await run(Tcp(free_port()), os.environ["PATH"])).sign is ProbeStatus.REFUSED


def outputs() -> Iterator[tuple[str, ProbeStatus, int]]:
    yield "\nHTTP/ 200\n= curl 0\n", ProbeStatus.ANSWERED, 200
    yield "curl: (7) Failed to connect\n\nHTTP/ 000\n= curl 7\n", ProbeStatus.REFUSED, 0
    yield "curl: (28) timed out\n\nHTTP/ 000\n= curl 28\n", ProbeStatus.SILENT, 0
    yield "  HTTP/1.1 302 Found\n  HTTP/1.1 200 OK\n= wget 0\n", ProbeStatus.ANSWERED, 200
    yield (
        "wget: server returned error: HTTP/1.0 404 Not Found\n= wget 1\n",
        ProbeStatus.ANSWERED,
        404,
    )
    yield "wget: can't connect (127.0.0.1): Connection refused\n= wget 1\n", ProbeStatus.REFUSED, 0
    yield "HTTP/1.0 200\n= nc 0\n", ProbeStatus.ANSWERED, 200
    yield " \n= nc 0\n", ProbeStatus.SILENT, 0
    yield "= none 0\n", ProbeStatus.IMPOSSIBLE, 0
    yield 'exec failed: "/bin/sh": no such file or directory', ProbeStatus.IMPOSSIBLE, 0
    yield "", ProbeStatus.IMPOSSIBLE, 0
    yield "= curl 0\nHTTP/1.1 200\n", ProbeStatus.IMPOSSIBLE, 0


@pytest.mark.parametrize(("output", "sign", "value"), list(outputs()))
def test_what_an_output_says(output: str, sign: ProbeStatus, value: int) -> None:
    found = understand(Http(80), output.encode())
    assert (found.sign, found.value) == (sign, value)


def test_nothing_of_a_task_is_part_of_the_script() -> None:
    path = '"; touch /x; "'
    argv = script(Http(80, path), 1)
    assert path not in argv[2]
    assert path in argv[3:]
