"""Persistent volumes, made, used and destroyed for as long as faults are being made.

One volume is made, written and read by tasks, and destroyed, again and again under the same id. A
second one is kept until the end. Each task notes in its diary what it found in its volume, which
is held against what earlier tasks wrote since the volume was made.

The master's offers say what there is: an operation whose outcome is not OPERATION_FINISHED is
planned anew. So nothing is assumed of a message that a crash lost.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from tests.e2e.client import Framework, Json, on_host
from tests.e2e.conftest import System
from tests.e2e.faults import evidence
from tests.e2e.volumes import (
    ROLE,
    create,
    destroy,
    disk,
    launch,
    reserve,
    task_with,
    unreserve,
    volume,
    volumes_of,
)
from tests.support.wait import until

SIZE = 16
TOTAL = 1000
RESOURCES = f"--resources=cpus:4;mem:1024;disk:{TOTAL}"
AGAIN, KEPT = "again", "kept"
PATHS = {"write": ("data", "RW"), "read": ("/db", "RO")}


class VolumeLoad:
    """``async with``: keeps the volumes busy until :meth:`drain`."""

    def __init__(self, system: System, framework: Framework, directory: Path) -> None:
        self._system = system
        self._framework = framework
        self._directory = directory
        self._numbers = count()
        self._chance = random.Random(system.shim_id)
        self._working: asyncio.Task[None] | None = None
        self._ending = False
        self._stage = ""
        self._lives: list[tuple[str, list[str]]] = []
        """The volumes that were made, each with the tasks that were launched with it."""
        self._of: dict[str, list[str]] = {}
        """By id, the tasks of the volume that there is now."""
        self.done: Counter[str] = Counter()
        directory.mkdir(exist_ok=True)

    async def __aenter__(self) -> VolumeLoad:
        self._working = asyncio.create_task(self._work(), name="volume load")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._working is not None
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)

    def heard(self) -> object:
        return {"stage": self._stage, "done": dict(self.done), "last": self._framework.events[-5:]}

    async def turnover(self, lives: int) -> None:
        """Until so many more volumes were destroyed: things work."""
        aim = self.done["DESTROY"] + lives

        async def reached() -> bool:
            assert self._working is not None
            if self._working.done():
                self._working.result()
            return self.done["DESTROY"] >= aim

        await until(reached, lambda: f"the end of {lives} more volumes: {self.heard()}")

    async def stage(self, wanted: str) -> None:
        """Until the work comes to this operation or launch."""
        await until(lambda: self._stage == wanted, lambda: f"{wanted}: {self.heard()}")

    async def drain(self) -> None:
        """Destroy everything, and give all reservations back."""
        assert self._working is not None
        self._ending = True
        await self._working
        await self._end(AGAIN)
        await self._end(KEPT)
        while reserved := self._reserved(await self._offer(lambda offer: True, whole=True)):
            await self._operate("UNRESERVE", unreserve(disk(reserved)))

        async def none() -> bool:
            return not await asyncio.to_thread(volumes_of, self._system)

        await until(none, lambda: f"the end of all volumes: {volumes_of(self._system)}")

    def complaints(self) -> list[str]:
        found = []
        for name, tasks in self._lives:
            written: list[str] = []
            for task_id in tasks:
                text = evidence.text(self._directory / task_id)
                lines = [line.split() for line in text.splitlines()]
                starts = sum(line[0] == "started" for line in lines)
                if starts > 1:
                    found.append(f"{task_id} started {starts} times")
                # The last two words are the time and the host.
                seen = [line[1:-2] for line in lines if line[0] == "found"]
                if seen and seen[0] != written:
                    found.append(f"{task_id} found {seen[0]} in {name!r} instead of {written}")
                if seen and task_id.startswith("write"):
                    written.append(task_id)
        return found

    # --- the work ---------------------------------------------------------------------------

    async def _work(self) -> None:
        await self._make(KEPT)
        while not self._ending:
            await self._make(AGAIN)
            for name, kind in ((AGAIN, "write"), (AGAIN, "read"), (KEPT, "write")):
                await self._run(name, kind)
            await self._end(AGAIN)

    async def _make(self, name: str) -> None:
        while name not in self._of:
            offer = await self._offer(
                lambda offer: self._free(offer) >= 2 * SIZE or _has(offer, "")
            )
            operations = [] if _has(offer, "") else [reserve(disk(SIZE), id=self._id("RESERVE"))]
            if await self._operate("CREATE", create(volume(name, SIZE)), before=operations):
                self._of[name] = []
                self._lives.append((name, self._of[name]))

    async def _end(self, name: str) -> None:
        while name in self._of:
            await self._offer(lambda offer: _has(offer, name))
            if await self._operate("DESTROY", destroy(volume(name, SIZE))):
                del self._of[name]

    async def _run(self, name: str, kind: str) -> None:
        await self._offer(lambda offer: _has(offer, name))
        self._stage = "LAUNCH"
        path, mode = PATHS[kind]
        task_id = f"{kind}-{next(self._numbers)}"
        place = path if path.startswith("/") else f"$MESOS_SANDBOX/{path}"
        body = f'test -d "{place}" || leave 9\nsay found $(cat "{place}/log" 2>/dev/null)\n'
        if kind == "write":
            body += f'echo {task_id} >> "{place}/log"\n'
        script = evidence.script(task_id, f"{body}leave 0")
        info = on_host(task_with(self._system, task_id, script, volume(name, SIZE, path, mode)))
        host_path = str(self._directory)
        info["container"]["volumes"] = [
            {"container_path": evidence.INSIDE, "host_path": host_path, "mode": "RW"}
        ]
        self._of[name].append(task_id)
        await self._framework.do("accept", operations=[launch(info)], volume=name)
        status = await self._framework.end(task_id)
        self.done[status["state"]] += 1
        # The master refuses a task whose offer had become another one.
        assert status["state"] in {"TASK_FINISHED", "TASK_ERROR", *evidence.NEVER_RAN}, status

    async def _operate(self, kind: str, operation: Json, before: list[Json] | None = None) -> bool:
        """Whether it is finished; else the next offers say what there is."""
        self._stage = kind
        wanted = self._id(kind)
        operations = [*(before or []), {**operation, "id": wanted}]
        await self._framework.do("accept", operations=operations)
        event = await self._framework.until(
            lambda e: e["event"] == "operation" and e["status"].get("operation_id", {}) == wanted
        )
        finished: bool = event["status"]["state"] == "OPERATION_FINISHED"
        self.done[kind if finished else event["status"]["state"]] += 1
        return finished

    def _id(self, kind: str) -> Json:
        return {"value": f"{kind}-{next(self._numbers)}"}

    async def _offer(self, wanted: Callable[[Json], bool], *, whole: bool = False) -> Json:
        """One with what is wanted. Others are given back: the allocator puts them together."""
        while True:
            after = len(self._framework.events)
            await self._framework.do("decline", refuse_seconds=0)
            event = await self._framework.until(lambda e: e["event"] == "offers", after=after)
            for offer in event["offers"]:
                everything = self._free(offer) + self._reserved(offer, volumes=True) == TOTAL
                if wanted(offer) and (everything or not whole):
                    return dict(offer)

    @staticmethod
    def _free(offer: Json) -> float:
        return _sum(each for each in _disks(offer) if not _is_reserved(each))

    @staticmethod
    def _reserved(offer: Json, *, volumes: bool = False) -> float:
        reserved = (each for each in _disks(offer) if _is_reserved(each))
        return _sum(each for each in reserved if volumes or "disk" not in each)


def _sum(resources: Iterable[Json]) -> float:
    return float(sum(each["scalar"]["value"] for each in resources))


def _disks(offer: Json) -> list[Json]:
    return [each for each in offer["resources"] if each["name"] == "disk"]


def _is_reserved(resource: Json) -> bool:
    return bool(resource.get("reservations")) or resource.get("role") == ROLE


def _has(offer: Json, name: str) -> bool:
    """Whether the volume is offered, or for an empty name reserved disk without a volume."""
    reserved = [each for each in _disks(offer) if _is_reserved(each)]
    return any(
        each.get("disk", {}).get("persistence", {}).get("id", "") == name for each in reserved
    )
