from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from shim import cli
from shim.check import places
from shim.dev.master.dev_master import DevMaster
from shim.engine.api import EngineInfo
from shim.telemetry import log
from tests.check.test_places import Endpoint, use


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Endpoint(EngineInfo("docker", "24", "1.43", "vm")))
    monkeypatch.setattr(places, "certificate_file", lambda config: None)
    monkeypatch.setattr(log, "start_logging", lambda *_: None)
    monkeypatch.delenv("CONSUL_HTTP_ADDR", raising=False)


async def check(*argv: str) -> int:
    """In a thread: the command brings its own loop."""
    return await asyncio.to_thread(cli.main, ["check", *argv])


async def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with DevMaster("127.0.0.1", 0) as master:
        code = await check(
            f"--master=127.0.0.1:{master.port}", "--port=0", f"--work_dir={tmp_path}"
        )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[:2] for line in lines] == [
        ["ok", what] for what in ("detection", "master", "address", "work_dir", "endpoint")
    ]


async def test_one_thing_is_not(
    tmp_path: Path, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--master=127.0.0.1:{unused_tcp_port}", "--port=0", f"--work_dir={tmp_path}"]
    assert await check(*flags, f"--consul=127.0.0.1:{unused_tcp_port}", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    failed = {finding["what"] for finding in answer["findings"] if not finding["ok"]}
    assert failed == {"master", "consul"}
    assert all(finding["advice"] for finding in answer["findings"] if not finding["ok"])
