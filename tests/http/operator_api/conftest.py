"""A client of the operator API, in front of a real core and processes in memory."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shim.http.basic_auth import READWRITE, BasicAuth
from shim.http.files import FilesPages
from shim.http.log_ring import LogRing
from shim.http.operator_api.handler import PATH, Access, OperatorApi
from shim.http.pages import agent_pages
from shim.http.recordio import RecordDecoder, encode
from shim.http.router import Router
from shim.http.task_json_cache import TaskJsonCache
from shim.model.container import Phase, Ref
from shim.protos.agent_pb2 import Call, Response
from shim.telemetry.metrics import Metrics
from tests.fakes.engine import FakeEngine
from tests.http.page_data import PageData, accept_task, run_task

JSON, PROTOBUF, RECORDIO = "application/json", "application/x-protobuf", "application/recordio"
STREAM = {"Accept": RECORDIO, "Message-Accept": JSON}
INPUT = {"Content-Type": RECORDIO, "Message-Content-Type": JSON}


@dataclass
class Api:
    client: TestClient[web.Request, web.Application]
    data: PageData
    engine: FakeEngine
    tasks: list[Ref] = field(default_factory=list)

    def run(self, task_id: str = "web.1", **body: Any) -> Ref:
        """A running task with its container."""
        ref = accept_task(self.data.core, task_id)
        run_task(self.data.core, ref)
        self.engine.add(ref.name, {}, Phase.RUNNING).body = body
        return ref

    async def post(
        self, body: Any, headers: Mapping[str, str] | None = None, path: str = "/api/v1"
    ) -> aiohttp.ClientResponse:
        given = {"Content-Type": JSON, **(headers or {})}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        return await self.client.post(path, data=data, headers=given)

    async def call(self, kind: str, **body: Any) -> Any:
        """The body of the answer to a call in JSON, checked against the same one in protobuf."""
        full: dict[str, Any] = {"type": kind}
        if body:
            full[kind.lower()] = body
        answer = await self.post(full)
        text = await answer.text()
        assert answer.status == 200, text
        if not text:
            return None
        assert answer.headers["Content-Type"] == JSON
        found = json.loads(text)
        assert list(found) == ["type", kind.lower()]
        assert found["type"] == kind
        return found[kind.lower()]

    async def protobuf(self, call: Call) -> Response:
        headers = {"Content-Type": PROTOBUF, "Accept": PROTOBUF}
        answer = await self.post(call.SerializeToString(), headers)
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == PROTOBUF
        return Response.FromString(await answer.read())

    async def refused(self, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        answer = await self.post(body, headers)
        return answer.status, await answer.text()


@asynccontextmanager
async def serving_api(
    *,
    may_touch: bool = True,
    credentials: Mapping[str, str] | None = None,
    data: PageData | None = None,
) -> AsyncIterator[Api]:
    data, engine = data or PageData(may_touch=may_touch), FakeEngine()
    view = data.view
    cache, files = TaskJsonCache(view), FilesPages(view, LogRing())
    auth = BasicAuth(credentials or {}, frozenset({READWRITE} if credentials else ()))
    access = Access(auth, may_touch, {"agent.example", "localhost"})
    api = OperatorApi(view, cache, files, engine, access)
    pages = agent_pages(view, cache, files)
    router = Router(pages, Metrics(), auth, "slave(1)", {PATH: api.handle})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", router.handle)
    server = TestServer(app)
    # An event stream is open until its reader or the server ends it.
    await server.start_server(shutdown_timeout=0.1)
    async with TestClient(server) as client:
        yield Api(client, data, engine)
        await api.close()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving_api() as served:
        yield served


def nested(ref: Ref, value: str = "child") -> dict[str, Any]:
    return {"value": value, "parent": {"value": ref.container_id}}


def launch(ref: Ref, *argv: str, value: str = "child", **more: Any) -> dict[str, Any]:
    """The call of Mesos' CLI for ``mesos task exec``."""
    command = {"value": argv[0], "arguments": list(argv), "shell": False}
    body = {"container_id": nested(ref, value), "command": command, **more}
    kind = "LAUNCH_NESTED_CONTAINER_SESSION"
    return {"type": kind, kind.lower(): body}


class Records:
    """The records of a streamed answer, in JSON."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        assert answer.status == 200
        self.answer = answer
        self._decoder = RecordDecoder(10_000_000)
        self._records: list[Any] = []

    async def next(self) -> Any:
        """None at the end."""
        while not self._records:
            data = await self.answer.content.readany()
            if not data:
                assert self._decoder.is_between_records
                return None
            self._records += map(json.loads, self._decoder.feed(data))
        return self._records.pop(0)

    async def output(self, until: bytes | None = None) -> dict[str, bytes]:
        """By stream, to its end or until it has the bytes."""
        found: dict[str, bytes] = {}
        async with asyncio.timeout(30):
            while (record := await self.next()) is not None:
                if record["type"] == "DATA":
                    stream, data = record["data"]["type"], record["data"]["data"]
                    found[stream] = found.get(stream, b"") + base64.b64decode(data)
                    if until is not None and until in found[stream]:
                        break
        return found


class Input:
    """The body of ATTACH_CONTAINER_INPUT, record by record."""

    def __init__(self, container_id: dict[str, Any]) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.attach({"type": "CONTAINER_ID", "container_id": container_id})

    def attach(self, body: Any) -> None:
        record = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body}
        self.raw(encode(json.dumps(record).encode()))

    def process_io(self, body: Any) -> None:
        self.attach({"type": "PROCESS_IO", "process_io": body})

    def data(self, data: bytes) -> None:
        text = base64.b64encode(data).decode()
        self.process_io({"type": "DATA", "data": {"type": "STDIN", "data": text}})

    def size(self, rows: int, columns: int) -> None:
        size = {"window_size": {"rows": rows, "columns": columns}}
        self.process_io({"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": size}})

    def raw(self, data: bytes) -> None:
        self._pieces.put_nowait(data)

    def end(self) -> None:
        self._pieces.put_nowait(None)

    async def body(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
