"""Processes that people talk to: exec and attach over an upgraded connection.

Docker and Triton answer these calls alike but for one thing: Triton forgets an exec that was
inspected, so it is inspected once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from shim import limits
from shim.engine.api import ProcessStream
from shim.engine.client.http_engine import HttpEngine, measured
from shim.engine.client.process_stream import UpgradedProcess
from shim.engine.client.transport import parsing
from shim.errors import NotFound
from shim.model.json_text import load_json

_DETACH_KEYS = "ctrl-@,ctrl-^,ctrl-@"
"""In place of Docker's ctrl-p ctrl-q, which would hold back each ctrl-p that is typed."""


class InteractiveHttpEngine(HttpEngine):
    """An engine with :class:`~shim.engine.api.InteractiveExec`."""

    forgets_execs: ClassVar[bool] = False
    """An exec can be inspected once only."""

    @measured
    async def start_exec(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tty: bool = False,
        user: str = "",
    ) -> ProcessStream:
        body = {
            "Cmd": list(argv),
            "Env": [f"{key}={value}" for key, value in env.items()],
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
            "DetachKeys": _DETACH_KEYS,
        }
        if user:
            body["User"] = user
        created = load_json(await self._call("exec", "POST", name, "/exec", json=body))
        with parsing("exec"):
            path = f"/exec/{created['Id']}"
        return await self._start(path, tty=tty)

    async def _start(self, path: str, *, tty: bool) -> ProcessStream:
        """Start the exec at ``path``."""
        body = {"Detach": False, "Tty": tty}
        reader, writer = await self._http.upgrade("exec", f"{path}/start", body)

        async def exit_code() -> int | None:
            return await self._exec_exit_code(path)

        async def resize(rows: int, columns: int) -> None:
            await self._resize(path, rows, columns)

        return UpgradedProcess(
            reader, writer, tty=tty, has_stdin=True, resize=resize, exit_code=exit_code
        )

    @measured
    async def attach(self, name: str, *, stdin: bool, output: bool = True) -> ProcessStream:
        raw = load_json(await self._call("inspect", "GET", name, "/json"))
        with parsing("inspect"):
            config = dict(raw["Config"])
        tty, has_stdin = bool(config.get("Tty")), stdin and bool(config.get("OpenStdin"))
        query = f"stream=1&stdin={int(has_stdin)}&stdout={int(output)}&stderr={int(output)}"
        path = self._path(name)
        reader, writer = await self._http.upgrade(
            "attach", f"{path}/attach?{query}&detachKeys={_DETACH_KEYS}"
        )

        async def exit_code() -> int | None:
            return None

        async def resize(rows: int, columns: int) -> None:
            await self._resize(path, rows, columns)

        return UpgradedProcess(
            reader, writer, tty=tty, has_stdin=has_stdin, resize=resize, exit_code=exit_code
        )

    @measured
    async def kill(self, name: str, signal: int) -> None:
        await self._call("kill", "POST", name, "/kill", params={"signal": str(signal)})

    async def _resize(self, path: str, rows: int, columns: int) -> None:
        params = {"h": str(rows), "w": str(columns)}
        await self._http.call("resize", "POST", f"{path}/resize", params=params)

    async def _exec_exit_code(self, path: str) -> int | None:
        """The output may end a moment before the process does."""
        for _ in range(limits.EXEC_EXIT_ATTEMPTS):
            try:
                answer = await self._http.json("exec", "GET", f"{path}/json")
            except NotFound:
                return None
            with parsing("exec"):
                code = answer.get("ExitCode")
                if code is not None and (not answer.get("Running") or self.forgets_execs):
                    return int(code)
            if self.forgets_execs:
                return None
            await asyncio.sleep(limits.EXEC_EXIT_PAUSE)
        return None
