"""A forked process is like one that was executed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from tests.support import forkserver


async def ran(module: str, *arguments: str, **env: str) -> tuple[int, str]:
    """The exit code and the output of ``python -m``."""
    with tempfile.TemporaryFile() as output:
        process = await forkserver.spawn(
            module, *arguments, output=output.fileno(), env={**os.environ, **env}
        )
        code = await process.wait()
        assert process.returncode == code
        output.seek(0)
        return code, output.read().decode()


def executed(module: str, *arguments: str) -> tuple[int, str]:
    """The same of a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=forkserver.ROOT,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("arguments", [["--version"], ["agent", "--nonsense"], ["nonsense"], []])
async def test_output_and_exit_code_are_those_of_a_new_interpreter(arguments: list[str]) -> None:
    assert await ran("shim", *arguments) == executed("shim", *arguments)


async def test_the_environment_is_the_given_one() -> None:
    code, said = await ran("shim", "agent", MESOS_PORT="soon")
    assert code == 2
    assert "soon" in said


async def test_it_has_a_process_of_its_own_that_signals_end() -> None:
    with tempfile.TemporaryFile() as output:
        one, two = [
            await forkserver.spawn("http.server", "--bind=127.0.0.1", "0", output=output.fileno())
            for _ in range(2)
        ]
    assert len({one.pid, two.pid, os.getpid()}) == 3
    assert one.returncode is None
    one.send_signal(signal.SIGKILL)
    assert await one.wait() == -signal.SIGKILL
    one.send_signal(signal.SIGKILL)
    assert two.returncode is None
    two.send_signal(signal.SIGTERM)
    assert await two.wait() == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(two.pid, 0)
