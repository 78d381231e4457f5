"""What becomes of an operation, and when its status is sent again: a literal table.

::

    ApplyOperation -> WAITING -(registered)-> SENT -(acknowledged)-> DONE
                         ^                      |  ^
                         +--(master lost)-------+  +-- retry: 10 s, 20 s, 40 s ... 10 min

The agent applies an operation and decides its status at once: FINISHED, or ERROR for one that does
not fit. What is left is to deliver that status, durably, as status updates of tasks are delivered.
"""

from __future__ import annotations

import enum


class OperationPhase(enum.Enum):
    WAITING = "its status is recorded; there is no master to send it to"
    SENT = "its status was sent and is not acknowledged"
    DONE = "its status was acknowledged; its record is dropped"


class OperationEvent(enum.Enum):
    REGISTERED = "a master registered the agent"
    MASTER_LOST = "the agent is not registered any more"
    RETRY_DUE = "the retry interval passed without an acknowledgement"
    APPLIED_AGAIN = "the master sent the same operation again"
    ACKNOWLEDGED = "its status was acknowledged"
    OTHER_ACKNOWLEDGED = "another status was acknowledged"


class OperationAction(enum.Enum):
    IGNORE = "do nothing"
    SEND = "send the status, with the shortest retry interval"
    SEND_AGAIN = "send the status once more, with twice the retry interval"
    HOLD = "stop the retries"
    FORGET = "drop the operation"


_WAITING, _SENT, _DONE = OperationPhase
_IGNORE = OperationAction.IGNORE

TABLE: dict[OperationPhase, dict[OperationEvent, tuple[OperationPhase, OperationAction]]] = {
    _WAITING: {
        OperationEvent.REGISTERED: (_SENT, OperationAction.SEND),
        OperationEvent.MASTER_LOST: (_WAITING, _IGNORE),
        OperationEvent.RETRY_DUE: (_WAITING, _IGNORE),
        OperationEvent.APPLIED_AGAIN: (_WAITING, _IGNORE),
        # An earlier process, or this one under an earlier registration, sent it.
        OperationEvent.ACKNOWLEDGED: (_DONE, OperationAction.FORGET),
        OperationEvent.OTHER_ACKNOWLEDGED: (_WAITING, _IGNORE),
    },
    _SENT: {
        OperationEvent.REGISTERED: (_SENT, OperationAction.SEND),
        OperationEvent.MASTER_LOST: (_WAITING, OperationAction.HOLD),
        OperationEvent.RETRY_DUE: (_SENT, OperationAction.SEND_AGAIN),
        OperationEvent.APPLIED_AGAIN: (_SENT, _IGNORE),
        OperationEvent.ACKNOWLEDGED: (_DONE, OperationAction.FORGET),
        OperationEvent.OTHER_ACKNOWLEDGED: (_SENT, _IGNORE),
    },
    _DONE: dict.fromkeys(OperationEvent, (_DONE, _IGNORE)),
}


def step(phase: OperationPhase, event: OperationEvent) -> tuple[OperationPhase, OperationAction]:
    """The next phase, and the action to perform."""
    return TABLE[phase][event]
