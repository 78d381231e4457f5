"""List entries and inspects of Triton."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shim.engine.triton import parse
from shim.engine.triton.parse import from_inspect, from_list, package
from shim.model.container import ContainerPort, Phase

NEVER = "0001-01-01T00:00:00Z"
EARLY, LATE = "2026-01-01T10:00:00.000Z", "2026-01-01T11:00:00.000Z"


@pytest.mark.parametrize(
    ("status", "phase", "code"),
    [
        ("Up 3 seconds", Phase.RUNNING, None),
        ("Provisioning 3 seconds", Phase.PROVISIONING, None),
        ("Created", Phase.CREATED, None),
        ("Exited (0) 3 seconds ago", Phase.EXITED, 0),
        ("Exited (137) 2 days ago", Phase.EXITED, 137),
        ("Exited", Phase.EXITED, None),
        ("", Phase.PROVISIONING, None),
    ],
)
def test_the_phase_of_a_list_entry_follows_from_its_status_text(
    status: str, phase: Phase, code: int | None
) -> None:
    entry = {
        "Id": "0" * 64,
        "Names": ["/other/link", "/mesos-1"],
        "Status": status,
        "Labels": {"a": "b"},
        "Created": 1700000000,
    }
    found = from_list(entry)
    assert (found.name, found.phase, found.exit_code) == ("mesos-1", phase, code)
    assert (found.labels, found.created) == ({"a": "b"}, 1700000000.0)


def inspect(identity: str = "0" * 64, **state: Any) -> bytes:
    shown = {"Running": False, "ExitCode": 0, "StartedAt": NEVER, "FinishedAt": NEVER, **state}
    return json.dumps(
        {
            "Id": identity,
            "Name": "/mesos-1",
            "Created": EARLY,
            "State": shown,
            "Config": {"Labels": {"com.joyent.package": "p-1G"}},
            "HostConfig": {"Memory": 2**30},
            "NetworkSettings": {"IPAddress": "10.0.0.7", "Ports": {"80/tcp": None}},
        }
    ).encode()


@pytest.mark.parametrize(
    ("state", "phase", "code"),
    [
        ({"Running": True, "StartedAt": EARLY}, Phase.RUNNING, None),
        ({}, Phase.CREATED, None),
        ({"StartedAt": EARLY, "FinishedAt": LATE}, Phase.EXITED, 0),
        ({"StartedAt": EARLY, "FinishedAt": LATE, "ExitCode": 3}, Phase.EXITED, 3),
        ({"StartedAt": EARLY}, Phase.EXITED, None),  # its server crashed
        ({"StartedAt": LATE, "FinishedAt": EARLY}, Phase.EXITED, None),  # of a former run
    ],
)
def test_an_unknown_exit_code_is_never_taken_for_success(
    state: dict[str, Any], phase: Phase, code: int | None
) -> None:
    found = from_inspect(inspect(**state))
    assert (found.phase, found.exit_code) == (phase, code)


def test_a_short_id_means_provisioning() -> None:
    assert from_inspect(inspect("0" * 32)).phase is Phase.PROVISIONING


def test_other_fields_of_an_inspect() -> None:
    found = from_inspect(inspect())
    assert found.addresses == ("10.0.0.7",)
    assert found.ports == (ContainerPort(80, "tcp", None),)
    assert found.created == 1767261600.0
    assert json.loads(found.inspect)[0]["Name"] == "/mesos-1"
    assert package(found) == ("p-1G", 1024)
    assert package(from_list({"Id": "x", "Labels": {}})) == ("", 0)


def test_an_answer_that_is_no_inspect_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a container's description"):
        from_inspect(b"{}")
    with pytest.raises(ValueError, match="Expecting value"):
        from_inspect(b"nonsense")


@pytest.mark.parametrize(
    "text", ["[]", " [ ] ", "[1]", '[{"a": [1, 2]}, "x", null]\n', "[1,2 , 3]"]
)
def test_members_of_an_array_are_read_one_by_one(text: str) -> None:
    assert list(parse.members(text.encode())) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{}", "null", "[", "[1", '[{"a": 1]', '{"message": "[]"}'])
def test_a_text_that_is_no_array_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"array|delimiter|value"):
        list(parse.members(text.encode()))
