"""The probe scripts with the tools of this machine, and the parser of their output."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.engine.checks.exec_probe import parse_output, script
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import HttpCheck, TcpCheck
from tests.engine.checks.test_network_probe import serving
from tests.support.ports import free_port


async def run(target: HttpCheck | TcpCheck, path: str) -> ProbeResult:
    shell, *rest = script(target, 3)
    process = await asyncio.create_subprocess_exec(
        shell, *rest, stdout=-1, stderr=-2, env={"PATH": path}
    )
    output, _ = await process.communicate()
    return parse_output(target, output)


@pytest.fixture(params=["curl", "wget", "bash", "busybox wget nc sleep", "busybox nc sleep"])
def only(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH with one tool alone. The wget of a static busybox may crash: then nc is used."""
    program, *applets = request.param.split()
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not here")
    for name in applets or [program]:
        (tmp_path / name).symlink_to(os.path.realpath(found))
    return str(tmp_path)


async def test_every_tool_gives_the_http_status(only: str) -> None:
    async with serving() as port:
        for code in (200, 503):
            found = await run(HttpCheck(port, f"/status/{code}?a='b'&c=$HOME"), only)
            assert (found.status, found.value) == (ProbeStatus.ANSWERED, code)


async def test_every_tool_notices_a_closed_port(only: str) -> None:
    found = await run(HttpCheck(free_port()), only)
    assert found.status in (ProbeStatus.REFUSED, ProbeStatus.NO_ANSWER)


async def test_a_shell_without_tools_can_probe_tcp_only(tmp_path: Path) -> None:
    assert (await run(HttpCheck(1), str(tmp_path))).status is ProbeStatus.IMPOSSIBLE
    async with serving() as port:
        assert (await run(TcpCheck(port), str(tmp_path))).status is ProbeStatus.ANSWERED
    assert (await run(TcpCheck(free_port()), str(tmp_path))).status is ProbeStatus.REFUSED


async def test_bash_probes_tcp() -> None:
    async with serving() as port:
        assert (await run(TcpCheck(port), os.environ["PATH"])).status is ProbeStatus.ANSWERED
    assert (await run(TcpCheck(free_port()), os.environ["PATH"])).status is ProbeStatus.REFUSED


def outputs() -> Iterator[tuple[str, ProbeStatus, int]]:
    yield "\nHTTP/ 200\n= curl 0\n", ProbeStatus.ANSWERED, 200
    yield "curl: (7) Failed to connect\n\nHTTP/ 000\n= curl 7\n", ProbeStatus.REFUSED, 0
    yield "curl: (28) timed out\n\nHTTP/ 000\n= curl 28\n", ProbeStatus.NO_ANSWER, 0
    for tool, error in (
        ("curl 47", "curl: (47) Maximum (10) redirects followed"),
        ("wget 8", "20 redirections exceeded."),
        ("wget 1", "wget: too many redirections"),
    ):
        yield f"  HTTP/1.1 302 Found\n{error}\n= {tool}\n", ProbeStatus.NO_ANSWER, 0
    yield "  HTTP/1.1 302 Found\n  HTTP/1.1 200 OK\n= wget 0\n", ProbeStatus.ANSWERED, 200
    yield (
        "wget: server returned error: HTTP/1.0 404 Not Found\n= wget 1\n",
        ProbeStatus.ANSWERED,
        404,
    )
    yield "wget: can't connect (127.0.0.1): Connection refused\n= wget 1\n", ProbeStatus.REFUSED, 0
    yield "HTTP/1.0 200\n= nc 0\n", ProbeStatus.ANSWERED, 200
    yield " \n= nc 0\n", ProbeStatus.NO_ANSWER, 0
    yield "= none 0\n", ProbeStatus.IMPOSSIBLE, 0
    yield 'exec failed: "/bin/sh": no such file or directory', ProbeStatus.IMPOSSIBLE, 0
    yield "", ProbeStatus.IMPOSSIBLE, 0
    yield "= curl 0\nHTTP/1.1 200\n", ProbeStatus.IMPOSSIBLE, 0


@pytest.mark.parametrize(("output", "status", "value"), list(outputs()))
def test_results_by_output_of_the_script(output: str, status: ProbeStatus, value: int) -> None:
    found = parse_output(HttpCheck(80), output.encode())
    assert (found.status, found.value) == (status, value)


def test_values_of_the_task_are_arguments_of_the_script() -> None:
    path = '"; touch /x; "'
    argv = script(HttpCheck(80, path), 1)
    assert path not in argv[2]
    assert path in argv[3:]
