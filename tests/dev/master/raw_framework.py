"""A framework on the v1 scheduler API without a library, for calls that pymesos lacks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import Any

import aiohttp

from tests.support.wait import PATIENCE

Json = dict[str, Any]


class RawFramework:
    def __init__(self, master: str, **info: Any) -> None:
        self._url = f"http://{master}/api/v1/scheduler"
        self._info = {
            "user": "root",
            "name": "raw",
            "roles": ["*"],
            "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}],
            "checkpoint": True,
            "failover_timeout": 60,
            **info,
        }
        self.id: Json = {}
        self.stream_id = ""
        self.events: list[Json] = []
        self._news = asyncio.Condition()
        self._taken: set[int] = set()

    async def __aenter__(self) -> RawFramework:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        call: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self._info}}
        if "id" in self._info:
            call["framework_id"] = self._info["id"]
        self._response = await self._session.post(
            self._url, data=self.encoded(call), headers={"Content-Type": "application/json"}
        )
        if self._response.status != 200:
            await self._session.close()
            raise AssertionError(f"SUBSCRIBE was answered {self._response.status}")
        self.stream_id = self._response.headers["Mesos-Stream-Id"]
        self._reading = asyncio.create_task(self._read())
        self.id = (await self.next("SUBSCRIBED"))["framework_id"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._response.close()
        await self._session.close()

    async def _read(self) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            while length := await self._response.content.readline():
                event = self.decoded(await self._response.content.readexactly(int(length)))
                async with self._news:
                    self.events.append(event)
                    self._news.notify_all()

    async def next(self, kind: str, timeout: float = PATIENCE) -> Json:
        """The body of the next event of a kind."""

        def position() -> int | None:
            for n, event in enumerate(self.events):
                if event["type"] == kind and n not in self._taken:
                    return n
            return None

        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: position() is not None)
            found = position()
        assert found is not None
        self._taken.add(found)
        body: Json = self.events[found].get(kind.lower(), {})
        return body

    @staticmethod
    def encoded(call: Json) -> bytes:
        return json.dumps(call).encode()

    @staticmethod
    def decoded(event: bytes) -> Json:
        read: Json = json.loads(event)
        return read

    async def offer(self) -> Json:
        offer: Json = (await self.next("OFFERS"))["offers"][0]
        return offer

    async def status(self) -> Json:
        status: Json = (await self.next("UPDATE"))["status"]
        return status

    async def ended(self) -> Json:
        """The next terminal update. Acknowledges it and all updates before it."""
        while True:
            status = await self._acknowledged()
            if status["state"] not in ("TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"):
                return status

    async def reaches(self, state: str) -> Json:
        """The next update with this state. Acknowledges it and all updates before it."""
        while True:
            status = await self._acknowledged()
            if status["state"] == state:
                return status

    async def _acknowledged(self) -> Json:
        status = await self.status()
        if "uuid" in status:
            kept = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
            await self.call("ACKNOWLEDGE", kept)
        return status

    async def call(self, kind: str, body: Json | None = None, **headers: str) -> tuple[int, str]:
        call: Json = {"type": kind, "framework_id": self.id}
        if body is not None:
            call[kind.lower()] = body
        with_stream = {"Mesos-Stream-Id": self.stream_id, **headers}
        with_stream["Content-Type"] = "application/json"
        data = io.BytesIO(self.encoded(call))
        async with self._session.post(self._url, data=data, headers=with_stream) as response:
            return response.status, await response.text()

    async def accept(self, offer: Json, *operations: Json, refuse: float = 0) -> tuple[int, str]:
        for operation in operations:
            group = operation.get("launch_group", {}).get("task_group", {})
            for task in [
                *operation.get("launch", {}).get("task_infos", []),
                *group.get("tasks", []),
            ]:
                task["agent_id"] = offer["agent_id"]
        return await self.call(
            "ACCEPT",
            {
                "offer_ids": [offer["id"]],
                "operations": list(operations),
                "filters": {"refuse_seconds": refuse},
            },
        )
