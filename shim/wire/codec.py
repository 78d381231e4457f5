"""Message names and classes, decoding and encoding. No other module parses messages.

Incoming messages are bounded in size and have all required fields: a missing field would read as
its default, and a truncated launch as a launch. Outgoing messages have passed ``safety``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError, Message

from shim import limits
from shim.errors import PeerError
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire import field_rules, non_utf8, safety
from shim.wire.safety import Capabilities

MessageTable = Mapping[str, type[Message]]

PING = "PING"
PONG = "PONG"
"""Names of ping and pong in Mesos up to 0.24. 0.25 accepts both names, 0.26 only the full ones."""


class UnknownMessage(PeerError):
    """A message name that is not in the table. It is counted and dropped, as by libprocess."""


def _table(classes: Iterable[type[Message]]) -> dict[str, type[Message]]:
    return {cls.DESCRIPTOR.full_name: cls for cls in classes}


TO_AGENT: MessageTable = {
    **_table(
        (
            internal.SlaveRegisteredMessage,
            internal.SlaveReregisteredMessage,
            internal.PingSlaveMessage,
            internal.RunTaskMessage,
            internal.RunTaskGroupMessage,
            internal.KillTaskMessage,
            internal.ShutdownExecutorMessage,
            internal.ShutdownFrameworkMessage,
            internal.ShutdownMessage,
            internal.StatusUpdateAcknowledgementMessage,
            internal.UpdateFrameworkMessage,
            internal.FrameworkToExecutorMessage,
            internal.CheckpointResourcesMessage,
            internal.ApplyOperationMessage,
            internal.ReconcileOperationsMessage,
            internal.AcknowledgeOperationStatusMessage,
            internal.DrainSlaveMessage,
            internal.RegisterExecutorMessage,
            internal.ReregisterExecutorMessage,
            internal.StatusUpdateMessage,
            internal.ExecutorToFrameworkMessage,
            auth.AuthenticationMechanismsMessage,
            auth.AuthenticationStepMessage,
            auth.AuthenticationCompletedMessage,
            auth.AuthenticationFailedMessage,
            auth.AuthenticationErrorMessage,
        )
    ),
    PING: internal.PingSlaveMessage,
}
"""The messages that an agent receives: of a master, of v0 executors and of v0 schedulers."""

TO_MASTER: MessageTable = {
    **_table(
        (
            internal.RegisterSlaveMessage,
            internal.ReregisterSlaveMessage,
            internal.UnregisterSlaveMessage,
            internal.UpdateSlaveMessage,
            internal.PongSlaveMessage,
            internal.StatusUpdateMessage,
            internal.ExitedExecutorMessage,
            internal.ExecutorToFrameworkMessage,
            internal.UpdateOperationStatusMessage,
            auth.AuthenticateMessage,
            auth.AuthenticationStartMessage,
            auth.AuthenticationStepMessage,
        )
    ),
    PONG: internal.PongSlaveMessage,
}
"""The messages that a master receives."""


TO_EXECUTOR: MessageTable = _table(
    (
        internal.ExecutorRegisteredMessage,
        internal.ExecutorReregisteredMessage,
        internal.ReconnectExecutorMessage,
        internal.RunTaskMessage,
        internal.KillTaskMessage,
        internal.StatusUpdateAcknowledgementMessage,
        internal.FrameworkToExecutorMessage,
        internal.ShutdownExecutorMessage,
    )
)
"""The messages that a v0 executor receives."""


def name_of(message: Message) -> str:
    """The message's name on the wire."""
    return message.DESCRIPTOR.full_name


def decode(name: str, body: bytes, table: MessageTable = TO_AGENT) -> Message:
    """Raises UnknownMessage, or PeerError for a body that is too large, broken or incomplete.

    Unknown fields and enum values of newer versions are kept when the message is encoded again.
    """
    cls = table.get(name)
    if cls is None:
        raise UnknownMessage(f"unknown message {name[:100]!r}")
    if len(body) > limits.MESSAGE_BYTES:
        raise PeerError(f"{name}: {len(body)} bytes, more than {limits.MESSAGE_BYTES}")
    message = cls()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise PeerError(f"{name}: {error}") from None
    if missing := field_rules.missing(message):
        raise PeerError(f"{name}: missing {', '.join(missing)}")
    non_utf8.decode_strings(message)
    return message


def encode(message: Message, claimed: Capabilities = frozenset()) -> bytes:
    """The message's body. Equal messages give equal bytes.

    ``claimed``: the capabilities with which the agent registered. Raises UnsafeMessage with the
    field for a message that would abort a master, or that a master would drop silently.
    """
    safety.check(message, claimed)
    return non_utf8.encode_strings(message.SerializeToString(deterministic=True), type(message))
