"""CRAM-MD5 against RFC 2195, recorded exchanges and invalid messages."""

from __future__ import annotations

import logging

import pytest
from google.protobuf.message import Message

from shim.model.ids import Pid
from shim.model.settings import Credential
from shim.protos import authentication_pb2 as auth
from shim.wire import codec
from shim.wire.cram_md5 import (
    Authenticatee,
    Authenticator,
    Completed,
    Failed,
    Refused,
    respond,
)
from tests.wire import transcripts

AGENT = Pid("slave(1)", "127.0.0.1", 5051)
CREDENTIAL = Credential("tim", b"tanstaaftanstaaf")
CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
RFC_2195 = b"tim b913a602c7eda7a495b4e6e7334d3890"


def test_check_value_of_rfc_2195() -> None:
    assert respond(CREDENTIAL, CHALLENGE) == RFC_2195


def test_the_secret_is_in_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    agent = Authenticatee(CREDENTIAL, AGENT)
    agent.receive(auth.AuthenticationErrorMessage(error="x"))
    assert "tanstaaf" not in f"{CREDENTIAL!r} {CREDENTIAL} {agent!r} {caplog.text}"


def exchange(transcript: str) -> list[tuple[transcripts.Recorded, Message]]:
    """The first attempt of the transcript."""
    found = []
    for recorded in transcripts.messages(transcript):
        if ".Authenticat" in recorded.name:
            table = codec.TO_AGENT if recorded.to_agent else codec.TO_MASTER
            found.append((recorded, codec.decode(recorded.name, recorded.body, table)))
        if len(found) == 6:
            break
    return found


@pytest.mark.parametrize(
    ("transcript", "outcome"), [("authenticate", Completed()), ("authenticate-refused", Refused())]
)
def test_recorded_exchanges(transcript: str, outcome: object) -> None:
    """Equal bytes, except for the digest, because the secrets were not recorded."""
    (
        (first, authenticate),
        (_, mechanisms),
        (start, _),
        (_, challenge),
        (answer, answered),
        (_, verdict),
    ) = exchange(transcript)
    assert isinstance(authenticate, auth.AuthenticateMessage)
    assert isinstance(answered, auth.AuthenticationStepMessage)
    principal = answered.data.partition(b" ")[0].decode()
    agent = Authenticatee(Credential(principal, b"?"), Pid.parse(authenticate.pid))
    assert codec.encode(agent.start()) == first.body
    reply = agent.receive(mechanisms)
    assert isinstance(reply, Message)
    assert codec.encode(reply) == start.body
    reply = agent.receive(challenge)
    assert isinstance(reply, auth.AuthenticationStepMessage)
    assert reply.data[:-32] == answered.data[:-32]
    assert len(codec.encode(reply)) == len(answer.body)
    assert agent.receive(verdict) == outcome


def talk(credential: Credential, master: Authenticator) -> tuple[list[str], object]:
    agent = Authenticatee(credential, AGENT)
    said: list[str] = [agent.start().DESCRIPTOR.name]
    message: Message | None = master.start()
    while message is not None:
        said.append(message.DESCRIPTOR.name)
        reply = agent.receive(message)
        if not isinstance(reply, Message):
            return said, reply
        said.append(reply.DESCRIPTOR.name)
        message = master.receive(reply)
    return said, None


def test_both_roles_complete_with_each_other() -> None:
    master = Authenticator({"tim": b"tanstaaftanstaaf"}, CHALLENGE)
    said, outcome = talk(CREDENTIAL, master)
    assert outcome == Completed()
    assert master.principal == "tim"
    assert said == [
        f"Authenticat{part}Message"
        for part in ("e", "ionMechanisms", "ionStart", "ionStep", "ionStep", "ionCompleted")
    ]


@pytest.mark.parametrize("secrets", [{}, {"tim": b"other"}])
def test_unknown_principals_and_wrong_secrets_are_refused(secrets: dict[str, bytes]) -> None:
    master = Authenticator(secrets, CHALLENGE)
    assert talk(CREDENTIAL, master)[1] == Refused()
    assert master.principal is None


def test_a_principal_may_hold_spaces() -> None:
    master = Authenticator({"a b": b"s"}, CHALLENGE)
    assert talk(Credential("a b", b"s"), master)[1] == Completed()


STEP = auth.AuthenticationStepMessage(data=b"x")
START = auth.AuthenticationStartMessage(mechanism="CRAM-MD5")


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([auth.AuthenticationErrorMessage(error="No authenticator loaded")], "No authenticator"),
        ([auth.AuthenticationErrorMessage()], "no reason"),
        ([auth.AuthenticationMechanismsMessage(mechanisms=["PLAIN"])], "only PLAIN"),
        ([auth.AuthenticationMechanismsMessage()], "only nothing"),
        ([STEP], "got AuthenticationStepMessage while waiting for mechanisms"),
        ([auth.AuthenticationCompletedMessage()], "got AuthenticationCompletedMessage"),
        (
            [auth.AuthenticationMechanismsMessage(mechanisms=["CRAM-MD5"]), STEP, STEP],
            "got AuthenticationStepMessage while waiting for a verdict",
        ),
    ],
)
def test_an_unexpected_message_fails_the_authentication(
    messages: list[Message], error: str
) -> None:
    agent = Authenticatee(CREDENTIAL, AGENT)
    *_, outcome = [agent.receive(message) for message in messages]
    assert isinstance(outcome, Failed)
    assert error in outcome.error
    assert agent.receive(auth.AuthenticationCompletedMessage()) is None


@pytest.mark.parametrize(
    "messages",
    [
        [STEP],
        [auth.AuthenticationStartMessage(mechanism="PLAIN")],
        [auth.AuthenticationStartMessage(mechanism="CRAM-MD5", data=b"eager")],
        [START, START],
    ],
)
def test_the_authenticator_answers_invalid_messages_with_an_error(messages: list[Message]) -> None:
    master = Authenticator({}, CHALLENGE)
    *_, reply = [master.receive(message) for message in messages]
    assert isinstance(reply, auth.AuthenticationErrorMessage)
    assert master.receive(START) is None
