"""Between wire and core: what goes out in which order, what comes in before and after ``open``."""

from __future__ import annotations

import asyncio
import threading

import pytest
from google.protobuf.message import Message

from shim import limits
from shim.agent.messenger import Messenger
from shim.model.facts import Authenticated, AuthenticationFailed, Fact, MessageReceived
from shim.model.ids import Pid
from shim.model.orders import Authenticate
from shim.model.settings import Credential
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as m
from shim.wire import codec
from shim.wire.auth import Authenticator

ME = Pid("slave(1)", "127.0.0.1", 5051)
MASTER = Pid("master", "127.0.0.1", 5050)
OBSERVER = Pid("slave-observer(1)", "127.0.0.1", 5050)
PONG = "mesos.internal.PongSlaveMessage"


class Sent(list[tuple[Pid, Pid, str, bytes]]):
    """In place of links: what would have gone out."""

    def send(self, to: Pid, sender: Pid, name: str, body: bytes) -> None:
        self.append((to, sender, name, body))

    @property
    def names(self) -> list[str]:
        return [name.rpartition(".")[2] for _, _, name, _ in self]


class Desk:
    def __init__(self, credential: Credential | None = None) -> None:
        self.messenger = Messenger("slave(1)", credential)
        self.messenger.introduce(ME)
        self.sent = Sent()
        self.messenger.links = self.sent  # type: ignore[assignment]
        self.posted: list[Fact] = []

    def open(self) -> None:
        self.messenger.open(self.posted.append)

    def hear(
        self, message: Message, sender: Pid = MASTER, process: str = "slave(1)", name: str = ""
    ) -> None:
        body = message.SerializeToString()
        self.messenger._deliver(process, sender, name or codec.name_of(message), body)


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- out ----------------------------------------------------------------------------------------


def update(number: int) -> m.UnregisterSlaveMessage:
    message = m.UnregisterSlaveMessage()
    message.slave_id.value = f"S{number}"
    return message


async def test_messages_go_out_in_call_order(desk: Desk) -> None:
    for number in range(3):
        desk.messenger.send(MASTER, update(number))
    told = [m.UnregisterSlaveMessage.FromString(body).slave_id.value for *_, body in desk.sent]
    assert told == ["S0", "S1", "S2"]
    assert {(to, sender) for to, sender, *_ in desk.sent} == {(MASTER, ME)}


async def test_what_could_abort_a_master_is_kept_back(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.messenger.send(MASTER, m.UnregisterSlaveMessage())
    assert not desk.sent
    assert desk.messenger.counters["unsafe_messages"] == 1
    assert "not sent" in caplog.text


async def test_one_large_registration_at_a_time_and_beside_the_loop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, threads = threading.Event(), list[int]()

    def slow(message: Message, claimed: object = None) -> bytes:
        if isinstance(message, m.ReregisterSlaveMessage):
            threads.append(threading.get_ident())
            assert go_on.wait(10)
        return b"body"

    monkeypatch.setattr(codec, "encode", slow)
    for _ in range(3):
        desk.messenger.send(MASTER, m.ReregisterSlaveMessage())
    await asyncio.sleep(0.05)
    desk.messenger.send(MASTER, update(1))
    assert desk.sent.names == ["UnregisterSlaveMessage"], "the loop did not wait"
    go_on.set()
    async with asyncio.timeout(10):
        while len(desk.sent) < 2:
            await asyncio.sleep(0.01)
    desk.messenger.send(MASTER, m.ReregisterSlaveMessage())
    async with asyncio.timeout(10):
        while len(desk.sent) < 3:
            await asyncio.sleep(0.01)
    assert desk.sent.names[1:] == ["ReregisterSlaveMessage"] * 2
    assert threading.get_ident() not in threads
    assert len(threads) == 2


# --- in -----------------------------------------------------------------------------------------


async def test_before_it_is_open_pings_are_answered_and_nothing_else_is_taken(desk: Desk) -> None:
    desk.hear(m.PingSlaveMessage(connected=True), OBSERVER)
    desk.hear(m.ShutdownMessage(message="go"))
    assert desk.sent == [(OBSERVER, ME, PONG, b"")]
    desk.open()
    assert not desk.posted


async def test_once_it_is_open_pings_are_facts_like_the_rest(desk: Desk) -> None:
    desk.open()
    ping, shutdown = m.PingSlaveMessage(connected=True), m.ShutdownMessage(message="go")
    desk.hear(ping, OBSERVER)
    desk.hear(shutdown)
    assert desk.posted == [MessageReceived(OBSERVER, ping), MessageReceived(MASTER, shutdown)]
    assert not desk.sent


async def test_an_old_master_gets_the_pong_it_waits_for(desk: Desk) -> None:
    desk.hear(m.PingSlaveMessage(connected=True), OBSERVER, name="PING")
    desk.messenger.pong(MASTER)
    assert [(to, name) for to, _, name, _ in desk.sent] == [(OBSERVER, "PONG"), (MASTER, PONG)]


async def test_what_is_no_message_is_counted_and_dropped(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.open()
    desk.hear(m.ShutdownMessage(), name="mesos.internal.Unheard")
    assert not desk.posted
    assert desk.messenger.counters["undecodable_messages"] == 1
    assert str(MASTER) in caplog.text


# --- authentication -----------------------------------------------------------------------------


@pytest.fixture
async def asking() -> Desk:
    desk = Desk(Credential("agent", b"s3cret"))
    desk.open()
    return desk


async def begin(desk: Desk, timeout: float = 30.0) -> tuple[asyncio.Task[None], str]:
    """The exchange under way, and the process that leads it."""
    before = len(desk.sent)
    work = asyncio.create_task(desk.messenger.authenticate(Authenticate(MASTER, 7, timeout)))
    while len(desk.sent) == before:
        await asyncio.sleep(0)
    return work, desk.sent[-1][1].id


async def test_an_exchange_under_a_process_of_its_own(asking: Desk) -> None:
    work, process = await begin(asking)
    master = Authenticator({"agent": b"s3cret"}, b"<challenge>")
    asking.hear(master.start(), process=process)
    answered = 1
    while not work.done():
        for *_, name, body in asking.sent[answered:]:
            answered += 1
            reply = master.receive(codec.decode(name, body, codec.TO_MASTER))
            assert isinstance(reply, Message)
            asking.hear(reply, process=process)
        await asyncio.sleep(0)
    assert asking.posted == [Authenticated(7)]
    assert process != "slave(1)"
    assert not asking.messenger._has_process(process)


async def test_a_master_without_an_answer_is_given_up(asking: Desk) -> None:
    work, _ = await begin(asking, timeout=0.01)
    await work
    assert asking.posted == [AuthenticationFailed(7, refused=False, reason="no answer within 0 s")]


async def test_two_exchanges_do_not_hear_one_another(asking: Desk) -> None:
    first, one = await begin(asking)
    second, other = await begin(asking)
    assert one != other
    asking.hear(auth.AuthenticationFailedMessage(), process=other)
    await second
    assert not first.done()
    asking.hear(auth.AuthenticationErrorMessage(error="x"), process=one)
    await first
    assert [fact.refused for fact in asking.posted] == [True, False]  # type: ignore[union-attr]


async def test_a_flood_for_one_exchange_is_bounded(asking: Desk) -> None:
    work, process = await begin(asking)
    step = auth.AuthenticationStepMessage(data=b"x")
    for _ in range(limits.AUTHENTICATION_MESSAGES):
        asking.hear(step, process=process)
    with pytest.raises(asyncio.QueueFull):
        asking.hear(step, process=process)
    await work
    assert len(asking.posted) == 1
