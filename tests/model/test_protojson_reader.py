"""JSON as a stock agent reads it: what each kind of field takes, and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from shim.model.protojson_reader import InvalidJson, Reader
from shim.protos import mesos_pb2 as mesos
from shim.protos.agent_pb2 import Call


def read(**fields: Any) -> Call:
    call = Call()
    Reader().merge(fields, call)
    return call


def kill(**fields: Any) -> Call:
    return read(kill_container=fields)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (5, "Not expecting a JSON number for field 'kill_container'"),
        ({"container_id": "x"}, "Not expecting a JSON string for field 'container_id'"),
        ({"container_id": [{"value": "x"}]}, "Not expecting a JSON array for field 'container_id'"),
        ({"container_id": {"value": 3}}, "Not expecting a JSON number for field 'value'"),
        ({"container_id": {"value": True}}, "Not expecting a JSON boolean for field 'value'"),
        ({"container_id": {"value": {}}}, "Not expecting a JSON object for field 'value'"),
        ({"signal": "KILL"}, "Failed to parse 'KILL' as a JSON number for field 'signal'"),
        ({"signal": True}, "Not expecting a JSON boolean for field 'signal'"),
        ({"signal": "true"}, "Failed to parse 'true' as a JSON number for field 'signal'"),
        ({"signal": float("inf")}, "field 'signal': inf is no integer"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_field(body: Any, text: str) -> None:
    with pytest.raises(InvalidJson) as refused:
        read(kill_container=body)
    assert str(refused.value) == text


def test_numbers_may_be_strings_and_lose_their_fraction() -> None:
    assert kill(signal="9").kill_container.signal == 9
    assert kill(signal=9.5).kill_container.signal == 9
    with pytest.raises(InvalidJson, match="field 'signal': "):
        kill(signal=2**40)


def test_a_negative_number_in_an_unsigned_field_counts_from_its_end() -> None:
    assert read(read_file={"offset": -1}).read_file.offset == 2**64 - 1
    assert read(set_logging_level={"level": -1}).set_logging_level.level == 2**32 - 1
    with pytest.raises(InvalidJson, match="field 'offset': "):
        read(read_file={"offset": -(2**64)})


def test_booleans_may_be_strings() -> None:
    assert read(get_containers={"show_nested": "true"}).get_containers.show_nested
    text = "Failed to parse 'yes' as a JSON boolean for field 'show_nested'"
    with pytest.raises(InvalidJson, match=text):
        read(get_containers={"show_nested": "yes"})


def test_an_unknown_enum_leaves_its_field_unset_unless_it_is_required() -> None:
    assert not read(type="NO_CALL").HasField("type")
    with pytest.raises(InvalidJson, match="Failed to find enum for 'NO_TYPE'"):
        Reader().merge({"type": "NO_TYPE"}, mesos.Image())


def test_a_single_value_is_a_list_of_one_and_null_is_nothing() -> None:
    command = mesos.CommandInfo()
    body = {"arguments": "a", "uris": {"value": "b"}, "value": None, "shell": None}
    Reader().merge(body, command)
    assert (list(command.arguments), command.uris[0].value) == (["a"], "b")
    assert not command.HasField("value")
    Reader().merge({"arguments": ["c", None]}, command)
    assert list(command.arguments) == ["a", "c"]


def test_bytes_are_base64_with_blanks_and_without_padding() -> None:
    task = mesos.TaskInfo()
    Reader().merge({"data": "YWJj\nZA"}, task)
    assert task.data == b"abcd"
    with pytest.raises(InvalidJson, match="Failed to base64 decode bytes field 'data'"):
        Reader().merge({"data": "-_"}, task)


def test_an_empty_object_sets_its_field() -> None:
    assert read(get_metrics={}).HasField("get_metrics")


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidJson, match="field 'path': "):
        read(list_files={"path": "\ud800"})
