"""The test's side of ``scheduler.py``: an unmodified pymesos framework in its own process.

async with Framework(master.address) as framework:
    await framework.launch(task("web", "sleep 60"))
    status = await framework.state("web", "TASK_RUNNING")
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

from tests.support import forkserver
from tests.support.wait import PATIENCE

Json = dict[str, Any]

LINE = 64 * 1024 * 1024
TERMINAL = {
    "TASK_FINISHED",
    "TASK_FAILED",
    "TASK_KILLED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
}


def task(
    task_id: str,
    command: str = "sleep 1000",
    *,
    image: str = "busybox",
    cpus: float = 0.1,
    mem: float = 32,
    **fields: Any,
) -> Json:
    """A TaskInfo for a Docker command task; ``fields`` are added or replace."""
    info = {
        "task_id": {"value": task_id},
        "name": task_id,
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}},
        ],
        "command": {"shell": True, "value": command},
        "container": {"type": "DOCKER", "docker": {"image": image, "network": "BRIDGE"}},
    }
    return {**info, **fields}


def on_host(info: Json) -> Json:
    """The task in the host's network: half of a container's CPU makes its network namespace."""
    info["container"]["docker"]["network"] = "HOST"
    return info


class Framework:
    """``framework`` overrides fields of the FrameworkInfo; None leaves a field out."""

    def __init__(self, master: str, **framework: Any) -> None:
        self._settings = {"master": master, "framework": framework}
        self.events: list[Json] = []
        self._news = asyncio.Condition()
        self.framework_id = ""

    async def __aenter__(self) -> Framework:
        await self.start()
        await self.until(lambda e: e["event"] in ("registered", "reregistered"))
        return self

    async def start(self) -> None:
        """Without waiting for the subscription."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await forkserver.spawn(
                "tests.e2e.scheduler",
                json.dumps(self._settings),
                output=theirs.fileno(),
                standard_input=theirs.fileno(),
            )
        reader, self._commands = await asyncio.open_connection(sock=ours, limit=LINE)
        self._reading = asyncio.create_task(self._read(reader))

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reading
        self._commands.close()

    async def _read(self, events: asyncio.StreamReader) -> None:
        async for line in events:
            event = json.loads(line)
            async with self._news:
                self.framework_id = event.get("framework_id") or self.framework_id
                self.events.append(event)
                self._news.notify_all()

    async def do(self, do: str, **command: Any) -> None:
        self._commands.write(json.dumps({"do": do, **command}).encode() + b"\n")
        await self._commands.drain()

    async def until(
        self, wanted: Callable[[Json], bool], timeout: float = PATIENCE, *, after: int = 0
    ) -> Json:
        """The first event, past or future, that is wanted; not among the first ``after`` events."""
        seen = after
        try:
            async with asyncio.timeout(timeout), self._news:
                while True:
                    for event in self.events[seen:]:
                        if wanted(event):
                            return event
                    seen = len(self.events)
                    await self._news.wait()
        except TimeoutError:
            tail = "\n".join(json.dumps(e)[:300] for e in self.events[-20:])
            raise AssertionError(f"not within {timeout} s; the last events:\n{tail}") from None

    async def state(self, task_id: str, state: str, timeout: float = PATIENCE) -> Json:
        """The status update that brought the task into ``state``."""
        event = await self.until(
            lambda e: (
                e["event"] == "update"
                and e["status"]["task_id"]["value"] == task_id
                and e["status"]["state"] == state
            ),
            timeout,
        )
        status: Json = event["status"]
        return status

    async def end(self, task_id: str, timeout: float = PATIENCE) -> Json:
        """The first terminal update of the task."""
        event = await self.until(
            lambda e: (
                e["event"] == "update"
                and e["status"]["task_id"]["value"] == task_id
                and e["status"]["state"] in TERMINAL
            ),
            timeout,
        )
        status: Json = event["status"]
        return status

    def updates(self, task_id: str) -> list[Json]:
        """All status updates of the task so far."""
        found = [e["status"] for e in self.events if e["event"] == "update"]
        return [s for s in found if s["task_id"]["value"] == task_id]

    def states(self, task_id: str) -> list[str]:
        """The task's states, each update once: one comes again until its acknowledgement arrived.

        What the master says by itself has no uuid, and counts each time.
        """
        updates = self.updates(task_id)
        once = {status.get("uuid") or number: status for number, status in enumerate(updates)}
        return [status["state"] for status in once.values()]

    async def launch(self, *tasks: Json, **where: str) -> None:
        """All of them on the next offer, of an agent whose attributes are these."""
        await self.accept({"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}, where=where)

    async def accept(
        self, *operations: Json, refuse_seconds: float = 0, where: Mapping[str, str] | None = None
    ) -> None:
        """Raw operations on the next offer, of an agent with these attributes."""
        command = {"operations": operations, "refuse_seconds": refuse_seconds}
        await self.do("accept", **command, where=where or {})

    async def kill(self, task_id: str, grace: float | None = None) -> None:
        """``grace`` seconds, else what the task or the agent says."""
        nanoseconds = int((grace or 0) * 1e9)
        policy = None if grace is None else {"grace_period": {"nanoseconds": nanoseconds}}
        await self.do("kill", task_id=task_id, policy=policy)

    async def stop(self, *, failover: bool = False) -> None:
        """Tear the framework down, or (``failover``) leave it to come back."""
        await self.do("stop", failover=failover)
        await self._process.wait()
