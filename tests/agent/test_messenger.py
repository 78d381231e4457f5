"""Messages in and out, in order, and the exchanges that authenticate the agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

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
from shim.wire.cram_md5 import Authenticator
from tests.support.wait import patience

ME = Pid("slave(1)", "127.0.0.1", 5051)
MASTER = Pid("master", "127.0.0.1", 5050)
OBSERVER = Pid("slave-observer(1)", "127.0.0.1", 5050)
PONG = "mesos.internal.PongSlaveMessage"


class SentMessages(list[tuple[Pid, Pid, str, bytes]]):
    """In place of links: all messages sent."""

    def send(
        self,
        to: Pid,
        sender: Pid,
        name: str,
        body: bytes,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        if may_send():
            self.append((to, sender, name, body))

    @property
    def names(self) -> list[str]:
        return [name.rpartition(".")[2] for _, _, name, _ in self]


class Recorder:
    """A messenger, what it sent, and what it posted."""

    def __init__(self, credential: Credential | None = None) -> None:
        self.sent = SentMessages()
        self.posted: list[Fact] = []
        self.messenger = Messenger(ME, credential, self.sent, self.posted.append)  # type: ignore[arg-type]

    def receive(
        self, message: Message, sender: Pid = MASTER, process: str = "slave(1)", name: str = ""
    ) -> None:
        body = message.SerializeToString()
        self.messenger.deliver(process, sender, name or codec.name_of(message), body)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# --- out ----------------------------------------------------------------------------------------


def message_of(number: int) -> m.UnregisterSlaveMessage:
    message = m.UnregisterSlaveMessage()
    message.slave_id.value = f"S{number}"
    return message


async def test_messages_are_sent_in_the_order_of_calls(recorder: Recorder) -> None:
    for number in range(3):
        recorder.messenger.send(MASTER, message_of(number))
    sent = [m.UnregisterSlaveMessage.FromString(body).slave_id.value for *_, body in recorder.sent]
    assert sent == ["S0", "S1", "S2"]
    assert {(to, sender) for to, sender, *_ in recorder.sent} == {(MASTER, ME)}


async def test_a_message_that_could_abort_a_master_is_not_sent(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.messenger.send(MASTER, m.UnregisterSlaveMessage())
    assert not recorder.sent
    assert recorder.messenger.counters["unsafe_messages"] == 1
    assert "not sent" in caplog.text


async def test_one_reregistration_at_a_time_is_encoded_in_a_thread(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, threads = threading.Event(), list[int]()

    def slow(message: Message, claimed: object = None) -> bytes:
        if isinstance(message, m.ReregisterSlaveMessage):
            threads.append(threading.get_ident())
            assert go_on.wait(10)
        return b"body"

    monkeypatch.setattr(codec, "encode", slow)
    for _ in range(3):
        recorder.messenger.send(MASTER, m.ReregisterSlaveMessage())
    await asyncio.sleep(0.05)
    recorder.messenger.send(MASTER, message_of(1))
    assert recorder.sent.names == ["UnregisterSlaveMessage"], "the event loop was not blocked"
    go_on.set()
    async with patience():
        while len(recorder.sent) < 2:
            await asyncio.sleep(0.01)
    recorder.messenger.send(MASTER, m.ReregisterSlaveMessage())
    async with patience():
        while len(recorder.sent) < 3:
            await asyncio.sleep(0.01)
    assert recorder.sent.names[1:] == ["ReregisterSlaveMessage"] * 2
    assert threading.get_ident() not in threads
    assert len(threads) == 2


async def test_nothing_but_pongs_is_sent_while_another_agent_may_lead() -> None:
    sent, leads = SentMessages(), True
    messenger = Messenger(
        ME,
        None,
        sent,  # type: ignore[arg-type]
        lambda fact: None,
        may_act=lambda: leads,
    )
    messenger.send(MASTER, message_of(1))
    leads = False
    messenger.send(MASTER, message_of(2))
    messenger.send(MASTER, m.ReregisterSlaveMessage())
    await asyncio.sleep(0.05)
    messenger.pong(MASTER)
    assert sent.names == ["UnregisterSlaveMessage", "PongSlaveMessage"]


# --- in -----------------------------------------------------------------------------------------


async def test_received_messages_are_posted_as_facts(recorder: Recorder) -> None:
    ping, shutdown = m.PingSlaveMessage(connected=True), m.ShutdownMessage(message="go")
    recorder.receive(ping, OBSERVER)
    recorder.receive(shutdown)
    assert recorder.posted == [MessageReceived(OBSERVER, ping), MessageReceived(MASTER, shutdown)]
    assert not recorder.sent


async def test_an_old_master_gets_a_pong_with_the_old_name(recorder: Recorder) -> None:
    recorder.receive(m.PingSlaveMessage(connected=True), OBSERVER, name="PING")
    recorder.messenger.pong(OBSERVER)
    recorder.messenger.pong(MASTER)
    assert [(to, name) for to, _, name, _ in recorder.sent] == [(OBSERVER, "PONG"), (MASTER, PONG)]


async def test_an_unknown_message_is_counted_and_dropped(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.receive(m.ShutdownMessage(), name="mesos.internal.Unheard")
    assert not recorder.posted
    assert recorder.messenger.counters["undecodable_messages"] == 1
    assert str(MASTER) in caplog.text


# --- authentication -----------------------------------------------------------------------------


@pytest.fixture
async def with_credential() -> Recorder:
    return Recorder(Credential("agent", b"s3cret"))


async def begin(recorder: Recorder, timeout: float = 30.0) -> tuple[asyncio.Task[None], str]:
    """The exchange under way, and its process id."""
    before = len(recorder.sent)
    work = asyncio.create_task(recorder.messenger.authenticate(Authenticate(MASTER, 7, timeout)))
    while len(recorder.sent) == before:
        await asyncio.sleep(0)
    return work, recorder.sent[-1][1].id


async def test_an_exchange_has_a_process_id_of_its_own(with_credential: Recorder) -> None:
    work, process = await begin(with_credential)
    master = Authenticator({"agent": b"s3cret"}, b"<challenge>")
    with_credential.receive(master.start(), process=process)
    answered = 1
    while not work.done():
        for *_, name, body in with_credential.sent[answered:]:
            answered += 1
            reply = master.receive(codec.decode(name, body, codec.TO_MASTER))
            assert isinstance(reply, Message)
            with_credential.receive(reply, process=process)
        await asyncio.sleep(0)
    assert with_credential.posted == [Authenticated(7)]
    assert process != "slave(1)"
    assert not with_credential.messenger.has_process(process)


async def test_a_master_that_does_not_answer_is_given_up(with_credential: Recorder) -> None:
    work, _ = await begin(with_credential, timeout=0.01)
    await work
    assert with_credential.posted == [
        AuthenticationFailed(7, refused=False, reason="no answer within 0 s")
    ]


async def test_two_exchanges_are_independent(with_credential: Recorder) -> None:
    first, one = await begin(with_credential)
    second, other = await begin(with_credential)
    assert one != other
    with_credential.receive(auth.AuthenticationFailedMessage(), process=other)
    await second
    assert not first.done()
    with_credential.receive(auth.AuthenticationErrorMessage(error="x"), process=one)
    await first
    assert [fact.refused for fact in with_credential.posted] == [True, False]  # type: ignore[union-attr]


async def test_the_queue_of_an_exchange_is_bounded(with_credential: Recorder) -> None:
    work, process = await begin(with_credential)
    step = auth.AuthenticationStepMessage(data=b"x")
    for _ in range(limits.AUTHENTICATION_MESSAGES):
        with_credential.receive(step, process=process)
    with pytest.raises(asyncio.QueueFull):
        with_credential.receive(step, process=process)
    await work
    assert len(with_credential.posted) == 1
