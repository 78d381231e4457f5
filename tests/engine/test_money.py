from __future__ import annotations

import pytest

from shim import limits
from shim.engine.money import Bill, Meter
from shim.model.container import LABEL_FRAMEWORK, LABEL_TASK, Container, Phase
from shim.model.ids import FrameworkId, TaskId, TaskKey

START = 1_800_000_000.0


def machine(
    name: str, package: str = "p-1G", *, framework: str = "f", phase: Phase = Phase.RUNNING
) -> Container:
    labels = {"com.joyent.package": package, LABEL_FRAMEWORK: framework, LABEL_TASK: name}
    return Container(name, name, phase, labels, created=START)


def test_it_is_paid_from_creation_to_removal_running_or_not() -> None:
    meter = Meter()
    meter.observe([machine("a", phase=Phase.CREATED), machine("b", phase=Phase.EXITED)], START + 5)
    assert meter.bill(START + 10).seconds == {"p-1G": 20}
    meter.observe([machine("b", phase=Phase.EXITED)], START + 10)
    bill = meter.bill(START + 100)
    assert bill.seconds == {"p-1G": 110}
    assert bill.machines == {"p-1G": 1}
    assert [(each.name, each.seconds) for each in meter.tasks(START + 100)] == [
        ("b", 100),
        ("a", 10),
    ]
    assert next(meter.tasks(START + 100)).key == TaskKey(FrameworkId("f"), TaskId("b"))


def test_provisioning_costs_nothing_yet() -> None:
    meter = Meter()
    meter.observe([machine("a", phase=Phase.PROVISIONING)], START + 5)
    assert meter.bill(START + 10).seconds == {}


def test_a_clock_that_is_behind_pays_nothing_negative() -> None:
    meter = Meter()
    meter.observe([machine("a")], START - 50)
    assert meter.bill(START - 60).seconds == {"p-1G": 0}


def test_sums_never_shrink() -> None:
    """Metrics take a counter that shrinks for a restart, and add all of it again."""
    meter, last, now = Meter({"p-1G": 0.1}), (0.0, 0.0), START
    for number in range(300):
        now += 0.1 if number % 7 else -1.3
        meter.observe([machine(f"m{n}") for n in range(number % 11)], now)
        bill = meter.bill(now + 0.033 * (number % 3))
        sums = (bill.seconds.get("p-1G", 0.0), bill.framework_cost.get("f", 0.0))
        assert sums >= last
        last = sums


def test_which_package_a_container_is_paid_as() -> None:
    meter = Meter()
    meter.observe([machine("a", "p-2G")], START)
    assert (meter.package("a"), meter.package("b")) == ("p-2G", None)


def test_prices_make_money() -> None:
    meter = Meter({"p-1G": 0.36, "p-2G": 0.72})
    meter.observe([machine("a"), machine("b", "p-2G", framework="g"), machine("c", "rare")], START)
    bill = meter.bill(START + 100)
    assert bill.cost_per_hour == pytest.approx(1.08)
    assert bill.framework_cost == pytest.approx({"f": 0.01, "g": 0.02})
    assert bill.unpriced == {"rare"}
    assert {each.name: each.cost for each in meter.tasks(START + 100)} == {
        "a": pytest.approx(0.01),
        "b": pytest.approx(0.02),
        "c": None,
    }
    meter.observe([], START + 100)
    later: Bill = meter.bill(START + 900)
    assert later.cost_per_hour == 0
    assert later.framework_cost == pytest.approx({"f": 0.01, "g": 0.02})


def test_without_prices_nothing_is_unpriced() -> None:
    meter = Meter()
    meter.observe([machine("a")], START)
    bill = meter.bill(START + 1)
    assert (bill.unpriced, bill.cost_per_hour) == (frozenset(), 0)
    assert next(meter.tasks(START + 1)).cost is None


def test_an_alarm_for_what_has_no_task_for_too_long() -> None:
    meter = Meter()
    meter.observe([machine("a"), machine("b")], START)
    assert meter.without_task({"a"}, START) == ()
    assert meter.without_task({"a"}, START + limits.ALONE_ALARM - 1) == ()
    assert meter.without_task({"a"}, START + limits.ALONE_ALARM) == ("b",)
    assert meter.without_task({"a", "b"}, START + limits.ALONE_ALARM + 1) == ()
    assert meter.without_task({"a"}, START + limits.ALONE_ALARM + 2) == ()


def test_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BILLS_KEPT", 2)
    meter = Meter()
    for number in range(4):
        meter.observe([machine(f"m{number}")], START + number)
    meter.observe([], START + 10)
    assert [each.name for each in meter.tasks(START + 10)] == ["m3", "m2"]
    assert meter.bill(START + 10).seconds == {"p-1G": 1 + 2 + 3 + 10}
