"""Machines as containers of a local Docker Engine, for tests that need real processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp

from tests.triton.api_errors import ApiError, docker_error
from tests.triton.backends import Line, OnExit, PullFailed
from tests.triton.machines import Machine

SOCKET = "/var/run/docker.sock"
LABEL = "triton-simulator"
PASSED_ON: tuple[str, ...] = (
    "Cmd",
    "Entrypoint",
    "Env",
    "User",
    "WorkingDir",
    "Tty",
    "Image",
    "Volumes",
)
PASSED_ON += ("Hostname", "Domainname", "OpenStdin")


class DockerBackend:
    """One container ``triton-simulator-<uuid>`` per machine, with an address on the bridge."""

    def __init__(self, socket: str = SOCKET) -> None:
        self._session = aiohttp.ClientSession(
            "http://docker",
            connector=aiohttp.UnixConnector(socket, limit=0),
            timeout=aiohttp.ClientTimeout(),
        )
        self._socket = socket
        self._waits: set[asyncio.Task[None]] = set()

    async def has_image(self, reference: str) -> bool:
        return (await self._call("GET", f"/images/{reference}/json"))[0] == 200

    async def image_command(self, reference: str) -> list[str]:
        config = json.loads(await self._ok("GET", f"/images/{reference}/json"))["Config"]
        return [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]

    async def pull(self, reference: str, auth: Mapping[str, str]) -> None:
        name, _, tag = reference.rpartition(":")
        header = base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()
        status, body = await self._call(
            "POST",
            "/images/create",
            params={"fromImage": name, "tag": tag},
            headers={"X-Registry-Auth": header},
        )
        last = json.loads(body.strip().splitlines()[-1])
        if status != 200 or "error" in last:
            raise PullFailed(last.get("error") or last.get("message"))

    async def provision(self, machine: Machine) -> str:
        body = {key: machine.body[key] for key in PASSED_ON if key in machine.body}
        body["Labels"] = {LABEL: machine.name}
        body["HostConfig"] = {"Memory": machine.package.memory_mib * 2**20}
        await self._ok(
            "POST", "/containers/create", params={"name": self._name(machine)}, json=body
        )
        return ""

    async def start(self, machine: Machine, exited: OnExit) -> None:
        await self._ok("POST", f"/containers/{self._name(machine)}/start")
        settings = (await self._inspect(machine))["NetworkSettings"]
        networks = [each["IPAddress"] for each in settings.get("Networks", {}).values()]
        machine.address = next(filter(None, networks), "") or machine.address
        task = asyncio.create_task(self._wait(machine, exited))
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    async def stop(self, machine: Machine, grace: float) -> None:
        await self._ok("POST", f"/containers/{self._name(machine)}/stop", params={"t": int(grace)})

    async def kill(self, machine: Machine) -> None:
        await self._call("POST", f"/containers/{self._name(machine)}/kill")

    async def remove(self, machine: Machine) -> None:
        await self._call(
            "DELETE", f"/containers/{self._name(machine)}", params={"force": "1", "v": "1"}
        )

    async def output(self, machine: Machine) -> list[Line]:
        raw = await self._ok(
            "GET",
            f"/containers/{self._name(machine)}/logs",
            params={"stdout": "1", "stderr": "1", "timestamps": "1"},
        )
        return list(_lines([(1, raw)] if machine.tty else _frames(raw)))

    async def exec(
        self, machine: Machine, argv: Sequence[str], env: Sequence[str]
    ) -> tuple[int, bytes]:
        body = {"Cmd": list(argv), "Env": list(env), "AttachStdout": True, "AttachStderr": True}
        made = await self._ok("POST", f"/containers/{self._name(machine)}/exec", json=body)
        ident = json.loads(made)["Id"]
        raw = await self._ok("POST", f"/exec/{ident}/start", json={"Detach": False, "Tty": False})
        code = json.loads(await self._ok("GET", f"/exec/{ident}/json"))["ExitCode"]
        return code, b"".join(data for _, data in _frames(raw))

    async def talk(
        self,
        entry: dict[str, Any],
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], None],
    ) -> int:
        """Passes the raw bytes of the daemon's upgraded connection on, in both directions."""
        container = f"/containers/{self._name(entry['machine'])}"
        path, body = f"{container}/attach?stream=1&stdin=1&stdout=1&stderr=1", b""
        if "body" in entry:
            made = json.loads(await self._ok("POST", f"{container}/exec", json=entry["body"]))
            entry["native"] = made["Id"]
            tty = bool(entry["body"].get("Tty"))
            path = f"/exec/{made['Id']}/start"
            body = json.dumps({"Detach": False, "Tty": tty}).encode()
        reader, writer = await asyncio.open_unix_connection(self._socket)
        head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

        async def pass_input() -> None:
            while data := await read():
                writer.write(data)
            writer.write_eof()

        passing: asyncio.Task[None] | None = None
        try:
            await reader.readuntil(b"\r\n\r\n")
            passing = asyncio.create_task(pass_input())
            while data := await reader.read(65536):
                write(data)
        finally:
            if passing is not None:
                passing.cancel()
            writer.close()
        if "native" not in entry:
            return 0
        code = json.loads(await self._ok("GET", f"/exec/{entry['native']}/json"))["ExitCode"]
        return int(code or 0)

    async def resize(self, entry: dict[str, Any], rows: int, columns: int) -> None:
        where = f"/containers/{self._name(entry['machine'])}"
        if "native" in entry:
            where = f"/exec/{entry['native']}"
        await self._call("POST", f"{where}/resize", params={"h": rows, "w": columns})

    async def put_archive(self, machine: Machine, path: str, tar: bytes) -> None:
        await self._ok(
            "PUT", f"/containers/{self._name(machine)}/archive", params={"path": path}, data=tar
        )

    async def get_archive(self, machine: Machine, path: str) -> bytes:
        status, body = await self._call(
            "GET", f"/containers/{self._name(machine)}/archive", params={"path": path}
        )
        if status == 404:
            raise ApiError(404, f"File not found: {path}", "FileNotFound")
        return body

    async def close(self) -> None:
        for task in [*self._waits]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._session.close()

    async def _wait(self, machine: Machine, exited: OnExit) -> None:
        status, body = await self._call("POST", f"/containers/{self._name(machine)}/wait")
        exited(json.loads(body)["StatusCode"] if status == 200 else 137)

    async def _inspect(self, machine: Machine) -> dict[str, Any]:
        inspect = json.loads(await self._ok("GET", f"/containers/{self._name(machine)}/json"))
        assert isinstance(inspect, dict)
        return inspect

    async def _call(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        async with self._session.request(method, path, **more) as answer:
            return answer.status, await answer.read()

    async def _ok(self, method: str, path: str, **more: Any) -> bytes:
        status, body = await self._call(method, path, **more)
        if status >= 400:
            raise docker_error(body.decode(errors="replace"))
        return body

    @staticmethod
    def _name(machine: Machine) -> str:
        return f"triton-simulator-{machine.uuid}"


def _frames(raw: bytes) -> list[tuple[int, bytes]]:
    frames, at = [], 0
    while at + 8 <= len(raw):
        stream, size = struct.unpack_from(">BxxxI", raw, at)
        frames.append((stream, raw[at + 8 : at + 8 + size]))
        at += 8 + size
    return frames


def _lines(frames: Sequence[tuple[int, bytes]]) -> list[Line]:
    lines = []
    for stream, data in frames:
        for line in data.splitlines(keepends=True):
            stamp, _, text = line.partition(b" ")
            moment = datetime.fromisoformat(stamp.decode()[:26] + "+00:00").timestamp()
            lines.append((stream, moment, text))
    return lines
