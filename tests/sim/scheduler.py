"""A simulated scheduler: launches the plan's tasks; acknowledgements may be late, lost, doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.model.ids import FrameworkId, TaskKey
from shim.protos.mesos_pb2 import FrameworkInfo, TaskInfo
from shim.protos.messages_pb2 import StatusUpdateMessage

if TYPE_CHECKING:
    from tests.sim.world import World

_Capability = FrameworkInfo.Capability


class Scheduler:
    def __init__(self, world: World, index: int, traits: dict[str, bool]) -> None:
        self._world = world
        self.id = FrameworkId(f"F{index}")
        self.traits = dict(traits)
        self.connected = True
        self.gone = False
        self.ended: set[TaskKey] = set()
        """Tasks whose end the agent or the master has reported."""
        self.launched: dict[TaskKey, TaskInfo] = {}

    @property
    def info(self) -> FrameworkInfo:
        info = FrameworkInfo(user="u", name=f"sim {self.id}", checkpoint=self.traits["checkpoint"])
        info.id.value = self.id
        info.roles.append("prod")
        info.capabilities.add(type=_Capability.MULTI_ROLE)
        if self.traits["partition_aware"]:
            info.capabilities.add(type=_Capability.PARTITION_AWARE)
        if self.traits["killing"]:
            info.capabilities.add(type=_Capability.TASK_KILLING_STATE)
        return info

    def receive_update(self, message: StatusUpdateMessage, key: TaskKey) -> None:
        """Acknowledge an update: at once, late, twice, or not this time."""
        world = self._world
        if not self.connected or self.gone:
            return
        world.invariants.update_delivered(key, message.update.uuid, message.update.status)
        world.say("framework", key, "is", message.update.status.state)
        faults, rng = world.faults, world.rng
        if rng.random() < faults["ack_lost"]:
            return
        late = rng.random() < faults["ack_late"]
        delay = rng.choice((2.0, 15.0, 60.0)) if late else rng.uniform(0.001, 0.01)
        times = 2 if rng.random() < faults["ack_doubled"] else 1
        for i in range(times):
            world.clock.after(delay + i * rng.choice((0.0, 5.0)), self._acknowledge, message, key)

    def _acknowledge(self, message: StatusUpdateMessage, key: TaskKey) -> None:
        if self.connected and not self.gone and self._world.master is not None:
            self._world.master.acknowledge(self, key, message.update)
