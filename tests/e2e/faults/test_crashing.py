"""The points at which a life ends."""

from __future__ import annotations

import pytest

from tests.e2e.faults.crashing import ALL_POINTS


@pytest.mark.parametrize("name", ALL_POINTS)
def test_a_point_is_a_method_that_exists(name: str) -> None:
    point = ALL_POINTS[name]
    assert callable(getattr(point.owner, point.method))
