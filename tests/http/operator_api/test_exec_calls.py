"""Exec and attach, as Mesos' CLI does them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shim import limits
from tests.http.operator_api.conftest import (
    INPUT,
    STREAM,
    Api,
    Input,
    Records,
    launch,
    nested,
    serving_api,
)
from tests.support.wait import until


async def exec_(api: Api, *args: Any, **more: Any) -> Records:
    return Records(await api.post(launch(*args, **more), STREAM))


async def wait(api: Api, container_id: dict[str, Any]) -> Any:
    return await api.call("WAIT_CONTAINER", container_id=container_id)


async def send(api: Api, source: Input) -> tuple[int, str]:
    return await api.refused(source.body(), INPUT)


async def test_a_command_s_output_and_exit_status_come_back(api: Api) -> None:
    ref = api.run()
    records = await exec_(api, ref, "say", "hello", "world")
    assert records.answer.headers["Content-Type"] == "application/recordio"
    assert records.answer.headers["Message-Content-Type"] == "application/json"
    assert await records.output() == {"STDOUT": b"hello\n", "STDERR": b"world\n"}
    assert await wait(api, nested(ref)) == {"exit_status": 0}
    (process,) = api.engine.processes
    assert (process.argv, process.tty, process.user) == (["say", "hello", "world"], False, "")
    assert process.closed


async def test_the_exit_status_is_that_of_wait(api: Api) -> None:
    ref = api.run()
    assert await (await exec_(api, ref, "exit", "3")).output() == {}
    assert await wait(api, nested(ref)) == {"exit_status": 3 << 8}
    old = await api.call("WAIT_NESTED_CONTAINER", container_id=nested(ref))
    assert old == {"exit_status": 3 << 8}


async def test_records_follow_an_accept_header_of_json_as_well(api: Api) -> None:
    answer = await api.post(launch(api.run(), "say", "a", "b"))
    assert answer.headers["Content-Type"] == "application/json"
    assert "Message-Content-Type" not in answer.headers
    assert await Records(answer).output() == {"STDOUT": b"a\n", "STDERR": b"b\n"}


async def test_input_is_passed_on_until_its_end(api: Api) -> None:
    ref = api.run()
    records = await exec_(api, ref, "cat")
    probe = Input(nested(ref))
    probe.end()
    assert await send(api, probe) == (200, "")  # the end of a request is no end of input
    source = Input(nested(ref))
    sending = asyncio.create_task(send(api, source))
    source.process_io(
        {
            "type": "CONTROL",
            "control": {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 1}}},
        }
    )
    source.data(b"one ")
    source.data(b"two\n")
    assert await records.output(b"two\n") == {"STDOUT": b"one two\n"}
    other = Input(nested(ref))
    assert await send(api, other) == (409, "Multiple input connections are not allowed")
    source.data(b"")
    assert await records.output() == {}
    assert await sending == (200, "")  # although the request has not ended
    assert await wait(api, nested(ref)) == {"exit_status": 0}


async def test_a_terminal_has_the_client_s_size(api: Api) -> None:
    ref = api.run()
    tty = {"type": "MESOS", "tty_info": {"window_size": {"rows": 5, "columns": 6}}}
    records = await exec_(api, ref, "cat", container=tty)
    (process,) = api.engine.processes
    assert process.tty
    source = Input(nested(ref))
    sending = asyncio.create_task(send(api, source))
    source.size(0, 0)
    source.size(24, 80)
    source.data(b"")  # no end of input on a terminal
    source.data(b"x")
    assert await records.output(b"x") == {"STDOUT": b"x"}
    assert process.sizes == [(5, 6), (24, 80)]
    source.size(70_000, 80)
    assert await sending == (400, "Unable to set the window size: 70000 rows, 80 columns")
    process.end(0)
    assert await records.output() == {}


async def test_environment_user_and_shell_are_those_of_the_command(api: Api) -> None:
    ref = api.run()
    call = launch(ref, "x")
    call["launch_nested_container_session"]["command"] = {
        "value": "exit 4",
        "user": "nobody",
        "environment": {"variables": [{"name": "A", "value": "b"}]},
    }
    assert await Records(await api.post(call, STREAM)).output() == {}
    (process,) = api.engine.processes
    assert process.argv == ["sh", "-c", "exit 4"]
    assert (process.user, process.env["A"]) == ("nobody", "b")


async def test_a_process_is_killed_when_its_client_goes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSION_POLL", 0.02)
    ref = api.run()
    records = await exec_(api, ref, "cat")
    records.answer.close()
    process = api.engine.processes[0]
    await until(lambda: process.code == 128 + 9)
    assert (await wait(api, nested(ref)))["exit_status"] == 9
    assert process.closed


async def test_a_process_is_killed_although_the_endpoint_is_away_for_a_moment(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "SESSION_POLL", 0.02)
    monkeypatch.setattr(limits, "SIGNAL_RETRY", 0.01)
    records = await exec_(api, api.run(), "cat")
    api.engine.fail("start_exec", times=2)
    records.answer.close()
    process = api.engine.processes[0]
    await until(lambda: process.code == 128 + 9, seconds=30)
    assert caplog.text.count("its process may still run: start_exec: no answer") == 2


async def test_a_session_is_signalled_and_removed(api: Api) -> None:
    ref = api.run()
    records = await exec_(api, ref, "cat")
    where = {"container_id": nested(ref)}
    remove = {"type": "REMOVE_NESTED_CONTAINER", "remove_nested_container": where}
    assert await api.refused(remove) == (500, "Nested container has not terminated yet")
    shown = await api.call("GET_CONTAINERS", show_nested=True)
    assert shown["containers"][1]["container_id"] == nested(ref)
    assert await api.call("KILL_CONTAINER", **where, signal=15) is None
    assert await records.output() == {}
    assert (await wait(api, nested(ref)))["exit_status"] == (128 + 15) << 8
    kill = {"type": "KILL_NESTED_CONTAINER", "kill_nested_container": where}
    text = f"Container '{ref.container_id}.child' cannot be found (or is already killed)"
    assert await api.refused(kill) == (404, text)
    assert await api.call("REMOVE_NESTED_CONTAINER", **where) is None
    answer = await api.refused({"type": "WAIT_CONTAINER", "wait_container": where})
    assert answer == (404, f"Container {ref.container_id}.child cannot be found")


async def test_a_second_client_reads_the_same_output(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = api.run()
    first = await exec_(api, ref, "cat")
    attach = {
        "type": "ATTACH_CONTAINER_OUTPUT",
        "attach_container_output": {"container_id": nested(ref)},
    }
    second = Records(await api.post(attach, STREAM))
    (process,) = api.engine.processes
    process.print(1, b"both")
    assert await first.output(b"both") == {"STDOUT": b"both"}
    assert await second.output(b"both") == {"STDOUT": b"both"}
    monkeypatch.setattr(limits, "SESSION_WAITING_BYTES", 1000)
    process.print(1, b"x" * 2000)
    assert await second.output() == {}  # cut off: too much would wait
    process.end(0)
    assert await first.output() == {"STDOUT": b"x" * 2000}


async def test_a_task_s_own_process_is_attached(api: Api) -> None:
    ref = api.run(OpenStdin=True, Tty=True)
    own = {"value": ref.container_id}
    attach = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": own}}
    records = Records(await api.post(attach, STREAM))
    source = Input(own)
    source.data(b"hello")
    source.size(3, 4)
    source.end()
    assert await send(api, source) == (200, "")
    output, input_ = api.engine.processes
    assert (bytes(input_.received), input_.sizes) == (b"hello", [(3, 4)])
    assert not output.has_stdin
    output.print(1, b"world")
    assert await records.output(b"world") == {"STDOUT": b"world"}
    api.engine.end(ref.name, 0)
    assert await records.output() == {}


async def test_silence_has_heartbeats(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_POLL", 0.01)
    monkeypatch.setattr(limits, "SESSION_HEARTBEAT", 0.03)
    records = await exec_(api, api.run(), "cat")
    assert await records.next() == {
        "type": "CONTROL",
        "control": {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 30000000}}},
    }
    monkeypatch.setattr(limits, "SESSION_IDLE", 0.05)
    assert await records.output() == {}
    assert api.engine.processes[0].code == 128 + 9


async def test_ids_name_one_session_each(api: Api) -> None:
    ref = api.run()
    records = await exec_(api, ref, "cat")
    assert await api.refused(launch(ref, "cat"), STREAM) == (202, "")
    records.answer.close()
    text = "Root container other not found"
    unknown = launch(ref, "cat", value="x")
    unknown["launch_nested_container_session"]["container_id"]["parent"] = {"value": "other"}
    assert await api.refused(unknown, STREAM) == (400, text)
    orphan = Input({"value": "nothing", "parent": {"value": "other"}})
    assert await send(api, orphan) == (404, "Container other.nothing cannot be found")
    lost = Input(nested(ref, "nothing"))
    assert await send(api, lost) == (500, f"Unknown container {ref.container_id}.nothing")


async def test_a_task_in_a_group_has_its_executor_s_container_as_parent(api: Api) -> None:
    ref = api.run(OpenStdin=True)
    own = {"value": ref.container_id, "parent": {"value": "of-the-executor"}}
    call = launch(ref, "exit", "2")
    child = {"value": "child", "parent": own}
    call["launch_nested_container_session"]["container_id"] = child
    assert await Records(await api.post(call, STREAM)).output() == {}
    assert await wait(api, child) == {"exit_status": 2 << 8}
    source = Input(own)
    source.data(b"hello")
    source.end()
    assert await send(api, source) == (200, "")
    body = {"type": "REMOVE_CONTAINER", "remove_container": {"container_id": own}}
    assert await api.refused(body) == (500, "Containers of tasks are removed by the agent")
    assert await api.call("KILL_CONTAINER", container_id=own) is None
    assert api.engine.boxes[ref.name].exit_code == 128 + 9


async def test_input_for_a_session_that_ended_is_refused(api: Api) -> None:
    ref = api.run()
    await (await exec_(api, ref, "exit", "0")).output()
    assert await send(api, Input(nested(ref))) == (500, "I/O switchboard has shutdown")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"9999999999\n{}", "A record of 9999999999 bytes is longer than 1048576"),
        (b"-5\n{}", "Failed to decode length '-5'"),
        (b"2\n{}", "Failed to validate agent::Call: Expecting 'type' to be present"),
        (b"5\n{", "Received EOF while reading request body"),
        (
            b'21\n{"type":"GET_HEALTH"}',
            "Expecting 'type' to be ATTACH_CONTAINER_INPUT, not GET_HEALTH",
        ),
    ],
)
async def test_records_that_are_none_end_the_input_alone(api: Api, raw: bytes, text: str) -> None:
    ref = api.run()
    records = await exec_(api, ref, "cat")
    source = Input(nested(ref))
    source.raw(raw)
    source.end()
    status, said = await send(api, source)
    assert (status, said[: len(text)]) == (400, text)
    source = Input(nested(ref))
    source.data(b"alive")
    source.end()
    assert await send(api, source) == (200, "")
    assert await records.output(b"alive") == {"STDOUT": b"alive"}


async def test_streams_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_STREAMS", 1)
    ref = api.run()
    records = await exec_(api, ref, "cat")
    text = "1 streams of processes are open, the most there may be"
    assert await api.refused(launch(ref, "cat", value="b"), STREAM) == (503, text)
    refused = await api.post(launch(ref, "cat", value="b"), STREAM)
    assert refused.headers["Connection"] == "close"
    api.engine.processes[0].end(0)
    await records.output()
    assert await (await exec_(api, ref, "exit", "0", value="c")).output() == {}


async def test_a_command_that_cannot_start_is_refused_in_the_engine_s_words(api: Api) -> None:
    ref = api.run()
    api.engine.end(ref.name, 0)
    text = f"Container {ref.name} is not running"
    assert await api.refused(launch(ref, "cat"), STREAM) == (400, text)
    api.engine.away = True
    text = "start_exec: connection refused"
    assert await api.refused(launch(ref, "cat"), STREAM) == (503, text)


async def test_a_session_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving_api(credentials={"alice": "secret"}) as api:
        ref = api.run('<b>"web"</b>')
        call = launch(ref, "say", "a b", "c")
        variables = {"variables": [{"name": "TOKEN", "value": "do-not-tell"}]}
        call["launch_nested_container_session"]["command"]["environment"] = variables
        assert (await api.post(call, STREAM)).status == 401
        headers = {**STREAM, "Authorization": "Basic YWxpY2U6c2VjcmV0"}
        await Records(await api.post(call, headers)).output()
    (line,) = [r.getMessage() for r in caplog.records if "exec_calls" in r.name]
    expected = (
        f"alice at 127.0.0.1 runs say 'a b' c in task {ref.key}, session {ref.container_id}.child"
    )
    assert line == expected
    assert "do-not-tell" not in caplog.text
