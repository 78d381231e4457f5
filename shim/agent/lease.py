"""The decisions of a journal in ZooKeeper: how long a leader acts, what became of a write. Pure.

Below the path of ``--journal`` there are::

    leader   ephemeral: the agent whose session it belongs to leads
    epoch    its version is the epoch: raised by each take-over, checked by each write
    lease    written by each renewal; says whether the last leader gave the lock back
    log/N    the journal (journal_log.py)

**Records** are fenced by ZooKeeper: a write carries a check of the epoch, so it has no effect after
a take-over. **Orders** to the Docker endpoint and messages cannot carry such a check. A leader
therefore acts only for a part of the session timeout after a write, with its check, was confirmed.
That time counts from when the write was sent. A new leader does not act before that time, and
ZooKeeper's own inaccuracy, are over (``limits.JOURNAL_LEASE_SHARE``).
"""

from __future__ import annotations

import enum
import math

from shim import limits


class Step(enum.Enum):
    """What to do next about a write to the log, or about a renewal."""

    WRITE = "write the node, with the check of the epoch"
    READ = "read the node: was it written?"
    RENEW = "write the lease, with the check of the epoch; take the lock again in a new session"
    DURABLE = "end: it is written"
    LATER = "end: it is not known to be written; the same write must be repeated"
    FENCED = "end: another agent leads"
    BROKEN = "end: the journal was removed from ZooKeeper"


class Outcome(enum.Enum):
    """What became of a step."""

    DONE = "ZooKeeper has carried it out"
    EPOCH_MOVED = "the epoch has another version"
    NODE_EXISTS = "the node to be written, or the lock, exists"
    NODE_MISSING = "a node of the journal does not exist"
    REFUSED = "ZooKeeper refused it for another reason"
    UNANSWERED = "no answer: it may have been carried out, or may still be"
    SAME = "the node holds these bytes"
    DIFFERENT = "the node holds other bytes"
    ABSENT = "the node does not exist"


DECISIONS: dict[Step, dict[Outcome, Step]] = {
    Step.WRITE: {
        Outcome.DONE: Step.DURABLE,
        Outcome.EPOCH_MOVED: Step.FENCED,
        # An earlier attempt without an answer was carried out after all, or another agent wrote.
        Outcome.NODE_EXISTS: Step.READ,
        Outcome.NODE_MISSING: Step.BROKEN,
        Outcome.REFUSED: Step.LATER,
        Outcome.UNANSWERED: Step.READ,
    },
    Step.READ: {
        Outcome.SAME: Step.DURABLE,
        Outcome.DIFFERENT: Step.FENCED,
        # The write may still arrive. Repeated, one of the two finds that the node exists.
        Outcome.ABSENT: Step.LATER,
        Outcome.REFUSED: Step.LATER,
        Outcome.UNANSWERED: Step.LATER,
    },
    Step.RENEW: {
        Outcome.DONE: Step.DURABLE,
        Outcome.EPOCH_MOVED: Step.FENCED,
        # In a new session: another agent holds the lock and is about to raise the epoch.
        Outcome.NODE_EXISTS: Step.FENCED,
        Outcome.NODE_MISSING: Step.BROKEN,
        Outcome.REFUSED: Step.LATER,
        Outcome.UNANSWERED: Step.LATER,
    },
}
"""A step that is not a key ends the work."""


class Lease:
    """How long this agent may act. Times in seconds of one monotonic clock."""

    def __init__(self, session_timeout: float) -> None:
        self._duration = session_timeout * limits.JOURNAL_LEASE_SHARE
        self._until = -math.inf
        self._from = math.inf

    def begin(self, raised: float, wait: float) -> None:
        """The epoch was raised by ``raised``; an earlier leader may act for ``wait`` more."""
        self._from = raised + wait

    def confirm(self, sent: float) -> None:
        """A write with the check of the epoch, sent at ``sent``, was carried out."""
        self._until = max(self._until, sent + self._duration)

    def end(self) -> None:
        """Another agent leads, or may lead from now on."""
        self._until, self._from = -math.inf, math.inf

    def holds(self, now: float) -> bool:
        return self._from <= now < self._until

    def wait(self, now: float) -> float:
        """Seconds until this agent may act, if its lease is confirmed until then."""
        return max(0.0, self._from - now)

    def overdue(self, now: float) -> float:
        """Seconds since the lease ended; 0 while it is confirmed."""
        return max(0.0, now - self._until)
