from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shim.discovery.desired_state import (
    ENDING,
    DesiredState,
    Registered,
    WriteOp,
    registered_services,
)
from shim.discovery.services import Service, task_services
from shim.model.container import Ref
from shim.model.ids import TaskId, TaskKey
from shim.model.orders import Publish
from tests.discovery.tasks import CONTEXT, OWN, discovery, publish, ref, task

NOW = 1000.0
HEALTH = "health_check { type: TCP tcp { port: 80 } }"


def services(*ports: int, healthy: bool | None = None, number: int = 1) -> tuple[Service, ...]:
    text = HEALTH + discovery(*(f"number: {port}" for port in ports))
    return task_services(publish(task(text), healthy=healthy, number=number), CONTEXT).services


def registered(*wanted: Service, **changes: Any) -> dict[str, Registered]:
    """Registered as desired, except for ``changes``."""
    return {
        s.id: replace(
            Registered(s.name, s.address, s.port, s.tags, s.meta, s.check.status), **changes
        )
        for s in wanted
    }


def write_all(desired: DesiredState, keys: list[str], now: float = NOW) -> list[WriteOp]:
    """Do what a writer does, with a Consul that accepts every write."""
    writes = []
    for key in keys:
        while (write := desired.next_write(key, now)) is not None:
            desired.record_write(
                write, key, desired.services.get(key), desired.registered.get(key), now
            )
            writes.append(write)
        desired.confirm_removed(key)
    return writes


def resync(desired: DesiredState, listed: dict[str, Registered], now: float = NOW) -> list[str]:
    desired.begin_resync()
    return desired.finish_resync(listed, now)


def test_a_new_task_is_registered_once() -> None:
    desired = DesiredState(CONTEXT)
    assert write_all(desired, desired.publish(ref(), services(80, 81))) == [WriteOp.REGISTER] * 2
    assert desired.publish(ref(), services(80, 81)) == []


def test_a_change_of_health_is_one_check_update() -> None:
    desired = DesiredState(CONTEXT)
    write_all(desired, desired.publish(ref(), services(80)))
    assert write_all(desired, desired.publish(ref(), services(80, healthy=True))) == [
        WriteOp.UPDATE_CHECK
    ]
    assert write_all(desired, desired.publish(ref(), services(80, healthy=False))) == [
        WriteOp.UPDATE_CHECK
    ]


def test_nothing_is_written_when_nothing_differs() -> None:
    desired = DesiredState(CONTEXT)
    desired.publish(ref(), services(80))
    assert resync(desired, registered(*services(80))) == []


@pytest.mark.parametrize(
    ("changes", "writes"),
    [
        ({"port": 1}, [WriteOp.REGISTER, WriteOp.UPDATE_CHECK]),
        ({"tags": ("by hand",)}, [WriteOp.REGISTER, WriteOp.UPDATE_CHECK]),
        ({"meta": {}}, [WriteOp.REGISTER, WriteOp.UPDATE_CHECK]),
        ({"status": None}, [WriteOp.REGISTER, WriteOp.UPDATE_CHECK]),
        ({"status": "passing"}, [WriteOp.UPDATE_CHECK]),
        ({"maintenance": ENDING}, [WriteOp.LEAVE_MAINTENANCE]),
        ({"maintenance": "an operator's"}, []),
    ],
)
def test_only_differences_are_written(changes: dict[str, Any], writes: list[WriteOp]) -> None:
    desired = DesiredState(CONTEXT)
    desired.publish(ref(), services(80, 81))
    listed = registered(*services(80, 81)) | registered(*services(80), **changes)
    assert write_all(desired, resync(desired, listed)) == writes


def test_an_orphan_is_removed_after_two_resyncs_once_removal_is_enabled() -> None:
    desired = DesiredState(CONTEXT)
    orphan = registered(*services(9, number=2))
    for _ in range(3):
        assert resync(desired, orphan) == []
    desired.enable_orphan_removal()
    assert resync(desired, orphan) == []
    assert write_all(desired, resync(desired, orphan)) == [WriteOp.DEREGISTER]


def test_two_resyncs_in_a_row_have_to_show_an_orphan() -> None:
    desired = DesiredState(CONTEXT)
    desired.enable_orphan_removal()
    orphan = registered(*services(9, number=2))
    for listed in (orphan, {}, orphan, {}):
        assert resync(desired, listed) == []


def test_a_service_published_between_two_resyncs_is_not_an_orphan() -> None:
    desired = DesiredState(CONTEXT)
    desired.enable_orphan_removal()
    listed = registered(*services(80))
    resync(desired, listed)
    desired.publish(ref(), services(80))
    assert resync(desired, listed) == []


def test_withdraw_removes_all_services_without_a_resync() -> None:
    desired = DesiredState(CONTEXT)
    write_all(desired, desired.publish(ref(), services(80, 81)))
    assert write_all(desired, desired.withdraw(ref())) == [WriteOp.DEREGISTER] * 2
    assert desired.registered == {}


def test_withdrawing_an_unregistered_service_writes_nothing() -> None:
    desired = DesiredState(CONTEXT)
    desired.publish(ref(), services(80))
    (key,) = desired.withdraw(ref())
    assert desired.next_write(key, NOW) is None
    assert desired.confirm_removed(key)


def test_withdraw_after_a_restart_finds_the_services_by_their_id() -> None:
    desired = DesiredState(CONTEXT)
    resync(desired, registered(*services(80)) | registered(*services(80, number=2)))
    assert desired.withdraw(ref()) == [services(80)[0].id]


def test_a_second_withdraw_finds_services_that_are_still_registered() -> None:
    desired = DesiredState(CONTEXT)
    keys = desired.publish(ref(), services(80))
    write_all(desired, keys)
    assert desired.withdraw(ref()) == desired.withdraw(ref()) == keys
    resync(desired, registered(*services(80)))
    assert desired.withdraw(ref()) == keys
    write_all(desired, keys)
    assert desired.withdraw(ref()) == []


def test_a_withdraw_without_a_publish_looks_at_no_desired_service() -> None:
    class Scanned(dict[str, Registered]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all registered services are looked through")

    desired = DesiredState(CONTEXT)
    write_all(desired, desired.publish(ref(1), services(80, number=1)))
    desired.registered = Scanned(desired.registered)
    assert desired.withdraw(ref(2)) == []


def test_tasks_in_the_container_of_one_executor_are_apart() -> None:
    desired = DesiredState(CONTEXT)
    one = ref()
    other = Ref(TaskKey(one.key.framework_id, TaskId("w/eb.2")), one.container_id)
    orders = [Publish(each, task(), OWN, None, inside=True) for each in (one, other)]
    first, second = (task_services(order, CONTEXT).services for order in orders)
    assert first[0].id != second[0].id
    resync(desired, registered(*first, *second))
    assert desired.withdraw(other, inside=True) == [second[0].id]


def test_a_write_of_unknown_outcome_is_repeated_and_can_be_withdrawn() -> None:
    desired = DesiredState(CONTEXT)
    (key,) = desired.publish(ref(), services(80))
    desired.mark_unknown(key)
    assert desired.next_write(key, NOW) is WriteOp.REGISTER
    assert write_all(desired, desired.withdraw(ref())) == [WriteOp.DEREGISTER]


def test_the_service_of_a_removed_port_is_deregistered() -> None:
    desired = DesiredState(CONTEXT)
    write_all(desired, desired.publish(ref(), services(80, 81)))
    assert write_all(desired, desired.publish(ref(), services(80))) == [WriteOp.DEREGISTER]
    assert list(desired.registered) == [services(80)[0].id]


def test_a_resync_keeps_the_writes_made_while_it_read() -> None:
    desired = DesiredState(CONTEXT)
    desired.enable_orphan_removal()
    write_all(desired, desired.publish(ref(1), services(80, number=1)))
    desired.begin_resync()
    write_all(desired, desired.publish(ref(2), services(80, number=2)))
    write_all(desired, desired.withdraw(ref(1)))
    before = registered(*services(80, number=1))
    assert desired.finish_resync(before, NOW) == []
    assert list(desired.registered) == [services(80, number=2)[0].id]


def test_a_resync_before_the_answer_of_a_write_causes_no_further_write() -> None:
    desired = DesiredState(CONTEXT)
    (key,) = desired.publish(ref(), services(80))
    assert desired.next_write(key, NOW) is WriteOp.REGISTER
    resync(desired, registered(*services(80)))
    (service,) = services(80)
    desired.record_write(WriteOp.REGISTER, key, service, None, NOW)
    assert desired.next_write(key, NOW) is None


def test_a_service_that_consul_lost_is_registered_again() -> None:
    desired = DesiredState(CONTEXT)
    write_all(desired, desired.publish(ref(), services(80)))
    assert write_all(desired, resync(desired, {})) == [WriteOp.REGISTER]


def test_only_passing_checks_are_updated_and_at_a_third_of_their_ttl() -> None:
    desired = DesiredState(CONTEXT)
    healthy, unhealthy = services(80, healthy=True), services(80, healthy=False, number=2)
    write_all(desired, desired.publish(ref(1), healthy))
    write_all(desired, desired.publish(ref(2), unhealthy))
    listed = registered(*healthy, *unhealthy)
    assert resync(desired, listed, NOW + 59) == []
    # The first update comes soon: a Consul restart loses the status given at registration.
    assert write_all(desired, resync(desired, listed, NOW + 60), NOW + 60) == [WriteOp.UPDATE_CHECK]
    assert resync(desired, listed, NOW + 60 + 7199) == []
    assert resync(desired, listed, NOW + 60 + 7200) == [healthy[0].id]


def test_ttl_updates_are_spread_after_a_restart() -> None:
    desired = DesiredState(CONTEXT)
    many = [services(80, healthy=True, number=n) for n in range(300)]
    for number, wanted in enumerate(many):
        desired.publish(ref(number), wanted)
    listed = registered(*(wanted[0] for wanted in many))
    assert resync(desired, listed) == []
    assert 100 < len(resync(desired, listed, NOW + 3600)) < 200
    assert len(resync(desired, listed, NOW + 7200)) == 300


def test_only_services_with_the_owner_mark_are_managed() -> None:
    (managed,) = services(80)
    entry = {
        "Service": managed.name,
        "Address": managed.address,
        "Port": managed.port,
        "Tags": list(managed.tags),
        "Meta": dict(managed.meta),
    }
    other = entry | {"Meta": {**managed.meta, "mesos_owner": "shim-2"}}
    checks = {
        managed.check_id: {"Status": "critical", "Notes": ""},
        f"_service_maintenance:{managed.id}": {"Status": "critical", "Notes": "why"},
    }
    found = registered_services(
        {managed.id: entry, "mesos:shim-1:x": other, "else": entry}, checks, CONTEXT
    )
    assert found == registered(managed, maintenance="why")


def test_pages_see_the_names_of_a_task_until_it_is_withdrawn() -> None:
    desired = DesiredState(CONTEXT)
    assert desired.names_of(ref(1)) == ()
    wanted = services(80, 81)
    desired.publish(ref(1), wanted)
    assert desired.names_of(ref(1)) == tuple(service.name for service in wanted)
    desired.withdraw(ref(1))
    assert desired.names_of(ref(1)) == ()
