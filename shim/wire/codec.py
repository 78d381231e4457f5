"""Message names and classes; bytes in, bytes out. Nothing else in the shim parses or encodes.

Whatever comes in is bounded and complete: a missing required field would otherwise read as its
default, and half a launch as a launch. Whatever goes out has passed ``safety``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError, Message

from shim import limits
from shim.errors import PeerError
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire import identifiers, safety, text
from shim.wire.safety import Capabilities

MessageTable = Mapping[str, type[Message]]

PING = "PING"
PONG = "PONG"
"""Names of ping and pong up to 0.24. 0.25 takes both, 0.26 and later only the full names."""


class UnknownMessage(PeerError):
    """A name that is not in the table: counted and dropped, as libprocess does."""


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
            auth.AuthenticationMechanismsMessage,
            auth.AuthenticationStepMessage,
            auth.AuthenticationCompletedMessage,
            auth.AuthenticationFailedMessage,
            auth.AuthenticationErrorMessage,
        )
    ),
    PING: internal.PingSlaveMessage,
}
"""What an agent receives."""

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
"""What a master receives."""


def name_of(message: Message) -> str:
    """The message's name on the wire."""
    return message.DESCRIPTOR.full_name


def decode(name: str, body: bytes, table: MessageTable = TO_AGENT) -> Message:
    """Raises UnknownMessage, or PeerError for a body that is too large, broken or incomplete.

    Fields and enum values newer than ours are kept and written again.
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
    if missing := identifiers.missing(message):
        raise PeerError(f"{name}: missing {', '.join(missing)}")
    text.readable(message)
    return message


def encode(message: Message, claimed: Capabilities = frozenset()) -> bytes:
    """The message's body; equal messages give equal bytes.

    ``claimed`` are the capabilities the agent registered with. Raises UnsafeMessage, naming the
    field, rather than sending what could abort a master or would be dropped by it unseen.
    """
    safety.check(message, claimed)
    return text.original(message.SerializeToString(deterministic=True), type(message))
