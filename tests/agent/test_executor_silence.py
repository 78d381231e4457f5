"""Why an executor is silent: what is told about containers that reach the agent or do not."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from shim import limits
from shim.agent.executor_silence import PeerAddresses, SilenceExplainer
from shim.engine.api import ExecResult
from shim.errors import Transient
from shim.model.container import Ref
from shim.model.facts import Fact, SilenceExplained
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, Pid
from shim.model.orders import ExplainSilence

REF = Ref(ExecutorKey(FrameworkId("F"), ExecutorId("E")), ContainerId("c-1"))


class FakeEngine:
    """Its container prints ``output``, or runs the script on this machine."""

    def __init__(self, output: str | Exception | None) -> None:
        self.output = output
        self.calls: list[Sequence[str]] = []

    async def exec(self, name: str, argv: Sequence[str], *_: Any) -> ExecResult:
        self.calls.append(argv)
        if isinstance(self.output, Exception):
            raise self.output
        if self.output is None:
            process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
            printed = (await process.communicate())[0]
            return ExecResult(process.returncode or 0, printed)
        return ExecResult(0, self.output.encode())


async def explain(
    output: str | Exception | None, *, seen: bool = False, port: int = 5051
) -> tuple[str, FakeEngine]:
    engine: Any = FakeEngine(output)
    posted: list[Fact] = []
    peers = PeerAddresses()
    if seen:
        peers.note("172.17.0.9")
    agent = Pid("slave(1)", "127.0.0.1", port)
    explainer = SilenceExplainer(engine, agent, peers, posted.append)
    await explainer.explain(ExplainSilence(REF, ("172.17.0.9",)))
    (fact,) = posted
    assert isinstance(fact, SilenceExplained)
    assert fact.ref == REF
    return fact.text, engine


async def test_a_container_that_was_heard_of_needs_no_probe() -> None:
    text, engine = await explain("", seen=True)
    assert text == (
        "its container (172.17.0.9) reaches this agent at 127.0.0.1:5051; "
        "the executor itself is silent"
    )
    assert not engine.calls


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("= reached\n", "reaches this agent"),
        ("wget: timed out\n= failed\n", "cannot reach this agent at 127.0.0.1:5051 (wget: timed"),
        ("= unknown\n", "no request of its container (172.17.0.9) arrived at 127.0.0.1:5051"),
        ("no shell", "no request of its container"),
        (Transient("the endpoint is away"), "no request of its container"),
    ],
)
async def test_the_outcome_of_the_probe_is_told(output: str | Exception, expected: str) -> None:
    text, _ = await explain(output)
    assert expected in text
    assert ("--advertise_ip" in text) is ("reaches" not in text)


async def test_the_script_finds_a_closed_port() -> None:
    text, _ = await explain(None, port=1)
    assert "cannot reach this agent at 127.0.0.1:1" in text


def test_the_latest_addresses_are_remembered() -> None:
    peers = PeerAddresses()
    peers.note(None)
    for number in range(limits.PIDS_REMEMBERED + 1):
        peers.note(f"10.0.{number // 256}.{number % 256}")
    assert "10.0.0.0" not in peers
    assert "10.0.0.1" in peers
