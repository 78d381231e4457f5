"""The work about one container as two literal tables: its launch, and what an order does to it.

The launch, in its phases and with its events::

               ALLOW           CREATE              START             ANSWERED
    PREPARING -----> ALLOWED -------> CREATING ---------> STARTING ------------> CONFIRMING
        |               |             ^     | <- REFUSED -    |                      ^
        |               |        PARK |     |                 | CANCEL               |
        | CANCEL        |       READY v     |                 v         ANSWERED     |
        |        CANCEL |           PARKED  | CANCEL    CANCEL_PENDING --------------+
        |               v             |     |                 |
        +-----------> ABANDONED       |     v                 | REFUSED
                               CANCEL |  UNWANTED <-----------+
                                      |     ^
                                      v     | PARK, READY
                                  UNWANTED_PARKED

PARK leads down, and READY up. A launch ends in any phase but the two parked ones: its container
was seen, or the launch failed, or it was interrupted. The phase at the end decides what follows:

* ABANDONED: nothing, since the endpoint was asked for no container.
* UNWANTED: the container that the create may have made is removed (CLEANING, below).
* Any other: the outcome is posted, and the core orders what comes next.

A create waits for AllowCreate. The core gives that order once it is durable that the container may
exist. An agent that dies at any later moment therefore never creates the container again.

Until a start is sent, a launch may be cancelled or begun again. After a start call only an inspect
of that container decides the outcome, however long the inspect takes. So a container is never
started after its kill was answered, and never started twice.

The steps of a worker, one at a time; of several waiting orders the first of this list is next::

    Launch       -> LAUNCHING, then CLEANING if it ends UNWANTED
    CancelLaunch -> an event of the launch; RECOVERING if only an earlier process knew of it
    Remove       -> REMOVING
    Stop         -> STOPPING

An order waits in the worker until its step is over. A Remove replaces a waiting Stop.
"""

from __future__ import annotations

import enum

from shim.model.orders import AllowCreate, CancelLaunch, Launch, Remove, Stop

ContainerOrder = Launch | AllowCreate | CancelLaunch | Stop | Remove


class LaunchPhase(enum.Enum):
    PREPARING = "it fetches, pulls, or waits for a slot or for AllowCreate"
    ALLOWED = "a create may be sent; none was sent"
    CREATING = "a create was sent, so the container may exist; no start was sent"
    PARKED = "the endpoint works on the create and calls back; no asyncio task waits"
    STARTING = "the first start is under way"
    CANCEL_PENDING = "the first start is under way, and a cancel counts if it is refused"
    CONFIRMING = "a start may have had its effect; inspects show whether the container ran"
    ABANDONED = "it was cancelled before a create was sent"
    UNWANTED = "it was cancelled after a create was sent"
    UNWANTED_PARKED = "it was cancelled while it was parked"


class LaunchEvent(enum.Enum):
    WAIT = "the launch is about to wait for something that a cancel may interrupt"
    ALLOW = "it is durable that the container may exist"
    CREATE = "a create is about to be sent"
    PARK = "the engine answered InProgress: it calls back"
    READY = "the engine called back"
    START = "a start is about to be sent"
    REFUSED = "the endpoint denied access, so the start had no effect"
    ANSWERED = "the start call ended in any other way"
    CANCEL = "the launch is to end without a container"


class LaunchAction(enum.Enum):
    """What :meth:`ContainerWorker.apply` does on a transition."""

    NONE = enum.auto()
    PROCEED = enum.auto()
    """Go on with a launch that waits to send its create."""
    CANCEL = enum.auto()
    """Post LaunchCancelled and interrupt a wait."""
    RESUME = enum.auto()
    """Go on with a parked launch in a new asyncio task."""
    INTERRUPT = enum.auto()
    """Raise Interrupted: a cancelled launch goes no further."""


_NONE = LaunchAction.NONE
_PROCEED = LaunchAction.PROCEED
_CANCEL = LaunchAction.CANCEL
_RESUME = LaunchAction.RESUME
_INTERRUPT = LaunchAction.INTERRUPT

LAUNCHES: dict[LaunchPhase, dict[LaunchEvent, tuple[LaunchPhase, LaunchAction]]] = {
    LaunchPhase.PREPARING: {
        LaunchEvent.WAIT: (LaunchPhase.PREPARING, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.ALLOWED, _PROCEED),
        # No create is sent before it is allowed.
        LaunchEvent.CREATE: (LaunchPhase.PREPARING, _INTERRUPT),
        LaunchEvent.PARK: (LaunchPhase.PREPARING, _NONE),
        LaunchEvent.READY: (LaunchPhase.PREPARING, _NONE),
        LaunchEvent.START: (LaunchPhase.PREPARING, _INTERRUPT),
        LaunchEvent.REFUSED: (LaunchPhase.PREPARING, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.PREPARING, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.ABANDONED, _CANCEL),
    },
    LaunchPhase.ALLOWED: {
        LaunchEvent.WAIT: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.PARK: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.READY: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.START: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.ALLOWED, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.ABANDONED, _CANCEL),
    },
    LaunchPhase.CREATING: {
        LaunchEvent.WAIT: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.CREATING, _NONE),
        # An attempt is repeated; the endpoint answers that the name is taken if one succeeded.
        LaunchEvent.CREATE: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.PARK: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.READY: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.START: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.UNWANTED, _CANCEL),
    },
    LaunchPhase.PARKED: {
        LaunchEvent.WAIT: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.PARK: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.READY: (LaunchPhase.CREATING, _RESUME),
        LaunchEvent.START: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.PARKED, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.UNWANTED_PARKED, _CANCEL),
    },
    LaunchPhase.STARTING: {
        LaunchEvent.WAIT: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.PARK: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.READY: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.START: (LaunchPhase.STARTING, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.CREATING, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.CANCEL_PENDING, _NONE),
    },
    LaunchPhase.CANCEL_PENDING: {
        LaunchEvent.WAIT: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.PARK: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.READY: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.START: (LaunchPhase.CANCEL_PENDING, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.UNWANTED, _CANCEL),
        # The cancel came too late: the container is reported as started, and the core stops it.
        LaunchEvent.ANSWERED: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.CANCEL_PENDING, _NONE),
    },
    LaunchPhase.CONFIRMING: {
        LaunchEvent.WAIT: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.PARK: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.READY: (LaunchPhase.CONFIRMING, _NONE),
        # Sent again because the container was seen as created; the first one may still act.
        LaunchEvent.START: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.CONFIRMING, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.CONFIRMING, _NONE),
    },
    LaunchPhase.ABANDONED: {
        LaunchEvent.WAIT: (LaunchPhase.ABANDONED, _INTERRUPT),
        LaunchEvent.ALLOW: (LaunchPhase.ABANDONED, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.ABANDONED, _INTERRUPT),
        LaunchEvent.PARK: (LaunchPhase.ABANDONED, _NONE),
        LaunchEvent.READY: (LaunchPhase.ABANDONED, _NONE),
        LaunchEvent.START: (LaunchPhase.ABANDONED, _INTERRUPT),
        LaunchEvent.REFUSED: (LaunchPhase.ABANDONED, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.ABANDONED, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.ABANDONED, _NONE),
    },
    LaunchPhase.UNWANTED: {
        LaunchEvent.WAIT: (LaunchPhase.UNWANTED, _INTERRUPT),
        LaunchEvent.ALLOW: (LaunchPhase.UNWANTED, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.UNWANTED, _INTERRUPT),
        # An endpoint may refuse to remove a container while it provisions it.
        LaunchEvent.PARK: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.READY: (LaunchPhase.UNWANTED, _NONE),
        LaunchEvent.START: (LaunchPhase.UNWANTED, _INTERRUPT),
        LaunchEvent.REFUSED: (LaunchPhase.UNWANTED, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.UNWANTED, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.UNWANTED, _NONE),
    },
    LaunchPhase.UNWANTED_PARKED: {
        LaunchEvent.WAIT: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.ALLOW: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.CREATE: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.PARK: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.READY: (LaunchPhase.UNWANTED, _RESUME),
        LaunchEvent.START: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.REFUSED: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.ANSWERED: (LaunchPhase.UNWANTED_PARKED, _NONE),
        LaunchEvent.CANCEL: (LaunchPhase.UNWANTED_PARKED, _NONE),
    },
}

CANCELLED = {LaunchPhase.ABANDONED, LaunchPhase.UNWANTED, LaunchPhase.UNWANTED_PARKED}
"""LaunchCancelled was posted: nothing else is reported of the launch."""
PARKED = {LaunchPhase.PARKED, LaunchPhase.UNWANTED_PARKED}
MAY_RUN = {LaunchPhase.STARTING, LaunchPhase.CANCEL_PENDING, LaunchPhase.CONFIRMING}
"""A start was sent, so the container may run."""


class WorkerStep(enum.Enum):
    IDLE = "nothing is under way; a launch may wait in the queue"
    LAUNCHING = "a launch is under way, or parked"
    CLEANING = "what a cancelled launch may have made is removed"
    RECOVERING = "an earlier process launched it: the endpoint is asked how far that launch came"
    REMOVING = "its final logs are collected, and it is removed"
    STOPPING = "it is stopped, until its end is certain"


class OrderEffect(enum.Enum):
    """What :meth:`ContainerWorker.take` does with an order that comes during a step."""

    KEEP = "it is carried out after the step"
    CANCEL = "a launch is cancelled now; anything else is kept"
    INTERRUPT = "the step is interrupted, and the order is carried out in its place"
    ALLOW = "the launch may send its create"
    IGNORE = "there is nothing to do: the step does it already, or it came too late"


_KEEP = OrderEffect.KEEP

ORDERS: dict[WorkerStep, dict[type[ContainerOrder], OrderEffect]] = {
    WorkerStep.IDLE: {
        Launch: _KEEP,
        AllowCreate: OrderEffect.IGNORE,
        CancelLaunch: OrderEffect.CANCEL,
        Remove: OrderEffect.CANCEL,
        Stop: _KEEP,
    },
    WorkerStep.LAUNCHING: {
        Launch: OrderEffect.IGNORE,
        AllowCreate: OrderEffect.ALLOW,
        CancelLaunch: OrderEffect.CANCEL,
        Remove: OrderEffect.CANCEL,
        # The launch may fail: the stop is answered after it.
        Stop: _KEEP,
    },
    WorkerStep.CLEANING: {
        # A container id is launched once, so this is a repetition of the cancelled launch.
        Launch: OrderEffect.IGNORE,
        AllowCreate: OrderEffect.IGNORE,
        CancelLaunch: OrderEffect.IGNORE,
        Remove: _KEEP,
        Stop: _KEEP,
    },
    WorkerStep.RECOVERING: {
        Launch: _KEEP,
        AllowCreate: OrderEffect.IGNORE,
        CancelLaunch: OrderEffect.CANCEL,
        Remove: OrderEffect.CANCEL,
        Stop: _KEEP,
    },
    WorkerStep.REMOVING: {
        Launch: _KEEP,
        AllowCreate: OrderEffect.IGNORE,
        CancelLaunch: OrderEffect.CANCEL,
        Remove: OrderEffect.CANCEL,
        Stop: _KEEP,
    },
    WorkerStep.STOPPING: {
        Launch: _KEEP,
        AllowCreate: OrderEffect.IGNORE,
        CancelLaunch: OrderEffect.CANCEL,
        # A hanging stop must delay neither a removal nor a stop with a shorter grace.
        Remove: OrderEffect.INTERRUPT,
        Stop: OrderEffect.INTERRUPT,
    },
}
