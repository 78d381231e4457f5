"""Wrong flags and broken surroundings: one clear line that names field and value."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from pathlib import Path

import pytest

from tests.e2e.conftest import System
from tests.support import forkserver
from tests.support.ports import free_port
from tests.support.wait import PATIENCE


async def run_agent(*flags: str, timeout: float = PATIENCE, **env: str) -> tuple[int, str]:
    """Exit code and output of an agent that ends by itself."""
    with tempfile.TemporaryFile() as output:
        process = await forkserver.spawn(
            "shim", "agent", *flags, output=output.fileno(), env={**os.environ, **env}
        )
        async with asyncio.timeout(timeout):
            code = await process.wait()
        output.seek(0)
        return code, output.read().decode()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--master"),
        (["--master=127.0.0.1"], "127.0.0.1"),
        (["--master=127.0.0.1:1", "--work_dri=/tmp"], "work_dir"),
        (["--master=127.0.0.1:1", "--port=99999"], "99999"),
        (["--master=127.0.0.1:1", "--resources=cpus:many"], "many"),
        (["--master=127.0.0.1:1", "--docker_host=ftp://x"], "ftp://x"),
        (["--master=127.0.0.1:1", "--engine=podman"], "podman"),
        (["--master=127.0.0.1:1", "--docker_remove_delay=soon"], "soon"),
    ],
)
async def test_wrong_flags(tmp_path: Path, flags: list[str], words: str) -> None:
    code, said = await run_agent(*flags, MESOS_WORK_DIR=str(tmp_path / "work"))
    assert code == 2
    assert words in said
    assert len(said.strip().splitlines()) == 1


async def test_work_dir_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = await run_agent("--master=127.0.0.1:1", f"--work_dir={tmp_path}/file/work")
    assert code == 1
    assert "--work_dir" in said
    assert str(tmp_path / "file") in said


async def test_journal_of_a_newer_shim(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("PRAGMA user_version = 99")
    code, said = await run_agent("--master=127.0.0.1:1", f"--work_dir={tmp_path}")
    assert code == 1
    assert "newer" in said
    assert "99" in said


async def test_journal_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is no database at all" * 1000)
    code, said = await run_agent("--master=127.0.0.1:1", f"--work_dir={tmp_path}")
    assert code == 1
    assert str(tmp_path / "journal.db") in said


async def test_port_taken(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code, said = await run_agent(
        "--master=127.0.0.1:1", "--ip=127.0.0.1", f"--port={port}", f"--work_dir={tmp_path}"
    )
    server.close()
    assert code == 1
    assert f"--port={port}" in said


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
async def test_second_shim_on_a_work_dir(system: System) -> None:
    first = await system.agent()
    code, said = await run_agent(
        f"--master={system.master}",
        "--ip=127.0.0.1",
        f"--port={free_port()}",
        f"--work_dir={system.directory / 'agent0'}",
    )
    assert code == 1
    assert "in use by another shim" in said
    assert str(first.pid) in said


@pytest.mark.needs_docker
@pytest.mark.needs_busybox
async def test_an_endpoint_that_is_not_there_is_named_and_awaited(system: System) -> None:
    where = f"unix://{system.directory}/no.sock"
    agent = await system.agent(f"--docker_host={where}", registered=False)
    await agent.logged(where)
    assert "Traceback" not in agent.log
    assert await agent.end() == 0
