from __future__ import annotations

from shim.http.operator_api.answers import v1_json, with_reservations
from shim.protos.mesos_pb2 import Resource, SlaveInfo


def test_resources_have_reservations_in_place_of_a_role() -> None:
    info = SlaveInfo(hostname="a")
    for role in ("*", "db"):
        resource = info.resources.add(name="cpus", type="SCALAR", role=role)
        resource.scalar.value = 2
    unreserved, reserved = v1_json(with_reservations(info))["resources"]
    assert unreserved == {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.0}}
    assert "role" not in reserved
    assert reserved["reservations"] == [{"type": "STATIC", "role": "db"}]
    assert info.resources[1].role == "db", "the message itself stays"
    refined = Resource(name="cpus")
    refined.reservations.add(role="db", type="STATIC")
    shown = with_reservations(SlaveInfo(hostname="a", resources=[refined]))
    assert list(shown.resources) == [refined]
