"""Rules of health checks and checks, as sequences of results in time."""

from __future__ import annotations

import pytest

from shim.engine.checks.policy import ChangePolicy, HealthPolicy, HealthVerdict

GOOD, BAD, KILL = HealthVerdict(True), HealthVerdict(False), HealthVerdict(False, kill=True)

Story = list[tuple[float, bool, HealthVerdict | None]]


@pytest.mark.parametrize(
    ("limit", "grace", "story"),
    [
        pytest.param(3, 0, [(0, True, GOOD), (1, True, None), (2, True, None)], id="first-success"),
        pytest.param(3, 0, [(0, False, BAD), (1, False, BAD), (2, False, KILL)], id="used-up"),
        pytest.param(3, 0, [(0, True, GOOD), (1, False, BAD), (2, True, GOOD)], id="recovers"),
        pytest.param(
            2,
            0,
            [(0, False, BAD), (1, True, GOOD), (2, False, BAD), (3, False, KILL)],
            id="a-success-starts-over",
        ),
        pytest.param(1, 0, [(0, False, KILL)], id="one"),
        pytest.param(0, 0, [(0, False, KILL)], id="none-is-one"),
        pytest.param(
            2,
            10,
            [(0, False, None), (10, False, None), (10.1, False, BAD), (11, False, KILL)],
            id="grace",
        ),
        pytest.param(2, 10, [(1, True, GOOD), (2, False, BAD)], id="success-ends-grace"),
        pytest.param(2, 10, [(1, False, None), (2, True, GOOD)], id="grace-forgets"),
        pytest.param(1, 10, [(20, False, KILL)], id="delay-used-the-grace-up"),
        pytest.param(9, 0, [(0, False, BAD), (1, False, BAD)], id="every-failure-is-reported"),
    ],
)
def test_health_reports(limit: int, grace: float, story: Story) -> None:
    health = HealthPolicy(limit, grace, 0.0, grace_over=False)
    assert [health.record(good, now) for now, good, _ in story] == [
        reported for *_, reported in story
    ]


def test_after_a_restart_a_healthy_task_has_no_grace_period() -> None:
    assert HealthPolicy(1, 10, 0.0, grace_over=True).record(False, 1) == KILL


def test_every_failure_beyond_the_limit_kills() -> None:
    health = HealthPolicy(1, 0, 0.0, grace_over=False)
    assert [health.record(False, now) for now in (0, 1)] == [KILL, KILL]


def test_only_changes_of_a_check_are_reported() -> None:
    changes = ChangePolicy(b"empty")
    seen = [changes.record(status) for status in (b"empty", b"1", b"1", b"0", b"empty")]
    assert seen == [None, b"1", None, b"0", b"empty"]
