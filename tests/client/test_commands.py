"""The commands, against the pages of a real core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from aiohttp.web import Application, HTTPFound, HTTPNotFound, Request, Response

from shim import cli, limits
from shim.client import status
from shim.core.lifecycle import Event
from shim.http.health import Liveness
from shim.model import facts
from shim.model.container import Ref, Usage
from tests.http.conftest import serving
from tests.http.page_data import PageData, accept_task, end_task, run_task


@pytest.fixture
def page_data() -> PageData:
    return PageData()


@pytest.fixture
async def agent(page_data: PageData, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """``MESOS_AGENT`` names an agent with these pages."""
    monkeypatch.setattr(limits, "LIVE_INTERVAL", 0.02)
    async with serving(page_data) as client:
        monkeypatch.setenv("MESOS_AGENT", f"127.0.0.1:{client.port}")
        yield


@pytest.fixture
def web(page_data: PageData) -> Ref:
    ref = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ref)
    return ref


async def call(*argv: str) -> int:
    return await asyncio.to_thread(cli.main, argv)


pytestmark = pytest.mark.usefixtures("agent")


async def test_ps(page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]) -> None:
    ended = accept_task(page_data.core, "batch.2")
    run_task(page_data.core, ended)
    end_task(page_data.core, ended, acknowledged=True)
    assert await call("ps") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "TASK",
        "STATE",
        "SINCE",
        "CPUS",
        "MEMORY",
        "ADDRESS",
        "IMAGE",
        "FRAMEWORK",
    ]
    assert line.split()[:2] == ["web.1", "running"]
    assert line.split()[-4:] == ["MB", "192.168.128.7", "nginx:1.25", "marathon"]
    assert await call("ps", "-aq") == 0
    assert capsys.readouterr().out == "batch.2\nweb.1\n"
    assert await call("ps", "--json", "is:ended") == 0
    assert [row["task"] for row in json.loads(capsys.readouterr().out)] == ["batch.2"]


async def test_status_of_the_agent(
    page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await call("status") == 0
    shown = capsys.readouterr().out
    assert "ok    master      registered with master@10.0.0.1:5050" in shown
    assert "cpus        0.5 of 64" in shown
    assert "tasks       1 of marathon\n" in shown
    page_data.liveness = Liveness(endpoint_error="connection refused")
    await asyncio.sleep(0.1)
    assert await call("status") == 1
    assert "FAIL  endpoint    connection refused" in capsys.readouterr().out
    assert await call("status", "--json") == 1


async def test_status_of_a_task(
    page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await call("status", "web") == 0
    shown = capsys.readouterr().out
    assert f"container   {web.name}" in shown
    assert "running   2023-11-14T22:13:20.000+00:00  unacknowledged" in shown
    page_data.core.tasks.apply(web, Event.EXITED, facts.ContainerExited(web, 3))
    await asyncio.sleep(0.1)
    assert await call("status", "web", "--json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == "TASK_FAILED"


async def test_status_follows_a_task_to_its_end(
    page_data: PageData, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "INTERVAL", 0.02)
    web = accept_task(page_data.core, "web.1")
    task = page_data.core.tasks.table[web.task_key]
    task.stage = "pulling image 1 of 2 layers"
    following = asyncio.create_task(call("status", "-f", "web"))
    as_json = asyncio.create_task(call("status", "-f", "--json", "web"))
    out = ""
    while not ("\nweb.1 pulling image 1 of 2 layers\n" in out and out.count('"stage"') == 1):
        await asyncio.sleep(0.02)
        out += capsys.readouterr().out
    run_task(page_data.core, web)
    await asyncio.sleep(0.1)
    page_data.core.tasks.apply(web, Event.EXITED, facts.ContainerExited(web, 3))
    assert (await following, await as_json) == (1, 1)
    out = capsys.readouterr().out
    assert "running 2023-11-14T22:13:20.000+00:00 unacknowledged" in out
    assert "failed 2023-11-14T22:13:20.000+00:00 unacknowledged" in out
    ends = [json.loads(line)["state"] for line in out.splitlines() if line.startswith("{")]
    assert ends[-1] == "TASK_FAILED"


async def test_status_follows_the_agent(
    page_data: PageData, capsys: pytest.CaptureFixture[str]
) -> None:
    following = asyncio.create_task(call("status", "-f"))
    out = ""
    while "ok    master" not in out:
        await asyncio.sleep(0.02)
        out += capsys.readouterr().out
    page_data.liveness = Liveness(endpoint_error="connection refused")
    out = ""
    while not out:
        await asyncio.sleep(0.02)
        out += capsys.readouterr().out
    assert out.endswith("  FAIL  endpoint    connection refused\n")
    assert out.count("\n") == 1
    following.cancel()


async def test_errors_have_their_exit_codes(web: Ref, capsys: pytest.CaptureFixture[str]) -> None:
    assert await call("status", "nothing") == 3
    assert "no task's id begins with 'nothing'" in capsys.readouterr().err
    assert await call("ps", "--agent=ftp://x") == 2
    assert "--agent=ftp://x: not host" in capsys.readouterr().err
    assert await call("ps", "--agent=127.0.0.1:1") == 1
    assert "is --agent right?" in capsys.readouterr().err
    assert await call("ps", "--credentials=/no/file") == 2
    assert await call("ps", "--credentials=me:secret") == 2
    assert "secret" not in (err := capsys.readouterr().err)
    assert "--credentials: takes the path of a file" in err
    assert await call("logs", "web", "--tail=-1") == 2
    assert await call("ps", "--agent=me:secret@127.0.0.1") == 2
    assert await call("ps", "is:nonsense") == 2
    capsys.readouterr()
    assert await call("kill", "") == 2
    assert "an empty id names no task" in capsys.readouterr().err


async def test_a_server_that_is_no_mesos_shim_learns_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    async def page(request: Request) -> Response:
        seen.append(request.headers.get("Authorization"))
        raise HTTPFound("/other") if request.path == "/live/events" else HTTPNotFound()

    app = Application()
    app.router.add_get("/{path:.*}", page)
    monkeypatch.setenv("MESOS_AGENT_CREDENTIALS", "me:secret")
    async with TestServer(app) as server:
        assert await call("top", f"--agent=127.0.0.1:{server.port}") == 1
        del seen[:]
        assert await call("status", f"--agent=127.0.0.1:{server.port}") == 1
    assert "not the answer of a mesos-shim; is --agent right?" in capsys.readouterr().err
    assert seen == ["Basic bWU6c2VjcmV0", None]


@pytest.mark.parametrize(
    ("flags", "out", "err"),
    [
        ((), "one\ntwo\nthree\n", "warning\n"),
        (("--stdout",), "one\ntwo\nthree\n", ""),
        (("--stderr",), "", "warning\n"),
        (("--tail=2", "--stdout"), "two\nthree\n", ""),
        (("--tail=4", "--stdout"), "one\ntwo\nthree\n", ""),
        (("--tail=0",), "", ""),
        (("--tail=99",), "one\ntwo\nthree\n", "warning\n"),
    ],
)
async def test_logs(
    page_data: PageData,
    web: Ref,
    capfd: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    out: str,
    err: str,
) -> None:
    page_data.outputs.texts.update(stdout=b"one\ntwo\nthree\n", stderr=b"warning\n")
    assert await call("logs", "web", *flags) == 0
    assert capfd.readouterr() == (out, err)


async def test_output_for_programs(
    page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]
) -> None:
    page_data.outputs.texts.update(stdout="ö\n".encode(), stderr=b"\xff")
    assert await call("logs", "--json", "web") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"output": "stdout", "text": "ö\n"},
        {"output": "stderr", "text": "?"},
    ]


async def test_long_output_and_its_last_lines(
    page_data: PageData, web: Ref, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "".join(f"line {n}\n" for n in range(40_000))
    page_data.outputs.texts["stdout"] = text.encode()
    assert await call("logs", "web", "--stdout") == 0
    assert capfd.readouterr().out == text
    assert await call("logs", "web", "--stdout", "--tail=20000") == 0
    assert capfd.readouterr().out == "".join(f"line {n}\n" for n in range(20_000, 40_000))
    page_data.outputs.texts["stdout"] = "".join(f"{n} %\r" for n in range(100)).encode() + b"\n"
    assert await call("logs", "web", "--stdout", "--tail=1") == 0
    assert capfd.readouterr().out.count("%") == 100


async def test_logs_follow_a_task_to_its_end(
    page_data: PageData, web: Ref, capfd: pytest.CaptureFixture[str]
) -> None:
    page_data.outputs.texts["stdout"] = b"first\n"
    following = asyncio.create_task(call("logs", "-f", "web"))
    await asyncio.sleep(0.3)
    page_data.outputs.texts["stdout"] += b"last\n"
    end_task(page_data.core, web)
    assert await following == 0
    assert capfd.readouterr().out == "first\nlast\n"


async def test_top(page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]) -> None:
    def use(seconds: float) -> None:
        page_data.usages[web] = Usage(
            timestamp=100.0 + seconds, cpus_user_time_secs=seconds / 2, mem_rss_bytes=2**25
        )

    use(1.0)
    watching = asyncio.create_task(call("top", "--count=2", "--interval=0.5", "--json"))
    await asyncio.sleep(0.1)
    use(3.0)
    assert await watching == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one[0]["task"] for one in lines] == ["web.1", "web.1"]
    assert lines[0][0]["cpus"] is None
    assert await call("top", "--count=1") == 0
    assert "32 MB   128 MB" in capsys.readouterr().out
    assert await call("top", "--interval=0") == 2


async def test_events(page_data: PageData, web: Ref, capsys: pytest.CaptureFixture[str]) -> None:
    watching = asyncio.create_task(call("events", "--all", "task:web"))
    out = ""
    while "web.1" not in out:
        await asyncio.sleep(0.02)
        out += capsys.readouterr().out
    assert out == "2023-11-14T22:13:20.000+00:00 running marathon web.1\n"
    page_data.core.tasks.apply(web, Event.REPORT, facts.HealthReported(web, healthy=False))
    out = ""
    while not out:
        await asyncio.sleep(0.02)
        out += capsys.readouterr().out
    assert "running marathon web.1 unhealthy" in out
    watching.cancel()


async def test_a_password_by_file_or_environment(
    page_data: PageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with serving(page_data, {"me": "secret"}, "mesos-agent-readonly") as client:
        monkeypatch.setenv("MESOS_AGENT", f"127.0.0.1:{client.port}")
        assert await call("ps") == 1
        assert "401" in (err := capsys.readouterr().err)
        assert "give --credentials" in err
        file = tmp_path / "credentials"
        file.write_text("me:secret\n")
        assert await call("ps", f"--credentials={file}") == 0
        monkeypatch.setenv("MESOS_AGENT_CREDENTIALS", "me:secret")
        assert await call("ps") == 0
        monkeypatch.setenv("MESOS_AGENT_CREDENTIALS", "me:wrong")
        assert await call("ps") == 1
        assert "me:wrong" not in (err := capsys.readouterr().err)
        assert "401 Unauthorized: wrong password" in err
