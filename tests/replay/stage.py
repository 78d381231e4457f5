"""The core on a stage: recorded messages of a master come in, an endpoint plays its part.

The recorded uuids are the stock agent's, so a recorded acknowledgement acknowledges our own head
of the same task.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from shim.core.agent import Core
from shim.core.context import Now, Settings
from shim.errors import PeerError
from shim.model import facts, orders
from shim.model.container import Container, Phase
from shim.model.ids import Pid
from shim.model.records import Snapshot
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import Attribute, SlaveInfo, Value
from shim.wire import codec

TRANSCRIPTS = Path(__file__).parents[1] / "data" / "transcripts"
MASTER = Pid("master", "127.0.0.1", 5050)
AGENT = Pid("slave(1)", "127.0.0.1", 5051)


@dataclass(frozen=True)
class Recorded:
    """One libprocess message, and whether the agent sent it to a master."""

    by_agent: bool
    message: Message


def recorded(name: str) -> Iterator[Recorded]:
    """What master and agent said to each other; the executors' own words are left out."""
    with (TRANSCRIPTS / f"{name}.jsonl").open() as lines:
        for line in map(json.loads, lines):
            if line["kind"] != "request" or not line.get("message"):
                continue
            by_agent = line["conn"].rpartition(":")[2] in ("5050", "5052")
            if not by_agent and "Libprocess-From: master@" not in line["head"]:
                continue
            table = codec.TO_MASTER if by_agent else codec.TO_AGENT
            try:
                message = codec.decode(line["message"], base64.b64decode(line["body_b64"]), table)
            except PeerError:
                continue
            yield Recorded(by_agent, message)


class Seeded:
    """Chance that is the same each time."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def uuid(self) -> bytes:
        return uuid.UUID(int=self._random.getrandbits(128), version=4).bytes

    def uniform(self, limit: float) -> float:
        return 0.0


@dataclass
class Script:
    """What becomes of the containers of a task."""

    fails: str = ""
    """The launch fails with this."""
    exit_code: int | None = None
    """It ends by itself; None: it runs until stopped."""
    stopped_code: int = 0
    health: tuple[tuple[bool, bool], ...] = ()
    """``(healthy, kill)``, one after the other."""
    addresses: tuple[str, ...] = ("172.17.0.2",)


@dataclass
class Stage:
    """``sent`` is what the agent said to masters."""

    scripts: dict[str, Script] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=Snapshot.empty)
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = Now(0.0, 1_795_000_000.0)
        self.core = Core(settings(), Seeded(), self.snapshot, self.now)
        self.do(facts.MasterDetected(MASTER))
        self.do(facts.ContainersFound(()))
        self.do(facts.DeadlinePassed())

    def do(self, fact: facts.Fact) -> None:
        for order in self.core.handle(fact, self.now).orders:
            self._carry_out(order)

    def hear(self, message: Message, sender: Pid = MASTER) -> None:
        if isinstance(message, m.StatusUpdateAcknowledgementMessage):
            message = self._our(message)
        self.do(facts.MessageReceived(sender, message))

    def register(self, agent_id: str) -> None:
        answer = m.SlaveRegisteredMessage()
        answer.slave_id.value = agent_id
        self.hear(answer)

    def _our(self, ack: m.StatusUpdateAcknowledgementMessage) -> Message:
        """The same acknowledgement of what we sent last about the task."""
        for message in self.sent:
            if not isinstance(message, m.StatusUpdateMessage):
                continue
            if message.update.status.task_id == ack.task_id:
                ack.uuid = message.update.uuid
        return ack

    def _carry_out(self, order: orders.Order) -> None:
        match order:
            case orders.Send():
                self.sent.append(order.message)
            case orders.Launch():
                self._launch(order)
            case orders.Stop():
                script = self.scripts[order.ref.key.task_id]
                self.do(facts.ContainerExited(order.ref, script.stopped_code))
            case orders.StartChecks():
                for healthy, kill in self.scripts[order.ref.key.task_id].health:
                    self.do(facts.HealthReported(order.ref, healthy, kill))
            case orders.Remove():
                self.do(facts.ContainerRemoved(order.ref))

    def _launch(self, order: orders.Launch) -> None:
        script = self.scripts[order.ref.key.task_id]
        if script.fails:
            self.do(facts.LaunchFailed(order.ref, facts.Failure.PULL, script.fails))
            return
        self.do(facts.LaunchAdvanced(order.ref, facts.Stage.CREATING))
        found = Container(
            order.ref.name, "id", Phase.RUNNING, addresses=script.addresses, inspect=b"[{}]"
        )
        self.do(facts.ContainerStarted(order.ref, found))
        if script.exit_code is not None:
            self.do(facts.ContainerExited(order.ref, script.exit_code))


def settings() -> Settings:
    """The agent of the recordings, as far as a shim is like it."""
    info = SlaveInfo(hostname="127.0.0.1", port=5051, checkpoint=True)
    for name, amount in (("cpus", 64.0), ("mem", 65536.0), ("disk", 100000.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR, role="*")
        resource.scalar.value = amount
    info.attributes.append(
        Attribute(name="dc", type=Value.TEXT, text=Value.Text(value="us-east-1"))
    )
    return Settings(AGENT, info, "1.12.0", engine_ip="127.0.0.1", registration_backoff=0.0)


def fields(message: Message, prefix: str = "") -> set[str]:
    """The paths of all fields that are set."""
    found = set()
    for descriptor, value in message.ListFields():
        path = f"{prefix}{descriptor.name}"
        found.add(path)
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for part in value if descriptor.is_repeated else [value]:
            found |= fields(part, f"{path}.")
    return found
