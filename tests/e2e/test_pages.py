"""Pages of a running agent: output and files of tasks, by HTTP and in a browser."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import encode_basic_auth, web

from shim.telemetry.catalogue import COUNTERS, GAUGES
from tests.dev.master.conftest import REAL, RealMaster
from tests.e2e.agents import AgentProcess
from tests.e2e.browser import text_of
from tests.e2e.client import Framework, Json, task
from tests.e2e.conftest import System
from tests.support.forkserver import ROOT
from tests.support.wait import patience, until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]

WEB = Path(__file__).parents[1] / "data" / "webui"
TALKS = "echo to-stderr >&2; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"


class Pages:
    """The pages of one agent, as tools read them."""

    def __init__(self, agent: AgentProcess, session: aiohttp.ClientSession) -> None:
        self._agent = agent
        self._session = session

    async def get(self, page: str, /, **query: Any) -> Any:
        params = {name: str(value) for name, value in query.items()}
        url = f"http://127.0.0.1:{self._agent.port}{page}"
        async with self._session.get(url, params=params) as answer:
            return await answer.json() if answer.status == 200 else answer.status

    async def wait_until_recovered(self) -> None:
        """Wait until a restarted agent knows its tasks."""

        async def answered() -> bool:
            try:
                return isinstance(await self.get("/state"), dict)
            except aiohttp.ClientConnectionError:
                return False

        await until(answered, "an answer of the agent")

    async def read(self, path: str, offset: int = 0) -> str:
        """From ``offset`` to the end."""
        got = ""
        while True:
            piece = await self.get("/files/read", path=path, offset=offset + len(got))
            if not piece["data"]:
                return got
            got += piece["data"]

    async def executor(self, task_id: str) -> Json:
        """As the web UI finds it: first among running executors, then among completed ones."""
        state = await self.get("/slave(1)/state")
        for frameworks in ("frameworks", "completed_frameworks"):
            for framework in state[frameworks]:
                for executors in ("executors", "completed_executors"):
                    for executor in framework[executors]:
                        if executor["id"] == task_id:
                            found: Json = executor
                            return found
        raise AssertionError(f"no executor {task_id} in /state")

    async def directory(self, task_id: str) -> str:
        return str((await self.executor(task_id))["directory"])

    async def wait_for_text(self, path: str, text: str) -> None:
        """Wait until a file contains ``text``."""

        async def there() -> bool:
            if isinstance(await self.get("/files/read", path=path, offset=0), int):
                return False
            return text in await self.read(path)

        await until(there, f"{text!r} in {path}")


@asynccontextmanager
async def pages(agent: AgentProcess) -> AsyncIterator[Pages]:
    async with aiohttp.ClientSession() as session:
        yield Pages(agent, session)


async def kill(framework: Framework, task_id: str) -> None:
    await framework.kill(task_id)
    await framework.end(task_id)


async def test_output_of_running_and_ended_tasks_and_after_a_restart(system: System) -> None:
    agent = await system.agent()
    async with system.framework() as framework, pages(agent) as at:
        await framework.launch(
            task("talks", TALKS, image=system.image),
            task("brief", "echo only; echo words >&2; exit 3", image=system.image),
        )
        await framework.state("talks", "TASK_RUNNING")
        await framework.end("brief")
        here = await at.directory("talks")
        await at.wait_for_text(f"{here}/stdout", "line 5\n")
        assert await at.read(f"{here}/stderr") == "to-stderr\n"
        size = (await at.get("/files/read", path=f"{here}/stdout", offset=-1))["offset"]
        await at.wait_for_text(f"{here}/stdout", "line 10\n")
        before = await at.read(f"{here}/stdout")
        assert await at.read(f"{here}/stdout", size) in before[size:] or size < len(before)
        # A crash: what was read stays, what came meanwhile is there, nothing twice.
        await agent.end(signal.SIGKILL)
        await agent.start()
        await at.wait_until_recovered()
        await at.wait_for_text(f"{here}/stdout", "line 30\n")
        await kill(framework, "talks")
        await system.no_containers()
        lines = (await at.read(f"{here}/stdout")).splitlines()
        assert lines == [f"line {number}" for number in range(len(lines))]
        assert (await at.executor("talks"))["completed_tasks"][0]["state"] == "TASK_KILLED"
        framework_id = framework.framework_id
        latest = f"/frameworks/{framework_id}/executors/brief/runs/latest"
        assert await at.read(f"{latest}/stdout") == "only\n"
        assert await at.read(f"{latest}/stderr") == "words\n"
        await agent.end()
        await agent.start()
        await at.wait_until_recovered()
        assert await at.read(f"{latest}/stdout") == "only\n"
        assert (await at.read(f"{here}/stdout")).splitlines() == lines


async def test_a_huge_output_keeps_its_beginning_and_its_end(system: System) -> None:
    agent = await system.agent()
    made = "head -c 9999 /dev/zero | tr '\\0' x > /l; echo >> /l; i=0; while [ $i -lt 100 ]; do "
    made += "cat /l; i=$((i+1)); done > /m; echo begins; i=0; while [ $i -lt 100 ]; do cat /m; "
    made += "i=$((i+1)); done; echo ends"
    async with system.framework() as framework, pages(agent) as at:
        await framework.launch(task("loud", made, image=system.image))
        await framework.end("loud")
        await system.no_containers()
        path = f"{await at.directory('loud')}/stdout"
        size = (await at.get("/files/read", path=path, offset=-1))["offset"]
        start = await at.get("/files/read", path=path, offset=0, length=20)
        assert start["data"].startswith("begins\nxxxx")
        assert (await at.read(path, size - 20)).endswith("xxxx\nends\n")
    held = await asyncio.to_thread(_bytes_in, system.directory / "agent0" / "sandboxes")
    assert 8_000_000 < held < 20_000_000


def _bytes_in(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


async def test_other_files_are_fetched_out_of_the_running_container(shared: System) -> None:
    agent = await shared.agent()
    script = "cd $MESOS_SANDBOX; mkdir -p work/deep; echo result > work/out.txt; "
    script += "ln -s work/out.txt link; ln -s /etc/passwd escape; trap 'exit 0' TERM; "
    script += "sleep 1000 & wait"
    async with shared.framework() as framework, pages(agent) as at:
        await framework.launch(task("files", script, image=shared.image))
        await framework.state("files", "TASK_RUNNING")
        here = await at.directory("files")
        await at.wait_for_text(f"{here}/work/out.txt", "result\n")

        async def listed(path: str) -> dict[str, str]:
            found = await at.get("/files/browse", path=path)
            return {entry["path"].removeprefix(path + "/"): entry["mode"][0] for entry in found}

        async def complete() -> bool:
            return len(await listed(here)) == 5

        await until(complete, "five files")
        assert await listed(here) == {
            "escape": "l",
            "link": "l",
            "stderr": "-",
            "stdout": "-",
            "work": "d",
        }
        assert await listed(f"{here}/work") == {"deep": "d", "out.txt": "-"}
        assert await at.read(f"{here}/link") == "result\n"
        assert await at.get("/files/read", path=f"{here}/escape", offset=0) == 400
        assert await at.get("/files/read", path=f"{here}/work", offset=0) == 400
        assert await at.get("/files/read", path=f"{here}/absent", offset=0) == 404
        await kill(framework, "files")


async def test_statistics_and_metrics_of_a_running_task(system: System) -> None:
    agent = await system.agent()
    busy = "trap 'exit 0' TERM; while :; do :; done"
    async with system.framework() as framework, pages(agent) as at:
        await framework.launch(task("busy", busy, image=system.image, mem=48))
        await framework.state("busy", "TASK_RUNNING")

        async def measured() -> bool:
            (entry,) = await at.get("/slave(1)/monitor/statistics")
            used = entry["statistics"]
            return bool(used["cpus_user_time_secs"] > 0 and used["mem_rss_bytes"] > 0)

        await until(measured, "a sample of the busy task")
        (entry,) = await at.get("/containers")
        assert entry["statistics"]["mem_limit_bytes"] == 48 * 2**20
        metrics = await at.get("/metrics/snapshot")
        assert (metrics["slave/tasks_running"], metrics["slave/registered"]) == (1, 1)
        assert metrics["slave/mem_used"] == 48
        await kill(framework, "busy")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{agent.port}/metrics") as answer,
    ):
        text = await answer.text()
    for line in (
        'mesos_shim_launch_seconds_count{stage="creating"} 1.0',
        'mesos_shim_launch_seconds_count{stage="total"} 1.0',
        'mesos_shim_engine_call_seconds_count{call="create",outcome="ok"} 1.0',
        "mesos_shim_master_connected 1.0",
        "mesos_shim_launches_total 1.0",
        "mesos_shim_kills_total 1.0",
    ):
        assert line in text
    for name, _, _ in (*GAUGES, *COUNTERS):
        assert f"mesos_shim_{name}" in text


async def test_reading_needs_a_password_and_the_master_needs_none(system: System) -> None:
    credentials = '{"credentials": [{"principal": "ops", "secret": "hunter22"}]}'
    agent = await system.agent(f"--http_credentials={credentials}", "--authenticate_http_readonly")
    async with aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{agent.port}"
        for path in ("/state", "/metrics", "/files/read?path=/slave/log"):
            async with session.get(base + path) as refused:
                assert refused.status == 401
        known = {"Authorization": encode_basic_auth("ops", "hunter22")}
        async with session.get(f"{base}/flags", headers=known) as answer:
            assert "hunter22" not in await answer.text()
            assert answer.status == 200
        async with session.get(f"{base}/slave(1)/health") as health:
            assert health.status == 200


async def test_run_follow_prints_the_output_of_its_task(shared: System) -> None:
    await shared.agent()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shim", "run", f"--master={shared.master}", "--follow"),
        *(f"--image={shared.image}", "--mem=32", "--name=/team/web", "--user=65534"),
        "--command=id -u; echo begins; sleep 2; echo goes wrong >&2; echo ends; exit 7",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with patience():
        out, err = await process.communicate()
    assert process.returncode == 7, (out, err)
    assert b"65534\nbegins\n" in out
    assert b"ends\n" in out
    assert b"goes wrong\n" in err


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("sleep 1", b""),
        (r"printf '\377\377\377\377\n'; sleep 1; echo 0123456789ABCDEF", b"0123456789ABCDEF\n"),
    ],
)
async def test_run_follow_loses_no_output_and_adds_no_error(
    shared: System, command: str, output: bytes
) -> None:
    await shared.agent()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shim", "run", f"--master={shared.master}", "--follow"),
        *(f"--image={shared.image}", "--mem=32", "--instances=3", "--parameter=log-driver=local"),
        f"--command={command}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with patience():
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert not output or out.count(output) == 3


# --- in a browser -------------------------------------------------------------------------------


@asynccontextmanager
async def file_server(directory: Path) -> AsyncIterator[str]:
    """Serves a directory from another origin than the agent's, as a master does."""
    app = web.Application()
    app.router.add_static("/", directory)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.needs_chromium
async def test_a_sandbox_page_of_another_origin_in_a_browser(shared: System) -> None:
    agent = await shared.agent()
    async with shared.framework() as framework, pages(agent) as at, file_server(WEB) as origin:
        await framework.launch(
            task("talks", TALKS, image=shared.image),
            task("brief", "echo last words; exit 3", image=shared.image),
        )
        await framework.state("talks", "TASK_RUNNING")
        await framework.end("brief")
        await at.wait_for_text(f"{await at.directory('talks')}/stdout", "line 3\n")
        url = f"{origin}/sandbox.html?agent=localhost:{agent.port}"
        url += f"&framework={framework.framework_id}&executor="
        running = await text_of(url + "talks")
        assert "line 0\nline 1\nline 2\n" in running
        assert "-rw-r--r-- stderr 10" in running
        ended = await text_of(url + "brief")
        assert "last words\n" in ended
        assert "-rw-r--r-- stdout 11" in ended
        await kill(framework, "talks")


@pytest.mark.needs_chromium
@pytest.mark.needs_master
async def test_the_web_ui_of_a_real_master(system: System, tmp_path: Path) -> None:
    """The Sandbox link, the agent page, and the link to the agent's log."""
    assert REAL
    other = tmp_path / "ui"
    other.mkdir()
    async with RealMaster(REAL, other, "--registry=in_memory") as master:
        system.master = master.address
        agent = await system.agent()
        async with system.framework() as framework, pages(agent) as at:
            await framework.launch(task("talks", TALKS, image=system.image))
            await framework.state("talks", "TASK_RUNNING")
            agent_id = (await at.get("/state"))["id"]
            front = f"http://{master.address}/#/agents/{agent_id}"
            sandbox = f"/frameworks/{framework.framework_id}/executors/talks/tasks/talks/browse"
            shown = await text_of(front + sandbox)
            assert "stdout" in shown
            assert "stderr" in shown
            page = " ".join((await text_of(front)).split())
            for words in ("Agent: localhost", "Running 1", "root e2e * 1 / 0.1", "Agent Log:"):
                assert words in page, page
            assert "NaN" not in page
            await kill(framework, "talks")
