"""Who a shim is from start to start: what may change, and what ends it with one line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shim.agent.identity import check_reservations, check_unchanged, keep_hostname, machine, shim_id
from shim.config.addresses import Addresses
from shim.errors import FatalError
from shim.model.records import SaveShimId, Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import Resource, SlaveInfo, Value


def cpus(amount: float) -> Resource:
    return Resource(name="cpus", type=Value.SCALAR, scalar=Value.Scalar(value=amount))


def remembering(amount: float) -> Snapshot:
    """A journal in which that much is reserved."""
    resource = cpus(amount)
    resource.role = "eng"
    resource.reservation.principal = "p"
    snapshot = Snapshot.empty()
    snapshot.resources = journal_pb2.Resources(resources=[resource])
    return snapshot


def test_reservations_that_fit_are_fine() -> None:
    check_reservations(remembering(1), SlaveInfo(resources=[cpus(1)]))
    check_reservations(Snapshot.empty(), SlaveInfo(resources=[cpus(1)]))


def test_offering_less_than_is_reserved_is_refused_by_name() -> None:
    with pytest.raises(FatalError, match=r"--resources: reserved: more cpus of role '\*'"):
        check_reservations(remembering(1.001), SlaveInfo(resources=[cpus(1)]))


def snapshot(shim: str = "", *, hostname: str = "", ip: str = "") -> Snapshot:
    """What an earlier start left."""
    found = Snapshot.empty()
    if shim:
        found.shim_id = shim
    if hostname:
        agent = journal_pb2.Agent(info=SlaveInfo(hostname=hostname), ip=ip)
        agent.info.id.value = "S1"
        found.agent = agent
    return found


def test_the_owner_mark_is_made_once_and_kept() -> None:
    made, record = shim_id(snapshot(), "", "host.example", 5051, lambda: "0a1b")
    assert made == "host.example-5051-0a1b"
    assert record == SaveShimId(made)
    assert shim_id(snapshot(made), "", "other.example", 5052)[0] == made


def test_a_mark_of_before_machines_were_part_of_it_stays() -> None:
    assert shim_id(snapshot("localhost-5051"), "", "localhost", 5051)[0] == "localhost-5051"


def test_a_mark_holds_nothing_that_a_label_or_consul_could_not() -> None:
    assert shim_id(snapshot(), "", "hö st=1", 5051, lambda: "0a1b")[0] == "h--st-1-5051-0a1b"


def test_two_machines_of_one_name_are_two_shims_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would remove the other's containers at its start."""
    one, two, none = tmp_path / "one", tmp_path / "two", tmp_path / "none"
    one.write_text("5f1c\n")
    two.write_text("77aa\n")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    marks = [
        shim_id(snapshot(), "", "localhost", 5051, lambda id=path: machine(id))[0]
        for path in (one, two, none, one)
    ]
    assert len(set(marks)) == 3
    assert marks[3] == marks[0]
    monkeypatch.setattr(socket, "gethostname", lambda: "clone")
    assert machine(one) not in "".join(marks)
    assert machine(none) not in "".join(marks)


def test_the_flag_names_the_mark_and_cannot_change_it() -> None:
    assert shim_id(snapshot(), "mine", "host", 5051)[0] == "mine"
    assert shim_id(snapshot("mine"), "mine", "host", 5051)[0] == "mine"
    with pytest.raises(FatalError, match=r"--shim_id=yours: .* belongs to shim mine"):
        shim_id(snapshot("mine"), "yours", "host", 5051)


@pytest.mark.parametrize(
    ("kept", "wanted", "expected"),
    [
        ("", "", "dns.example"),
        ("old.example", "", "old.example"),
        ("old.example", "dns.example", "dns.example"),
    ],
)
def test_only_a_name_that_was_looked_up_stays(kept: str, wanted: str, expected: str) -> None:
    found = Addresses("0.0.0.0", 5051, "10.0.0.1", None, "dns.example")
    assert keep_hostname(snapshot(hostname=kept), wanted, found).hostname == expected


def test_an_agent_that_is_registered_elsewhere_does_not_start() -> None:
    known = snapshot(hostname="a", ip="10.0.0.1")
    check_unchanged(snapshot(), SlaveInfo(hostname="b"), "10.0.0.2")
    check_unchanged(known, SlaveInfo(hostname="a"), "10.0.0.1")
    with pytest.raises(FatalError, match=r"--hostname=b: agent S1 .* registered with a"):
        check_unchanged(known, SlaveInfo(hostname="b"), "10.0.0.1")
    with pytest.raises(FatalError, match=r"--advertise_ip=10\.0\.0\.2: .* with 10\.0\.0\.1"):
        check_unchanged(known, SlaveInfo(hostname="a"), "10.0.0.2")
