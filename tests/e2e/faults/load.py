"""Tasks of every kind, coming and going for as long as faults are being made.

======== ===============================================================================
kind     what it does
======== ===============================================================================
quick    runs for a moment and succeeds
failing  fails at once with a code of its own
killed   runs until its framework, having heard that it runs, kills it
hasty    is killed right behind its launch
lasting  runs through everything; killed at the end
======== ===============================================================================
"""

from __future__ import annotations

import asyncio
import time
from itertools import count, cycle
from pathlib import Path

from tests.e2e.client import TERMINAL, Framework, Json, on_host, task
from tests.e2e.faults import evidence
from tests.support.wait import until

UNTIL_TERM = "trap 'leave 0' TERM; sleep 100000 & wait"
KINDS = {
    "quick": "sleep 0.2; leave 0",
    "failing": "leave 3",
    "killed": UNTIL_TERM,
    "hasty": UNTIL_TERM,
    "lasting": UNTIL_TERM,
}
AT_ONCE = 6
KILL_AGAIN = 2.0
"""Seconds until a kill is repeated, as frameworks do."""
GRACE = {"grace_period": {"nanoseconds": 20_000_000_000}}
"""Long: on a busy machine a shell takes a second to write its first line."""
NO_GRACE = {"grace_period": {"nanoseconds": 1_000_000_000}}
"""For a kill that mostly comes before the shell has set its trap, and is then ignored."""


class Load:
    """``async with``: keeps some tasks under way until :meth:`drain`."""

    exit_text = "Container"
    """What TASK_FAILED says to have exited."""

    def __init__(self, framework: Framework, image: str, directory: Path) -> None:
        self._framework = framework
        self._image = image
        self._directory = directory
        self._kinds = cycle(("quick", "killed", "failing", "hasty"))
        self._numbers = count()
        self._kills: dict[str, float] = {}
        """Tasks to be killed, and when they last were: a kill may be lost like any message."""
        self._looked = 0
        self._working: asyncio.Task[None] | None = None
        self.open: set[str] = set()
        self.launched: list[str] = []
        self.lasting: list[str] = []
        directory.mkdir(exist_ok=True)

    async def __aenter__(self) -> Load:
        for _ in range(3):
            self.lasting += await self._launch("lasting")
        self._working = asyncio.create_task(self._work(), name="load")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._working is not None
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)

    async def turnover(self, count: int) -> None:
        """Until so many more tasks have ended: things work."""
        aim = self._ended + count

        async def reached() -> bool:
            return self._ended >= aim

        await until(reached, lambda: f"the end of {count} more tasks: {self.heard()}")

    @property
    def _ended(self) -> int:
        return len(self.launched) - len(self.open)

    async def drain(self) -> None:
        """No more launches; until the end of every task was heard."""
        assert self._working is not None
        self._working.cancel()
        self._kills.update(dict.fromkeys(self.open, 0.0))

        async def over() -> bool:
            await self._turn()
            return not self.open

        await until(over, lambda: f"the end of all tasks: {self.heard()}")

    def heard(self) -> dict[str, list[str]]:
        """What was said of each task that has not ended, for people."""
        return {name: self._framework.states(name)[-5:] for name in sorted(self.open)}

    @property
    def volumes(self) -> list[Json]:
        """Where a task finds its diary."""
        host_path = str(self._directory)
        return [{"container_path": evidence.INSIDE, "host_path": host_path, "mode": "RW"}]

    def starts(self, task_id: str) -> int:
        """How often the task started, by its own account."""
        return evidence.Diary.read(self._directory / task_id).starts

    def told_again(self) -> int:
        """Updates that came more than once, as the protocol allows until they are acknowledged."""
        updates = [e["status"] for e in self._framework.events if e["event"] == "update"]
        uuids = [status["uuid"] for status in updates if status.get("uuid")]
        return len(uuids) - len(set(uuids))

    def complaints(self) -> list[str]:
        """What the checker has to say; call it after :meth:`drain`."""
        events, directory = self._framework.events, self._directory
        return evidence.complaints(self.launched, events, directory, self.exit_text)

    async def _work(self) -> None:
        while True:
            await self._turn()
            if len(self.open) < AT_ONCE + len(self.lasting):
                await self._launch(next(self._kinds))
            await asyncio.sleep(0.02)

    async def _turn(self) -> None:
        """Hear the news, and kill what is to be killed."""
        events = self._framework.events
        for event in events[self._looked :]:
            if event["event"] == "update":
                self._hear(event["status"])
        self._looked = len(events)
        now = time.monotonic()
        for task_id, last in list(self._kills.items()):
            if now - last > KILL_AGAIN:
                self._kills[task_id] = now
                await self._framework.kill(task_id)

    def _hear(self, status: Json) -> None:
        task_id, state = status["task_id"]["value"], status["state"]
        if state in TERMINAL:
            self.open.discard(task_id)
            self._kills.pop(task_id, None)
        elif state == "TASK_RUNNING" and self._is_victim(task_id):
            self._kills.setdefault(task_id, 0.0)

    async def _launch(self, kind: str) -> list[str]:
        tasks = self._names(f"{kind}-{next(self._numbers)}")
        self.launched += tasks
        self.open.update(tasks)
        kill = tasks[:1] if kind == "hasty" else []
        self._kills.update(dict.fromkeys(kill, time.monotonic()))
        launch = self._operation(tasks, kind)
        await self._framework.do("accept", operations=[launch], kill=kill)
        return tasks

    def _names(self, name: str) -> list[str]:
        """The tasks of one launch."""
        return [name]

    def _is_victim(self, task_id: str) -> bool:
        """Whether the framework kills the task once it runs."""
        return task_id.startswith("killed")

    def _operation(self, tasks: list[str], kind: str) -> Json:
        infos = [self._task(task_id, kind) for task_id in tasks]
        return {"type": "LAUNCH", "launch": {"task_infos": infos}}

    def _task(self, task_id: str, kind: str) -> Json:
        info = task(
            task_id,
            evidence.script(task_id, KINDS[kind]),
            image=self._image,
            cpus=0.01,
            kill_policy=NO_GRACE if kind == "hasty" else GRACE,
        )
        info["container"]["volumes"] = self.volumes
        return on_host(info)
