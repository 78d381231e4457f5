from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shim import limits
from shim.errors import Permanent, Transient
from shim.http.operator_api.signals import MARK, signal_session
from tests.fakes.process import FakeProcess
from tests.http.operator_api.test_sessions import session


class Shell:
    """A container whose shell prints ``said`` and ends with ``code``; None: it never ends."""

    def __init__(self, said: str, code: int | None) -> None:
        self.said, self.code = said, code
        self.argv: list[str] = []

    async def start_exec(self, name: str, argv: list[str], *_: Any, **__: Any) -> FakeProcess:
        self.argv = argv
        process = FakeProcess([], {}, tty=False, stop=asyncio.Event())
        process.print(2, self.said.encode())
        if self.code is not None:
            process.end(self.code)
        return process


@pytest.mark.parametrize(("code", "found"), [(0, True), (3, False)])
async def test_the_shell_looks_for_the_session_s_mark(code: int, found: bool) -> None:
    shell, made = Shell("x", code), session()
    assert await signal_session(shell, made, 15) is found  # type: ignore[arg-type]
    assert shell.argv[-2:] == [f"{MARK}={made.mark}", "15"]


async def test_an_image_without_a_shell_takes_no_signal() -> None:
    shell = Shell('exec: "sh": executable file not found in $PATH\n', 126)
    with pytest.raises(Permanent, match='no signal can be sent: exec: "sh": executable file not'):
        await signal_session(shell, session(), 9)  # type: ignore[arg-type]


async def test_a_shell_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIGNAL_TIMEOUT", 0.05)
    with pytest.raises(Transient, match=r"no signal sent within 0\.05 s"):
        await signal_session(Shell("x", None), session(), 9)  # type: ignore[arg-type]
