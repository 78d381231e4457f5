from __future__ import annotations

import base64
import json

import pytest

from shim.model.v1_json import InvalidJson, from_json, to_json
from shim.protos import mesos_pb2 as mesos

TASK = {
    "name": "web",
    "task_id": {"value": "web"},
    "agent_id": {"value": "S1"},
    "resources": [
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2**63}]}}
    ],
    "data": base64.b64encode(b"\0\xff").decode(),
    "limits": {"cpus": {"value": 1.5}},
    "labels": {"labels": [{"key": "agent_id", "value": "agent_id"}]},
}


def test_agent_in_v1_is_slave_in_v0() -> None:
    info = from_json(TASK, mesos.TaskInfo())
    assert info.slave_id.value == "S1"
    assert info.data == b"\0\xff"
    assert info.labels.labels[0].key == "agent_id"
    assert to_json(info) == TASK


def test_nesting_ends_at_the_depth_of_mesos_parser() -> None:
    def nested(depth: int) -> dict[str, object]:
        value: list[object] = []
        for _ in range(depth - 2):
            value = [value]
        return {**TASK, "unknown": value}

    assert from_json(nested(200), mesos.TaskInfo()).name == "web"
    with pytest.raises(InvalidJson, match="nested deeper than 200 levels"):
        from_json(nested(201), mesos.TaskInfo())


def test_large_numbers_stay_numbers() -> None:
    text = json.dumps(to_json(from_json(TASK, mesos.TaskInfo())))
    assert '"end": 9223372036854775808' in text


def test_nan_and_infinities_are_strings() -> None:
    info = from_json({**TASK, "limits": {"mem": {"value": "Infinity"}}}, mesos.TaskInfo())
    text = json.dumps(to_json(info), allow_nan=False)
    assert '"mem": {"value": "Infinity"}' in text
    assert from_json(json.loads(text), mesos.TaskInfo()) == info


def test_enum_values_have_v1_names() -> None:
    status = mesos.TaskStatus(
        state=mesos.TASK_LOST,
        source=mesos.TaskStatus.SOURCE_SLAVE,
        reason=mesos.TaskStatus.REASON_SLAVE_REMOVED,
    )
    status.task_id.value = "a"
    assert to_json(status) == {
        "task_id": {"value": "a"},
        "state": "TASK_LOST",
        "source": "SOURCE_AGENT",
        "reason": "REASON_AGENT_REMOVED",
    }


def test_defaults_are_written_except_the_deprecated_role() -> None:
    address = mesos.NetworkInfo.IPAddress(ip_address="10.0.0.1")
    assert to_json(address) == {"protocol": "IPv4", "ip_address": "10.0.0.1"}
    resource = mesos.Resource(name="cpus", type=mesos.Value.SCALAR)
    resource.scalar.value = 1
    assert "role" not in to_json(resource)
    resource.role = "*"
    assert to_json(resource)["role"] == "*"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "object"),
        ({"name": 5}, "name"),
        ({"name": "a"}, "task_id"),
        ({**TASK, "agent_id": {}}, "agent_id"),
        ({**TASK, "data": 7}, "data"),
        ({**TASK, "\ud800": 7}, "lone surrogate"),
        ({**TASK, "name": "\ud800"}, "lone surrogate"),
    ],
)
def test_invalid_json_is_an_error_with_the_field(body: object, word: str) -> None:
    with pytest.raises(InvalidJson, match=word):
        from_json(body, mesos.TaskInfo())


def test_unknown_fields_are_ignored() -> None:
    assert from_json({**TASK, "newer": {"x": 1}}, mesos.TaskInfo()).name == "web"
