"""The custom executors of a run: their containers start their processes, the agent talks to them.

All that is random here is drawn from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.model import facts, orders
from shim.model.container import Ref
from shim.model.ids import ExecutorId, ExecutorKey, Pid, TaskKey
from shim.protos.executor_pb2 import Event
from tests.sim.engine import Behaviour
from tests.sim.executor_invariants import ExecutorInvariants
from tests.sim.executor_process import ExecutorProcess
from tests.sim.executor_v0 import V0Executor
from tests.sim.executor_v1 import V1Executor
from tests.sim.plan import ExecutorTraits

if TYPE_CHECKING:
    from tests.sim.process import Process
    from tests.sim.world import World

IMPOSTOR = Pid("executor(1)", "10.6.6.6", 40_000)
"""A process that registers as an executor, and is none."""


class ExecutorProcesses:
    """The processes by their container's name, and what was launched for them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"programs {world.plan.seed}")
        self.executor_of: dict[TaskKey, ExecutorKey] = {}
        """Of tasks that were launched for a custom executor."""
        self.invariants = ExecutorInvariants(self)
        self._processes: dict[str, ExecutorProcess] = {}
        self._traits: dict[ExecutorKey, ExecutorTraits] = {}
        self._streams: dict[int, V1Executor] = {}
        """All streams that were ever opened."""

    def uuid(self) -> bytes:
        value = bytearray(self.rng.randbytes(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        return bytes(value)

    # --- launches -----------------------------------------------------------------------------

    def launched(self, keys: Iterable[TaskKey], number: int, behaviour: Behaviour) -> None:
        """Tasks are launched for this executor; the container behaves as the first task would."""
        for key in keys:
            executor = ExecutorKey(key.framework_id, ExecutorId(f"custom{number}"))
            self.executor_of[key] = executor
            if executor not in self._traits:
                self._traits[executor] = traits = self.world.plan.executors[number]
                trouble = behaviour.trouble or ("update" if traits.unfit else "")
                self.world.engine.behaviours[executor] = replace(
                    behaviour, ends=None, stubborn=traits.stubborn, trouble=trouble
                )

    def is_custom(self, ref: Ref) -> bool:
        return isinstance(ref.key, ExecutorKey) and ref.key in self._traits

    def started(self, ref: Ref) -> None:
        """The container of an executor started."""
        traits = self._traits.get(ref.key) if isinstance(ref.key, ExecutorKey) else None
        if traits is None:
            return
        self.invariants.check_started(ref, (process.ref for process in self._running()))
        port = 40_000 + len(self._processes)
        process = (
            V1Executor(self, ref, traits) if traits.v1 else V0Executor(self, ref, traits, port)
        )
        self._processes[ref.name] = process
        process.start()

    # --- which run ----------------------------------------------------------------------------

    def _running(self) -> Iterator[ExecutorProcess]:
        return (process for process in self._processes.values() if process.runs)

    def of(self, key: ExecutorKey) -> list[ExecutorProcess]:
        """Those that run: at most one."""
        return [process for process in self._running() if process.key == key]

    def runs(self, key: TaskKey) -> bool:
        """Whether a process runs the task."""
        return any(key in process.live for process in self._running())

    # --- the agent ----------------------------------------------------------------------------

    def agent_died(self) -> None:
        for process in list(self._running()):
            process.lose_agent()

    @staticmethod
    def is_executor(pid: Pid) -> bool:
        return pid.id == "executor(1)"

    def send(self, to: Pid, message: Message) -> None:
        """The agent sends a message to a v0 executor."""
        self.invariants.check_v0(message, impostor=to == IMPOSTOR)
        for process in list(self._running()):
            if isinstance(process, V0Executor) and process.pid == to:
                self.invariants.check_shutdown(process.ref, message)
                process.send(message)

    def open_stream(self, executor: V1Executor) -> int:
        """The number of the new event stream."""
        stream = len(self._streams) + 1
        self._streams[stream] = executor
        return stream

    def send_event(self, stream: int, event: Event) -> None:
        executor = self._streams[stream]
        self.invariants.check_v1(executor.key.framework_id, event)
        executor.send(stream, event)

    def end_stream(self, stream: int) -> None:
        self._streams[stream].end_stream(stream)

    def explain(self, process: Process, order: orders.ExplainSilence) -> None:
        """What ``agent.executor_silence`` finds out, or nothing."""
        if self.rng.random() < 0.7:
            fact = facts.SilenceExplained(order.ref, "simulated")
            self.world.clock.after(self.rng.uniform(0.1, 12.0), process.post, fact)

    # --- ends ---------------------------------------------------------------------------------

    def end_tasks(self, keys: Callable[[TaskKey], bool], code: int) -> None:
        """Tasks end by themselves."""
        for process in list(self._running()):
            for key in sorted(filter(keys, process.live)):
                process.end_task(key, code)

    def settle(self) -> None:
        """Every task ends, then frameworks shut their executors down.

        A master passes that on for executors that it does not know as well.
        """
        self.end_tasks(lambda key: True, 0)
        for key in self._traits:
            if self.world.master is not None:
                self.world.master.shut_down(key)
