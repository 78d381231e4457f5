"""Who a shim is from start to start: what may change, and what ends it with one line."""

from __future__ import annotations

import pytest

from shim.errors import FatalError
from shim.identity import check_reservations
from shim.model.records import Snapshot
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
    kept = journal_pb2.Resources(resources=[resource])
    snapshot.meta["resources"] = kept.SerializeToString()
    return snapshot


def test_reservations_that_fit_are_fine() -> None:
    check_reservations(remembering(1), SlaveInfo(resources=[cpus(1)]))
    check_reservations(Snapshot.empty(), SlaveInfo(resources=[cpus(1)]))


def test_offering_less_than_is_reserved_is_refused_by_name() -> None:
    with pytest.raises(FatalError, match=r"--resources: reserved: more cpus of role '\*'"):
        check_reservations(remembering(1.001), SlaveInfo(resources=[cpus(1)]))
