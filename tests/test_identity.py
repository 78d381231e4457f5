"""Who a shim is from start to start: what may change, and what ends it with one line."""

from __future__ import annotations

import pytest

from shim.config.addresses import Addresses
from shim.errors import FatalError
from shim.identity import check_reservations, check_unchanged, keep_hostname, shim_id
from shim.model.records import Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import Resource, SlaveInfo, Value

HERE = Addresses(
    bind_ip="0.0.0.0", port=5051, advertise_ip="10.0.0.9", advertise_port=None, hostname="new.name"
)


def registered(hostname: str = "old.name", ip: str = "10.0.0.9") -> Snapshot:
    """The journal of an agent that has an id."""
    agent = journal_pb2.Agent(info=SlaveInfo(hostname=hostname), ip=ip)
    agent.info.id.value = "S7"
    snapshot = Snapshot.empty()
    snapshot.meta["agent"] = agent.SerializeToString()
    return snapshot


def test_the_mark_is_made_of_name_and_port_and_stays() -> None:
    mark, record = shim_id(Snapshot.empty(), "", "höst.example", 5051)
    assert mark == "h-st.example-5051"
    kept = Snapshot.empty()
    assert record.value is not None
    kept.meta[record.name] = record.value
    assert shim_id(kept, "", "other", 1)[0] == mark
    assert shim_id(kept, mark, "other", 1)[0] == mark


def test_the_mark_can_be_chosen_but_not_changed() -> None:
    mark, record = shim_id(Snapshot.empty(), "mine", "host", 5051)
    assert mark == "mine"
    kept = Snapshot.empty()
    assert record.value is not None
    kept.meta[record.name] = record.value
    with pytest.raises(FatalError, match=r"--shim_id=yours: this work_dir belongs to shim mine"):
        shim_id(kept, "yours", "host", 5051)


def test_a_looked_up_name_stays_what_it_was() -> None:
    assert keep_hostname(registered(), "", HERE).hostname == "old.name"
    assert keep_hostname(registered(), "", HERE).advertise_ip == HERE.advertise_ip


def test_a_name_that_was_given_or_is_the_first_is_taken() -> None:
    assert keep_hostname(registered(), "new.name", HERE) == HERE
    assert keep_hostname(Snapshot.empty(), "", HERE) == HERE


@pytest.mark.parametrize(
    ("kept", "flag"),
    [
        (registered(hostname="other"), "--hostname=old.name: agent S7 .* with other"),
        (registered(ip="10.0.0.1"), "--advertise_ip=10.0.0.9: agent S7 .* with 10.0.0.1"),
    ],
)
def test_another_machine_is_refused(kept: Snapshot, flag: str) -> None:
    with pytest.raises(FatalError, match=flag):
        check_unchanged(kept, SlaveInfo(hostname="old.name"), "10.0.0.9")


def test_the_same_machine_and_a_new_agent_are_fine() -> None:
    check_unchanged(registered(), SlaveInfo(hostname="old.name"), "10.0.0.9")
    check_unchanged(Snapshot.empty(), SlaveInfo(hostname="any"), "10.0.0.9")


def cpus(amount: float) -> Resource:
    return Resource(name="cpus", type=Value.SCALAR, scalar=Value.Scalar(value=amount))


def reserving(amount: float) -> Snapshot:
    """A journal in which that much is reserved."""
    resource = cpus(amount)
    resource.role = "eng"
    resource.reservation.principal = "p"
    snapshot = Snapshot.empty()
    kept = journal_pb2.Resources(resources=[resource])
    snapshot.meta["resources"] = kept.SerializeToString()
    return snapshot


def test_reservations_that_fit_are_fine() -> None:
    check_reservations(reserving(1), SlaveInfo(resources=[cpus(1)]))
    check_reservations(Snapshot.empty(), SlaveInfo(resources=[cpus(1)]))


def test_offering_less_than_is_reserved_is_refused_by_name() -> None:
    with pytest.raises(FatalError, match=r"--resources: reserved: more cpus of role '\*'"):
        check_reservations(reserving(1.001), SlaveInfo(resources=[cpus(1)]))
