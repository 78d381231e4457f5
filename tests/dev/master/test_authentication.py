"""CRAM-MD5 with the embedded master and a real one."""

from __future__ import annotations

import asyncio

from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire.cram_md5 import Completed, Refused
from tests.dev.master.conftest import SECRETS, Embedded
from tests.dev.master.fake_agent import FakeAgent
from tests.support.wait import until


async def test_an_authenticated_agent_may_register(strict_master: str) -> None:
    async with FakeAgent(strict_master) as agent:
        assert await agent.authenticate("agent", SECRETS["agent"]) == Completed()
        await agent.register()


async def test_a_wrong_secret_and_an_unknown_principal_are_refused(strict_master: str) -> None:
    async with FakeAgent(strict_master) as agent:
        assert await agent.authenticate("agent", b"wrong") == Refused()
        assert await agent.authenticate("nobody", SECRETS["agent"]) == Refused()
        assert await agent.authenticate("agent", SECRETS["agent"]) == Completed()
        await agent.register()


async def test_a_registration_without_authentication_gets_no_answer(strict_master: str) -> None:
    async with FakeAgent(strict_master) as agent:
        agent.send(agent.registration())
        await asyncio.sleep(0.3)
        assert not agent.received


async def test_after_a_broken_connection_the_agent_must_authenticate_again(
    strict_master: str,
) -> None:
    async with FakeAgent(strict_master) as agent:
        await agent.authenticate("agent", SECRETS["agent"])
        await agent.register()
        await agent.restart()
        agent.send(agent.reregistration())
        await asyncio.sleep(0.3)
        assert not agent.unread
        await agent.authenticate("agent", SECRETS["agent"])
        await agent.reregister()


async def test_a_registration_during_an_authentication_is_held_until_its_end(
    strict_master: str,
) -> None:
    async with FakeAgent(strict_master) as agent:
        exchange = asyncio.create_task(agent.authenticate("agent", SECRETS["agent"]))
        await asyncio.sleep(0)
        agent.send(agent.registration())
        assert await exchange == Completed()
        await agent.next(internal.SlaveRegisteredMessage)


async def test_initial_data_in_the_start_message_is_an_error(strict_master: str) -> None:
    async with FakeAgent(strict_master) as agent:
        agent.send(auth.AuthenticateMessage(pid=str(agent.pid)))
        await agent.next(auth.AuthenticationMechanismsMessage)
        session = agent.received[-1][0]
        start = auth.AuthenticationStartMessage(mechanism="CRAM-MD5", data=b"early")
        agent.send(start, to=session)
        await asyncio.sleep(0.3)
        (answer,) = agent.unread
        assert isinstance(
            answer, auth.AuthenticationErrorMessage | auth.AuthenticationFailedMessage
        )


async def test_a_stalled_authentication_times_out() -> None:
    async with (
        Embedded(
            port=0, credentials=SECRETS, authenticate_agents=True, authentication_timeout=1.0
        ) as master,
        FakeAgent(master.address) as agent,
    ):
        agent.send(auth.AuthenticateMessage(pid=str(agent.pid)))
        await agent.next(auth.AuthenticationMechanismsMessage)
        assert master.state.authenticating
        await until(lambda: not master.state.authenticating, "the end of the attempt")
        assert await agent.authenticate("agent", SECRETS["agent"]) == Completed()
