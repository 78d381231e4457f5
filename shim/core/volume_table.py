"""The life of a persistent volume as a literal table.

::

    CREATE -> KEPT -(DESTROY)-> DESTROYED -(no container may mount it)-> REMOVING -(removed)-> GONE

==========  ===========================================================================
KEPT        the master has it; the endpoint has it from its first task on
DESTROYED   its removal is durable; a container of this agent may still mount it
REMOVING    the endpoint is to remove it with its data, and is asked until it has
GONE        the endpoint certainly has it no more; its record is dropped
==========  ===========================================================================

Nothing but DESTROY leads out of KEPT: no restart, no orphan sweep, no ``--recover=cleanup``.
"""

from __future__ import annotations

import enum


class VolumePhase(enum.Enum):
    KEPT = "kept"
    DESTROYED = "destroyed"
    REMOVING = "removing"
    GONE = "gone"


class VolumeEvent(enum.Enum):
    DESTROY = "the master destroyed it"
    UNUSED = "no container of this agent can mount it any more"
    RESTART = "the agent started again: removals of an earlier process are unknown"
    REMOVED = "the endpoint has it no more"


class VolumeAction(enum.Enum):
    IGNORE = "do nothing"
    SAVE = "record that it is destroyed"
    REMOVE = "order its removal"
    REMOVE_AGAIN = "order its removal, which an earlier process may have ordered as well"
    FORGET = "drop its record"


_IGNORE = VolumeAction.IGNORE
_KEPT, _DESTROYED, _REMOVING, _GONE = VolumePhase

TABLE: dict[VolumePhase, dict[VolumeEvent, tuple[VolumePhase, VolumeAction]]] = {
    _KEPT: {
        VolumeEvent.DESTROY: (_DESTROYED, VolumeAction.SAVE),
        VolumeEvent.UNUSED: (_KEPT, _IGNORE),
        VolumeEvent.RESTART: (_KEPT, _IGNORE),
        VolumeEvent.REMOVED: (_KEPT, _IGNORE),
    },
    _DESTROYED: {
        VolumeEvent.DESTROY: (_DESTROYED, _IGNORE),
        VolumeEvent.UNUSED: (_REMOVING, VolumeAction.REMOVE),
        VolumeEvent.RESTART: (_REMOVING, VolumeAction.REMOVE_AGAIN),
        VolumeEvent.REMOVED: (_DESTROYED, _IGNORE),
    },
    _REMOVING: {
        VolumeEvent.DESTROY: (_REMOVING, _IGNORE),
        VolumeEvent.UNUSED: (_REMOVING, _IGNORE),
        VolumeEvent.RESTART: (_REMOVING, VolumeAction.REMOVE_AGAIN),
        VolumeEvent.REMOVED: (_GONE, VolumeAction.FORGET),
    },
    _GONE: dict.fromkeys(VolumeEvent, (_GONE, _IGNORE)),
}


def step(phase: VolumePhase, event: VolumeEvent) -> tuple[VolumePhase, VolumeAction]:
    """The next phase, and the action to perform."""
    return TABLE[phase][event]
