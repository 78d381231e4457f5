"""Each order reaches its service; a stop waits until its task has left Consul."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from shim import limits
from shim.agent.dispatcher import OrderDispatcher
from shim.model import orders
from shim.model.container import Ref
from shim.model.ids import (
    ContainerId,
    ExecutorId,
    ExecutorKey,
    FrameworkId,
    Pid,
    TaskId,
    TaskKey,
)
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import TaskInfo
from shim.protos.messages_pb2 import KillTaskMessage, PongSlaveMessage
from tests.support.wait import patience

REF = Ref(TaskKey(FrameworkId("F"), TaskId("T")), ContainerId("c"))
MASTER = Pid("master", "10.0.0.1", 5050)
EXECUTOR = Pid("executor(1)", "10.0.0.9", 40_000)
TASK = TaskInfo(name="web")


class FakeService:
    """Records every call: ``[("stop", arguments)]``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, arguments))


class FakeDiscovery(FakeService):
    """A withdrawal ends when ``withdrawn`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.withdrawn = asyncio.Event()

    async def withdraw(self, ref: Ref, timeout: float, *, inside: bool) -> bool:
        self.calls.append(("withdraw", (ref, timeout, inside)))
        await self.withdrawn.wait()
        return True


class FakeMessenger(FakeService):
    async def authenticate(self, order: orders.Authenticate) -> None:
        self.calls.append(("authenticate", (order,)))


class FakeExecutors:
    def __init__(self) -> None:
        self.streams, self.silence = FakeService(), FakeSilence()


class FakeSilence:
    def __init__(self) -> None:
        self.asked: list[orders.ExplainSilence] = []

    async def explain(self, order: orders.ExplainSilence) -> None:
        self.asked.append(order)


class Services:
    """A dispatcher in front of fakes."""

    def __init__(self, discovery: FakeDiscovery | None = None) -> None:
        self.messenger, self.containerizer = FakeMessenger(), FakeService()
        self.checker = FakeService()
        self.executors, self.volumes = FakeExecutors(), FakeService()
        fakes: Any = (
            self.messenger,
            self.containerizer,
            self.checker,
            discovery,
            self.executors,
            self.volumes,
        )
        self.dispatcher = OrderDispatcher(*fakes)
        self.dispatch = self.dispatcher.dispatch

    @property
    def containerizer_orders(self) -> list[Any]:
        return [arguments[0] for _, arguments in self.containerizer.calls]


def test_every_order_but_exit_has_a_handler() -> None:
    handled = set(Services().dispatcher._handlers)
    assert handled == set(orders.Order.__args__) - {orders.Exit}


async def test_messages_go_to_the_messenger() -> None:
    services, pong = Services(), PongSlaveMessage()
    authenticate = orders.Authenticate(MASTER, 1, 5.0)
    for order in (orders.Send(MASTER, pong), orders.Pong(MASTER), authenticate):
        services.dispatch(order)
    await asyncio.sleep(0)
    assert services.messenger.calls == [
        ("send", (MASTER, pong)),
        ("pong", (MASTER,)),
        ("authenticate", (authenticate,)),
    ]


async def test_without_consul_the_containerizer_gets_orders_at_once() -> None:
    services = Services()
    expected: list[orders.Order] = [
        orders.Launch(REF, TASK, "S"),
        orders.Watch(REF),
        orders.Stop(REF, 5.0),
        orders.AllowCreate(REF),
        orders.CancelLaunch(REF),
        orders.Remove(REF),
        orders.RemoveOrphan("mesos-x"),
    ]
    services.dispatch(orders.Publish(REF, TASK, (), None))
    services.dispatch(orders.Withdraw(REF))
    for order in expected:
        services.dispatch(order)
    assert services.containerizer_orders == expected


async def test_events_and_questions_about_executors_go_to_their_service() -> None:
    services, event = Services(), Event(type=Event.SHUTDOWN)
    services.dispatch(orders.SendExecutorEvent(3, event))
    services.dispatch(orders.EndStream(3))
    services.dispatch(orders.ExplainSilence(REF, ()))
    await asyncio.sleep(0)
    assert services.executors.streams.calls == [("send", (3, event)), ("end", (3,))]
    assert services.executors.silence.asked == [orders.ExplainSilence(REF, ())]


async def test_checks_go_to_the_checker() -> None:
    services, start = Services(), orders.StartChecks(REF, TASK, ())
    services.dispatch(start)
    services.dispatch(orders.StopChecks(REF))
    assert services.checker.calls == [("start", (start,)), ("stop", (REF,))]


async def test_a_destroyed_volume_goes_to_the_provisioner() -> None:
    services, order = Services(), orders.RemoveVolume("mesos-v")
    services.dispatch(order)
    assert services.volumes.calls == [("carry_out", (order,))]
    assert not services.containerizer_orders


async def test_a_stop_waits_for_the_withdrawal_of_its_own_task() -> None:
    discovery = FakeDiscovery()
    services, stop = Services(discovery), orders.Stop(REF, 5.0)
    other = orders.Stop(Ref(REF.key, ContainerId("d")), 5.0)
    services.dispatch(orders.Withdraw(REF))
    services.dispatch(stop)
    services.dispatch(other)
    await asyncio.sleep(0.01)
    assert discovery.calls == [("withdraw", (REF, limits.WITHDRAW_TIMEOUT, False))]
    assert services.containerizer_orders == [other]
    discovery.withdrawn.set()
    await asyncio.sleep(0.01)
    assert services.containerizer_orders == [other, stop]


async def test_a_kill_inside_an_executor_waits_for_the_withdrawal_and_nothing_else_does() -> None:
    discovery = FakeDiscovery()
    services = Services(discovery)
    services.dispatch(orders.Withdraw(REF, inside=True))
    kill, other = Event(type=Event.KILL), Event(type=Event.MESSAGE)
    services.dispatch(orders.SendExecutorEvent(7, kill, withdrawn=REF))
    services.dispatch(orders.Send(EXECUTOR, KillTaskMessage(), withdrawn=REF))
    services.dispatch(orders.SendExecutorEvent(7, other))
    stop = orders.Stop(Ref(ExecutorKey(FrameworkId("F"), ExecutorId("E")), REF.container_id), 5.0)
    services.dispatch(stop)
    await asyncio.sleep(0.01)
    assert services.executors.streams.calls == [("send", (7, other))]
    assert services.messenger.calls == []
    assert services.containerizer_orders == []
    discovery.withdrawn.set()
    await asyncio.sleep(0.01)
    assert services.executors.streams.calls == [("send", (7, other)), ("send", (7, kill))]
    assert services.messenger.calls == [("send", (EXECUTOR, KillTaskMessage()))]
    assert services.containerizer_orders == [stop], "its tasks are in the executor's container"


async def test_a_stop_waits_for_the_later_of_two_withdrawals_of_its_task() -> None:
    discovery = FakeDiscovery()
    services, stop = Services(discovery), orders.Stop(REF, 5.0)
    services.dispatch(orders.Withdraw(REF))
    await asyncio.sleep(0)
    discovery.withdrawn, first = asyncio.Event(), discovery.withdrawn
    services.dispatch(orders.Withdraw(REF))
    first.set()
    await asyncio.sleep(0.01)
    services.dispatch(stop)
    assert services.containerizer_orders == []
    discovery.withdrawn.set()
    await asyncio.sleep(0.01)
    assert services.containerizer_orders == [stop]


async def test_a_stop_after_the_withdrawal_is_immediate() -> None:
    discovery = FakeDiscovery()
    services, stop = Services(discovery), orders.Stop(REF, 5.0)
    discovery.withdrawn.set()
    services.dispatch(orders.Withdraw(REF))
    await asyncio.sleep(0.01)
    services.dispatch(stop)
    assert services.containerizer_orders == [stop]


async def test_close_cancels_what_is_running() -> None:
    services = Services(FakeDiscovery())
    services.dispatch(orders.Withdraw(REF))
    await asyncio.sleep(0)
    async with patience():
        await services.dispatcher.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_notice_is_logged_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for level in orders.Level:
        Services().dispatch(orders.Notice(level, "100% full"))
    assert [(r.levelname.lower(), r.getMessage()) for r in caplog.records] == [
        (level.value, "100% full") for level in orders.Level
    ]
