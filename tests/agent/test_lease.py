"""The decisions of a journal in ZooKeeper: every pair of step and outcome, and the lease."""

from __future__ import annotations

import pytest

from shim import limits
from shim.agent.lease import DECISIONS, Lease, Outcome, Step

ENDS = {Step.DURABLE, Step.LATER, Step.FENCED, Step.BROKEN}
READ_ONLY = {Outcome.SAME, Outcome.DIFFERENT, Outcome.ABSENT}
WRITE_ONLY = {Outcome.DONE, Outcome.EPOCH_MOVED, Outcome.NODE_EXISTS, Outcome.NODE_MISSING}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step.WRITE, set(Outcome) - READ_ONLY),
        (Step.READ, set(Outcome) - WRITE_ONLY),
        (Step.RENEW, set(Outcome) - READ_ONLY),
    ],
)
def test_every_outcome_of_a_step_is_decided(step: Step, expected: set[Outcome]) -> None:
    assert set(DECISIONS[step]) == expected


def test_every_other_step_is_an_end_and_is_reached() -> None:
    reached = {step for outcomes in DECISIONS.values() for step in outcomes.values()}
    assert set(Step) - set(DECISIONS) == ENDS
    assert reached == ENDS | {Step.READ}


def test_no_decision_leads_in_a_circle() -> None:
    for step in DECISIONS:
        for following in DECISIONS[step].values():
            assert following not in DECISIONS or following is Step.READ
    assert set(DECISIONS[Step.READ].values()) <= ENDS


def test_only_what_was_carried_out_or_is_there_is_durable() -> None:
    durable = {
        (step, outcome)
        for step, outcomes in DECISIONS.items()
        for outcome, following in outcomes.items()
        if following is Step.DURABLE
    }
    assert durable == {
        (Step.WRITE, Outcome.DONE),
        (Step.READ, Outcome.SAME),
        (Step.RENEW, Outcome.DONE),
    }


def test_an_unknown_outcome_never_fences_and_is_never_given_up() -> None:
    for outcomes in DECISIONS.values():
        assert outcomes[Outcome.UNANSWERED] in (Step.READ, Step.LATER)


# --- the lease ------------------------------------------------------------------------------


def test_a_lease_counts_from_when_its_write_was_sent() -> None:
    lease = Lease(10.0)
    assert not lease.holds(0.0)
    lease.begin(100.0, 0.0)
    assert not lease.holds(100.0), "nothing is confirmed"
    lease.confirm(100.0)
    assert lease.holds(100.0)
    assert lease.holds(104.9)
    assert not lease.holds(105.0)
    lease.confirm(103.0)
    lease.confirm(101.0)
    assert lease.holds(107.9)
    assert lease.overdue(107.9) == 0
    assert lease.overdue(109.0) == 1.0


def test_a_new_leader_waits_for_the_end_of_the_old_lease() -> None:
    lease = Lease(10.0)
    lease.begin(100.0, 2.0)
    lease.confirm(100.0)
    assert lease.wait(100.5) == 1.5
    assert not lease.holds(101.9)
    assert lease.holds(102.0)


def test_a_lease_that_was_ended_does_not_come_back() -> None:
    lease = Lease(10.0)
    lease.begin(100.0, 0.0)
    lease.confirm(100.0)
    lease.end()
    assert not lease.holds(100.1)
    lease.confirm(101.0)
    assert not lease.holds(101.1)


def test_two_leases_never_overlap_within_the_accuracy_of_zookeeper() -> None:
    """ZooKeeper's leader may learn of a write one tick late, and a renewal may just be due."""
    timeout, tick = 10.0, 2.0
    renewal = timeout * limits.JOURNAL_RENEW_SHARE
    last_confirmed = 0.0
    earliest_end_of_session = last_confirmed - renewal - tick + timeout
    new = earliest_end_of_session + timeout * limits.JOURNAL_HOLD_OFF_SHARE
    assert last_confirmed + timeout * limits.JOURNAL_LEASE_SHARE < new - 1.0
