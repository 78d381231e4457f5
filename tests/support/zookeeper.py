"""Real ZooKeeper servers: one alone, or an ensemble, that can be killed and started again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from signal import Signals

from tests.support.ports import free_ports
from tests.support.wait import PATIENCE

JAR = Path("/usr/share/java/zookeeper.jar")
TICK_MS = 200
"""Sessions last 2 to 20 ticks."""


class Ensemble:
    """``with``; its servers keep their data when they are killed."""

    def __init__(
        self, directory: Path, servers: int = 1, *, tick_ms: int = TICK_MS, memory_mb: int = 64
    ) -> None:
        self._directory = directory
        self._memory = memory_mb
        self.ports = free_ports(servers)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        quorum = [free_ports(2) for _ in range(servers)] if servers > 1 else []
        for number, port in enumerate(self.ports):
            data = directory / f"zookeeper{number}"
            data.mkdir(parents=True)
            lines = [
                f"tickTime={tick_ms}",
                f"dataDir={data}",
                f"clientPort={port}",
                "clientPortAddress=127.0.0.1",
                "admin.enableServer=false",
                "initLimit=50",
                "syncLimit=10",
                "maxClientCnxns=0",
                *(f"server.{n}=127.0.0.1:{a}:{b}" for n, (a, b) in enumerate(quorum)),
            ]
            (data / "zoo.cfg").write_text("\n".join(lines) + "\n")
            (data / "myid").write_text(f"{number}\n")

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def __enter__(self) -> Ensemble:
        try:
            for number in range(len(self.ports)):
                self.start(number, wait=False)
            for number in range(len(self.ports)):
                self.wait(number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._processes):
            self.kill(number)

    def start(self, number: int, *, wait: bool = True) -> None:
        data = self._directory / f"zookeeper{number}"
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        options = [
            f"-Xmx{self._memory}m",
            "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.jmx.log4j.disable=true",
        ]
        with (data / "log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                ["java", *options, "-cp", str(JAR), main, str(data / "zoo.cfg")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait(number)

    def wait(self, number: int) -> None:
        """Until it takes connections."""
        process, port = self._processes[number], self.ports[number]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        log = self._directory / f"zookeeper{number}" / "log"
        raise AssertionError(f"ZooKeeper did not start: {log.read_text()[-2000:]}")

    def signal(self, number: int, what: Signals) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        self._processes[number].send_signal(what)

    def kill(self, number: int) -> None:
        process = self._processes.pop(number)
        process.kill()
        process.wait()
