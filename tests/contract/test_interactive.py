"""The contract of engines whose processes people talk to."""

from __future__ import annotations

import asyncio

import pytest

from shim.engine.api import InteractiveExec, ProcessStream
from shim.errors import NotFound, Permanent
from shim.model.container import Phase
from tests.contract.rigs import Rig
from tests.support.wait import patience


def interactive(rig: Rig) -> InteractiveExec:
    assert isinstance(rig.engine, InteractiveExec)
    return rig.engine


async def received(process: ProcessStream, until: bytes | None = None) -> dict[int, bytes]:
    """Output by stream, until it ends or contains ``until``."""
    output: dict[int, bytes] = {}
    async with patience():
        while piece := await process.read():
            assert piece[1]
            output[piece[0]] = output.get(piece[0], b"") + piece[1]
            if until is not None and until in output[piece[0]]:
                break
    return output


def is_real(rig: Rig) -> bool:
    return rig.prints_ready


async def test_a_process_reads_its_input_and_ends_with_it(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    process = await interactive(rig).start_exec(name, ["cat"], {})
    assert (process.tty, process.has_stdin) == (False, True)
    await process.write(b"hello ")
    await process.write(b"world\n")
    assert await received(process, b"world\n") == {1: b"hello world\n"}
    await process.close_stdin()
    assert await received(process) == {}
    assert await process.exit_code() == 0
    process.close()


async def test_the_exit_code_of_a_process_is_known_after_its_output(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    process = await interactive(rig).start_exec(name, ["sh", "-c", "exit 3"], {})
    assert await received(process) == {}
    assert await process.exit_code() == 3
    process.close()


async def test_a_terminal_has_a_size_and_one_output(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    script = "echo err >&2; read line; stty size"
    argv = ["sh", "-c", script] if is_real(rig) else ["cat"]
    process = await interactive(rig).start_exec(name, argv, {"TERM": "dumb"}, tty=True)
    assert process.tty
    if is_real(rig):
        assert await received(process, b"err\r\n") == {1: b"err\r\n"}
    await process.resize(33, 77)
    await process.close_stdin()
    await process.write(b"x\n")
    if is_real(rig):
        assert b"33 77" in (await received(process))[1]
        assert await process.exit_code() == 0
    else:
        assert await received(process, b"x\n") == {1: b"x\n"}
    process.close()


@pytest.mark.parametrize("call", ["exec", "attach", "kill"])
async def test_only_a_running_container_has_processes(rig: Rig, call: str) -> None:
    engine = interactive(rig)

    async def try_on(name: str) -> None:
        if call == "exec":
            await engine.start_exec(name, ["true"], {})
        elif call == "attach":
            await engine.attach(name, stdin=True)
        else:
            await engine.kill(name, 15)

    with pytest.raises(NotFound):
        await try_on("mesos-missing")
    name = await rig.run(rig.ends(0))
    async with patience():
        while (await rig.engine.inspect(name)).phase is not Phase.EXITED:
            await asyncio.sleep(0.02)
    # Docker attaches to a stopped container, and Triton answers a kill of one like any other.
    if (rig.engine.kind, call) not in (("docker", "attach"), ("triton", "kill")):
        with pytest.raises(Permanent, match="is not running"):
            await try_on(name)


async def test_the_container_s_own_process_is_talked_to_and_signalled(rig: Rig) -> None:
    engine = interactive(rig)
    command = ["sh", "-c", "trap 'exit 7' USR1; cat & wait"] if is_real(rig) else rig.runs
    name = await rig.create(["cat"] if is_real(rig) else command, OpenStdin=True, Tty=True)
    await rig.engine.start(name)
    process = await engine.attach(name, stdin=True)
    assert (process.tty, process.has_stdin) == (True, True)
    await process.resize(10, 20)
    await process.write(b"ping\n")
    assert b"ping" in (await received(process, b"ping"))[1]
    await engine.kill(name, 9)
    await received(process)
    process.close()
    assert (await rig.engine.inspect(name)).exit_code == 137


async def test_output_alone_is_followed_without_input(rig: Rig) -> None:
    name = await rig.run(rig.runs)
    process = await interactive(rig).attach(name, stdin=False)
    assert (process.tty, process.has_stdin) == (False, False)
    await process.write(b"lost")
    process.close()
    await rig.engine.stop(name, 5)
