"""Replays recorded transcripts of a real master to the embedded one.

The input is everything that the recorded agent and framework sent, at the recorded times. The
output has to be every message and event of the recorded master, in the same order and with the
same fields. Only values that a master generates (offer ids, operation uuids, challenges, its own
timestamps) may differ.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from shim.dev.master import operator_api, scheduler_api
from shim.dev.master.effects import CloseStream, Effect, SendEvent, SendMessage
from shim.dev.master.frameworks import subscribe
from shim.dev.master.master import Master
from shim.dev.master.master_state import MasterState, Options
from shim.model.ids import Pid
from shim.protos import authentication_pb2 as auth
from shim.protos import messages_pb2 as internal
from shim.wire import codec

Json = dict[str, Any]

DATA = Path(__file__).parents[2] / "data/transcripts"
FIRST_MASTER = "30f1cce6-9061-401e-8201-dc8600dcbe68"


class Replay:
    """One embedded master that replays transcripts one after the other."""

    def __init__(self, master: Master, offset: float = 0.0) -> None:
        self.master = master
        self._began = offset
        self._now = offset
        self._agents: set[int] = set()
        self.sent: list[Message] = []
        self.expected: list[Message] = []
        self.events: dict[str, list[Json]] = {}
        self.closed: set[str] = set()
        self.expected_events: dict[str, list[Json]] = {}
        self.statuses: list[tuple[int, int]] = []

    def play(self, transcript: str) -> None:
        """Replay a transcript after the ones before."""
        self._began = self._now + 1.0
        answers: dict[str, int] = {}
        for entry in _entries(transcript):
            self._now = self._began + entry["t"]
            self._perform(self.master.tick(self._now))
            if entry["kind"] == "response":
                self._response(entry, answers)
            elif entry.get("message"):
                self._message(entry)
            elif entry["head"].startswith("POST /api/v1/scheduler"):
                self._call(entry, answers)
            elif entry["head"].startswith("POST /api/v1 "):
                call = json.loads(base64.b64decode(entry["body_b64"]))
                answers[entry["conn"]] = self._run(
                    lambda state, call=call: operator_api.carry_out(state, call)
                )

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendMessage(_, _, message):
                    if not isinstance(message, internal.PingSlaveMessage):
                        self.sent.append(message)
                case SendEvent(stream_id, event):
                    self.events.setdefault(stream_id, []).append(event)
                case CloseStream(stream_id):
                    self.closed.add(stream_id)

    def _run(self, decide: Any) -> int:
        status: list[int] = []
        self._perform(self.master.apply(self._now, lambda state: status.append(decide(state))))
        return status[0]

    def _message(self, entry: Json) -> None:
        head, name = entry["head"], entry["message"]
        target = head.split(" ", 2)[1].split("/")[1]
        match = re.search(r"Libprocess-From: (\S+)", head)
        assert match
        sender = Pid.parse(match[1])
        body = base64.b64decode(entry["body_b64"])
        if sender.id.startswith("executor(") or target.startswith("executor("):
            return
        if entry["conn"].endswith(":5051"):
            message = codec.decode(name, body)
            if not isinstance(message, internal.PingSlaveMessage):
                self.expected.append(message)
            elif not message.connected and any(a.connected for a in self._world.agents.values()):
                # The recording has no entry for the broken connection, only for its effects.
                self._perform(self.master.connection_lost(("127.0.0.1", 5051), self._now))
        elif name.rpartition(".")[2] not in ("RegisterExecutorMessage",):
            decoded = codec.decode(name, body, codec.TO_MASTER)
            self._perform(self.master.receive(target, sender, decoded, self._now))

    @property
    def _world(self) -> MasterState:
        return self.master.state

    def _call(self, entry: Json, answers: dict[str, int]) -> None:
        call = json.loads(base64.b64decode(entry["body_b64"]))
        if call["type"] == "SUBSCRIBE":
            stream = entry["conn"]
            wanted = scheduler_api.subscription(call)
            effects = self.master.apply(
                self._now, lambda state: subscribe(state, stream, wanted.info, set())
            )
            self._perform(effects)
            return
        framework = self._world.frameworks[call["framework_id"]["value"]]
        if call["type"] == "ACCEPT":
            own_offers = [o for o in self._world.offers.values() if o.framework_id == framework.id]
            call["accept"]["offer_ids"] = [{"value": own_offers[-1].id}]
        answers[entry["conn"]] = self._run(
            lambda state: scheduler_api.carry_out(state, call, framework.stream_id)
        )

    def _response(self, entry: Json, answers: dict[str, int]) -> None:
        source, _, target = entry["conn"].partition("->")
        request = f"{target}->{source}"
        status = int(entry["head"].split(" ", 2)[1])
        if request in answers:
            self.statuses.append((answers.pop(request), status))
        if "Mesos-Stream-Id" in entry["head"]:
            records = _records(base64.b64decode(entry["body_b64"]))
            self.expected_events[request] = list(records)


def _entries(transcript: str) -> Iterator[Json]:
    for line in (DATA / f"{transcript}.jsonl").read_text().splitlines():
        yield json.loads(line)


def _records(stream: bytes) -> Iterator[Json]:
    while stream:
        length, _, rest = stream.partition(b"\n")
        yield json.loads(rest[: int(length)])
        stream = rest[int(length) :]


def new_master(master_id: str, port: int = 5050, **options: Any) -> Master:
    numbers = itertools.count(1)
    state = MasterState(
        pid=Pid("master", "127.0.0.1", port),
        id=master_id,
        options=Options(ping_timeout=2.0, **options),
        new_uuid=lambda: next(numbers).to_bytes(16, "big"),
    )
    master = Master(state, {"agent": b"secret"})
    master.start(0.0)
    return master


def replayed(*transcripts: str) -> Replay:
    replay = Replay(new_master(FIRST_MASTER))
    for transcript in transcripts:
        replay.play(transcript)
    return replay


BEFORE = {
    "register": [],
    "lifecycle": ["register"],
    "health": ["register", "lifecycle"],
    "group": ["register", "lifecycle", "health"],
    "agent-restart": ["register", "lifecycle", "health", "group"],
}


def plain(message: Message) -> Message:
    """The message without the values that a master generates."""
    copy = type(message)()
    copy.CopyFrom(message)
    if isinstance(copy, internal.ApplyOperationMessage):
        copy.operation_uuid.value = b""
        copy.resource_version_uuid.uuid.value = b""
    if isinstance(copy, internal.AcknowledgeOperationStatusMessage):
        copy.operation_uuid.value = b""
    if isinstance(copy, auth.AuthenticationStepMessage):
        copy.data = b""
    if isinstance(copy, internal.DrainSlaveMessage):
        # The recorded master does not forward the operator's grace period of two seconds.
        copy.config.ClearField("max_grace_period")
    return copy


@pytest.mark.parametrize("transcript", BEFORE)
def test_the_agent_receives_the_recorded_messages(transcript: str) -> None:
    replay = replayed(*BEFORE[transcript])
    known = len(replay.sent)
    replay.expected.clear()
    replay.play(transcript)
    assert [plain(m) for m in replay.sent[known:]] == [plain(m) for m in replay.expected]
    assert replay.master.state.aborted is None


@pytest.mark.parametrize("transcript", ["lifecycle", "health", "group"])
def test_the_framework_receives_the_recorded_events(transcript: str) -> None:
    replay = replayed(*BEFORE[transcript], transcript)
    ((stream, expected),) = [
        (s, e) for s, e in replay.expected_events.items() if s not in _streams(BEFORE[transcript])
    ]
    events = replay.events[stream]
    assert [e["type"] for e in events[:3]] == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    assert events[0] == expected[0]
    assert _offer(events[2]) == _offer(expected[2])
    assert [_update(e) for e in events if e["type"] == "UPDATE"] == [
        _update(e) for e in expected if e["type"] == "UPDATE"
    ]
    assert stream in replay.closed


def _streams(transcripts: list[str]) -> set[str]:
    return set(replayed(*transcripts).expected_events)


def _update(event: Json) -> Json:
    status = dict(event["update"]["status"])
    if status["source"] == "SOURCE_MASTER":
        del status["timestamp"]
    return status


def _offer(event: Json) -> Json:
    (offer,) = event["offers"]["offers"]
    del offer["id"]
    offer["resources"].sort(key=lambda r: r["name"])
    return dict(offer)


def test_calls_are_answered_with_the_recorded_status() -> None:
    replay = replayed(*BEFORE["agent-restart"])
    assert len(replay.statuses) > 20
    assert [actual for actual, _ in replay.statuses] == [
        expected for _, expected in replay.statuses
    ]


def restarted(before: Replay, port: int = 5050) -> Replay:
    """A new master with the registry of the one before."""
    master = new_master("restarted-master", port)
    master.state.registry = before.master.state.registry
    master.start(before._now)
    return Replay(master, before._now)


def test_a_restarted_master_readmits_the_agent() -> None:
    replay = restarted(replayed(*BEFORE["agent-restart"], "agent-restart"))
    replay.play("master-restart")
    assert replay.sent == replay.expected
    (agent,) = replay.master.state.agents.values()
    assert [entry.task.name for entry in agent.tasks.values()] == ["keeper"]


def test_operations_and_draining_of_the_restarted_master() -> None:
    replay = restarted(replayed(*BEFORE["agent-restart"], "agent-restart"))
    replay.play("master-restart")
    del replay.sent[:], replay.expected[:]
    # The recorded agent answers with uuids of the recorded master.
    uuids = [
        codec.decode(e["message"], base64.b64decode(e["body_b64"])).operation_uuid.value  # type: ignore[attr-defined]
        for e in _entries("operations")
        if e.get("message", "").endswith("ApplyOperationMessage")
    ]
    replay.master.state.new_uuid = iter(uuids).__next__
    replay.play("operations")
    assert replay.sent == replay.expected
    assert not replay.master.state.agents.popitem()[1].operations


def test_draining_and_reactivating() -> None:
    replay = restarted(replayed(*BEFORE["agent-restart"], "agent-restart"))
    replay.play("master-restart")
    del replay.sent[:], replay.expected[:], replay.statuses[:]
    replay.play("drain")
    assert [plain(m) for m in replay.sent] == [plain(m) for m in replay.expected]
    assert replay.statuses == [(200, 200), (200, 200)]


def test_unregistering() -> None:
    replay = restarted(replayed(*BEFORE["agent-restart"], "agent-restart"))
    replay.play("master-restart")
    assert len(replay.master.state.agents) == 1
    replay.play("unregister")
    assert not replay.master.state.agents


@pytest.mark.parametrize("transcript", ["authenticate", "authenticate-refused"])
def test_authentication_is_answered_step_by_step(transcript: str) -> None:
    master = new_master("4e3abed6-da39-455b-9cd7-4bf06ac28bce", authenticate_agents=True)
    if transcript == "authenticate-refused":
        # The recorded session is the master's second.
        master._next_session = 2
    replay = Replay(master)
    replay.play(transcript)
    names = [type(m).__name__ for m in replay.expected if not _verdict(m)]
    assert [type(m).__name__ for m in replay.sent if not _verdict(m)][: len(names)] == names


def _verdict(message: Message) -> bool:
    # The recorded answer belongs to the recorded challenge: see test_authentication.
    return not isinstance(
        message, auth.AuthenticationMechanismsMessage | auth.AuthenticationStepMessage
    )


def test_marking_gone() -> None:
    master = new_master("4e3abed6-da39-455b-9cd7-4bf06ac28bce", 5052)
    replay = Replay(master)
    info = codec.decode(
        "mesos.internal.ReregisterSlaveMessage",
        next(
            base64.b64decode(e["body_b64"])
            for e in _entries("master-failover")
            if e.get("message", "").endswith("ReregisterSlaveMessage")
        ),
        codec.TO_MASTER,
    )
    master.receive("master", Pid.parse("slave(1)@127.0.0.1:5051"), info, 0.0)
    replay.play("gone")
    assert replay.sent == replay.expected
    assert replay.statuses == [(200, 200)]
