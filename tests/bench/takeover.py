"""From kill -9 of the leading agent, and from SIGTERM, to "re-registered" by the standby.

Two agents in processes of their own share a journal in real ZooKeeper servers. It has 1,000
running tasks, and the endpoint lists their containers at once. After a kill the standby waits for
the end of the session, then for a fifth of it, in which the old leader may still act.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import tempfile
import time
from pathlib import Path

from shim.agent.journal_lock import Holder
from shim.agent.zookeeper_journal import zookeeper_journal
from shim.model.settings import ZooKeeperUrl
from tests.bench.kit import ThinMaster, rss_kb
from tests.bench.recovery import SHIM_ID, earlier_life, serving
from tests.e2e.agents import AgentProcess
from tests.support.ports import free_port
from tests.support.zookeeper import Ensemble

LOADED = re.compile(r"(\d+) nodes with (\d+) tasks loaded in (\S+) s")
BATCH = 2000
"""Records of one commit: as a busy agent's."""


async def fill(hosts: str, records: list[object]) -> None:
    url = ZooKeeperUrl(tuple(hosts.split(",")), "/mesos/shim")
    journal = zookeeper_journal(url, Holder("127.0.0.1", 1, "", "machine", "/"), 10.0)
    await journal.acquire()
    for start in range(0, len(records), BATCH):
        await journal.commit(records[start : start + BATCH])  # type: ignore[arg-type]
    await journal.close()


async def measure(count: int, servers: int, session: float, rounds: int) -> None:
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name,
        Ensemble(Path(name) / "ensemble", servers, tick_ms=2000, memory_mb=512) as ensemble,
    ):
        directory = Path(name)
        async with ThinMaster() as master:
            agents = [
                AgentProcess(
                    master.address,
                    directory / f"machine{number}",
                    SHIM_ID,
                    "--hostname=localhost",
                    "--engine=docker",
                    f"--journal=zk://{ensemble.hosts}/mesos/shim",
                    f"--zk_session_timeout={session:g}secs",
                    "--registration_backoff_factor=200ms",
                    DOCKER_HOST=f"unix://{directory / 'docker.sock'}",
                )
                for number in range(2)
            ]
            records, labels = earlier_life(master, free_port(), count)
            await fill(ensemble.hosts, list(records))
            async with serving(directory, labels):
                await _rounds(agents, master, count, rounds)


async def _rounds(agents: list[AgentProcess], master: ThinMaster, count: int, rounds: int) -> None:
    leader, standby = agents
    await leader.start()
    await asyncio.wait_for(master.registered.wait(), 120)
    try:
        for how in (signal.SIGKILL, signal.SIGTERM) * rounds:
            if standby.port:
                standby.forget_log()
            await standby.start()
            await standby.logged("leads; waiting")
            await asyncio.sleep(2)
            await _take_over(leader, standby, master, how, count)
            leader, standby = standby, leader
    finally:
        for agent in agents:
            await agent.kill()


async def _take_over(
    leader: AgentProcess, standby: AgentProcess, master: ThinMaster, how: signal.Signals, count: int
) -> None:
    master.registered.clear()
    began = time.monotonic()
    os.kill(leader.pid, how)
    await asyncio.wait_for(master.registered.wait(), 120)
    took = time.monotonic() - began
    found = LOADED.search(standby.log)
    assert found is not None
    assert master.reported == count, f"{master.reported} tasks were reported"
    await leader.exit_code()
    print(
        f"{how.name}: {count} tasks re-registered after {took:.2f} s; {found[1]} nodes loaded in "
        f"{found[3]} s; {rss_kb(standby.pid) / 1024:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench takeover", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--session", type=float, default=10.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    asyncio.run(measure(given.count, given.servers, given.session, given.rounds))


if __name__ == "__main__":
    main()
