"""CRAM-MD5 authentication in both roles, without I/O: messages in, messages or an outcome out.

    authenticatee                            authenticator
      AuthenticateMessage            ->
                                     <-      AuthenticationMechanismsMessage
      AuthenticationStartMessage     ->
                                     <-      AuthenticationStepMessage (challenge)
      AuthenticationStepMessage      ->
                                     <-      AuthenticationCompleted/Failed/ErrorMessage

One object serves one attempt. Each attempt also needs its own process id: a master silently
ignores a second attempt from the same sender while the first is pending.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from shim.model.ids import Pid
from shim.model.settings import Credential
from shim.protos.authentication_pb2 import (
    AuthenticateMessage,
    AuthenticationCompletedMessage,
    AuthenticationErrorMessage,
    AuthenticationFailedMessage,
    AuthenticationMechanismsMessage,
    AuthenticationStartMessage,
    AuthenticationStepMessage,
)

MECHANISM = "CRAM-MD5"


@dataclass(frozen=True, slots=True)
class Completed:
    """The master has authenticated the agent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Unknown principal or wrong secret. A further attempt fails until the credentials change."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange failed. A further attempt may succeed."""

    error: str


Outcome = Completed | Refused | Failed


def respond(credential: Credential, challenge: bytes) -> bytes:
    """``principal digest``, as in RFC 2195."""
    digest = hmac.new(credential.secret, challenge, "md5").hexdigest()
    return f"{credential.principal} {digest}".encode()


class _Step(enum.Enum):
    MECHANISMS = "mechanisms"
    CHALLENGE = "a challenge"
    VERDICT = "a verdict"
    OVER = "nothing"


class Authenticatee:
    """The agent's side. A reply goes to the sender of the message that it answers."""

    def __init__(self, credential: Credential, agent: Pid) -> None:
        self._credential = credential
        self._agent = agent
        self._awaits = _Step.MECHANISMS

    def start(self) -> AuthenticateMessage:
        """The first message to the master. Its ``pid`` is that of the agent that will register."""
        return AuthenticateMessage(pid=str(self._agent))

    def receive(self, message: Message) -> Message | Outcome | None:
        """The reply to send, the outcome, or None for a message after the outcome."""
        if self._awaits is _Step.OVER:
            return None
        reply = self._receive(message)
        if isinstance(reply, Completed | Refused | Failed):
            self._awaits = _Step.OVER
        return reply

    def _receive(self, message: Message) -> Message | Outcome:
        match self._awaits, message:
            case _, AuthenticationErrorMessage():
                return Failed(message.error or "the master gives no reason")
            case _, AuthenticationFailedMessage():
                return Refused()
            case _Step.MECHANISMS, AuthenticationMechanismsMessage():
                return self._choose(message)
            case _Step.CHALLENGE, AuthenticationStepMessage():
                self._awaits = _Step.VERDICT
                return AuthenticationStepMessage(data=respond(self._credential, message.data))
            case _Step.VERDICT, AuthenticationCompletedMessage():
                return Completed()
        return Failed(f"got {message.DESCRIPTOR.name} while waiting for {self._awaits.value}")

    def _choose(self, message: AuthenticationMechanismsMessage) -> Message | Outcome:
        if MECHANISM not in message.mechanisms:
            return Failed(f"the master knows only {', '.join(message.mechanisms) or 'nothing'}")
        self._awaits = _Step.CHALLENGE
        # Mesos requires the field ``data`` and rejects a value in it.
        return AuthenticationStartMessage(mechanism=MECHANISM, data=b"")


class Authenticator:
    """A master's side, for the embedded master. ``principal`` is set after a success."""

    def __init__(self, secrets: Mapping[str, bytes], challenge: bytes) -> None:
        self._secrets = secrets
        self._challenge = challenge
        self._started = False
        self._over = False
        self.principal: str | None = None

    def start(self) -> AuthenticationMechanismsMessage:
        """The answer to the sender of AuthenticateMessage."""
        return AuthenticationMechanismsMessage(mechanisms=[MECHANISM])

    def receive(self, message: Message) -> Message | None:
        """The reply; None after the end of the attempt."""
        if self._over:
            return None
        match self._started, message:
            case False, AuthenticationStartMessage() if message.mechanism == MECHANISM:
                if not message.data:
                    self._started = True
                    return AuthenticationStepMessage(data=self._challenge)
            case True, AuthenticationStepMessage():
                self._over = True
                return self._verify(message.data)
        self._over = True
        return AuthenticationErrorMessage(error=f"unexpected {message.DESCRIPTOR.name}")

    def _verify(self, data: bytes) -> Message:
        principal = data.rpartition(b" ")[0].decode(errors="replace")
        secret = self._secrets.get(principal)
        if secret is None:
            return AuthenticationFailedMessage()
        expected = respond(Credential(principal, secret), self._challenge)
        if not hmac.compare_digest(data, expected):
            return AuthenticationFailedMessage()
        self.principal = principal
        return AuthenticationCompletedMessage()
