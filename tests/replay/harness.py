"""A core that handles a master's recorded messages, with a scripted endpoint.

The recorded uuids are those of mesos-agent. A recorded acknowledgement is therefore rewritten to
acknowledge the core's own update of the same task, or its own status of the same operation.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf.message import Message

from shim.core.agent import Core
from shim.core.context import CoreSettings, Now, PodNetwork
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
    """One libprocess message; ``by_agent``: the agent sent it to a master."""

    by_agent: bool
    message: Message


def recorded(name: str) -> Iterator[Recorded]:
    """The messages between master and agent, without those of executors."""
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


class SeededEntropy:
    """Randomness from a fixed seed."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def uuid(self) -> bytes:
        return uuid.UUID(int=self._random.getrandbits(128), version=4).bytes

    def uniform(self, limit: float) -> float:
        return 0.0


@dataclass
class Script:
    """How a task's container behaves."""

    fails: str = ""
    """The launch fails with this message."""
    exit_code: int | None = None
    """It exits by itself with this code; None: it runs until stopped."""
    stopped_code: int = 0
    health: tuple[tuple[bool, bool], ...] = ()
    """Results of its health check, in order: ``(healthy, kill)``."""
    addresses: tuple[str, ...] = ("172.17.0.2",)


@dataclass
class ReplayedAgent:
    """``sent`` holds the messages to masters."""

    scripts: dict[str, Script] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=Snapshot)
    sent: list[Message] = field(default_factory=list)
    pods: PodNetwork | None = None

    def __post_init__(self) -> None:
        self.now = Now(0.0, 1_795_000_000.0)
        own = replace(settings(), pod_network=self.pods)
        self.core = Core(own, SeededEntropy(), self.snapshot, self.now)
        self.handle(facts.MasterDetected(MASTER))
        self.handle(facts.ContainersFound(()))
        self.handle(facts.DeadlinePassed())

    def handle(self, fact: facts.Fact) -> None:
        for order in self.core.handle(fact, self.now).orders:
            self._carry_out(order)

    def receive(self, message: Message, sender: Pid = MASTER) -> None:
        if isinstance(message, m.StatusUpdateAcknowledgementMessage):
            message = self._with_own_uuid(message)
        elif isinstance(message, m.AcknowledgeOperationStatusMessage):
            message = self._with_own_status(message)
        self.handle(facts.MessageReceived(sender, message))

    def register(self, agent_id: str) -> None:
        answer = m.SlaveRegisteredMessage()
        answer.slave_id.value = agent_id
        self.receive(answer)

    def _with_own_uuid(self, ack: m.StatusUpdateAcknowledgementMessage) -> Message:
        """The same acknowledgement with the uuid of the core's last update of the task."""
        for message in self.sent:
            if not isinstance(message, m.StatusUpdateMessage):
                continue
            if message.update.status.task_id == ack.task_id:
                ack.uuid = message.update.uuid
        return ack

    def _with_own_status(self, ack: m.AcknowledgeOperationStatusMessage) -> Message:
        """The same acknowledgement with the uuid of the core's status of the operation."""
        (sent,) = [
            message
            for message in self.sent
            if isinstance(message, m.UpdateOperationStatusMessage)
            and message.operation_uuid == ack.operation_uuid
        ]
        ack.status_uuid.value = sent.status.uuid.value
        return ack

    def _carry_out(self, order: orders.Order) -> None:
        match order:
            case orders.Send():
                self.sent.append(order.message)
            case orders.Launch():
                self._launch(order)
            case orders.Stop():
                script = self.scripts[order.ref.task_key.task_id]
                self.handle(facts.ContainerExited(order.ref, script.stopped_code))
            case orders.StartChecks():
                for healthy, kill in self.scripts[order.ref.task_key.task_id].health:
                    self.handle(facts.HealthReported(order.ref, healthy, kill))
            case orders.Remove():
                self.handle(facts.ContainerRemoved(order.ref))

    def _launch(self, order: orders.Launch) -> None:
        script = self.scripts[order.ref.task_key.task_id]
        if script.fails:
            self.handle(facts.LaunchFailed(order.ref, facts.Failure.PULL, script.fails))
            return
        self.handle(facts.LaunchAdvanced(order.ref, facts.Stage.CREATING))
        found = Container(
            order.ref.name, "id", Phase.RUNNING, addresses=script.addresses, inspect=b"[{}]"
        )
        self.handle(facts.ContainerStarted(order.ref, found))
        if script.exit_code is not None:
            self.handle(facts.ContainerExited(order.ref, script.exit_code))


def settings() -> CoreSettings:
    """The settings of the recorded agent, as far as a shim has them."""
    info = SlaveInfo(hostname="127.0.0.1", port=5051, checkpoint=True)
    for name, amount in (("cpus", 64.0), ("mem", 65536.0), ("disk", 100000.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR, role="*")
        resource.scalar.value = amount
    info.attributes.append(
        Attribute(name="dc", type=Value.TEXT, text=Value.Text(value="us-east-1"))
    )
    return CoreSettings(AGENT, info, "1.12.0", engine_ip="127.0.0.1", registration_backoff=0.0)


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
