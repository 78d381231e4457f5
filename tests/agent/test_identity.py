"""Shim id, hostname and address from start to start: what may change, and what is refused."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from shim.agent.address_change import AddressChange
from shim.agent.identity import (
    address_change,
    check_reservations,
    keep_hostname,
    machine_digest,
    shim_id,
)
from shim.config.addresses import Addresses
from shim.errors import FatalError
from shim.model.records import SaveShimId, Snapshot
from shim.protos import journal_pb2
from shim.protos.mesos_pb2 import Resource, SlaveInfo, Value


def cpus(amount: float) -> Resource:
    return Resource(name="cpus", type=Value.SCALAR, scalar=Value.Scalar(value=amount))


def with_reservation(amount: float) -> Snapshot:
    """A journal with a reservation of this many cpus."""
    resource = cpus(amount)
    resource.role = "eng"
    resource.reservation.principal = "p"
    snapshot = Snapshot()
    snapshot.resources = journal_pb2.Resources(resources=[resource])
    return snapshot


def test_reservations_that_fit_are_accepted() -> None:
    check_reservations(with_reservation(1), SlaveInfo(resources=[cpus(1)]))
    check_reservations(Snapshot(), SlaveInfo(resources=[cpus(1)]))


def test_offering_less_than_is_reserved_is_refused() -> None:
    with pytest.raises(FatalError, match=r"--resources: reserved: more cpus of role '\*'"):
        check_reservations(with_reservation(1.001), SlaveInfo(resources=[cpus(1)]))


def snapshot(shim: str = "", *, hostname: str = "", ip: str = "") -> Snapshot:
    """The journal of an earlier start."""
    found = Snapshot()
    if shim:
        found.shim_id = shim
    if hostname:
        agent = journal_pb2.Agent(info=SlaveInfo(hostname=hostname), ip=ip)
        agent.info.id.value = "S1"
        found.agent = agent
    return found


def test_the_shim_id_is_derived_once_and_kept() -> None:
    derived, record = shim_id(snapshot(), "", "host.example", 5051, lambda: "0a1b")
    assert derived == "host.example-5051-0a1b"
    assert record == SaveShimId(derived)
    assert shim_id(snapshot(derived), "", "other.example", 5052)[0] == derived


def test_a_kept_shim_id_without_machine_digest_stays() -> None:
    assert shim_id(snapshot("localhost-5051"), "", "localhost", 5051)[0] == "localhost-5051"


def test_a_shim_id_is_valid_in_labels_and_in_consul() -> None:
    assert shim_id(snapshot(), "", "hö st=1", 5051, lambda: "0a1b")[0] == "h--st-1-5051-0a1b"


def test_machines_with_one_hostname_have_different_shim_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one id each would remove the other's containers at its start."""
    one, two, none = tmp_path / "one", tmp_path / "two", tmp_path / "none"
    one.write_text("5f1c\n")
    two.write_text("77aa\n")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    ids = [
        shim_id(snapshot(), "", "localhost", 5051, partial(machine_digest, path))[0]
        for path in (one, two, none, one)
    ]
    assert len(set(ids)) == 3
    assert ids[3] == ids[0]
    monkeypatch.setattr(socket, "gethostname", lambda: "clone")
    assert machine_digest(one) not in "".join(ids)
    assert machine_digest(none) not in "".join(ids)


def test_the_flag_sets_the_shim_id_and_cannot_change_it() -> None:
    assert shim_id(snapshot(), "mine", "host", 5051)[0] == "mine"
    assert shim_id(snapshot("mine"), "mine", "host", 5051)[0] == "mine"
    with pytest.raises(FatalError, match=r"--shim_id=yours: .* belongs to shim mine"):
        shim_id(snapshot("mine"), "yours", "host", 5051)


@pytest.mark.parametrize(
    ("kept", "flag", "expected"),
    [
        ("", "", "dns.example"),
        ("old.example", "", "old.example"),
        ("old.example", "dns.example", "dns.example"),
    ],
)
def test_a_looked_up_hostname_stays(kept: str, flag: str, expected: str) -> None:
    found = Addresses("0.0.0.0", 5051, "10.0.0.1", None, "dns.example")
    assert keep_hostname(snapshot(hostname=kept), flag, found).hostname == expected


def test_another_hostname_or_address_is_a_change() -> None:
    known = snapshot(hostname="a", ip="10.0.0.1")
    assert address_change(snapshot(), SlaveInfo(hostname="b"), "10.0.0.2") is None
    assert address_change(known, SlaveInfo(hostname="a"), "10.0.0.1") is None
    renamed = address_change(known, SlaveInfo(hostname="b"), "10.0.0.1")
    assert renamed == AddressChange("S1", "--hostname", "a", "b")
    moved = address_change(known, SlaveInfo(hostname="a"), "10.0.0.2")
    assert moved == AddressChange("S1", "--advertise_ip", "10.0.0.1", "10.0.0.2")
