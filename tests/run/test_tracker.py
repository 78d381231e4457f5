from __future__ import annotations

from typing import Any

import pytest

from shim.run.tracker import TaskTracker, describe, exit_code


def status(task_id: str, state: str, **fields: Any) -> dict[str, Any]:
    return {"task_id": {"value": task_id}, "state": state, **fields}


@pytest.mark.parametrize(
    ("state", "message", "code"),
    [
        ("TASK_FINISHED", "Container exited with status 0", 0),
        ("TASK_FAILED", "Container exited with status 3", 3),
        ("TASK_FAILED", "Container exited with status 137", 137),
        ("TASK_FAILED", "Failed to launch container: no such image", 1),
        ("TASK_KILLED", "Container exited with status 0", 1),
        ("TASK_ERROR", "", 1),
    ],
)
def test_the_exit_code_is_the_tasks(state: str, message: str, code: int) -> None:
    assert exit_code(status("a", state, message=message)) == code


def test_a_run_is_done_when_every_task_has_ended_and_returns_the_first_failure() -> None:
    tracker = TaskTracker(("a", "b", "c"))
    tracker.update(status("a", "TASK_FINISHED"))
    tracker.update(status("b", "TASK_RUNNING"))
    tracker.update(status("c", "TASK_FAILED", message="Container exited with status 4"))
    assert (tracker.done, tracker.alive) == (False, ["b"])
    tracker.update(status("b", "TASK_FAILED", message="Container exited with status 2"))
    assert (tracker.done, tracker.code) == (True, 2)


def test_terminal_states_are_final_and_unknown_tasks_are_ignored() -> None:
    tracker = TaskTracker(("a",))
    tracker.update(status("a", "TASK_FINISHED"))
    tracker.update(status("a", "TASK_RUNNING"))
    tracker.update(status("x", "TASK_FAILED"))
    assert (tracker.done, tracker.code) == (True, 0)


def test_a_running_task_is_printed_with_its_address() -> None:
    infos = [{"ip_addresses": [{"ip_address": "172.17.0.2"}, {"ip_address": "fe80::1"}]}]
    line = describe(status("a", "TASK_RUNNING", container_status={"network_infos": infos}))
    assert line == "a TASK_RUNNING at 172.17.0.2, fe80::1"


def test_a_terminal_state_is_printed_with_its_reason() -> None:
    line = describe(status("a", "TASK_FAILED", reason="REASON_X", message="gone"))
    assert line == "a TASK_FAILED REASON_X: gone"


def test_a_message_cannot_move_the_cursor() -> None:
    status = {"task_id": {"value": "web-1"}, "state": "TASK_FAILED", "message": "\x1b]0;x\x07"}
    assert describe(status) == "web-1 TASK_FAILED: ?]0;x?"
