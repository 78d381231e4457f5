from __future__ import annotations

import pytest

from shim import limits
from shim.http.operator_api.sessions import (
    NEXT,
    OutputReader,
    Session,
    SessionEvent,
    SessionPhase,
    Sessions,
    id_text,
)
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.protos.mesos_pb2 import ContainerID

REF = Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("parent"))


def session(value: str = "child") -> Session:
    container_id = ContainerID(value=value)
    container_id.parent.value = "parent"
    return Session(container_id, REF, "")


@pytest.mark.parametrize("phase", SessionPhase)
@pytest.mark.parametrize("event", SessionEvent)
def test_every_event_in_every_phase(phase: SessionPhase, event: SessionEvent) -> None:
    made = session()
    made.phase = phase
    made.apply(event)
    assert made.phase is NEXT.get((phase, event), phase)
    assert made.ended.is_set() == (made.phase is SessionPhase.ENDED)
    if phase is SessionPhase.ENDED:
        assert made.phase is SessionPhase.ENDED


def test_running_sessions_end_by_every_event_but_a_second_start() -> None:
    ends = {event for (phase, event), to in NEXT.items() if phase is SessionPhase.RUNNING}
    assert ends == set(SessionEvent) - {SessionEvent.STARTED}


def test_an_id_is_written_with_its_parents() -> None:
    assert id_text(session().container_id) == "parent.child"


def test_the_newest_ended_sessions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS_REMEMBERED", 2)
    sessions = Sessions()
    made = [session(str(number)) for number in range(5)]
    for each in made:
        sessions.add(each)
        if each is not made[0]:
            each.apply(SessionEvent.FAILED)
    sessions.add(session("new"))
    kept = [each for each in made if sessions.find(each.container_id) is each]
    assert kept == [made[0], made[3], made[4]]


async def test_a_reader_s_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_WAITING_BYTES", 10)
    reader = OutputReader("application/json")
    reader.push(b"12345")
    assert await reader.next() == b"12345"
    reader.push(b"1234567890")
    reader.push(b"1")
    reader.push(b"2")
    assert await reader.next() == b"1234567890"
    assert await reader.next() is None
