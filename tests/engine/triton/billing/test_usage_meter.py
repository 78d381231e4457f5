"""Machine-seconds and costs."""

from __future__ import annotations

import pytest

from shim import limits
from shim.engine.triton.billing.usage_meter import Bill, UsageMeter
from shim.model.container import LABEL_FRAMEWORK, LABEL_TASK, Container, Phase
from shim.model.ids import FrameworkId, TaskId, TaskKey

START = 1_800_000_000.0


def machine(
    name: str,
    package: str = "p-1G",
    *,
    framework: str = "f",
    phase: Phase = Phase.RUNNING,
    created: float = 0,
) -> Container:
    labels = {"com.joyent.package": package, LABEL_FRAMEWORK: framework, LABEL_TASK: name}
    return Container(name, name, phase, labels, created=START + created)


def meter_after_first_list(prices: dict[str, float] | None = None) -> UsageMeter:
    """One that has seen a list, with nothing in it."""
    meter = UsageMeter(prices)
    meter.listed([], START)
    return meter


def test_a_container_is_billed_from_creation_to_removal_running_or_not() -> None:
    meter = meter_after_first_list()
    meter.listed([machine("a", phase=Phase.CREATED), machine("b", phase=Phase.EXITED)], START + 5)
    assert meter.bill(START + 15).seconds == {"p-1G": 30}
    meter.listed([machine("b", phase=Phase.EXITED)], START + 15)
    bill = meter.bill(START + 105)
    assert bill.seconds == {"p-1G": 120}
    assert bill.machines == {"p-1G": 1}
    assert [(each.name, each.seconds) for each in meter.tasks(START + 105)] == [
        ("b", 105),
        ("a", 15),
    ]
    assert next(meter.tasks(START + 105)).key == TaskKey(FrameworkId("f"), TaskId("b"))


def test_provisioning_is_billed_if_it_succeeds() -> None:
    meter = meter_after_first_list()
    meter.listed([machine("a", phase=Phase.PROVISIONING)], START + 5)
    assert meter.bill(START + 10).seconds == {}
    meter.listed([machine("a")], START + 30)
    assert meter.bill(START + 31).seconds == {"p-1G": 31}
    meter.listed([machine("a"), machine("b", phase=Phase.PROVISIONING)], START + 40)
    meter.listed([machine("a")], START + 50)
    assert meter.bill(START + 50).seconds == {"p-1G": 50}


def test_a_container_in_transition_is_billed_once() -> None:
    """A list shows some transitions with an empty status, as it does provisioning."""
    meter = meter_after_first_list()
    for second, phase in enumerate((Phase.RUNNING, Phase.PROVISIONING, Phase.EXITED)):
        meter.listed([machine("a", phase=phase)], START + 500 * second)
    assert meter.bill(START + 1000).seconds == {"p-1G": 1000}
    assert [each.seconds for each in meter.tasks(START + 1000)] == [1000]


def test_a_container_that_existed_before_counts_from_the_first_list_on() -> None:
    """A counter that begins at its value before a restart would be added again whole."""
    meter = UsageMeter({"p-1G": 0.36})
    meter.listed([machine("old")], START + 864_000)
    assert meter.bill(START + 864_000).seconds == {"p-1G": 0}
    assert meter.bill(START + 864_010).framework_cost == {"f": pytest.approx(0.001)}
    (bill,) = meter.tasks(START + 864_010)
    assert bill.seconds == 864_010
    assert bill.cost == pytest.approx(86.401)
    meter.listed([], START + 864_010)
    assert meter.bill(START + 864_020).seconds == {"p-1G": 10}
    assert [each.seconds for each in meter.tasks(START + 864_020)] == [864_010]


def test_a_container_that_lives_between_two_lists_is_billed() -> None:
    meter = meter_after_first_list()
    meter.inspected(machine("a", phase=Phase.PROVISIONING), START + 0.5)
    meter.inspected(machine("a"), START + 1)
    meter.inspected(machine("a"), START + 1.5)
    meter.removed("a", START + 3)
    meter.removed("a", START + 9)
    meter.removed("never seen", START + 9)
    meter.listed([], START + 10)
    assert meter.bill(START + 10).seconds == {"p-1G": 3}
    assert [(each.name, each.seconds) for each in meter.tasks(START + 10)] == [("a", 3)]


def test_a_list_says_nothing_about_changes_after_its_request() -> None:
    meter = meter_after_first_list()
    meter.inspected(machine("goes", created=1), START + 1)
    meter.inspected(machine("came", created=2), START + 5)
    meter.removed("goes", START + 5)
    meter.listed([machine("goes", created=1)], START + 6, took=2)
    meter.inspected(machine("goes", created=1), START + 7)
    meter.listed([machine("came", created=2)], START + 11, took=2)
    assert meter.bill(START + 15).seconds == {"p-1G": 13 + 4}
    assert meter.bill(START + 15).machines == {"p-1G": 1}


def test_a_container_missing_from_one_list_only_is_billed_throughout() -> None:
    meter = meter_after_first_list()
    for second, present in enumerate(([machine("a")], [], [machine("a")])):
        meter.listed(present, START + 10 * second, took=1)
    assert meter.bill(START + 30).seconds == {"p-1G": 30}
    assert [each.seconds for each in meter.tasks(START + 30)] == [30]


def test_a_clock_that_is_set_back_adds_nothing_negative() -> None:
    meter = UsageMeter()
    meter.listed([machine("a")], START - 50)
    assert meter.bill(START - 60).seconds == {"p-1G": 0}
    assert [each.seconds for each in meter.tasks(START - 60)] == [0]


def test_sums_never_shrink() -> None:
    """Metrics take a counter that shrinks for a restart, and add all of it again."""
    meter, last, now = meter_after_first_list({"p-1G": 0.1}), (0.0, 0.0), START
    for number in range(300):
        now += 0.1 if number % 7 else -1.3
        meter.listed([machine(f"m{n}") for n in range(number % 11)], now)
        bill = meter.bill(now + 0.033 * (number % 3))
        sums = (bill.seconds.get("p-1G", 0.0), bill.framework_cost.get("f", 0.0))
        assert sums >= last
        last = sums


def test_the_package_of_a_container() -> None:
    meter = UsageMeter()
    meter.listed([machine("a", "p-2G")], START)
    assert (meter.package("a"), meter.package("b")) == ("p-2G", None)


def test_costs_are_machine_hours_times_prices() -> None:
    meter = meter_after_first_list({"p-1G": 0.36, "p-2G": 0.72})
    meter.listed([machine("a"), machine("b", "p-2G", framework="g"), machine("c", "rare")], START)
    bill = meter.bill(START + 100)
    assert bill.cost_per_hour == pytest.approx(1.08)
    assert bill.framework_cost == pytest.approx({"f": 0.01, "g": 0.02})
    assert bill.unpriced == {"rare"}
    assert {each.name: each.cost for each in meter.tasks(START + 100)} == {
        "a": pytest.approx(0.01),
        "b": pytest.approx(0.02),
        "c": None,
    }
    meter.listed([], START + 100)
    task = meter.task("a", START + 900)
    assert task is not None
    assert task.seconds == 100
    assert task.cost == pytest.approx(0.01)
    assert meter.task("unknown", START) is None
    later: Bill = meter.bill(START + 900)
    assert later.cost_per_hour == 0
    assert later.framework_cost == pytest.approx({"f": 0.01, "g": 0.02})


def test_without_any_prices_no_package_counts_as_unpriced() -> None:
    meter = UsageMeter()
    meter.listed([machine("a")], START)
    bill = meter.bill(START + 1)
    assert (bill.unpriced, bill.cost_per_hour) == (frozenset(), 0)
    assert next(meter.tasks(START + 1)).cost is None


def test_a_container_without_task_is_reported_after_a_while() -> None:
    meter = UsageMeter()
    meter.listed([machine("a"), machine("b")], START)
    assert meter.without_task({"a"}, START) == ()
    assert meter.without_task({"a"}, START + limits.WITHOUT_TASK_ALARM - 1) == ()
    assert meter.without_task({"a"}, START + limits.WITHOUT_TASK_ALARM) == ("b",)
    assert meter.without_task({"a", "b"}, START + limits.WITHOUT_TASK_ALARM + 1) == ()
    assert meter.without_task({"a"}, START + limits.WITHOUT_TASK_ALARM + 2) == ()


def test_the_number_of_removed_containers_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BILLS_KEPT", 2)
    meter = meter_after_first_list()
    for number in range(4):
        meter.listed([machine(f"m{number}", created=number)], START + number)
    meter.listed([], START + 10)
    assert [each.name for each in meter.tasks(START + 10)] == ["m3", "m2"]
    assert meter.bill(START + 10).seconds == {"p-1G": 1 + 1 + 1 + 7}
