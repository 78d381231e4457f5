"""Which room gets which order, and that traffic leaves a task before its first signal."""

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
from shim.model.ids import ContainerId, FrameworkId, Pid, TaskId, TaskKey
from shim.protos.mesos_pb2 import TaskInfo
from shim.protos.messages_pb2 import PongSlaveMessage

REF = Ref(TaskKey(FrameworkId("F"), TaskId("T")), ContainerId("c"))
MASTER = Pid("master", "10.0.0.1", 5050)
TASK = TaskInfo(name="web")


class Room:
    """Notes every call: ``[("stop", arguments)]``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, arguments))


class Consul(Room):
    """Withdraws when ``gone`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()

    async def withdraw(self, ref: Ref, timeout: float) -> bool:
        self.calls.append(("withdraw", (ref, timeout)))
        await self.gone.wait()
        return True


class Messages(Room):
    async def authenticate(self, order: orders.Authenticate) -> None:
        self.calls.append(("authenticate", (order,)))


class House:
    def __init__(self, consul: Consul | None) -> None:
        self.messenger, self.conductor, self.checker = Messages(), Room(), Room()
        rooms: Any = (self.messenger, self.conductor, self.checker, consul)
        self.effects = OrderDispatcher(*rooms)

    @property
    def asked_of_engine(self) -> list[Any]:
        return [arguments[0] for _, arguments in self.conductor.calls]


def test_every_order_has_a_room_but_the_one_for_the_loop() -> None:
    handled = set(House(None).effects._table)
    assert handled == set(orders.Order.__args__) - {orders.Exit}


async def test_messages_go_to_the_messenger() -> None:
    house, pong = House(None), PongSlaveMessage()
    authenticate = orders.Authenticate(MASTER, 1, 5.0)
    for order in (orders.Send(MASTER, pong), orders.Pong(MASTER), authenticate):
        house.effects.carry_out(order)
    await asyncio.sleep(0)
    assert house.messenger.calls == [
        ("send", (MASTER, pong)),
        ("pong", (MASTER,)),
        ("authenticate", (authenticate,)),
    ]


async def test_without_consul_an_engine_hears_at_once() -> None:
    house = House(None)
    wanted = [
        orders.Launch(REF, TASK, "S", "T"),
        orders.Watch(REF, TASK),
        orders.Stop(REF, 5.0),
        orders.CancelLaunch(REF),
        orders.Remove(REF),
        orders.RemoveOrphan("mesos-x"),
    ]
    house.effects.carry_out(orders.Publish(REF, TASK, (), None))
    house.effects.carry_out(orders.Withdraw(REF))
    for order in wanted:
        house.effects.carry_out(order)
    assert house.asked_of_engine == wanted


async def test_checks_go_to_the_checker() -> None:
    house, start = House(None), orders.StartChecks(REF, TASK, ())
    house.effects.carry_out(start)
    house.effects.carry_out(orders.StopChecks(REF))
    assert house.checker.calls == [("start", (start,)), ("stop", (REF,))]


async def test_a_stop_waits_for_the_withdrawal_of_its_own_task() -> None:
    consul = Consul()
    house, stop = House(consul), orders.Stop(REF, 5.0)
    other = orders.Stop(Ref(REF.key, ContainerId("d")), 5.0)
    house.effects.carry_out(orders.Withdraw(REF))
    house.effects.carry_out(stop)
    house.effects.carry_out(other)
    await asyncio.sleep(0.01)
    assert consul.calls == [("withdraw", (REF, limits.WITHDRAW_PATIENCE))]
    assert house.asked_of_engine == [other]
    consul.gone.set()
    await asyncio.sleep(0.01)
    assert house.asked_of_engine == [other, stop]


async def test_a_stop_after_the_withdrawal_waits_for_nothing() -> None:
    consul = Consul()
    house, stop = House(consul), orders.Stop(REF, 5.0)
    consul.gone.set()
    house.effects.carry_out(orders.Withdraw(REF))
    await asyncio.sleep(0.01)
    house.effects.carry_out(stop)
    assert house.asked_of_engine == [stop]


async def test_closing_leaves_nothing_running() -> None:
    house = House(Consul())
    house.effects.carry_out(orders.Withdraw(REF))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await house.effects.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_people_are_told_at_the_level_that_is_meant(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for level in orders.Level:
        House(None).effects.carry_out(orders.Notice(level, "100% full"))
    assert [(r.levelname.lower(), r.getMessage()) for r in caplog.records] == [
        (level.value, "100% full") for level in orders.Level
    ]
