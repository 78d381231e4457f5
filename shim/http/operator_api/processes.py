"""What the operator API needs of the endpoint: processes in containers. An engine may have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

STDOUT, STDERR = 1, 2


class Process(Protocol):
    """One process and the connection to it, as ``engine.api.ProcessStream`` promises."""

    @property
    def tty(self) -> bool: ...

    async def read(self) -> tuple[int, bytes] | None: ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def exit_code(self) -> int | None: ...

    def close(self) -> None: ...


class Processes(Protocol):
    """Starts and signals them, as ``engine.api.InteractiveExec`` promises."""

    async def start_exec(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tty: bool = False,
        user: str = "",
    ) -> Process: ...

    async def attach(self, name: str, *, stdin: bool, output: bool = True) -> Process: ...

    async def kill(self, name: str, signal: int) -> None: ...
