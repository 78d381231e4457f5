"""The life of a task as a literal table.

::

    RunTask -> STAGING -(create begins)-> STARTING -(seen running)-> RUNNING -(exit)-> ENDED
                  |                          |                          |
                  +--------- kill -----------+                          +- kill -> STOPPING -> ENDED
                             v
                         CANCELLING -(cancelled, failed)-> ENDED
                             +--(it started after all)---> STOPPING

STAGING and STARTING differ in what the endpoint may hold: before STARTING no container was
asked for. CANCELLING is a launch being given up, STOPPING a container being stopped. ENDED means
that the terminal state is decided and durable; whatever is said of the container afterwards
changes nothing.

Every pair of phase and event is in the table: an event that means nothing in a phase is there as
IGNORE, because "cannot happen" does happen when facts cross orders.
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    STAGING = "staging"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    STOPPING = "stopping"
    ENDED = "ended"


class Event(enum.Enum):
    CREATING = "the create is about to be asked for"
    STARTED = "the container was seen running"
    FAILED = "the launch failed for good"
    CANCELLED = "the launch was given up in time"
    EXITED = "the container ended"
    VANISHED = "the container is gone, and not by us"
    KILL = "somebody wants it ended"
    REPORT = "a check has a new result"


class Action(enum.Enum):
    """What the core does on a transition; each is one method of :class:`shim.core.tasks.Tasks`."""

    IGNORE = enum.auto()
    BEGIN = enum.auto()
    RUN = enum.auto()
    FAIL = enum.auto()
    END = enum.auto()
    VANISH = enum.auto()
    CANCEL = enum.auto()
    CANCEL_AGAIN = enum.auto()
    GIVE_UP = enum.auto()
    STOP = enum.auto()
    STOP_LATE = enum.auto()
    STOP_AGAIN = enum.auto()
    REPORT = enum.auto()


_IGNORE = Action.IGNORE

TABLE: dict[Phase, dict[Event, tuple[Phase, Action]]] = {
    Phase.STAGING: {
        Event.CREATING: (Phase.STARTING, Action.BEGIN),
        Event.STARTED: (Phase.RUNNING, Action.RUN),
        Event.FAILED: (Phase.ENDED, Action.FAIL),
        Event.CANCELLED: (Phase.STAGING, _IGNORE),
        Event.EXITED: (Phase.ENDED, Action.END),
        Event.VANISHED: (Phase.ENDED, Action.VANISH),
        Event.KILL: (Phase.CANCELLING, Action.CANCEL),
        Event.REPORT: (Phase.STAGING, _IGNORE),
    },
    Phase.STARTING: {
        Event.CREATING: (Phase.STARTING, _IGNORE),
        Event.STARTED: (Phase.RUNNING, Action.RUN),
        Event.FAILED: (Phase.ENDED, Action.FAIL),
        Event.CANCELLED: (Phase.STARTING, _IGNORE),
        Event.EXITED: (Phase.ENDED, Action.END),
        Event.VANISHED: (Phase.ENDED, Action.VANISH),
        Event.KILL: (Phase.CANCELLING, Action.CANCEL),
        Event.REPORT: (Phase.STARTING, _IGNORE),
    },
    Phase.RUNNING: {
        Event.CREATING: (Phase.RUNNING, _IGNORE),
        Event.STARTED: (Phase.RUNNING, _IGNORE),
        Event.FAILED: (Phase.RUNNING, _IGNORE),
        Event.CANCELLED: (Phase.RUNNING, _IGNORE),
        Event.EXITED: (Phase.ENDED, Action.END),
        Event.VANISHED: (Phase.ENDED, Action.VANISH),
        Event.KILL: (Phase.STOPPING, Action.STOP),
        Event.REPORT: (Phase.RUNNING, Action.REPORT),
    },
    Phase.CANCELLING: {
        Event.CREATING: (Phase.CANCELLING, _IGNORE),
        Event.STARTED: (Phase.STOPPING, Action.STOP_LATE),
        Event.FAILED: (Phase.ENDED, Action.GIVE_UP),
        Event.CANCELLED: (Phase.ENDED, Action.GIVE_UP),
        Event.EXITED: (Phase.ENDED, Action.END),
        Event.VANISHED: (Phase.ENDED, Action.GIVE_UP),
        Event.KILL: (Phase.CANCELLING, Action.CANCEL_AGAIN),
        Event.REPORT: (Phase.CANCELLING, _IGNORE),
    },
    Phase.STOPPING: {
        Event.CREATING: (Phase.STOPPING, _IGNORE),
        Event.STARTED: (Phase.STOPPING, _IGNORE),
        Event.FAILED: (Phase.STOPPING, _IGNORE),
        # The cancelling came too late, and found nothing any more.
        Event.CANCELLED: (Phase.ENDED, Action.VANISH),
        Event.EXITED: (Phase.ENDED, Action.END),
        Event.VANISHED: (Phase.ENDED, Action.VANISH),
        Event.KILL: (Phase.STOPPING, Action.STOP_AGAIN),
        Event.REPORT: (Phase.STOPPING, _IGNORE),
    },
    Phase.ENDED: dict.fromkeys(Event, (Phase.ENDED, _IGNORE)),
}


def step(phase: Phase, event: Event) -> tuple[Phase, Action]:
    """The next phase, and what to do."""
    return TABLE[phase][event]
