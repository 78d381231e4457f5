from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from shim import cli
from shim.check import command, probes
from shim.check.command import offered_ports
from shim.config import Config, load
from shim.dev.master.dev_master import DevMaster
from shim.engine.api import EngineInfo
from shim.telemetry import log
from tests.check.test_probes import Endpoint, use


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Endpoint(EngineInfo("docker", "24", "1.43", "vm")))
    monkeypatch.setattr(probes, "certificate_file", lambda config: None)
    monkeypatch.setattr(command, "volumes", _no_volumes)
    monkeypatch.setattr(command, "pods", _no_volumes)
    monkeypatch.setattr(log, "start_logging", lambda *_: None)
    monkeypatch.delenv("CONSUL_HTTP_ADDR", raising=False)


async def _no_volumes(config: Config) -> str:
    return "none"


async def check(*argv: str) -> int:
    """Run the command in a thread, because it starts its own event loop."""
    return await asyncio.to_thread(cli.main, ["check", *argv])


async def test_a_healthy_setup_passes_every_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with DevMaster("127.0.0.1", 0) as master:
        code = await check(
            f"--master=127.0.0.1:{master.port}", "--port=0", f"--work_dir={tmp_path}"
        )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[:2] for line in lines] == [
        ["ok", what]
        for what in (
            "ports",
            "detection",
            "master",
            "address",
            "work_dir",
            "endpoint",
            "volumes",
            "pods",
        )
    ]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("none", "for Marathon give --ports=[31000-32000] on a local engine, --ports=virtual on"),
        ("virtual", "use MESOS_HTTP and MESOS_TCP health checks"),
        ("[31000-31005]", "every Marathon app starts"),
    ],
)
def test_the_ports_line_says_what_a_marathon_user_needs(flag: str, expected: str) -> None:
    config = load(["--master=127.0.0.1:5050", f"--ports={flag}"], {})
    assert expected in offered_ports(config.ports)


async def test_a_failed_check_gives_exit_code_1_and_advice(
    tmp_path: Path, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--master=127.0.0.1:{unused_tcp_port}", "--port=0", f"--work_dir={tmp_path}"]
    assert await check(*flags, f"--consul=127.0.0.1:{unused_tcp_port}", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    failed = {result["what"] for result in answer["findings"] if not result["ok"]}
    assert failed == {"master", "consul"}
    assert all(result["advice"] for result in answer["findings"] if not result["ok"])
