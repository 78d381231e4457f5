"""The life of a task as a literal table.

::

    RunTask -> STAGING -(create is due)-> STARTING -(seen running)-> RUNNING -(exit)-> ENDED
                  |                          |                          |
                  +--------- kill -----------+                          +- kill -> STOPPING -> ENDED
                             v
                         CANCELLING -(cancelled, failed)-> ENDED
                             +--(it started after all)---> STOPPING

A task of a task group becomes RUNNING with its whole group::

    STAGING, STARTING -(seen running)-> LAUNCHED -(all launches answered)-> RUNNING
                                           +---- kill -> STOPPING

A task of a custom executor has no container of its own::

    RunTask -> QUEUED -(handed over)-> DELIVERED -(an update of its executor)-> ENDED

==========  ===========================================================================
STAGING     accepted; no container has been asked for
STARTING    the create is allowed, once this is recorded: the endpoint may have the container
LAUNCHED    the container of a group's task was seen running; TASK_RUNNING waits for the group
RUNNING     the container was seen running
CANCELLING  the launch is being cancelled
STOPPING    the container is being stopped
QUEUED      accepted for a custom executor, which has not been given it yet
DELIVERED   given to its custom executor, which reports its states
ENDED       the terminal state is decided and recorded; later facts change nothing
==========  ===========================================================================

The table has every pair of phase and event. An event without effect is there as IGNORE: facts and
orders cross, so an event can arrive in any phase.
"""

from __future__ import annotations

import enum


class TaskPhase(enum.Enum):
    STAGING = "staging"
    STARTING = "starting"
    LAUNCHED = "launched"
    RUNNING = "running"
    CANCELLING = "cancelling"
    STOPPING = "stopping"
    QUEUED = "queued"
    DELIVERED = "delivered"
    ENDED = "ended"


class Event(enum.Enum):
    CREATING = "the launch waits to send its create"
    STARTED = "the container was seen running"
    STARTED_EARLY = "the container was seen running, before the task's group is launched"
    RELEASED = "every launch of the task's group has answered"
    FAILED = "the launch failed permanently"
    CANCELLED = "the launch ended before the container ran"
    EXITED = "the container exited"
    VANISHED = "the container was removed by others"
    KILL = "the task is to be ended"
    REPORT = "a check has a new result"


class Action(enum.Enum):
    """What the core does on a transition; each is one method of :class:`shim.core.tasks.Tasks`."""

    IGNORE = "do nothing"
    BEGIN = "report TASK_STARTING, then allow the create"
    ALLOW_CREATE = "allow the create once more, after a restart"
    HOLD = "note the addresses; TASK_RUNNING is reported with the group"
    RUN = "report TASK_RUNNING, publish the task, start its checks"
    FAIL = "end the task: its launch failed"
    END = "end the task: its container exited"
    VANISH = "end the task: its container is gone, and with it the exit code"
    CANCEL = "cancel the launch"
    CANCEL_AGAIN = "record another cause or grace period of the cancellation"
    GIVE_UP = "end the task: its container never ran"
    STOP = "take the task out of service discovery, then stop its container"
    STOP_LATE = "stop a container that started before the cancellation"
    STOP_AGAIN = "stop the container with another grace period"
    REPORT = "report a check's result as TASK_RUNNING"
    KILL_INSIDE = "end a task of a custom executor"


_IGNORE = Action.IGNORE

TABLE: dict[TaskPhase, dict[Event, tuple[TaskPhase, Action]]] = {
    TaskPhase.STAGING: {
        Event.CREATING: (TaskPhase.STARTING, Action.BEGIN),
        Event.STARTED: (TaskPhase.RUNNING, Action.RUN),
        Event.STARTED_EARLY: (TaskPhase.LAUNCHED, Action.HOLD),
        Event.RELEASED: (TaskPhase.STAGING, _IGNORE),
        Event.FAILED: (TaskPhase.ENDED, Action.FAIL),
        Event.CANCELLED: (TaskPhase.STAGING, _IGNORE),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.VANISH),
        Event.KILL: (TaskPhase.CANCELLING, Action.CANCEL),
        Event.REPORT: (TaskPhase.STAGING, _IGNORE),
    },
    TaskPhase.STARTING: {
        # The launch is repeated after a restart, and finds its container by name.
        Event.CREATING: (TaskPhase.STARTING, Action.ALLOW_CREATE),
        Event.STARTED: (TaskPhase.RUNNING, Action.RUN),
        Event.STARTED_EARLY: (TaskPhase.LAUNCHED, Action.HOLD),
        Event.RELEASED: (TaskPhase.STARTING, _IGNORE),
        Event.FAILED: (TaskPhase.ENDED, Action.FAIL),
        Event.CANCELLED: (TaskPhase.STARTING, _IGNORE),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.VANISH),
        Event.KILL: (TaskPhase.CANCELLING, Action.CANCEL),
        Event.REPORT: (TaskPhase.STARTING, _IGNORE),
    },
    TaskPhase.LAUNCHED: {
        Event.CREATING: (TaskPhase.LAUNCHED, _IGNORE),
        Event.STARTED: (TaskPhase.LAUNCHED, _IGNORE),
        Event.STARTED_EARLY: (TaskPhase.LAUNCHED, _IGNORE),
        Event.RELEASED: (TaskPhase.RUNNING, Action.RUN),
        Event.FAILED: (TaskPhase.LAUNCHED, _IGNORE),
        Event.CANCELLED: (TaskPhase.LAUNCHED, _IGNORE),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.VANISH),
        Event.KILL: (TaskPhase.STOPPING, Action.STOP),
        Event.REPORT: (TaskPhase.LAUNCHED, _IGNORE),
    },
    TaskPhase.RUNNING: {
        Event.CREATING: (TaskPhase.RUNNING, _IGNORE),
        Event.STARTED: (TaskPhase.RUNNING, _IGNORE),
        Event.STARTED_EARLY: (TaskPhase.RUNNING, _IGNORE),
        Event.RELEASED: (TaskPhase.RUNNING, _IGNORE),
        Event.FAILED: (TaskPhase.RUNNING, _IGNORE),
        Event.CANCELLED: (TaskPhase.RUNNING, _IGNORE),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.VANISH),
        Event.KILL: (TaskPhase.STOPPING, Action.STOP),
        Event.REPORT: (TaskPhase.RUNNING, Action.REPORT),
    },
    TaskPhase.CANCELLING: {
        Event.CREATING: (TaskPhase.CANCELLING, _IGNORE),
        Event.STARTED: (TaskPhase.STOPPING, Action.STOP_LATE),
        Event.STARTED_EARLY: (TaskPhase.STOPPING, Action.STOP_LATE),
        Event.RELEASED: (TaskPhase.CANCELLING, _IGNORE),
        Event.FAILED: (TaskPhase.ENDED, Action.GIVE_UP),
        Event.CANCELLED: (TaskPhase.ENDED, Action.GIVE_UP),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.GIVE_UP),
        Event.KILL: (TaskPhase.CANCELLING, Action.CANCEL_AGAIN),
        Event.REPORT: (TaskPhase.CANCELLING, _IGNORE),
    },
    TaskPhase.STOPPING: {
        Event.CREATING: (TaskPhase.STOPPING, _IGNORE),
        Event.STARTED: (TaskPhase.STOPPING, _IGNORE),
        Event.STARTED_EARLY: (TaskPhase.STOPPING, _IGNORE),
        Event.RELEASED: (TaskPhase.STOPPING, _IGNORE),
        Event.FAILED: (TaskPhase.STOPPING, _IGNORE),
        # The cancellation came after the start, and found no container any more.
        Event.CANCELLED: (TaskPhase.ENDED, Action.VANISH),
        Event.EXITED: (TaskPhase.ENDED, Action.END),
        Event.VANISHED: (TaskPhase.ENDED, Action.VANISH),
        Event.KILL: (TaskPhase.STOPPING, Action.STOP_AGAIN),
        Event.REPORT: (TaskPhase.STOPPING, _IGNORE),
    },
    TaskPhase.QUEUED: {
        **dict.fromkeys(Event, (TaskPhase.QUEUED, _IGNORE)),
        Event.KILL: (TaskPhase.QUEUED, Action.KILL_INSIDE),
    },
    TaskPhase.DELIVERED: {
        **dict.fromkeys(Event, (TaskPhase.DELIVERED, _IGNORE)),
        Event.KILL: (TaskPhase.DELIVERED, Action.KILL_INSIDE),
    },
    TaskPhase.ENDED: dict.fromkeys(Event, (TaskPhase.ENDED, _IGNORE)),
}


def step(phase: TaskPhase, event: Event) -> tuple[TaskPhase, Action]:
    """The next phase, and the action to perform."""
    return TABLE[phase][event]
