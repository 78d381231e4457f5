"""The command ``mesos-shim run`` with the embedded master and a fake agent."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from shim.client.task_table import HEAD
from shim.dev.master.dev_master import DevMaster
from shim.errors import ConfigError, FatalError
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from shim.run import command, driver, runner
from shim.run.task_spec import TaskSpec, task_info
from tests.dev.master.fake_agent import FakeAgent
from tests.support.forkserver import ROOT
from tests.support.wait import patience


@pytest.fixture
async def agent() -> AsyncIterator[FakeAgent]:
    async with DevMaster(port=0) as master, FakeAgent(master.address) as agent:
        await agent.register()
        yield agent


async def start(master: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shim",
        "run",
        f"--master={master}",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def address(agent: FakeAgent) -> str:
    return f"{agent.master.ip}:{agent.master.port}"


async def lines(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with patience():
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def running_at(ip: str) -> mesos.ContainerStatus:
    status = mesos.ContainerStatus()
    status.network_infos.add().ip_addresses.add(ip_address=ip)
    return status


async def test_the_exit_code_is_the_tasks_and_the_address_is_printed(agent: FakeAgent) -> None:
    process = await start(
        address(agent), "--image=busybox", "--name=web", "--command=exit 3", "--env=A=1", "--mem=99"
    )
    run = await agent.next(internal.RunTaskMessage)
    assert run.task.container.docker.image == "busybox"
    assert run.task.command.value == "exit 3"
    assert {r.name: r.scalar.value for r in run.task.resources} == {"cpus": 0.1, "mem": 99}
    await agent.report(run, mesos.TASK_RUNNING, container_status=running_at("10.1.2.3"))
    await agent.report(run, mesos.TASK_FAILED, message="Container exited with status 3")
    code, out, _ = await lines(process)
    assert code == 3
    assert "TASK_RUNNING at 10.1.2.3" in out
    head, row = out[out.index("TASK  ") :].splitlines()[:2]
    assert head.split() == [*HEAD]
    assert row.startswith(f"{run.task.task_id.value}  running  ")
    assert row.split()[-8:-3] == ["0.1", "99", "MB", "10.1.2.3", "busybox"]
    assert row.endswith("  mesos-shim run web")
    shutdown = await agent.next(internal.ShutdownFrameworkMessage)
    assert shutdown.framework_id == run.framework.id


@pytest.mark.parametrize("name", ["/team/web", "web/1", "a\\b", "a\tb"])
async def test_a_name_that_is_not_an_id_is_kept_as_the_tasks_name(
    agent: FakeAgent, name: str
) -> None:
    process = await start(address(agent), "--image=busybox", f"--name={name}")
    run = await agent.next(internal.RunTaskMessage)
    assert run.task.name == name
    await agent.report(run, mesos.TASK_FINISHED)
    assert (await lines(process))[0] == 0


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("label", ["app=web", "tier=front"]),
        ("link", ["a:b", "c:d"]),
        ("env", ["affinity:app!=web", "affinity:app!=db"]),
        ("volume", ["one:/a", "two:/b"]),
    ],
)
def test_a_parameter_may_be_repeated(key: str, values: list[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = [f"--parameter={key}={value}" for value in values]
    parsed = parser.parse_args(
        ["--master=m:1", "--image=busybox", "--env=A=1", "--env=A=2", *given]
    )
    info = task_info(command.task_spec(parsed), "id", {"value": "S1"}, with_ports=False)
    expected = [{"key": key, "value": value} for value in values]
    assert info["container"]["docker"]["parameters"] == expected
    variables = info["command"]["environment"]["variables"]
    assert variables == [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--name=web\udcff", "--name is not UTF-8: 'web\\udcff'"),
        ("--command=echo \udcff", "--command is not UTF-8: 'echo \\udcff'"),
        ("--env=PASSWORD=secret\udcff", "--env is not UTF-8: 'PASSWORD'"),
        ("argument\udcff", "--arguments is not UTF-8: 'argument\\udcff'"),
    ],
)
def test_an_argument_that_is_not_utf8_is_named(argument: str, named: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parsed = parser.parse_args(["--master=m:1", "--image=busybox", argument])
    with pytest.raises(ConfigError) as raised:
        command.main(parsed)
    assert str(raised.value) == named


def test_a_driver_that_failed_is_no_interrupt() -> None:
    """pymesos interrupts the main thread when its own thread fails."""
    interrupted = threading.Event()
    interrupted.set()
    run = runner.Run(TaskSpec("busybox", "web"), 1, print)
    failed = cast(driver.Driver, SimpleNamespace(aborted=True, error="Failed with HTTP 400"))
    with pytest.raises(FatalError, match="Failed with HTTP 400"):
        runner.follow(run, failed, interrupted, lambda: None)


async def test_an_error_that_ends_the_driver_is_one_line() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nwho's it?")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, out, err = await lines(await start(f"127.0.0.1:{port}", "--image=busybox"))
    assert (code, out) == (1, "")
    assert err.startswith("mesos-shim: the master ended the framework: Failed with HTTP 401")
    assert err.count("\n") == 1


async def test_every_instance_has_to_finish(agent: FakeAgent) -> None:
    process = await start(address(agent), "--image=busybox", "--instances=2")
    runs = [await agent.next(internal.RunTaskMessage) for _ in range(2)]
    assert runs[0].task.task_id != runs[1].task.task_id
    for run in runs:
        await agent.report(run, mesos.TASK_FINISHED)
    assert (await lines(process))[0] == 0


async def test_follow_prints_the_logs_to_their_end(agent: FakeAgent) -> None:
    process = await start(address(agent), "--image=busybox", "--follow")
    run = await agent.next(internal.RunTaskMessage)
    framework_id, task_id = run.framework.id.value, run.task.task_id.value
    sandbox = f"/frameworks/{framework_id}/executors/{task_id}/runs/latest"
    agent.files = {f"{sandbox}/stdout": "one\n", f"{sandbox}/stderr": "oops\n"}
    await agent.report(run, mesos.TASK_RUNNING)
    assert process.stdout
    async with patience():
        while await process.stdout.readline() != b"one\n":
            pass
    agent.files[f"{sandbox}/stdout"] += "two\n"
    await agent.report(run, mesos.TASK_FINISHED)
    code, out, err = await lines(process)
    assert code == 0
    assert "two\n" in out
    assert "oops\n" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_kills_the_task(agent: FakeAgent, number: signal.Signals) -> None:
    process = await start(address(agent), "--image=busybox")
    run = await agent.next(internal.RunTaskMessage)
    await agent.report(run, mesos.TASK_RUNNING)
    process.send_signal(number)
    kill = await agent.next(internal.KillTaskMessage)
    assert kill.task_id == run.task.task_id
    await agent.report(run, mesos.TASK_KILLED)
    assert (await lines(process))[0] == 130


async def test_detach_continues_in_the_background(agent: FakeAgent, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    process = await start(address(agent), "--image=busybox", f"--detach={log}")
    run = await agent.next(internal.RunTaskMessage)
    assert process.returncode is None
    await agent.report(run, mesos.TASK_RUNNING)
    code, out, _ = await lines(process)
    assert code == 0
    os.kill(int(out), signal.SIGTERM)
    await agent.next(internal.KillTaskMessage)
    await agent.report(run, mesos.TASK_KILLED)
    await agent.next(internal.ShutdownFrameworkMessage)
    assert "TASK_KILLED" in log.read_text()


async def test_detach_fails_when_a_task_cannot_start(agent: FakeAgent, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    process = await start(address(agent), "--image=busybox", f"--detach={log}")
    run = await agent.next(internal.RunTaskMessage)
    await agent.report(run, mesos.TASK_FAILED, message="no such image")
    code, _, err = await lines(process)
    assert code == 1
    assert str(log) in err
    assert "no such image" in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--image=a", "--port=80"], "'80'"),
        (["--image=a", "--env=B"], "'B'"),
        (["--image=a", "--instances=0"], "'0'"),
        (["--image=a", "--mem=-1"], "-1"),
        (["--image=a", "--network=host", "--port=1:1"], "--network=host"),
        (["--image=a", "--command=b", "--", "c"], "--command"),
        (["--image=a", "--user=a", "--parameter=user=b"], "--parameter user"),
        (["--image=a", "--detach=/nowhere/log"], "/nowhere/log"),
        ([], "--image"),
    ],
)
async def test_errors_name_the_argument(arguments: list[str], word: str) -> None:
    code, _, err = await lines(await start("127.0.0.1:1", *arguments))
    assert code == 2
    assert word in err


async def test_an_invalid_master_is_an_error() -> None:
    code, _, err = await lines(await start("http://a/b", "--image=a"))
    assert code == 2
    assert "http://a/b" in err


def test_without_pymesos_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymesos", None)
    run = runner.Run(TaskSpec("busybox", "web"), 1, print)
    with pytest.raises(FatalError, match="pip install --no-deps pymesos"):
        driver.connect(run, {}, "127.0.0.1:1", None)
