"""The kinds of timer in the core, one type each. ``Core._timer_fired`` handles each kind."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from shim.model.container import Ref
from shim.model.ids import TaskKey
from shim.model.timer_queue import TimerQueue


@dataclass(frozen=True, slots=True)
class UpdateRetry:
    """The task's oldest status update was sent and is not acknowledged yet."""

    key: TaskKey


@dataclass(frozen=True, slots=True)
class OperationRetry:
    """The operation's status was sent and is not acknowledged yet."""

    uuid: bytes


@dataclass(frozen=True, slots=True)
class TaskExpiry:
    """The task's ``max_completion_time`` is over."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class ExecutorTimer:
    """A custom executor is overdue with its registration, or with its end."""

    ref: Ref


class ExitTimer(enum.Enum):
    RETRY = "report the exits of executors to the master again"


class RegistrationTimer(enum.Enum):
    SEND_REQUEST = "authenticate, or send the next (re-)registration request"
    NO_ANSWER = "warn that no master answers"
    PING_TIMEOUT = "the master has sent no ping for too long"
    REREGISTER = "a scheduled re-registration is due"


class ShutdownTimer(enum.Enum):
    ACKNOWLEDGEMENTS = "stop waiting for the last acknowledgements"


Timer = (
    UpdateRetry
    | OperationRetry
    | TaskExpiry
    | ExecutorTimer
    | ExitTimer
    | RegistrationTimer
    | ShutdownTimer
)

Timers = TimerQueue[Timer]
